"""Agreement of the three estimators: lesion fit, map sum and signal loss, which fail for different reasons.

Two estimates disagree where |a - b| > 3 sqrt(sd_a^2 + sd_b^2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Estimate

__all__ = ["estimators_disagree"]

DISAGREE_SD = 3.0
"""Difference of two estimates, in SDs of the difference, above which they disagree: by chance 0.3 % do."""


def estimators_disagree(fit: Estimate, others: Sequence[Estimate | None]) -> bool:
    """Return whether another estimate differs from the fit by more than 3 SDs of their difference.

    Parameters
    ----------
    fit : Estimate
        Total susceptibility by the lesion fit, ppm mm3.
    others : sequence of Estimate or None
        Total susceptibility by the other estimators, ppm mm3; those that are None or not finite do not count.

    Returns
    -------
    bool
        True where at least one of them differs.

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
