"""Detection curve: probability that a lesion is found, by its total susceptibility M.

A logistic curve in the logarithm of M, p = 1 / (1 + exp(-s (ln |M| - ln M_50))). Slope s and location are found by
maximum penalised likelihood (Newton's method), with a normal prior of the slope that keeps the curve finite where small
and large lesions do not overlap. Intervals come from the curvature of the likelihood by the delta method.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["DetectionCurve", "fit_detection_curve"]

SLOPE_PRIOR = (2.0, 2.0)
"""Slope per unit of ln M, and its SD, before the data: keeps the curve finite where small and large lesions do not
overlap."""
MAX_STEPS = 50
"""Largest number of Newton's steps."""
MAX_STEP = 2.0
"""Largest change of a parameter in one of Newton's steps: far from the maximum the full step overshoots."""
TOLERANCE = 1e-9
"""Change of the parameters at which the iteration stops."""
MIN_BINOMIAL_VARIANCE = 1e-9
"""Addition to p (1 - p), so that the normal matrix is not singular where all probabilities are 0 or 1."""
LOGIT_95 = float(np.log(19.0))
"""Logit of 95 %: ln(0.95 / 0.05)."""
Z95 = 1.96
"""Half width of a 95 % interval in SDs of a normal distribution."""


class DetectionCurve(NamedTuple):
    """Detection curve p = 1 / (1 + exp(-slope (ln M - ln half)))."""

    half_ppm_mm3: float
    """Total susceptibility at which half of the lesions are found, ppm mm3."""
    half_interval: tuple[float, float]
    """95 % interval of it, ppm mm3."""
    ninety_five_ppm_mm3: float
    """Total susceptibility at which 95 % of the lesions are found, ppm mm3."""
    ninety_five_interval: tuple[float, float]
    """95 % interval of it, ppm mm3."""
    slope: float
    """Slope of the logit per unit of ln M."""
    n: int
    """Number of lesions."""


def fit_detection_curve(total_ppm_mm3: FloatArray, found: BoolArray) -> DetectionCurve:
    """Fit the probability of being found to lesions of known total susceptibility.

    Parameters
    ----------
    total_ppm_mm3 : ndarray of shape (n,)
        True total susceptibility, ppm mm3, of either sign, not 0.
    found : ndarray of bool, shape (n,)
        Whether each was found.

    Returns
    -------
    DetectionCurve
        Total susceptibilities (ppm mm3) at 50 and 95 %, with 95 % intervals by the curvature of the likelihood.

    Raises
    ------
    InvalidInputError
        LESIONS where all or none were found: the curve lies outside the range of the lesions.

    Notes
    -----
    Maximises sum of log p_i or log(1 - p_i), minus (s - 2)^2 / (2 * 2^2).

    Examples
    --------
    >>> m = np.array([0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
    >>> curve = fit_detection_curve(m, m > 1.0)
    >>> bool(0.8 < curve.half_ppm_mm3 < 1.6)
    True
    """
    found = np.asarray(found, bool)
    log_total = np.log(np.abs(np.asarray(total_ppm_mm3, dtype=np.float64)))
    if not found.any() or found.all():
        raise InvalidInputError(
            "LESIONS", "found", field="found", found=f"{int(found.sum())} of {found.size}",
            expected="some found and some missed", fix="insert smaller or larger lesions as well",
        )  # fmt: skip
    # About the mean of ln M location and slope hardly depend on each other.
    middle = float(log_total.mean())
    design = np.stack([np.ones_like(log_total), log_total - middle], axis=1)
    prior_precision = np.array([0.0, SLOPE_PRIOR[1] ** -2])
    b = np.array([0.0, SLOPE_PRIOR[0]])
    for _ in range(MAX_STEPS):
        # Clipped, so that the exponential does not overflow.
        probability = 1 / (1 + np.exp(-np.clip(design @ b, -30, 30)))
        gradient = design.T @ (found - probability) - prior_precision * (b - SLOPE_PRIOR[0])
        variance = probability * (1 - probability) + MIN_BINOMIAL_VARIANCE
        normal = (design * variance[:, None]).T @ design + np.diag(prior_precision)
        step = np.linalg.solve(normal, gradient)
        b = b + step * min(1.0, MAX_STEP / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < TOLERANCE:
            break
    covariance = np.linalg.inv(normal)
    half, half_interval = _total_at(b, covariance, middle, 0.0)
    ninety_five, ninety_five_interval = _total_at(b, covariance, middle, LOGIT_95)
    return DetectionCurve(
        half_ppm_mm3=half,
        half_interval=half_interval,
        ninety_five_ppm_mm3=ninety_five,
        ninety_five_interval=ninety_five_interval,
        slope=float(b[1]),
        n=found.size,
    )


def _total_at(
    b: FloatArray, covariance: FloatArray, middle: float, logit: float
) -> tuple[float, tuple[float, float]]:
    """Return the total susceptibility at which the curve reaches a logit, with its 95 % interval (delta method).

    `b` and `covariance` are those of the logit's intercept and slope by ln M - `middle`.
    """
    # logit = b0 + b1 x for x = ln M - middle; dx / db0 = -1 / b1, dx / db1 = -x / b1.
    at = (logit - b[0]) / b[1]
    slopes = np.array([-1 / b[1], -at / b[1]])
    sd = float(np.sqrt(slopes @ covariance @ slopes))
    low, value, high = (float(np.exp(middle + at + k * Z95 * sd)) for k in (-1, 0, 1))
    return value, (low, high)
