"""Forced dipole: total susceptibility that the local field allows at a given position, lesion or not.

In a ball around the position the local field (ppm) is modelled as M d(r) + polynomial of third order + residual, with
the point dipole's field d = (3 cos^2 theta - 1) / (4 pi r^3). The polynomial is projected out of field and dipole, and
M = <d, f> / <d, d>. The residual is the tissue's own field and is coherent over blocks of n voxels, so that
SD^2 = n mean(residual^2) / <d, d>.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.patch import BLOCK_MM
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ["estimate_forced_dipole"]

RADIUS_MM = 8.0
"""Radius of the ball that is fitted, mm: as for a lesion's patch."""
CORE_VOXELS = 1.5
"""Radius, in the voxel's longest edge, within which no voxel is used: there a voxel holds more than one field."""
MIN_FRACTION_IN_MASK = 0.6
"""Least fraction of the ball in the mask for an estimate; as for a definite lesion."""
MIN_VOXELS = 60
"""Least number of voxels for an estimate: three times the 20 terms of the polynomial."""
BACKGROUND_ORDER = 3
"""Order of the polynomial that stands for the background: cubic, as in the lesion fit."""


def estimate_forced_dipole(
    local_field_ppm: FloatArray, mask: BoolArray, grid: Grid, point_mm: FloatArray
) -> Estimate | None:
    """Fit a dipole of fixed centre and a smooth background to the local field around a point.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape
        Local field, ppm; 0 where unknown.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Geometry.
    point_mm : ndarray of shape (3,)
        Position of the dipole, scanner RAS+ mm.

    Returns
    -------
    Estimate or None
        Total susceptibility, ppm mm3; its SD holds the tissue's own field, taken as coherent over blocks of
        3.5 mm. None where less than 60 % of the ball of 8 mm lies in the mask.

    Notes
    -----
    With the projection onto the polynomials P and the dipole's field d, M = <d', f> / <d', d'> for d' = (1 - P) d.

    Examples
    --------
    >>> grid = Grid.isotropic((25, 25, 25), 1.0)
    >>> xyz = np.indices(grid.shape).reshape(3, -1) - 12.0
    >>> field = 2.0 * point_dipole_field(xyz, np.array(grid.b0_dir)).reshape(grid.shape)
    >>> estimate = estimate_forced_dipole(field, np.ones(grid.shape, bool), grid, np.zeros(3))
    >>> round(estimate.value, 3)
    2.0
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
    n_ball = 4 / 3 * np.pi * RADIUS_MM**3 / grid.voxel_volume_mm3
    if ball.sum() < MIN_FRACTION_IN_MASK * n_ball:
        return None
    # Background removal leaves exact zeros where it has no local field.
    use = ball & (radius > CORE_VOXELS * size.max()) & (local_field_ppm[box] != 0)
    if use.sum() < MIN_VOXELS:
        return None
    points, values = xyz[:, use], local_field_ppm[box][use].astype(np.float64)
    basis = polynomials(points / RADIUS_MM, BACKGROUND_ORDER)
    project = basis @ np.linalg.pinv(basis)
    kernel = point_dipole_field(points, np.array(grid.b0_dir))
    kernel = kernel - project @ kernel
    power = float(kernel @ kernel)
    # The kernel holds no polynomial any more, so that the values need no projection here.
    total = float(kernel @ values) / power
    residual = values - project @ values - total * kernel
    # Tissue's field is alike within a block: its voxels count as one value.
    per_block = max(1.0, BLOCK_MM**3 / grid.voxel_volume_mm3)
    sd = float(np.sqrt(np.mean(residual**2) * per_block / power))
    return Estimate(total, sd, PPM_MM3)
