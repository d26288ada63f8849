"""Brain masks. A mask that loses a microbleed at the cortex is a failed mask: gaps are closed in mm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from qsmcmb.core.methods import call_method
from qsmcmb.core.morphology import dilate, erode, fill_holes, largest_component
from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.masking import METHODS
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def mask_brain(
    magnitude: FloatArray,
    phase_rad: FloatArray,
    grid: Grid,
    *,
    method: str = "combined",
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
        Wrong shapes, or MASK-EMPTY when nothing is left.
    """
    check_volume("magnitude", magnitude, grid, echoes=magnitude.shape[0])
    check_volume("phase_rad", phase_rad, grid, echoes=magnitude.shape[0])
    mask: BoolArray = call_method(METHODS, method, options, magnitude, phase_rad, grid, context={})
    check_mask(mask, grid)
    return mask


def mask_magnitude(
    magnitude: FloatArray,
    phase_rad: FloatArray,  # noqa: ARG001
    grid: Grid,
    *,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
) -> BoolArray:
    """Return the largest bright object after opening.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude; phase is not used.
    grid : Grid
        Geometry.
    open_mm : float, optional
        Bridges thinner than twice this are cut, mm.
    close_mm : float, optional
        Gaps narrower than twice this are closed, mm.

    Returns
    -------
    ndarray of bool
    """
    return _clean(bright(magnitude, grid), grid, open_mm=open_mm, close_mm=close_mm)


def mask_phase_quality(
    magnitude: FloatArray,  # noqa: ARG001
    phase_rad: FloatArray,
    grid: Grid,
    *,
    quality: float = 0.6,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
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
    open_mm, close_mm : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of bool
    """
    check_range("quality", quality, 0.0, 1.0)
    return _clean(coherence(phase_rad[0]) > quality, grid, open_mm=open_mm, close_mm=close_mm)


def mask_combined(
    magnitude: FloatArray,
    phase_rad: FloatArray,
    grid: Grid,
    *,
    quality: float = 0.5,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
) -> BoolArray:
    """Return the largest object that is bright and coherent, with the holes at lesions closed.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, and wrapped phase in rad.
    grid : Grid
        Geometry.
    quality : float, optional
        Least local coherence of the phase, 0 to 1.
    open_mm, close_mm : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of bool
    """
    check_range("quality", quality, 0.0, 1.0)
    good = bright(magnitude, grid) & (coherence(phase_rad[0]) > quality)
    return _clean(good, grid, open_mm=open_mm, close_mm=close_mm)


def bright(magnitude: FloatArray, grid: Grid) -> BoolArray:
    """Return the voxels of the first echo above half of Otsu's threshold of the tissue against the air."""
    first = ndimage.gaussian_filter(magnitude[0].astype(np.float32), [1.0 / v for v in grid.voxel_size_mm])
    top = float(np.percentile(first, 99))
    return np.asarray(first > otsu(np.clip(first, 0, top)) * 0.75)


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
    parts = [ndimage.uniform_filter(f(phase_rad).astype(np.float32), 3) for f in (np.cos, np.sin)]
    return np.hypot(parts[0], parts[1])


def _clean(good: BoolArray, grid: Grid, *, open_mm: float, close_mm: float) -> BoolArray:
    check_range("open_mm", open_mm, 0.0, 20.0)
    check_range("close_mm", close_mm, 0.0, 20.0)
    size = grid.voxel_size_mm
    # Opening before closing: closing first would weld brain and scalp.
    core = largest_component(erode(fill_holes(good), open_mm, size))
    brain = dilate(core, open_mm, size) & fill_holes(good) if core.any() else core
    pad = [int(np.ceil(close_mm / v)) + 1 for v in size]
    padded = np.pad(brain, [(p, p) for p in pad])
    closed = erode(dilate(padded, close_mm, size), close_mm, size)
    inner = tuple(slice(p, p + n) for p, n in zip(pad, grid.shape, strict=True))
    return fill_holes(closed[inner] | brain)
