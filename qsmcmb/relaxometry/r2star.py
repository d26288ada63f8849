"""R2* maps."""

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

MAX_R2STAR_HZ = 1000.0
SLAB = 4
"""Planes that are fitted at a time."""


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
        Magnitude of at least two echoes (three, evenly spaced, for ``arlo``).
    mask : ndarray of bool
        The map is 0 outside.
    te_s : tuple of float
        Echo times, s.
    method : str, optional
        Key of `qsmcmb.relaxometry.METHODS`.
    options : mapping, optional
        Options of the method.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        R2*, 1/s, 0 to 1000.

    Raises
    ------
    InvalidInputError
        ECHOES when there are too few; wrong shapes, empty mask, values that are not finite inside it.

    Examples
    --------
    >>> te = (0.005, 0.010, 0.015)
    >>> decay = np.exp(-30.0 * np.array(te))[:, None, None, None] * np.ones((3, 2, 2, 2))
    >>> round(float(map_r2star(decay, np.ones((2, 2, 2), bool), te_s=te)[0, 0, 0]), 2)
    30.0
    """
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
    """Fit ln S = ln S0 - R2* TE with weights S^2, the inverse variance of ln S.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude.
    te_s : tuple of float
        Echo times, s.

    Returns
    -------
    ndarray of shape (x, y, z)
        1/s.
    """
    te = np.asarray(te_s, np.float32)[:, None, None, None]
    weight = magnitude.astype(np.float32) ** 2
    log = np.log(np.maximum(magnitude.astype(np.float32), np.finfo(np.float32).tiny))
    total = np.maximum(weight.sum(0), np.finfo(np.float32).tiny)
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
        Magnitude of at least three echoes.
    te_s : tuple of float
        Evenly spaced echo times, s.

    Returns
    -------
    ndarray of shape (x, y, z)
        1/s.
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
    third = np.float32(steps.mean() / 3)
    integral = third * (s[:-2] + 4 * s[1:-1] + s[2:])
    difference = s[:-2] - s[2:]
    # T2* minimises |integral - T2* difference|^2 + (dTE/3)^2-weighted noise: the published closed form.
    top = (integral**2).sum(0) + third * (integral * difference).sum(0)
    bottom = third * (difference**2).sum(0) + (integral * difference).sum(0)
    tiny = np.finfo(np.float32).tiny
    return np.asarray(bottom / np.maximum(top, tiny))


def _too_few(found: int, needed: str) -> InvalidInputError:
    return InvalidInputError(
        "ECHOES", "magnitude", field="echoes", found=found, expected=f"at least {needed}",
        fix="R2* needs more echoes; leave it out",
    )  # fmt: skip
