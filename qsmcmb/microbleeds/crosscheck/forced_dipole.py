"""What a scan says about a place where no lesion was found: the dipole that its local field allows there."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.patch import BLOCK_MM
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray, FloatArray

RADIUS_MM = 8.0
CORE_VOXELS = 1.5
MIN_FRACTION_IN_MASK = 0.6
BACKGROUND_ORDER = 3


def estimate_forced_dipole(
    local_field_ppm: FloatArray, mask: BoolArray, grid: Grid, point_mm: FloatArray
) -> Estimate | None:
    """Fit a dipole of fixed centre and a smooth background to the local field around a point.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape
        Local field, ppm.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    point_mm : ndarray of shape (3,)
        Scanner RAS+ mm.

    Returns
    -------
    Estimate or None
        Total susceptibility, ppm mm3; its SD holds the tissue's own field, taken as coherent over blocks of
        3.5 mm. None where less than 60 % of the ball of 8 mm lies in the mask.
    """
    size = np.array(grid.voxel_size_mm)
    voxel = grid.to_voxel(np.asarray(point_mm, dtype=float))
    reach = RADIUS_MM / size + 1
    first = np.maximum(np.floor(voxel - reach).astype(int), 0)
    last = np.minimum(np.ceil(voxel + reach).astype(int) + 1, grid.shape)
    if np.any(last <= first):
        return None
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    axes = [(np.arange(a, b) - v) * s for a, b, v, s in zip(first, last, voxel, size, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    radius = np.sqrt((xyz**2).sum(axis=0))
    ball = (radius <= RADIUS_MM) & mask[box]
    full = 4 / 3 * np.pi * RADIUS_MM**3 / grid.voxel_volume_mm3
    if ball.sum() < MIN_FRACTION_IN_MASK * full:
        return None
    use = ball & (radius > CORE_VOXELS * size.max()) & (local_field_ppm[box] != 0)
    if use.sum() < 60:
        return None
    points, values = xyz[:, use], local_field_ppm[box][use].astype(np.float64)
    basis = polynomials(points / RADIUS_MM, BACKGROUND_ORDER)
    project = basis @ np.linalg.pinv(basis)
    kernel = point_dipole_field(points, np.array(grid.b0_dir))
    kernel = kernel - project @ kernel
    power = float(kernel @ kernel)
    moment = float(kernel @ values) / power
    rest = values - project @ values - moment * kernel
    per_block = max(1.0, BLOCK_MM**3 / grid.voxel_volume_mm3)
    sd = float(np.sqrt(np.mean(rest**2) * per_block / power))
    return Estimate(moment, sd, "ppm mm3")
