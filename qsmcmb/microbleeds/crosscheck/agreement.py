"""Whether lesion fit, map sum and signal loss say the same: they fail for different reasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Estimate

DISAGREE_SD = 3.0
FLAG = "estimators-disagree"


def estimators_disagree(fit: Estimate, others: Sequence[Estimate | None]) -> bool:
    """Return whether another estimate differs from the fit by more than 3 SDs of their difference.

    Examples
    --------
    >>> unit = "ppm mm3"
    >>> estimators_disagree(Estimate(5.0, 0.2, unit), [Estimate(4.0, 0.5, unit), None])
    False
    >>> estimators_disagree(Estimate(5.0, 0.2, unit), [Estimate(4.0, 0.1, unit)])
    True
    """
    known = [other for other in others if other is not None and np.isfinite(other.value)]
    return any(abs(o.value - fit.value) > DISAGREE_SD * float(np.hypot(o.sd, fit.sd)) for o in known)
