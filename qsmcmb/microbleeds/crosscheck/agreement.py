"""Whether lesion fit, map sum and signal loss say the same: they fail for different reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.crosscheck.signal_loss import SignalLoss
from qsmcmb.model import Estimate, Microbleed

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


def flag_disagreement(
    lesions: Sequence[Microbleed],
    losses: Sequence[SignalLoss | None],
    sums: Sequence[MapSum | None] | None = None,
) -> tuple[Microbleed, ...]:
    """Return the lesions, flagged where their estimators disagree; `losses` and `sums` in the lesions' order."""
    out = []
    for lesion, loss, total in zip(lesions, losses, sums or [None] * len(lesions), strict=True):
        fit = lesion.total_chi_ppm_mm3
        others = [total.corrected if total else None, loss.estimate if loss else None]
        if fit is not None and estimators_disagree(fit, others):
            lesion = dataclasses.replace(lesion, flags=(*lesion.flags, FLAG))
        out.append(lesion)
    return tuple(out)
