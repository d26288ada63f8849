"""Laplacian unwrapping: solve Poisson's equation for the Laplacian of the true phase."""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.compiled import threads_for
from qsmcmb.core.fft import thread_count
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.validate import check_choice, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _laplacian_loops as loops
from qsmcmb.unwrapping._masked_poisson import MaskedPoisson
from qsmcmb.unwrapping.temporal import TWO_PI, align_echoes, components, settle_template

__all__ = ("unwrap_laplacian",)


def unwrap_laplacian(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...] | None = None,
    solver: str = "masked",
    exact: bool = False,
    tolerance: float = 2e-3,
    max_iterations: int = 100,
) -> FloatArray:
    """Unwrap by the Laplacian.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad.
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.
    grid : Grid
        Shape and voxel size (mm).
    te_s : tuple of float, optional
        Echo times, s, positive and ascending; with them each component of each echo agrees with the echo beside it.
    solver : {"masked", "fft"}, optional
        Natural boundary at the mask, by multigrid; or mirror boundary at the mask's box, by cosine transforms: faster,
        and less accurate where the mask is not a box.
    exact : bool, optional
        Go to the nearest value that differs from the wrapped phase by whole turns.
    tolerance : float, optional
        Residual, relative, at which the masked solver ends, 1e-6 to 1. At the default, heads are within 0.007 rad (RMS)
        of the exact solution.
    max_iterations : int, optional
        Iterations of the masked solver at most, 1 to 10000.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        Unwrapped phase, rad, 0 outside the mask; smooth, not by whole turns from the wrapped phase unless `exact`. Its
        mean in each component is the wrapped phase's, but for whole turns.

    Raises
    ------
    InvalidInputError
        Unknown solver, or an option out of range.

    Notes
    -----
    Solves, with the sums over the neighbours j of a voxel i inside the mask (or its box) and h_ij their distance::

        sum_j (phi_i - phi_j) / h_ij^2 = sum_j wrap(psi_i - psi_j) / h_ij^2

    for phi, psi being the wrapped phase: the phase whose steps are nearest to the wrapped steps in least squares.

    References
    ----------
    Schofield and Zhu 2003. Fast phase unwrapping algorithm for interferometric applications. doi:10.1364/OL.28.001194

    The masked form: Ghiglia and Romero 1994. Robust two-dimensional weighted and unweighted phase unwrapping that uses
    fast transforms and iterative methods. doi:10.1364/JOSAA.11.000107

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ramp = np.broadcast_to(np.arange(8.0, dtype=np.float32), (1, 8, 8, 8))
    >>> wrapped = np.angle(np.exp(1j * ramp)).astype(np.float32)
    >>> unwrapped = unwrap_laplacian(wrapped, np.ones(grid.shape, bool), grid, exact=True)
    >>> float(np.ptp(unwrapped - ramp)) < 1e-4
    True
    """
    check_choice("solver", solver, ("masked", "fft"))
    check_range("tolerance", tolerance, 1e-6, 1.0)
    check_range("max_iterations", max_iterations, 1, 10000)
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    # Pages beside the mask's box are never written, so they take no memory.
    out = sparse_zeros(phase_rad.shape)
    wrapped, inner = phase_rad[(slice(None), *box)], out[(slice(None), *box)]
    parts = components(inside)
    if solver == "masked":
        # One hierarchy for all echoes; each starts from the echo before.
        poisson = MaskedPoisson(inside, grid.voxel_size_mm, (box[0].start, box[1].start, box[2].start))
        for phase, found in zip(wrapped, out, strict=True):
            poisson.unwrap(phase, found, tolerance=tolerance, max_iterations=int(max_iterations))
        # Its volumes are free for what follows.
        del poisson
    else:
        for phase, found in zip(wrapped, inner, strict=True):
            np.copyto(found, _by_cosines(phase, inside, grid.voxel_size_mm), where=inside)
    for phase, found in zip(wrapped, inner, strict=True):
        for part in parts:
            with threads_for(part.inside.size):
                # Differences leave a constant open in each component.
                loops.settle(phase[part.box], part.inside, found[part.box])
        if exact:
            # The nearest value that is a whole number of turns from what was measured.
            away = phase - found
            found += (away - np.float32(TWO_PI) * np.round(away / np.float32(TWO_PI))) * inside
    if te_s is not None and len(te_s) == len(inner) > 1:
        # The first echo has the fewest wraps, so it is the one that the others follow.
        settle_template(wrapped, inner[0], te_s, 0, parts)
        align_echoes(inner, te_s, 0, parts)
    return out


def _by_cosines(
    phase_rad: FloatArray, mask: BoolArray, voxel_size_mm: tuple[float, float, float]
) -> FloatArray:
    """Return the phase of the mask's box by cosine transforms; steps that leave the mask are taken as 0."""
    shape, weights = phase_rad.shape, [1.0 / v**2 for v in voxel_size_mm]
    symbol = np.zeros(shape, np.float32)
    for axis, (n, w) in enumerate(zip(shape, weights, strict=True)):
        # Eigenvalues of the second difference with mirrored ends.
        profile = (2 - 2 * np.cos(np.pi * np.arange(n) / n)) * w
        symbol = symbol + profile.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    # The constant is free, and set to 0 below.
    symbol[0, 0, 0] = 1.0
    padded = np.pad(mask, 1)
    edges, laplacian = np.zeros(padded.shape, np.uint8), np.zeros(padded.shape, np.float32)
    # Steps between mask and outside are noise, and not joined.
    loops.join(padded, edges)
    loops.wrapped_laplacian(np.pad(phase_rad, 1), edges, np.array(weights, np.float32), laplacian)
    spectrum = dctn(laplacian[1:-1, 1:-1, 1:-1], type=2, workers=thread_count())
    spectrum /= symbol
    spectrum[0, 0, 0] = 0.0
    return np.asarray(idctn(spectrum, type=2, workers=thread_count(), overwrite_x=True))
