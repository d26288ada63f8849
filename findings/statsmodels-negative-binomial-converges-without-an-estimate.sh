#!/usr/bin/env bash
# A negative binomial regression with an arm of zeros says that it has converged: to NaN, or to an effect of exp(-25).
#
# Versions: statsmodels 0.15.0, scipy 1.17.1, numpy 2.4.6, pandas 3.1.1, Python 3.11.
#
# Guess, before it was run: counts of two arms, of which one has no event, have no finite maximum of the likelihood;
# NegativeBinomial raises PerfectSeparationError or reports converged False, as Poisson does.
#
# Seen: Poisson reports converged False. NegativeBinomial reports converged True on the same counts: with Newton's method
# all parameters are NaN, with BFGS (its default) the arm has the coefficient -25 and p = 1.00. No warning says that
# the arm has no estimate. Where only `converged` is looked at, an arm without a new lesion counts as no effect.
#
# Output seen:
#   Poisson, newton: converged False, arm below -20, p 1.00
#   NegativeBinomial, newton: converged True, arm nan, p nan
#   NegativeBinomial, bfgs: converged True, arm below -20, p 1.00
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
from statsmodels.discrete.discrete_model import NegativeBinomial, Poisson

warnings.simplefilter("ignore")
treated = np.repeat([1.0, 0.0], 20)
counts = np.where(treated == 1, 0, np.arange(40) % 4)
design = np.column_stack([np.ones(40), treated])
for model, method in ((Poisson, "newton"), (NegativeBinomial, "newton"), (NegativeBinomial, "bfgs")):
    fit = model(counts, design).fit(method=method, maxiter=500, disp=0)
    arm = fit.params[1]
    said = "below -20" if arm < -20 else f"{arm:.1f}"
    print(f"{model.__name__}, {method}: converged {fit.mle_retvals['converged']}, arm {said}, p {fit.pvalues[1]:.2f}")
PY
"$folder/venv/bin/python" look.py | tee seen.txt
cat > expected.txt <<'TXT'
Poisson, newton: converged False, arm below -20, p 1.00
NegativeBinomial, newton: converged True, arm nan, p nan
NegativeBinomial, bfgs: converged True, arm below -20, p 1.00
TXT
diff expected.txt seen.txt
