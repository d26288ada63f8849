"""Brain masks. A mask that loses a microbleed at the cortex is a failed mask: gaps are closed in mm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from qsmcmb.core.methods import call_method
from qsmcmb.core.morphology import close_gaps, dilate, erode, fill_holes, largest_component, shave
from qsmcmb.core.validate import check_choice, check_finite, check_mask, check_range, check_volume
from qsmcmb.masking import DEFAULT, METHODS
from qsmcmb.masking import _coherence_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def mask_brain(
    magnitude: FloatArray,
    phase_rad: FloatArray,
    grid: Grid,
    *,
    method: str = DEFAULT,
    options: Mapping[str, object] | None = None,
) -> BoolArray:
    """Return the brain mask of a scan.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, and wrapped phase in rad.
    grid : Grid
        Geometry.
    method : str, optional
        Key of `qsmcmb.masking.METHODS`.
    options : mapping, optional
        Options of the method.

    Returns
    -------
    ndarray of bool, shape grid.shape

    Raises
    ------
    InvalidInputError
        Wrong shapes, values that are not finite, or MASK-EMPTY when nothing is left.
    """
    check_volume("magnitude", magnitude, grid, echoes=magnitude.shape[0])
    check_volume("phase_rad", phase_rad, grid, echoes=magnitude.shape[0])
    check_finite("magnitude", magnitude)
    check_finite("phase_rad", phase_rad)
    mask: BoolArray = call_method(METHODS, method, options, magnitude, phase_rad, grid, context={})
    check_mask(mask, grid)
    return mask


def mask_magnitude(
    magnitude: FloatArray,
    phase_rad: FloatArray,  # noqa: ARG001
    grid: Grid,
    *,
    threshold: str = "otsu",
    percentile: float = 70.0,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
    shave_layers: int = 0,
) -> BoolArray:
    """Return the largest bright object after opening.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude; phase is not used.
    grid : Grid
        Geometry.
    threshold : {"otsu", "percentile"}, optional
        Bright is above three quarters of Otsu's threshold, or above a percentile of the volume.
    percentile : float, optional
        Part of the volume, in percent, that is taken for dark; for ``threshold="percentile"``.
    open_mm : float, optional
        Bridges thinner than twice this are cut, mm.
    close_mm : float, optional
        Gaps narrower than twice this are closed, mm.
    shave_layers : int, optional
        Layers of voxels without signal that are taken off the surface; may take a lesion there with them.

    Returns
    -------
    ndarray of bool
    """
    good = bright(magnitude, grid, threshold=threshold, percentile=percentile)
    return _clean(good, grid, open_mm=open_mm, close_mm=close_mm, shave_layers=shave_layers)


def mask_phase_quality(
    magnitude: FloatArray,  # noqa: ARG001
    phase_rad: FloatArray,
    grid: Grid,
    *,
    quality: float = 0.6,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
    shave_layers: int = 0,
) -> BoolArray:
    """Return the largest object of coherent phase.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude (not used), and wrapped phase in rad.
    grid : Grid
        Geometry.
    quality : float, optional
        Least local coherence, 0 to 1.
    open_mm, close_mm, shave_layers : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of bool
    """
    check_range("quality", quality, 0.0, 1.0)
    good = coherence(phase_rad[0]) > quality
    return _clean(good, grid, open_mm=open_mm, close_mm=close_mm, shave_layers=shave_layers)


def mask_combined(
    magnitude: FloatArray,
    phase_rad: FloatArray,
    grid: Grid,
    *,
    combine: str = "and",
    quality: float = 0.35,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
    shave_layers: int = 0,
) -> BoolArray:
    """Return the largest object that is bright and (or) coherent, with the holes at lesions closed.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, and wrapped phase in rad.
    grid : Grid
        Geometry.
    combine : {"and", "or"}, optional
        Both, or either.
    quality : float, optional
        Least local coherence of the phase, 0 to 1.
    open_mm, close_mm, shave_layers : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of bool
    """
    check_range("quality", quality, 0.0, 1.0)
    check_choice("combine", combine, ("and", "or"))
    light, clear = bright(magnitude, grid), coherence(phase_rad[0]) > quality
    good = light & clear if combine == "and" else light | clear
    return _clean(good, grid, open_mm=open_mm, close_mm=close_mm, shave_layers=shave_layers)


def bright(
    magnitude: FloatArray, grid: Grid, *, threshold: str = "otsu", percentile: float = 70.0
) -> BoolArray:
    """Return the voxels of the first echo, smoothed, above a threshold of the tissue against the air."""
    check_choice("threshold", threshold, ("otsu", "percentile"))
    check_range("percentile", percentile, 0.0, 100.0)
    first = ndimage.gaussian_filter(
        magnitude[0].astype(np.float32, copy=False), [1.0 / v for v in grid.voxel_size_mm], truncate=3.0
    )
    # Every other voxel shows the same distribution.
    some = first[::2, ::2, ::2]
    if threshold == "percentile":
        return np.asarray(first > np.percentile(some, percentile))
    return np.asarray(first > otsu(np.clip(some, 0, float(np.percentile(some, 99)))) * 0.75)


def otsu(values: FloatArray) -> float:
    """Return Otsu's threshold (1979, doi 10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    low, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * low / total - mass) ** 2 / (low * (total - low))
    return float(middles[np.nanargmax(np.where(np.isfinite(between), between, -1))])


def coherence(phase_rad: FloatArray) -> FloatArray:
    """Return the length of the mean phasor over 3 x 3 x 3 voxels, 0 (noise) to 1."""
    out = np.empty(phase_rad.shape, np.float32)
    loops.local_coherence(np.ascontiguousarray(phase_rad, np.float32), out)
    return out


def _clean(good: BoolArray, grid: Grid, *, open_mm: float, close_mm: float, shave_layers: int) -> BoolArray:
    check_range("open_mm", open_mm, 0.0, 20.0)
    check_range("close_mm", close_mm, 0.0, 20.0)
    check_range("shave_layers", shave_layers, 0, 20)
    size = grid.voxel_size_mm
    filled = fill_holes(good)
    # Opening before closing: closing first would weld brain and scalp.
    core = largest_component(erode(filled, open_mm, size))
    brain = dilate(core, open_mm, size) & filled
    closed = fill_holes(close_gaps(brain, close_mm, size))
    return shave(closed, good, int(shave_layers))
