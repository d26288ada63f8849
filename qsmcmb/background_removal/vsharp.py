"""V-SHARP: spherical means with the largest ball that fits, then deconvolution.

One transform a radius and two pairs; memory: the padded volume, two half spectra, an octant of each ball's spectrum.
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

__all__ = ("remove_vsharp",)

MAX_RADIUS_MM = 50.0
"""Largest radius of a ball, mm: no brain holds a larger one."""


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
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    max_radius_mm, min_radius_mm : float, optional
        Largest and smallest ball, mm, from the largest voxel edge to 50; the smallest is by default 1.01 of that edge.
    n_radii : int, optional
        Number of radii, 1 to 30.
    threshold : float, optional
        High-pass below which the deconvolution is cut, 1e-6 to 1.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        Mask eroded by the smallest ball.

    Raises
    ------
    InvalidInputError
        Option out of range, or no voxel of the mask holds the ball.
    ConfigError
        The largest radius below the smallest.

    Notes
    -----
    With S_r the mean over the ball of radius r, M_r the voxels for which r is the largest radius that fits into the
    mask, R the largest radius and t the threshold::

        (I - S_R)^-1 sum_r M_r (I - S_r) f    where |1 - S_R(k)| > t; other k are 0

    References
    ----------
    Wu et al. 2012. Whole brain susceptibility mapping using compressed sensing. doi:10.1002/mrm.23000

    Li, Wu and Liu 2011. Quantitative susceptibility mapping of human brain reflects spatial variation in tissue
    composition. doi:10.1016/j.neuroimage.2010.11.088

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, inner = remove_vsharp(np.where(mask, background, np.float32(0)), mask, grid, max_radius_mm=4.0)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    smallest = 1.01 * max(grid.voxel_size_mm) if min_radius_mm is None else min_radius_mm
    check_radius("min_radius_mm", smallest, grid.voxel_size_mm)
    check_radius("max_radius_mm", max_radius_mm, grid.voxel_size_mm)
    check_range("max_radius_mm", max_radius_mm, 0.0, MAX_RADIUS_MM)
    check_range("min_radius_mm", smallest, 0.0, MAX_RADIUS_MM)
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
    # The number of the largest ball that fits around each voxel.
    shell = empty(mask.shape, np.uint8)
    loops.shells(distance, needed.astype(np.float32), shell)
    del distance
    # The last number is for voxels into which no ball fits.
    inner = shell < n_radii
    check_erosion("min_radius_mm", smallest, inner)
    # Where a ball fits into the mask its mean does not see the other side of the periodic volume: no frame.
    eng = engine(fast_shape(grid.shape))
    # Without its mean a field leaks less where a ball's partly covered edge reaches out of the mask.
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    eng.forward()
    passed, high_pass = empty(eng.spectrum.shape, np.complex64), zeros(grid.shape)
    # An octant each: a ball's spectrum is even along all axes.
    balls = [smv_octant_k(eng.shape, grid.voxel_size_mm, float(r)) for r in radii]
    for number, mean_k in enumerate(balls):
        loops.high_pass(eng.spectrum, mean_k, eng.scale, passed)
        field = eng.inverse(normalise=False, source=passed)
        loops.take_shell(field, shell, np.uint8(number), high_pass)
    loops.place(high_pass, inner, np.float32(0), eng.real)
    # With the largest ball: most voxels have it, and a mixture of balls has no inverse in k-space.
    loops.deconvolve(eng.forward(), balls[0], np.float32(threshold), eng.scale)
    loops.crop(eng.inverse(normalise=False), inner, high_pass)
    return high_pass, inner
