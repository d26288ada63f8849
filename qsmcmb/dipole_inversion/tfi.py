"""Total field inversion: sources inside and outside the brain fitted together, from the total field.

Liu et al. 2017, doi 10.1002/mrm.26331. What the paper's diagonal preconditioner does for conjugate gradients, a
multigrid solve does here: sources outside make a field that is harmonic inside, so the harmonic function with the
field's own values at the mask's edge is taken off first (Zhou et al. 2014, doi 10.1002/nbm.3064). It takes too
much wherever lesions or noise sit at the edge; the fit that follows gives that back, for its map has sources outside
the mask too, under a quadratic penalty alone. The fit is MEDI's (`qsmcmb.dipole_inversion.medi`), in as many
iterations; memory: MEDI's, and 5 volumes of the mask's box before it begins.
"""

from __future__ import annotations

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.morphology import without_surface
from qsmcmb.core.poisson import laplacian_inside, solve_poisson
from qsmcmb.dipole_inversion.medi import invert_medi
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def invert_tfi(
    total_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    magnitude: FloatArray | None = None,
    regularisation: float | None = None,
    edge_fraction: float = 0.3,
    merit: bool = False,
    tolerance: float = 0.004,
    max_iterations: int = 60,
) -> FloatArray:
    """Invert the total field without a step of background removal; the mask is not eroded.

    Parameters
    ----------
    total_field_ppm : ndarray of shape grid.shape, float32
        Total field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    radians_per_ppm : float
        Phase of 1 ppm, rad; positive.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm. Without it the magnitude is the weight, without both all voxels weigh the same.
    magnitude : ndarray of shape grid.shape, optional
        Its edges are free of regularisation; without it nothing is.
    regularisation : float, optional
        Weight of the gradient (mm), in units of the standard deviation of the field without its harmonic part;
        1e-6 to 10. From the noise by default.
    edge_fraction : float, optional
        Part of the voxel-to-voxel differences in the mask that is taken for edges; 0 to 0.9.
    merit : bool, optional
        Lower the weight of voxels that no map explains.
    tolerance : float, optional
        Stop when an iteration changes the map's gradient by less than this part of its norm; 1e-8 to 1.
    max_iterations : int, optional
        1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.zeros(grid.shape, np.float32)
    >>> invert_tfi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=12.0).shape
    (16, 16, 16)
    """
    return invert_medi(
        without_harmonic(total_field_ppm, mask, grid), mask, grid, radians_per_ppm=radians_per_ppm,
        field_sd_ppm=field_sd_ppm, magnitude=magnitude, regularisation=regularisation, edge_fraction=edge_fraction,
        merit=merit, tolerance=tolerance, max_iterations=max_iterations,
    )  # fmt: skip


def without_harmonic(field: FloatArray, mask: BoolArray, grid: Grid) -> FloatArray:
    """Return the field less the harmonic function that equals it on the mask's outer layer of voxels."""
    box, size = bounding_box(mask, 1), grid.voxel_size_mm
    inner = without_surface(mask[box])
    # Of the frame nothing but the brain's box takes memory while the fit goes on.
    out = sparse_zeros(field.shape)
    out[box] = solve_poisson(laplacian_inside(field[box], inner, size), inner, size)
    return out
