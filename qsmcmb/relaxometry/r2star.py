"""R2* from the decay of the magnitude."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.methods import call_method
from qsmcmb.core.validate import check_finite_inside, check_mask
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.relaxometry import DEFAULT, METHODS
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "fit_arlo",
    "fit_log_linear",
    "map_r2star",
)

MAX_R2STAR_HZ = 1000.0
"""Largest rate that is reported, 1/s: at usual echo times nothing is left of a signal that decays faster."""
SLAB = 4
"""Planes that are fitted at a time, a count: a fit needs several volumes an echo, of so many planes next to nothing."""


def map_r2star(
    magnitude: FloatArray,
    mask: BoolArray,
    *,
    te_s: tuple[float, ...],
    method: str = DEFAULT,
    options: Mapping[str, object] | None = None,
) -> FloatArray:
    """Map R2*.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, any unit, of at least two echoes (three, evenly spaced, for ``arlo``); finite inside the mask.
    mask : ndarray of shape (x, y, z), bool
        Voxels that are mapped, at least one.
    te_s : tuple of float
        Echo times, s, positive and ascending.
    method : str, optional
        Key of `qsmcmb.relaxometry.METHODS`.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        R2*, 1/s, 0 to 1000; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        ECHOES when there are too few; wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Notes
    -----
    The model is S(TE) = S0 exp(-R2* TE).

    Examples
    --------
    >>> te = (0.005, 0.010, 0.015)
    >>> decay = np.exp(-30.0 * np.array(te))[:, None, None, None] * np.ones((3, 2, 2, 2))
    >>> round(float(map_r2star(decay, np.ones((2, 2, 2), bool), te_s=te)[0, 0, 0]), 2)
    30.0
    """
    # Two unknowns in each voxel.
    if magnitude.shape[0] != len(te_s) or len(te_s) < 2:
        raise _too_few(len(te_s), "2")
    grid = Grid.isotropic(magnitude.shape[1:], 1.0)
    check_mask(mask, grid)
    check_finite_inside("magnitude", magnitude, mask)
    out, box = sparse_zeros(mask.shape), bounding_box(mask)
    # Slab by slab of the mask's box: a fit keeps several volumes an echo.
    for first in range(box[0].start, box[0].stop, SLAB):
        slab = (slice(first, min(first + SLAB, box[0].stop)), *box[1:])
        r2star = call_method(METHODS, method, options, magnitude[:, *slab], te_s, context={})
        out[slab] = np.where(mask[slab], np.clip(np.nan_to_num(r2star), 0, MAX_R2STAR_HZ), 0)
    return out


def fit_log_linear(magnitude: FloatArray, te_s: tuple[float, ...]) -> FloatArray:
    """Fit a line to the logarithm of the magnitude, with the inverse variances as weights.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, any unit, of at least two echoes.
    te_s : tuple of float
        Echo times, s, positive and ascending.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        R2*, 1/s; not bounded.

    Raises
    ------
    InvalidInputError
        From `map_r2star`, which checks the number of echoes, shapes and values.

    Notes
    -----
    Minimises over S0 and R2*, with the weights S^2, the inverse variance of ln S::

        sum_e S_e^2 (ln S_e - ln S0 + R2* TE_e)^2

    References
    ----------
    The weights: Veraart et al. 2013. Weighted linear least squares estimation of diffusion MRI parameters: strengths,
    limitations, and pitfalls. doi:10.1016/j.neuroimage.2013.05.028

    Examples
    --------
    >>> decay = np.exp(-30.0 * np.array([0.005, 0.010])).reshape(2, 1, 1, 1)
    >>> round(float(fit_log_linear(decay, (0.005, 0.010))[0, 0, 0]), 2)
    30.0
    """
    te = np.asarray(te_s, np.float32)[:, None, None, None]
    # ln S has the variance of the noise over S^2.
    weight = magnitude.astype(np.float32) ** 2
    # A magnitude of 0 has no logarithm; its weight is 0 as well.
    log = np.log(np.maximum(magnitude.astype(np.float32), np.finfo(np.float32).tiny))
    total = np.maximum(weight.sum(0), np.finfo(np.float32).tiny)
    # Centred sums: in float32 the usual normal equations lose digits.
    te_mean, log_mean = (weight * te).sum(0) / total, (weight * log).sum(0) / total
    spread = (weight * (te - te_mean) ** 2).sum(0)
    slope = (weight * (te - te_mean) * (log - log_mean)).sum(0) / np.maximum(
        spread, np.finfo(np.float32).tiny
    )
    return np.asarray(-slope)


def fit_arlo(magnitude: FloatArray, te_s: tuple[float, ...]) -> FloatArray:
    """Fit by auto-regression on linear operations: Simpson's integral against the difference, least squares.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, any unit, of at least three echoes.
    te_s : tuple of float
        Evenly spaced echo times, s; spacings within 2 %.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        R2*, 1/s; not bounded.

    Raises
    ------
    InvalidInputError
        ECHOES for fewer than three echoes, TE-ORDER for uneven spacing.

    Notes
    -----
    With the spacing h, the integral I_e = h / 3 (S_e + 4 S_e+1 + S_e+2) and the difference D_e = S_e - S_e+2, for which
    an exponential has I = T2* D::

        R2* = (h / 3 sum D^2 + sum I D) / (sum I^2 + h / 3 sum I D)

    References
    ----------
    Pei et al. 2015. Algorithm for fast monoexponential fitting based on Auto-Regression on Linear Operations (ARLO) of
    data. doi:10.1002/mrm.25137

    Examples
    --------
    >>> decay = np.exp(-30.0 * np.array([0.005, 0.010, 0.015])).reshape(3, 1, 1, 1)
    >>> round(float(fit_arlo(decay, (0.005, 0.010, 0.015))[0, 0, 0]), 1)
    30.0
    """
    steps = np.diff(te_s)
    if len(te_s) < 3:
        raise _too_few(len(te_s), "3")
    if np.ptp(steps) > 0.02 * steps.mean():
        raise InvalidInputError(
            "TE-ORDER", "te_s", field="spacing", found=steps.round(5).tolist(), expected="even echo spacing",
            fix="use the method 'weighted'",
        )  # fmt: skip
    s = magnitude.astype(np.float32)
    # Simpson's weights for an interval of two steps: h/3, 4h/3, h/3.
    third = np.float32(steps.mean() / 3)
    integral = third * (s[:-2] + 4 * s[1:-1] + s[2:])
    difference = s[:-2] - s[2:]
    # T2* minimises |integral - T2* difference|^2 + (dTE/3)^2-weighted noise: the published closed form.
    top = (integral**2).sum(0) + third * (integral * difference).sum(0)
    bottom = third * (difference**2).sum(0) + (integral * difference).sum(0)
    tiny = np.finfo(np.float32).tiny
    return np.asarray(bottom / np.maximum(top, tiny))


def _too_few(found: int, needed: str) -> InvalidInputError:
    """Return the error of a scan with too few echoes."""
    return InvalidInputError(
        "ECHOES", "magnitude", field="echoes", found=found, expected=f"at least {needed}",
        fix="R2* needs more echoes; leave it out",
    )  # fmt: skip
