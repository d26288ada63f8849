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

__all__ = (
    "mask_brain",
    "mask_combined",
    "mask_magnitude",
    "mask_phase_quality",
)

MIN_COHERENCE = 0.35
"""Local coherence from which phase counts as tissue's: the strictest that holds every lesion of the simulated heads."""
MAX_VOID = 0.1
"""Largest void of a lesion over the volume of all tissue; of a head the gap at the skull is a fifth and more."""


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
        Magnitude, any unit, and wrapped phase, rad; finite.
    grid : Grid
        Shape and voxel size (mm).
    method : str, optional
        Key of `qsmcmb.masking.METHODS`.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    ndarray of shape grid.shape, bool
        Brain, with the holes at lesions filled.

    Raises
    ------
    InvalidInputError
        Wrong shapes, values that are not finite, or MASK-EMPTY when nothing is left.
    ConfigError
        Unknown method or option.

    Notes
    -----
    Tissue of the first echo, voids of lesions filled, is opened by a ball, of which the largest component stays; gaps
    are closed by a ball and holes filled again. docs/explanation/masking.md says how many lesions each method holds.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> magnitude = np.full((1, *grid.shape), 1.0, np.float32)
    >>> magnitude[:, 2:-2, 2:-2, 2:-2] = 100.0
    >>> mask = mask_brain(magnitude, np.zeros_like(magnitude), grid, options={"open_mm": 1.0})
    >>> bool(mask[8, 8, 8]), bool(mask[0, 0, 0])
    (True, False)
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
        Magnitude, any unit; phase is not used.
    grid : Grid
        Shape and voxel size (mm).
    threshold : {"otsu", "percentile"}, optional
        Bright is above three quarters of Otsu's threshold, or above a percentile of the volume.
    percentile : float, optional
        Fraction of the volume that counts as dark, percent, 0 to 100; for ``threshold="percentile"``.
    open_mm : float, optional
        Radius of the opening, mm, 0 to 20: bridges thinner than twice this are cut.
    close_mm : float, optional
        Radius of the closing, mm, 0 to 20: gaps narrower than twice this are closed.
    shave_layers : int, optional
        Layers of voxels without signal that are shaved off the surface, 0 to 20; may take a lesion there with them.

    Returns
    -------
    ndarray of shape grid.shape, bool
        The object.

    Raises
    ------
    InvalidInputError
        Unknown threshold, or an option out of range.

    Notes
    -----
    The magnitude is smoothed by a Gaussian of 1 mm. Otsu's threshold of its values, of which the top percent is
    clipped, maximises the variance between the two classes.

    References
    ----------
    Otsu 1979. A threshold selection method from gray-level histograms. doi:10.1109/TSMC.1979.4310076

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> magnitude = np.full((1, *grid.shape), 1.0, np.float32)
    >>> magnitude[:, 2:-2, 2:-2, 2:-2] = 100.0
    >>> mask = mask_magnitude(magnitude, np.zeros_like(magnitude), grid, open_mm=1.0)
    >>> bool(mask[8, 8, 8]), bool(mask[0, 0, 0])
    (True, False)
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
        Magnitude (not used), and wrapped phase, rad.
    grid : Grid
        Shape and voxel size (mm).
    quality : float, optional
        Smallest local coherence, 0 to 1.
    open_mm, close_mm, shave_layers : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of shape grid.shape, bool
        The object.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    Coherence is the length of the mean phasor of the first echo over 3 x 3 x 3 voxels: 1 where the phase is smooth,
    about 0.17 in noise.

    References
    ----------
    Masking by phase quality: Hagberg et al. 2022. Phase-based masking for quantitative susceptibility mapping of the
    human brain at 9.4T. doi:10.1002/mrm.29368

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> phase = np.random.default_rng(0).uniform(-np.pi, np.pi, (1, *grid.shape))
    >>> phase[:, 2:-2, 2:-2, 2:-2] = 0.0
    >>> mask = mask_phase_quality(np.ones_like(phase), phase, grid, open_mm=1.0)
    >>> bool(mask[8, 8, 8]), bool(mask[0, 0, 0])
    (True, False)
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
    quality: float = MIN_COHERENCE,
    open_mm: float = 4.0,
    close_mm: float = 4.0,
    shave_layers: int = 0,
) -> BoolArray:
    """Return the largest object that is bright and (or) coherent, with the holes at lesions closed.

    Parameters
    ----------
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, any unit, and wrapped phase, rad.
    grid : Grid
        Shape and voxel size (mm).
    combine : {"and", "or"}, optional
        Both, or either.
    quality : float, optional
        Smallest local coherence of the phase, 0 to 1.
    open_mm, close_mm, shave_layers : float, optional
        As for `mask_magnitude`.

    Returns
    -------
    ndarray of shape grid.shape, bool
        The object.

    Raises
    ------
    InvalidInputError
        Unknown combination, or an option out of range.

    Notes
    -----
    Brightness as in `mask_magnitude` with Otsu's threshold, coherence as in `mask_phase_quality`. The default quality
    is the strictest that holds every lesion of the simulated heads whole (docs/explanation/masking.md).

    References
    ----------
    Otsu 1979. A threshold selection method from gray-level histograms. doi:10.1109/TSMC.1979.4310076

    Masking by phase quality: Hagberg et al. 2022. Phase-based masking for quantitative susceptibility mapping of the
    human brain at 9.4T. doi:10.1002/mrm.29368

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> magnitude = np.full((1, *grid.shape), 1.0, np.float32)
    >>> magnitude[:, 2:-2, 2:-2, 2:-2] = 100.0
    >>> mask = mask_combined(magnitude, np.zeros_like(magnitude), grid, open_mm=1.0)
    >>> bool(mask[8, 8, 8]), bool(mask[0, 0, 0])
    (True, False)
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
    # The first echo has the most signal at lesions, and 1 mm takes the noise off air.
    first = ndimage.gaussian_filter(
        magnitude[0].astype(np.float32, copy=False), [1.0 / v for v in grid.voxel_size_mm], truncate=3.0
    )
    # Every other voxel shows the same distribution.
    some = first[::2, ::2, ::2]
    if threshold == "percentile":
        return np.asarray(first > np.percentile(some, percentile))
    # A few very bright voxels would widen the histogram's bins, so the top percent is clipped. Three quarters: set by
    # trial.
    return np.asarray(first > otsu(np.clip(some, 0, float(np.percentile(some, 99)))) * 0.75)


def otsu(values: FloatArray) -> float:
    """Return Otsu's threshold of some values, their unit (1979, doi 10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    low, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The variance between the two classes, but for a constant.
        between = (mass[-1] * low / total - mass) ** 2 / (low * (total - low))
    return float(middles[np.nanargmax(np.where(np.isfinite(between), between, -1))])


def coherence(phase_rad: FloatArray) -> FloatArray:
    """Return the length of the mean phasor over 3 x 3 x 3 voxels, 0 (noise) to 1."""
    out = np.empty(phase_rad.shape, np.float32)
    loops.local_coherence(np.ascontiguousarray(phase_rad, np.float32), out)
    return out


def _clean(good: BoolArray, grid: Grid, *, open_mm: float, close_mm: float, shave_layers: int) -> BoolArray:
    """Return the largest object of a mask after opening, closed, its holes filled and its dark surface shaved."""
    check_range("open_mm", open_mm, 0.0, 20.0)
    check_range("close_mm", close_mm, 0.0, 20.0)
    check_range("shave_layers", shave_layers, 0, 20)
    size = grid.voxel_size_mm
    # The gap between brain and a scalp that is closed all around is a cavity, too, and must stay open.
    filled = fill_holes(good, MAX_VOID)
    # Opening before closing: closing first would weld brain and scalp.
    core = largest_component(erode(filled, open_mm, size))
    # Only what was there before: dilation alone would round the cortex off.
    brain = dilate(core, open_mm, size) & filled
    # The void of a lesion at the surface opens to the outside, and is closed first.
    closed = fill_holes(close_gaps(brain, close_mm, size))
    return shave(closed, good, int(shave_layers))
