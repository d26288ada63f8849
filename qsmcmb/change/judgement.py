"""Status of a lesion between two sessions, and the probability that the status is right.

The status is a test at the 95 % level: a lesion has changed where |M_2 - M_1| exceeds 1.96 SD. A lesion that one
session does not hold is measured at its place there, m +- s. It is new or gone only where that session could have
shown it (it is above the detection limit there), where the change exceeds 1.96 SD, and where absence has a probability
of 0.7. Above

    (1.96 + 2.05) s

the change of a lesion that is absent exceeds 1.96 SD in 98 % of all cases. Below, the probability must be 0.9, and some
lesions stay without a status.

The probability is that of Bayes' rule over three states: unchanged; changed, with ln(M_2 / M_1) normal; absent in one
session. With the ratio q = M_2 / M_1, and M_1 anywhere,

    p(m_1, m_2 | q) = N(m_2 - q m_1; 0, s_2^2 + q^2 s_1^2),      p(m_1, m_2 | absent in 1) = N(m_1; 0, s_1^2).

A lesion that the detector has not found there has, if present, the probability 1 - f of not being found, with

    f = 0.95 Phi(5 (|M| / L - 1)),

since the detection limit L is 5 SD of noise and clutter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from qsmcmb.change.errors import ChangeErrors, without_common_errors
from qsmcmb.change.records import NORMAL_QUANTILE
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("PRIOR", "SHOWN_SD", "Judgement", "Prior", "Sight", "detection_probability", "judge_change")

LIMIT_SD = 5.0
"""SDs of noise and clutter at the detection limit."""
MAX_FOUND = 0.95
"""Probability that the detector finds a lesion far above the limit."""
SHOWN_SD = NORMAL_QUANTILE + 2.054
"""SDs at a place above which a lesion's absence there is a change in 98 % of all cases: Phi(2.054) = 0.98."""
MIN_ABSENT, MIN_ABSENT_BELOW = 0.7, 0.9
"""Least probability of absence of a lesion that is called new or gone, above that and below: of 500 that are not
new one at most is called so. Chosen on simulated lesions (docs/notes/2026-11-30-change-measured.md)."""
SPREAD_LN = 0.4
"""SD of ln(M_2 / M_1) of a lesion that has changed."""
N_GRID = 241
"""Ratios at which the changed state is summed, over 4 SDs."""


@dataclass(frozen=True)
class Prior:
    """Probability of each state before the data, for a lesion that one of two sessions shows at least.

    Parameters
    ----------
    changed : float
        In both sessions, and changed.
    absent : float
        Absent in one given session: new, or gone.

    Examples
    --------
    >>> PRIOR.changed, PRIOR.absent
    (0.2, 0.1)
    """

    changed: float
    absent: float

    @property
    def stable(self) -> float:
        """In both sessions, and unchanged."""
        return 1.0 - self.changed - 2 * self.absent


PRIOR = Prior(changed=0.2, absent=0.1)
"""One lesion in ten new, one in ten gone, one in five changed: no study's rates, and stated with every result."""


class Sight(NamedTuple):
    """A lesion in one session.

    Parameters
    ----------
    total : Estimate or None
        Total susceptibility, ppm mm3: of the fit where the session holds the lesion, else measured at its place.
    is_found : bool
        Whether the session's list holds the lesion.
    limit_ppm_mm3 : float or None, optional
        Detection limit at the place, ppm mm3; None where unknown.
    noise_sd_ppm_mm3 : float or None, optional
        SD of the fit by noise and clutter alone, ppm mm3; None where unknown.

    Examples
    --------
    >>> Sight(None, False).is_found
    False
    """

    total: Estimate | None
    is_found: bool
    limit_ppm_mm3: float | None = None
    noise_sd_ppm_mm3: float | None = None

    def could_show(self, total_ppm_mm3: float) -> bool:
        """Say whether the session could have shown a lesion here.

        Parameters
        ----------
        total_ppm_mm3 : float
            Total susceptibility of the lesion, ppm mm3.

        Returns
        -------
        bool
            Whether it exceeds the detection limit, which must be known.

        Examples
        --------
        >>> Sight(None, False, 1.5).could_show(2.0), Sight(None, False, None).could_show(2.0)
        (True, False)
        """
        return self.limit_ppm_mm3 is not None and abs(total_ppm_mm3) > self.limit_ppm_mm3


class Judgement(NamedTuple):
    """Status of a lesion between two sessions.

    Parameters
    ----------
    status : str
        Word of the longitudinal table.
    probability : float or None
        Probability that the status is right, 0 to 1; None where it is not evaluable.
    change_sd_ppm_mm3 : float or None
        SD of the change of an unchanged lesion, ppm mm3.
    reason : str
        Flag that says why a lesion is not evaluable; empty otherwise.
    absent_before : float or None
        Probability that the earlier session did not hold the lesion; None where it is not evaluable.

    Examples
    --------
    >>> Judgement("stable", 0.9, 0.3, "", 0.0).status
    'stable'
    """

    status: str
    probability: float | None
    change_sd_ppm_mm3: float | None
    reason: str
    absent_before: float | None


def detection_probability(total_ppm_mm3: FloatArray | float, limit_ppm_mm3: float) -> FloatArray:
    """Return the probability that the detector finds a lesion.

    Parameters
    ----------
    total_ppm_mm3 : float or ndarray
        Total susceptibility, ppm mm3.
    limit_ppm_mm3 : float
        Detection limit there, ppm mm3, > 0.

    Returns
    -------
    ndarray
        Probability, 0 to 0.95.

    Examples
    --------
    >>> detection_probability(np.array([0.5, 1.0, 3.0]), 1.0).round(3).tolist()
    [0.006, 0.475, 0.95]
    """
    return np.asarray(MAX_FOUND * ndtr(LIMIT_SD * (np.abs(total_ppm_mm3) / limit_ppm_mm3 - 1.0)))


def judge_change(
    before: Sight, after: Sight, errors: ChangeErrors, *, same_protocol: bool, prior: Prior = PRIOR
) -> Judgement:
    """Judge a lesion between two sessions, at least one of which holds it.

    Parameters
    ----------
    before, after : Sight
        The lesion in the earlier and in the later session.
    errors : ChangeErrors
        Errors of change.
    same_protocol : bool
        Whether the two scans agree in protocol, scanner and software.
    prior : Prior, optional
        Probability of each state before the data.

    Returns
    -------
    Judgement
        Status and probability.

    Examples
    --------
    >>> from qsmcmb.change.errors import DEFAULT_ERRORS
    >>> one, two = (Sight(Estimate(m, 0.1, "ppm mm3"), True) for m in (4.0, 6.0))
    >>> judged = judge_change(one, two, DEFAULT_ERRORS, same_protocol=True)
    >>> judged.status, judged.probability > 0.99
    ('increased', True)
    """
    if before.total is None or after.total is None:
        return Judgement("not_evaluable", None, None, "place-not-shown", None)
    by_fits = before.is_found and after.is_found
    if by_fits:
        pair, noise = (before.total, after.total), (before.noise_sd_ppm_mm3, after.noise_sd_ppm_mm3)
        one, two = without_common_errors(pair, noise)
        before, after = before._replace(total=one), after._replace(total=two)
    assert before.total is not None
    assert after.total is not None
    sd = errors.change_sd(before.total, after.total, same=same_protocol, by_fits=by_fits)
    if not math.isfinite(sd):
        return Judgement("not_evaluable", None, None, "no-interval", None)
    difference = after.total.value - before.total.value
    is_changed = abs(difference) > NORMAL_QUANTILE * sd
    status, reason = "stable", ""
    if is_changed:
        # A calcification that grows has a total that falls.
        status = "increased" if difference > 0 else "decreased"
    chances = _posterior(before, after, errors, same_protocol, prior)
    if not by_fits:
        status, reason = _one_sided(before, after, status, chances)
    if status == "not_evaluable":
        return Judgement(status, None, sd, reason, None)
    return Judgement(status, chances[status], sd, "", chances["incident"])


def _one_sided(before: Sight, after: Sight, status: str, chances: dict[str, float]) -> tuple[str, str]:
    """Return the status of a lesion that one session's list lacks, and why it has none."""
    held, lacking, gone = (before, after, "resolved") if before.is_found else (after, before, "incident")
    assert held.total is not None
    assert lacking.total is not None
    if not lacking.could_show(held.total.value):
        return "not_evaluable", "below-detection-limit"
    if chances[gone] < 0.5:
        return status, ""
    is_shown = abs(held.total.value) > SHOWN_SD * lacking.total.sd
    is_gone = status != "stable" and chances[gone] >= (MIN_ABSENT if is_shown else MIN_ABSENT_BELOW)
    return (gone, "") if is_gone else ("not_evaluable", "place-uncertain")


def _posterior(
    before: Sight, after: Sight, errors: ChangeErrors, same: bool, prior: Prior
) -> dict[str, float]:
    """Return the probability of each status."""
    assert before.total is not None
    assert after.total is not None
    m1, m2 = before.total.value, after.total.value
    by_fits = before.is_found and after.is_found
    s1, s2 = (max(errors.scan_sd(t, same=same, by_fits=by_fits), 1e-12) for t in (before.total, after.total))
    # The last ratio is that of an unchanged lesion.
    logs = np.append(np.linspace(-4 * SPREAD_LN, 4 * SPREAD_LN, N_GRID), 0.0)
    ratio = np.exp(logs)
    like = _normal(m2 - ratio * m1, np.sqrt(s2**2 + (ratio * s1) ** 2))
    if not before.is_found and before.limit_ppm_mm3:
        like = like * (1 - detection_probability(m2 / ratio, before.limit_ppm_mm3))
    if not after.is_found and after.limit_ppm_mm3:
        like = like * (1 - detection_probability(m1 * ratio, after.limit_ppm_mm3))
    weight = np.exp(-0.5 * (logs[:-1] / SPREAD_LN) ** 2)
    changed = prior.changed * weight / weight.sum() * like[:-1]
    # A total that is negative grows downwards.
    up = logs[:-1] > 0 if m1 + m2 > 0 else logs[:-1] < 0
    chances = {
        "stable": prior.stable * float(like[-1]),
        "increased": float(changed[up].sum()),
        "decreased": float(changed[~up].sum()),
        "incident": 0.0 if before.is_found else prior.absent * float(_normal(np.array(m1), np.array(s1))),
        "resolved": 0.0 if after.is_found else prior.absent * float(_normal(np.array(m2), np.array(s2))),
    }
    total = sum(chances.values())
    if total <= 0:
        # So far from every state that all densities are zero: the changed one has the widest tail.
        side = "increased" if m2 > m1 else "decreased"
        return {name: float(name == side) for name in chances}
    return {name: value / total for name, value in chances.items()}


def _normal(x: FloatArray, sd: FloatArray) -> FloatArray:
    """Return the density of a normal distribution without its constant."""
    return np.asarray(np.exp(-0.5 * (x / sd) ** 2) / sd)
