"""Data weights from a field's SD, and the noise of a field that has no SD."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.memory import empty
from qsmcmb.core.noise import DIFFERENCE_GAIN, MAD_OF_NORMAL
from qsmcmb.core.robust import (
    inverse_sd_weights,
    positive_inside,
    positive_median,
    std_inside,
    weights_and_median,
)
from qsmcmb.dipole_inversion import _head_loops as loops
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("noise_level",)

MAX_WEIGHT = 2.0
"""Largest data weight over their median, a ratio: a few voxels of tiny SD do not decide the map. Set by trial."""


def data_weights(field_sd: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the inverse SD with median 1 inside the mask, capped, 0 outside."""
    return inverse_sd_weights(field_sd, mask, MAX_WEIGHT)


def squared_data_weights(field_sd: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the squares of `data_weights`, in one pass."""
    return weights_and_median(field_sd, mask, MAX_WEIGHT, squared=True)[0]


def signal_weights(field: FloatArray, mask: BoolArray, field_sd: FloatArray | None = None) -> FloatArray:
    """Return the squared weight of each datum as a fraction of signal: 1 down to where noise drowns the signal.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Local field, any unit, 0 outside the mask.
    mask : ndarray of shape (x, y, z), bool
        Voxels where the field is defined.
    field_sd : ndarray of shape (x, y, z), optional
        SD of the field, same unit.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Weight s^2 / (s^2 + SD^2) with s the SD of the field over the mask; 0 outside and where the SD is not finite.

    Notes
    -----
    For a method of few iterations, which do not get to what inverse variances all but leave out: the cores of strong
    lesions, noisy beside tissue but far above their own noise, would be fitted as if they were empty.
    """
    # An SD of 0 means outside, or unknown: it must not weigh infinitely.
    usable = None if field_sd is None else positive_inside(field_sd, mask)
    if field_sd is None or usable is None:
        return mask.astype(np.float32)
    weights = empty(mask.shape)
    loops.weigh_signal(np.float32(std_inside(field, usable) ** 2), field_sd, usable, weights)
    return weights


def squared_weights_and_noise(
    field: FloatArray, mask: BoolArray, field_sd: FloatArray | None = None
) -> tuple[FloatArray, float]:
    """Return squared `data_weights` and `noise_level` of a field, the SD map's statistics taken once."""
    weights, middle = weights_and_median(field_sd, mask, MAX_WEIGHT, squared=True)
    return weights, noise_level(field, mask) if middle is None else middle


def noise_level(field: FloatArray, mask: BoolArray, field_sd: FloatArray | None = None) -> float:
    """Return the noise SD of a field, from its SD map or from its own roughness.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Field, any unit.
    mask : ndarray of shape (x, y, z), bool
        Voxels where the field is defined.
    field_sd : ndarray of shape (x, y, z), optional
        SD of the field, same unit; not positive or not finite counts as unknown.

    Returns
    -------
    float
        Noise SD in the unit of the field, positive.

    Notes
    -----
    With an SD map its median over the mask. Without one, from the third difference d of the field, once along each
    axis, which takes all smooth fields out: median |d| / 0.6745 / sqrt(8), for of white noise d has sqrt(8) times the
    SD.

    Examples
    --------
    >>> field = np.random.default_rng(0).normal(0, 2.0, (16, 16, 16)).astype(np.float32)
    >>> round(noise_level(field, np.ones(field.shape, bool)))
    2
    """
    if field_sd is not None:
        middle = positive_median(field_sd, mask)
        if middle is not None:
            return middle
    # A mixed third difference takes all smooth fields out; of white noise it is sqrt(8) times the SD.
    rough = np.diff(np.diff(np.diff(field, axis=0), axis=1), axis=2)
    inside = mask[:-1, :-1, :-1] & mask[1:, 1:, 1:]
    values = np.abs(rough[inside]) if inside.any() else np.abs(rough)
    return max(
        float(np.median(values)) / MAD_OF_NORMAL / np.sqrt(DIFFERENCE_GAIN), float(np.finfo(np.float32).tiny)
    )
