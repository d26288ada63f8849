#!/usr/bin/env bash
# The mid-p interval of a Poisson rate has no width when there is no event, and does not hold the estimate.
#
# Versions: statsmodels 0.15.0, scipy 1.17.1, numpy 2.4.6, pandas 3.1.1, Python 3.11.
#
# Guess, before it was run: confint_poisson(0, 10, method="midp-c") runs from 0 to 0.2996, since half the probability of
# no event is 2.5 % at -log(0.05) / 10.
#
# Seen: both ends are 0.2996, without a warning. The estimate, 0, lies outside. method="sqrt" does the same at 0.0960.
# A group without a new lesion, over 10 person-years, would be reported at 30 in 100 person-years, known exactly. At
# three events both methods give an interval; method="exact-c" starts at 0 without events.
#
# Output seen:
#   exact-c, 0 events: 0.0000 to 0.3689
#   midp-c, 0 events: 0.2996 to 0.2996
#   midp-c, 3 events: 0.0763 to 0.8164
#   sqrt, 0 events: 0.0960 to 0.0960
#   warnings: 0
#
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1
cd "$folder"
cat > look.py <<'PY'
import warnings

from statsmodels.stats.rates import confint_poisson

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for method, events in (("exact-c", 0), ("midp-c", 0), ("midp-c", 3), ("sqrt", 0)):
        low, high = confint_poisson(events, 10, method=method)
        print(f"{method}, {events} events: {low:.4f} to {high:.4f}")
print("warnings:", len(caught))
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
exact-c, 0 events: 0.0000 to 0.3689
midp-c, 0 events: 0.2996 to 0.2996
midp-c, 3 events: 0.0763 to 0.8164
sqrt, 0 events: 0.0960 to 0.0960
warnings: 0
TXT
diff expected.txt seen.txt
