"""Total susceptibility at which lesions are found in half and in 95 % of cases: a logistic curve in its logarithm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray

STEEPNESS_PRIOR = (2.0, 2.0)
"""Slope per unit of ln M and its SD: keeps the curve finite where small and large lesions do not overlap."""
ITERATIONS = 50
LOGIT_95 = float(np.log(19.0))


class DetectionCurve(NamedTuple):
    """Chance of being found, 1 / (1 + exp(-slope (ln M - ln half)))."""

    half_ppm_mm3: float
    half_interval: tuple[float, float]
    """95 %."""
    ninety_five_ppm_mm3: float
    ninety_five_interval: tuple[float, float]
    slope: float
    n: int


def fit_detection_curve(total_ppm_mm3: FloatArray, found: BoolArray) -> DetectionCurve:
    """Fit the chance of being found to lesions of known total susceptibility.

    Parameters
    ----------
    total_ppm_mm3 : ndarray of shape (n,)
        True total susceptibility, ppm mm3; its size counts, not its sign; not 0.
    found : ndarray of bool, shape (n,)
        Whether each was found.

    Returns
    -------
    DetectionCurve
        Intervals by the curvature of the likelihood.

    Raises
    ------
    InvalidInputError
        LESIONS where all or none were found: the curve lies outside what was tried.

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
    middle = float(log_total.mean())
    design = np.stack([np.ones_like(log_total), log_total - middle], axis=1)
    prior = np.array([0.0, STEEPNESS_PRIOR[1] ** -2])
    b = np.array([0.0, STEEPNESS_PRIOR[0]])
    for _ in range(ITERATIONS):
        chance = 1 / (1 + np.exp(-np.clip(design @ b, -30, 30)))
        gradient = design.T @ (found - chance) - prior * (b - STEEPNESS_PRIOR[0])
        normal = (design * (chance * (1 - chance) + 1e-9)[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(normal, gradient)
        b = b + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    covariance = np.linalg.inv(normal)
    half, half_interval = _where(b, covariance, middle, 0.0)
    most, most_interval = _where(b, covariance, middle, LOGIT_95)
    return DetectionCurve(half, half_interval, most, most_interval, float(b[1]), found.size)


def _where(
    b: FloatArray, covariance: FloatArray, middle: float, logit: float
) -> tuple[float, tuple[float, float]]:
    """Return where the curve reaches a logit, with its 95 % interval (delta method)."""
    at = (logit - b[0]) / b[1]
    slopes = np.array([-1 / b[1], -at / b[1]])
    sd = float(np.sqrt(slopes @ covariance @ slopes))
    low, value, high = (float(np.exp(middle + at + k * 1.96 * sd)) for k in (-1, 0, 1))
    return value, (low, high)
