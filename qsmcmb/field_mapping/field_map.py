"""The result of every field mapping method, and how a fit's sums become it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.noise import noise_from_magnitude
from qsmcmb.typing import AnyArray, BoolArray, FloatArray

__all__ = ("FieldMap",)

TWO_PI = np.float32(2 * np.pi)
"""One turn, rad, in float32 as all volumes are."""


class FieldMap(NamedTuple):
    """Hold the total field with what is known of its error.

    Parameters
    ----------
    total_field_hz : ndarray of shape (x, y, z), float32
        Total field, Hz; 0 outside the mask.
    field_sd_hz : ndarray of shape (x, y, z), float32
        SD of the field, Hz, positive; infinite outside the mask.
    residual_rad : ndarray of shape (x, y, z), float32
        Root mean square of the fit's phase residuals, rad; 0 outside the mask.
    reliability : ndarray of shape (x, y, z), float32
        Length of the mean phasor of the residuals, exp(-rms^2 / 2): 1 where the echoes lie on the fit, near 0 where
        they say nothing; 0 outside the mask.

    Examples
    --------
    >>> zero = np.zeros((2, 2, 2), np.float32)
    >>> FieldMap(zero, zero + 0.5, zero, zero + 1).field_sd_hz.max()
    np.float32(0.5)
    """

    total_field_hz: FloatArray
    field_sd_hz: FloatArray
    residual_rad: FloatArray
    reliability: FloatArray


def box_limits(mask: BoolArray) -> AnyArray:
    """Return first and last + 1 voxel of the mask along each axis, for the loops."""
    return np.array([edge for s in bounding_box(mask) for edge in (s.start, s.stop)], np.int64)


def empty_map(shape: tuple[int, ...]) -> FieldMap:
    """Return a map that holds nothing yet; the fit's sums are written into its volumes before they become the map."""
    # Pages beside the mask are never written, so they take no memory.
    field, residual, reliability = (sparse_zeros(shape) for _ in range(3))
    return FieldMap(field, np.full(shape, np.inf, np.float32), residual, reliability)


def noise_of_fit(sums: FieldMap, magnitude: FloatArray, mask: BoolArray, dof: int) -> float:
    """Return the SD of one channel's noise: from the median chi squared, or from the magnitude without freedom."""
    # One echo lies on its line whatever the noise.
    if dof < 1:
        return float(noise_from_magnitude(magnitude[0], mask))
    from scipy.stats import chi2

    # The median, since beside lesions the echoes disagree by more than noise.
    return float(np.sqrt(max(float(np.median(sums[2][mask])), 1e-20) / chi2.median(dof)))


def to_field_map(sums: FieldMap, mask: BoolArray, noise: float, dof: int) -> FieldMap:
    """Turn the loops' sums into the maps, in place; the SD grows where the echoes disagree by more than noise."""
    tiny = np.finfo(np.float32).tiny
    box = bounding_box(mask)
    # Plane by plane, so that what is computed on the way takes no volume.
    for x in range(box[0].start, box[0].stop):
        inside = mask[x, box[1], box[2]]
        planes = [volume[x, box[1], box[2]] for volume in sums]
        slope, information, misfit, total = (plane[inside] for plane in planes)
        # Chi squared per degree of freedom, where it is above 1: the error is at least the noise's.
        excess = np.maximum(misfit / np.float32(max(dof, 1) * noise**2), 1) if dof > 0 else np.float32(1)
        # Misfits were weighted by squared magnitude, whose sum takes it out again.
        rms2 = misfit / np.maximum(total, tiny)
        planes[0][inside] = slope / TWO_PI
        planes[1][inside] = np.float32(noise) / TWO_PI * np.sqrt(excess / np.maximum(information, tiny))
        planes[2][inside] = np.sqrt(rms2)
        planes[3][inside] = np.exp(-rms2 / 2)
    return sums
