"""Weighted combination of echoes: a line through 0, weights magnitude^2 TE^2.

Robinson et al. 2017, doi 10.1002/nbm.3601.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


class FieldMap(NamedTuple):
    """Total field (Hz), its standard deviation (Hz) and the rms phase residual of the fit (rad)."""

    total_field_hz: FloatArray
    field_sd_hz: FloatArray
    residual_rad: FloatArray


def fit_weighted(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...],
) -> FieldMap:
    """Fit phase = 2 pi f TE by weighted least squares.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase without offset, rad; magnitude.
    mask : ndarray of bool
        Outside it the field is 0 and its SD infinite.
    grid : Grid
        Geometry.
    te_s : tuple of float
        Echo times, s.

    Returns
    -------
    FieldMap
        The SD is the noise's, raised where the echoes disagree by more than noise.

    Examples
    --------
    >>> te = (0.005, 0.010)
    >>> phase = np.stack([np.full((8, 8, 8), 2 * np.pi * 10 * t) for t in te]).astype(np.float32)
    >>> fit = fit_weighted(phase, np.ones_like(phase), np.ones((8, 8, 8), bool), None, te_s=te)
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    te = np.asarray(te_s, np.float32)[:, None, None, None]
    weight = magnitude.astype(np.float32) ** 2
    normal = np.maximum((weight * te**2).sum(0), np.finfo(np.float32).tiny)
    slope = (weight * te * unwrapped_rad).sum(0) / normal
    residual2 = (weight * (unwrapped_rad - slope * te) ** 2).sum(0)
    dof = len(te_s) - 1
    noise = _noise_from_fit(residual2, mask, dof) if dof else noise_from_magnitude(magnitude[0], mask)
    excess = np.sqrt(np.maximum(residual2 / (dof * noise**2), 1.0)) if dof else np.float32(1.0)
    sd = noise / np.sqrt(normal) * excess / np.float32(2 * np.pi)
    rms = np.sqrt(residual2 / np.maximum(weight.sum(0), np.finfo(np.float32).tiny))
    return FieldMap(
        np.where(mask, slope / np.float32(2 * np.pi), 0).astype(np.float32),
        np.where(mask, sd, np.inf).astype(np.float32),
        np.where(mask, rms, 0).astype(np.float32),
    )


def _noise_from_fit(residual2: FloatArray, mask: BoolArray, dof: int) -> np.float32:
    """SD of one channel's noise, from the median of a chi-squared variable with `dof` degrees of freedom."""
    from scipy.stats import chi2

    return np.float32(np.sqrt(max(np.median(residual2[mask]), 1e-20) / chi2.median(dof)))


def noise_from_magnitude(magnitude: FloatArray, mask: BoolArray) -> np.float32:
    """SD of one channel's noise, from the median absolute third-order difference inside the mask."""
    d = np.diff(np.diff(np.diff(magnitude.astype(np.float32), axis=0), axis=1), axis=2)
    inside = mask[:-1, :-1, :-1] & mask[1:, 1:, 1:]
    values = np.abs(d[inside]) if inside.any() else np.abs(d)
    return np.float32(max(float(np.median(values)) / 0.6745 / np.sqrt(8.0), 1e-10))
