"""LBV: the background is the harmonic field that agrees with the total field on the mask's outermost layer.

Multigrid: red-black Gauss-Seidel, full weighting, linear interpolation; an axis is coarsened while its spacing is the
finest, or nearly. The coarser mask is every second voxel of the finer: a coarse point is unknown where the fine voxel
is. Three volumes on the finest level, a seventh of that on all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmcmb.background_removal import _lbv_loops as loops
from qsmcmb.core.compiled import threads_for
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.poisson import Unknowns, relax, residual, unknowns
from qsmcmb.core.robust import mean_inside
from qsmcmb.core.validate import check_inside, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("remove_lbv",)

SWEEPS_DOWN = 2
"""Sweeps of Gauss-Seidel before the coarser grid's correction, a count: two smooth what the coarser grid cannot
show.
"""
SWEEPS_UP = 2
"""Sweeps after it, a count: as many, for the interpolation brings such errors back."""
COARSEST_SWEEPS = 40
"""Sweeps on the coarsest grid, a count: enough for a grid of about six voxels a side, which no coarser one corrects."""
MIN_AXIS_VOXELS = 6
"""Voxels along an axis up to which it is not coarsened, a count: a coarser grid would hold next to no unknowns."""


@dataclass
class Level:
    """Hold one grid of the hierarchy.

    Parameters
    ----------
    inside : ndarray of shape (x, y, z), bool
        Unknown voxels.
    unknowns : Unknowns
        Their colours and rows.
    spacing_mm : tuple of float
        Distances of the grid's points, mm.
    u : ndarray of shape (x, y, z), float32
        The solution; on coarser grids its correction.
    source : ndarray of shape (x, y, z), float32
        Right-hand side.
    rest : ndarray of shape (x, y, z), float32
        Residual.
    factors : tuple of int
        Number of voxels along each axis that make one of the next coarser level.
    """

    inside: BoolArray
    unknowns: Unknowns
    spacing_mm: tuple[float, float, float]
    u: FloatArray
    source: FloatArray
    rest: FloatArray
    factors: tuple[int, int, int] = (1, 1, 1)
    """Number of voxels along each axis that make one of the next coarser level."""

    @property
    def weights(self) -> tuple[np.float32, np.float32, np.float32]:
        """Inverse squared spacings relative to the finest, the largest 1."""
        # Relative to the finest spacing the diagonal is of the order of 1 on every level.
        least = min(self.spacing_mm)
        wx, wy, wz = (np.float32((least / s) ** 2) for s in self.spacing_mm)
        return wx, wy, wz

    def relax(self, sweeps: int) -> None:
        """Relax `sweeps` times."""
        relax(self.u, self.source, self.unknowns, self.weights, sweeps)

    def residual(self) -> float:
        """Fill `rest` and return its squared norm."""
        return residual(self.u, self.source, self.unknowns, self.weights, self.rest)


def solve_laplace(
    field: FloatArray,
    inside: BoolArray,
    spacing_mm: tuple[float, float, float],
    *,
    tolerance: float,
    max_cycles: int,
) -> FloatArray:
    """Make the field, in place, harmonic on `inside`; return it.

    Parameters
    ----------
    field : ndarray of shape (x, y, z), float32
        Values around the unknown voxels; inside them the first guess.
    inside : ndarray of shape (x, y, z), bool
        Unknown voxels; none at the edge of the volume.
    spacing_mm : tuple of float
        Voxel size, mm.
    tolerance : float
        Laplacian over that of the start at which cycles end.
    max_cycles : int
        V-cycles at most.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        The field that was given.
    """
    levels = _hierarchy(field, inside, spacing_mm)
    top = levels[0]
    start = square = top.residual()
    for _ in range(max_cycles):
        # Norms are squared, the tolerance is not.
        if square <= tolerance**2 * start:
            break
        _cycle(levels, 0)
        square = top.residual()
    return top.u


def _hierarchy(field: FloatArray, inside: BoolArray, spacing_mm: tuple[float, float, float]) -> list[Level]:
    """Return the grids from the finest to the coarsest."""
    levels = [_level(field, inside, spacing_mm)]
    while True:
        fine = levels[-1]
        least = min(fine.spacing_mm)
        factors = tuple(
            # Thick slices wait until the other axes are as coarse: Gauss-Seidel smooths strong couplings alone.
            2 if s < 1.5 * least and n > MIN_AXIS_VOXELS else 1
            for s, n in zip(fine.spacing_mm, fine.inside.shape, strict=True)
        )
        if max(factors) == 1:
            return levels
        # One more plane where every second voxel would end on an unknown one.
        shape = tuple(n // f + (f - 1) for n, f in zip(fine.inside.shape, factors, strict=True))
        coarse = np.zeros(shape, bool)
        # Injection keeps the boundary where it is; blocks of voxels would move it.
        picked = fine.inside[:: factors[0], :: factors[1], :: factors[2]]
        coarse[tuple(slice(0, n) for n in picked.shape)] = picked
        if not coarse.any():
            return levels
        sx, sy, sz = (s * f for s, f in zip(fine.spacing_mm, factors, strict=True))
        # Known only now, when the next level's shape is.
        fine.factors = factors  # type: ignore[assignment]
        levels.append(_level(zeros(coarse.shape), coarse, (sx, sy, sz)))


def _level(u: FloatArray, inside: BoolArray, spacing_mm: tuple[float, float, float]) -> Level:
    """Return a grid with an empty right-hand side and residual."""
    return Level(
        inside=inside,
        unknowns=unknowns(inside),
        spacing_mm=spacing_mm,
        u=u,
        source=zeros(inside.shape),
        rest=zeros(inside.shape),
    )


def _cycle(levels: list[Level], depth: int) -> None:
    """Take one V-cycle from a level downwards."""
    fine = levels[depth]
    with threads_for(fine.u.size):
        if depth == len(levels) - 1:
            fine.relax(COARSEST_SWEEPS)
            return
        coarse = levels[depth + 1]
        fine.relax(SWEEPS_DOWN)
        fine.residual()
        # Laplacians are in units of the finest spacing of their level.
        scale = np.float32((min(coarse.spacing_mm) / min(fine.spacing_mm)) ** 2)
        loops.restrict(fine.rest, fine.factors, scale, *coarse.unknowns, coarse.source)
        # Coarser levels hold corrections, which begin at 0.
        coarse.u[...] = 0
        _cycle(levels, depth + 1)
        loops.prolong(coarse.u, fine.factors, *fine.unknowns, fine.u)
        fine.relax(SWEEPS_UP)


def remove_lbv(
    field_hz: FloatArray, mask: BoolArray, grid: Grid, *, tolerance: float = 1e-4, max_cycles: int = 30
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by solving Laplace's equation from the mask's outermost layer.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    tolerance : float, optional
        Laplacian of the background over that of the total field at which cycles end, 1e-6 to 0.5.
    max_cycles : int, optional
        V-cycles at most, 1 to 1000.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        Mask without its outermost layer.

    Raises
    ------
    InvalidInputError
        Option out of range, or a mask with no voxel inside its outermost layer.

    Notes
    -----
    The background b solves, with M the mask and dM its outermost layer::

        laplacian b = 0 inside M,    b = f on dM

    The local field is f - b.

    References
    ----------
    Zhou et al. 2014. Background field removal by solving the Laplacian boundary value problem. doi:10.1002/nbm.3064

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, inner = remove_lbv(np.where(mask, background, np.float32(0)), mask, grid)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    check_range("tolerance", tolerance, 1e-6, 0.5)
    check_range("max_cycles", max_cycles, 1, 1000)
    inside = interior(mask)
    check_inside("mask", inside)
    found = harmonic_part(field_hz, mask, inside, grid, tolerance=tolerance, max_cycles=max_cycles)
    # In place of the background: one volume less.
    loops.difference(field_hz, found, inside, found)
    return found, inside


def harmonic_part(
    field: FloatArray,
    mask: BoolArray,
    inside: BoolArray,
    grid: Grid,
    *,
    tolerance: float,
    max_cycles: int = 30,
) -> FloatArray:
    """Return the field that is harmonic inside the mask and is `field` on its outermost layer, 0 outside.

    Parameters
    ----------
    field, mask, grid
        As every method gets them.
    inside : ndarray of shape grid.shape, bool
        The mask without its outermost layer, `interior(mask)`.
    tolerance, max_cycles
        As for `solve_laplace`.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Unit of `field`.
    """
    # A field without its mean keeps more digits in float32; a constant is harmonic.
    mean = np.float32(mean_inside(field, mask))
    found = empty(field.shape)
    loops.shift(field, -mean, mask, found)
    solve_laplace(found, inside, grid.voxel_size_mm, tolerance=tolerance, max_cycles=max_cycles)
    loops.shift(found, mean, mask, found)
    return found


def interior(mask: BoolArray) -> BoolArray:
    """Return the voxels of the mask whose six neighbours lie in it."""
    inside = np.empty(mask.shape, bool)
    loops.mark_interior(mask, inside)
    return inside
