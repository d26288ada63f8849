"""SHARP: the field minus its mean over a ball is free of background; deconvolution restores the rest.

Two transform pairs; two volumes (one padded volume, its half spectrum) besides input and output: of the ball's spectrum
an octant.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.background_removal import _spheres_loops as loops
from qsmcmb.core.fft import engine, fast_shape
from qsmcmb.core.memory import empty
from qsmcmb.core.morphology import deeper_than
from qsmcmb.core.robust import mean_inside
from qsmcmb.core.smv import smv_octant_k
from qsmcmb.core.validate import check_erosion, check_radius, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("remove_sharp",)


def remove_sharp(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radius_mm: float = 8.0,
    threshold: float = 0.02,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by SHARP.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much.
    threshold : float, optional
        High-pass below which the deconvolution is cut, 1e-6 to 1.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        Mask eroded by the ball.

    Raises
    ------
    InvalidInputError
        Option out of range, or no voxel of the mask holds the ball.

    Notes
    -----
    With S the mean over a ball, M the mask eroded by it and t the threshold: a background is harmonic, so S leaves it
    as it is. The local field is, with the deconvolution in k-space::

        M (I - S)^-1 M (I - S) f    where |1 - S(k)| > t; other k are 0

    References
    ----------
    Schweser et al. 2011. Quantitative imaging of intrinsic magnetic tissue properties using MRI signal phase: an
    approach to in vivo brain iron metabolism? doi:10.1016/j.neuroimage.2010.10.070

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, inner = remove_sharp(np.where(mask, background, np.float32(0)), mask, grid, radius_mm=3.0)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    check_radius("radius_mm", radius_mm, grid.voxel_size_mm)
    check_range("threshold", threshold, 1e-6, 1.0)
    inner = deeper_than(mask, radius_mm, grid.voxel_size_mm)
    check_erosion("radius_mm", radius_mm, inner)
    # Where the ball fits into the mask its mean does not see the other side of the periodic volume: no frame.
    eng = engine(fast_shape(grid.shape))
    mean_k = smv_octant_k(eng.shape, grid.voxel_size_mm, radius_mm)
    # Without its mean a field leaks less where a ball's partly covered edge reaches out of the mask.
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    loops.high_pass(eng.forward(), mean_k, eng.scale, eng.spectrum)
    # Outside the eroded mask the high-pass is of voxels that are not there.
    loops.place(eng.inverse(normalise=False), inner, np.float32(0), eng.real)
    loops.deconvolve(eng.forward(), mean_k, np.float32(threshold), eng.scale)
    local = empty(grid.shape)
    loops.crop(eng.inverse(normalise=False), inner, local)
    return local, inner
