"""SHARP: the field minus its mean over a ball is free of background; deconvolution restores the rest.

Schweser et al. 2011, doi 10.1016/j.neuroimage.2010.10.070.

Two transform pairs; two volumes (one padded volume, its half spectrum) besides input and output: of the ball's
spectrum an octant.
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
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much.
    threshold : float, optional
        Deconvolution is cut where the high-pass falls below this, 1e-6 to 1.

    Returns
    -------
    tuple of ndarray
        Local field and the mask eroded by the ball.

    Raises
    ------
    InvalidInputError
        Option out of range, or no voxel of the mask holds the ball.
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
    loops.place(eng.inverse(normalise=False), inner, np.float32(0), eng.real)
    loops.deconvolve(eng.forward(), mean_k, np.float32(threshold), eng.scale)
    local = empty(grid.shape)
    loops.crop(eng.inverse(normalise=False), inner, local)
    return local, inner
