"""V-SHARP: spherical means with the largest ball that fits, then deconvolution.

Wu et al. 2012, doi 10.1002/mrm.23000; Li et al. 2011, doi 10.1016/j.neuroimage.2010.11.088.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.background_removal import _spheres_loops as loops
from qsmcmb.core.fft import engine, fast_shape
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.morphology import capped_distance_inside_mm
from qsmcmb.core.robust import mean_inside
from qsmcmb.core.smv import smv_octant_k
from qsmcmb.core.validate import check_erosion, check_radius, check_range
from qsmcmb.errors import ConfigError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

LARGEST_MM = 50.0
"""No brain holds a larger ball."""


def remove_vsharp(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    max_radius_mm: float = 12.0,
    min_radius_mm: float | None = None,
    n_radii: int = 8,
    threshold: float = 0.02,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by V-SHARP.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    max_radius_mm, min_radius_mm : float, optional
        Largest and smallest ball, mm, from the largest voxel edge to 50; the smallest defaults to 1.01 of that edge.
    n_radii : int, optional
        Number of radii, 1 to 30.
    threshold : float, optional
        Deconvolution is cut where the high-pass falls below this, 1e-6 to 1.

    Returns
    -------
    tuple of ndarray
        Local field and the mask eroded by the smallest ball.
    """
    smallest = 1.01 * max(grid.voxel_size_mm) if min_radius_mm is None else min_radius_mm
    check_radius("min_radius_mm", smallest, grid.voxel_size_mm)
    check_radius("max_radius_mm", max_radius_mm, grid.voxel_size_mm)
    check_range("max_radius_mm", max_radius_mm, 0.0, LARGEST_MM)
    check_range("min_radius_mm", smallest, 0.0, LARGEST_MM)
    check_range("n_radii", n_radii, 1, 30)
    check_range("threshold", threshold, 1e-6, 1.0)
    if max_radius_mm < smallest:
        raise ConfigError(
            f"max_radius_mm={max_radius_mm}, must be at least the smallest radius {smallest:g} mm"
        )
    radii = np.linspace(max_radius_mm, smallest, n_radii)
    # The ball's partly covered edge voxels reach past its radius; the smallest may, so that the cortex stays.
    needed = radii + 0.5 * max(grid.voxel_size_mm)
    needed[-1] = smallest
    distance = capped_distance_inside_mm(mask, grid.voxel_size_mm, float(needed[0]) + 1.0)
    shell = empty(mask.shape, np.uint8)
    loops.shells(distance, needed.astype(np.float32), shell)
    del distance
    inner = shell < n_radii
    check_erosion("min_radius_mm", smallest, inner)
    # Where a ball fits into the mask its mean does not see the other side of the periodic volume: no frame.
    eng = engine(fast_shape(grid.shape))
    # Without its mean a field leaks less where a ball's partly covered edge reaches out of the mask.
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    eng.forward()
    passed, high_pass = empty(eng.spectrum.shape, np.complex64), zeros(grid.shape)
    balls = [smv_octant_k(eng.shape, grid.voxel_size_mm, float(r)) for r in radii]
    for number, mean_k in enumerate(balls):
        loops.high_pass(eng.spectrum, mean_k, eng.scale, passed)
        field = eng.inverse(normalise=False, source=passed)
        loops.take_shell(field, shell, np.uint8(number), high_pass)
    loops.place(high_pass, inner, np.float32(0), eng.real)
    loops.deconvolve(eng.forward(), balls[0], np.float32(threshold), eng.scale)
    loops.crop(eng.inverse(normalise=False), inner, high_pass)
    return high_pass, inner
