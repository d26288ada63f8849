"""How far a field can be trusted: data weights from its SD, and its noise where no SD is given."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.memory import empty
from qsmcmb.core.robust import (
    inverse_sd_weights,
    positive_inside,
    positive_median,
    std_inside,
    weights_and_median,
)
from qsmcmb.dipole_inversion import _head_loops as loops
from qsmcmb.typing import BoolArray, FloatArray

MAX_WEIGHT = 2.0


def data_weights(field_sd: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the inverse SD with median 1 inside the mask, capped, 0 outside."""
    return inverse_sd_weights(field_sd, mask, MAX_WEIGHT)


def squared_data_weights(field_sd: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the squares of `data_weights`, in one pass."""
    return weights_and_median(field_sd, mask, MAX_WEIGHT, squared=True)[0]


def signal_weights(field: FloatArray, mask: BoolArray, field_sd: FloatArray | None = None) -> FloatArray:
    """Return the squared weight that a voxel's datum has for what it may hold: 1 up to where noise drowns the signal.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Any unit, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    field_sd : ndarray, optional
        SD of the field, same unit.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        s^2 / (s^2 + SD^2) with s the SD of the field over the mask; 0 outside and where the SD is not finite.

    Notes
    -----
    For a method of few iterations, which do not get to what inverse variances all but leave out: the cores of strong
    lesions, noisy beside tissue but far above their own noise, would be fitted as if they were empty.
    """
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
    """Return the noise SD of a field: the median of its SD map, or from the field's own roughness.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Any unit; the result has it.
    mask : ndarray of bool
        Where the field is defined.
    field_sd : ndarray, optional
        SD of the field, same unit.

    Returns
    -------
    float
        Positive.
    """
    if field_sd is not None:
        middle = positive_median(field_sd, mask)
        if middle is not None:
            return middle
    # A mixed third difference takes all smooth fields out; of white noise it is sqrt(8) times the SD.
    rough = np.diff(np.diff(np.diff(field, axis=0), axis=1), axis=2)
    inside = mask[:-1, :-1, :-1] & mask[1:, 1:, 1:]
    values = np.abs(rough[inside]) if inside.any() else np.abs(rough)
    return max(float(np.median(values)) / 0.6745 / np.sqrt(8.0), float(np.finfo(np.float32).tiny))
