"""Total field inversion: sources inside and outside the brain fitted together, from the total field.

The paper's diagonal preconditioner for conjugate gradients has its counterpart here in a multigrid solve: sources
outside make a field that is harmonic inside, so the harmonic function with the field's own values at the mask's edge is
subtracted first. It takes too much wherever lesions or noise sit at the edge; the fit that follows gives that back, for
its map has sources outside the mask too, under a quadratic penalty alone. The fit is MEDI's
(`qsmcmb.dipole_inversion.medi`), in as many iterations; memory: MEDI's, and 5 volumes of the mask's box before it
begins.
"""

from __future__ import annotations

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.morphology import without_surface
from qsmcmb.core.poisson import laplacian_inside, solve_poisson
from qsmcmb.dipole_inversion.medi import invert_medi
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("invert_tfi",)


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
    """Invert the total field, without a step of background removal and without erosion of the mask.

    Parameters
    ----------
    total_field_ppm : ndarray of shape grid.shape, float32
        Total field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radians_per_ppm : float
        Phase of a field of 1 ppm at the nominal echo time, rad; 1e-6 to 1e6.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm. Without it the magnitude is the weight, without both all voxels weigh the same.
    magnitude : ndarray of shape grid.shape, float32, optional
        Magnitude image, any unit; its edges are free of regularisation, without it nothing is.
    regularisation : float, optional
        Weight lambda of the gradient in units of the standard deviation of the field without its harmonic part, mm;
        1e-6 to 10. None: from the field's error level (`gradient_weight`).
    edge_fraction : float, optional
        Fraction of the voxel-to-voxel differences in the mask that count as edges; 0 to 0.9.
    merit : bool, optional
        Lower the weight of voxels that no map explains.
    tolerance : float, optional
        Iterations end when one changes the split gradient by less than this fraction of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    With h the solution of Laplace's equation inside the mask that equals the total field f on its outer layer,
    minimises over sources in the whole frame, as `invert_medi` does::

        |W (exp(i D chi) - exp(i (phi - phi_h)))|^2 / 2 + lambda |M grad chi|_1

    with phi and phi_h the phases of f and h, and M = 0 at the magnitude's edges and outside the mask.

    References
    ----------
    Liu Z et al. 2017. Preconditioned total field inversion (TFI) method for quantitative susceptibility mapping.
    doi:10.1002/mrm.26331

    The harmonic function: Zhou et al. 2014. Background field removal by solving the Laplacian boundary value problem.
    doi:10.1002/nbm.3064

    Examples
    --------
    >>> import numpy as np
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_tfi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=2.0)
    >>> round(float(chi[8, 8, 8]), 1)
    0.9
    """
    return invert_medi(
        without_harmonic(total_field_ppm, mask, grid), mask, grid, radians_per_ppm=radians_per_ppm,
        field_sd_ppm=field_sd_ppm, magnitude=magnitude, regularisation=regularisation, edge_fraction=edge_fraction,
        merit=merit, tolerance=tolerance, max_iterations=max_iterations,
    )  # fmt: skip


def without_harmonic(field: FloatArray, mask: BoolArray, grid: Grid) -> FloatArray:
    """Return the field less the harmonic function that equals it on the mask's outer layer of voxels."""
    box, size = bounding_box(mask, 1), grid.voxel_size_mm
    # The outer layer is the boundary, where the harmonic function equals the field.
    inner = without_surface(mask[box])
    # Of the frame nothing but the brain's box takes memory while the fit goes on.
    out = sparse_zeros(field.shape)
    # f - h has the Laplacian of f and is 0 on the boundary: one solve, h is never formed.
    out[box] = solve_poisson(laplacian_inside(field[box], inner, size), inner, size)
    return out
