"""Length scale of lesions on a grid: coarse voxels need longer lengths, or too few of them hold a lesion's field."""

from __future__ import annotations

from qsmcmb.model import Grid

__all__ = ["length_scale"]

FINE_VOXEL_MM = 2.0
"""Edge of a voxel, mm, up to which all lengths of fit and detection limit are as they are: they were set on voxels of
0.6 to 2 mm. Of larger voxels a ball of 8 mm holds too few, and a shell up to 6 mm hardly any; there the lengths grow
with the voxel."""


def length_scale(grid: Grid) -> float:
    """Return the factor of all lengths of a fit: 1 for voxels of up to FINE_VOXEL_MM, above it in proportion to them.

    Parameters
    ----------
    grid : Grid
        Geometry; the edge of the cube of a voxel's volume counts.

    Returns
    -------
    float
        Factor, >= 1.

    Examples
    --------
    >>> length_scale(Grid.isotropic((8, 8, 8), 1.0)), length_scale(Grid.isotropic((8, 8, 8), 3.0))
    (1.0, 1.5)
    """
    return max(1.0, round(grid.voxel_volume_mm3 ** (1 / 3), 9) / FINE_VOXEL_MM)
