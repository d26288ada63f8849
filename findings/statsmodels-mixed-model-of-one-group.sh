#!/usr/bin/env bash
# A mixed model of one group reports a variance between groups: that of its start.
#
# Versions: statsmodels 0.15.0, scipy 1.17.1, numpy 2.4.6, pandas 3.1.1, Python 3.11.
#
# Guess, before it was run: MixedLM with twelve values of one subject raises an error, or gives a variance between
# subjects of 0 and converged False, since one subject says nothing of how subjects differ.
#
# Seen: converged True, and a variance between subjects that equals the variance within to eight digits, whatever the
# data's scale: the start of the search, which nothing moved. A pilot with one subject would report an intraclass
# correlation of 0.50. The only trace is the standard error of the mean (1e8 times the SD of the values).
#
# Output seen:
#   values times 1: converged True, between / within 1.00000000, ICC 0.50
#   values times 100: converged True, between / within 1.00000000, ICC 0.50
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

import numpy as np
from statsmodels.regression.mixed_linear_model import MixedLM

warnings.simplefilter("ignore")
values = np.random.default_rng(0).normal(3.0, 1.0, 12)
for scale in (1, 100):
    fit = MixedLM(scale * values, np.ones((12, 1)), groups=np.zeros(12)).fit()
    between, within = float(fit.cov_re[0, 0]), float(fit.scale)
    print(
        f"values times {scale}: converged {fit.converged}, between / within {between / within:.8f}, "
        f"ICC {between / (between + within):.2f}"
    )
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
values times 1: converged True, between / within 1.00000000, ICC 0.50
values times 100: converged True, between / within 1.00000000, ICC 0.50
TXT
diff expected.txt seen.txt
