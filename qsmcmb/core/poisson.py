"""Poisson's equation inside a mask by multigrid. A cycle is about five passes over the volume, whatever its size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core import _poisson_loops as loops
from qsmcmb.core._box_loops import copy_inside
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.compiled import threads_for
from qsmcmb.core.memory import zeros
from qsmcmb.typing import AnyArray, BoolArray, FloatArray

__all__ = (
    "Unknowns",
    "laplacian_inside",
    "relax",
    "residual",
    "solve_poisson",
    "unknowns",
)

Weights = tuple[np.float32, ...]
"""Inverse squared spacings of the three axes, 1/mm2."""

MIN_AXIS_VOXELS = 8
"""Voxels of an axis below which no coarser level is made: a grid so small is solved by sweeps alone."""
BOX_START = (2, 2, 2)
"""First voxel of the mask's box in the finest level: a voxel of boundary lies around it on this level and the next."""
SWEEPS = 2
"""Sweeps of a level on the way down and on the way up: two smooth what the coarser level cannot show."""
FINAL_SWEEPS = 30
"""Sweeps of the coarsest level: 30 lower the error on eight voxels a side about forty times, more than a cycle does."""


def laplacian_inside(
    volume: FloatArray, mask: BoolArray, voxel_size_mm: tuple[float, float, float]
) -> FloatArray:
    """Return the seven-point Laplacian inside a mask.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z)
        Any unit; computed in float32.
    mask : ndarray of shape (x, y, z), bool
        Where the Laplacian is taken; neighbours outside it are read.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Unit of `volume` per mm2; 0 outside the mask and at the volume's edge.

    Examples
    --------
    >>> x = np.arange(5, dtype=np.float32)[:, None, None] ** 2 * np.ones((5, 5, 5), np.float32)
    >>> float(laplacian_inside(x, np.ones((5, 5, 5), bool), (1.0, 1.0, 1.0))[2, 2, 2])
    2.0
    """
    # Apart: a view would hold both.
    out, nothing = zeros(mask.shape), zeros(mask.shape)
    weights = tuple(np.float32(1 / v**2) for v in voxel_size_mm)
    # The residual of an empty right-hand side is minus the Laplacian.
    residual(np.ascontiguousarray(volume, np.float32), nothing, unknowns(mask), weights, out)
    np.negative(out, out=out)
    return out


class Unknowns(NamedTuple):
    """The voxels of a multigrid's level at which the equation is solved.

    Parameters
    ----------
    colours : ndarray of shape (x, y, z), uint8
        1 and 2 on the chequerboard, 0 where nothing is unknown.
    rows : ndarray of shape (x, y, 2), int32
        First unknown of each row along z, and the one after the last.

    Examples
    --------
    >>> unknowns(np.ones((3, 3, 3), bool)).rows[1, 1].tolist()
    [1, 2]
    """

    colours: AnyArray
    """1 and 2 on the chequerboard, 0 where nothing is unknown; uint8."""
    rows: AnyArray
    """Where the unknowns of a row along z begin and end; int32."""


def unknowns(inside: BoolArray) -> Unknowns:
    """Return the unknowns of a mask, of which voxels at the volume's edge are none.

    Parameters
    ----------
    inside : ndarray of shape (x, y, z), bool
        The mask.

    Returns
    -------
    Unknowns
        Their chequerboard colours and rows.

    Examples
    --------
    >>> int((unknowns(np.ones((4, 4, 4), bool)).colours > 0).sum())
    8
    """
    found = Unknowns(np.zeros(inside.shape, np.uint8), np.zeros((*inside.shape[:2], 2), np.int32))
    loops.mark(inside, *found)
    return found


def relax(u: FloatArray, rhs: FloatArray, where: Unknowns, weights: Weights, sweeps: int) -> None:
    """Take steps of red-black Gauss-Seidel towards Laplacian(u) = rhs, in place.

    Parameters
    ----------
    u : ndarray of shape (x, y, z), float32
        The solution so far, any unit; changed.
    rhs : ndarray of shape (x, y, z), float32
        Right-hand side, unit of `u` per mm2.
    where : Unknowns
        The voxels that are solved for.
    weights : tuple of float32
        Inverse squared spacings of the three axes, 1/mm2.
    sweeps : int
        Number of steps, >= 0.

    Examples
    --------
    >>> u, rhs = np.zeros((3, 3, 3), np.float32), np.full((3, 3, 3), -6, np.float32)
    >>> relax(u, rhs, unknowns(np.ones(u.shape, bool)), (np.float32(1),) * 3, 1)
    >>> float(u[1, 1, 1])
    1.0
    """
    loops.relax(u, rhs, *where, weights, sweeps)


def residual(u: FloatArray, rhs: FloatArray, where: Unknowns, weights: Weights, out: FloatArray) -> float:
    """Fill a volume with the residual, rhs - Laplacian(u).

    Parameters
    ----------
    u : ndarray of shape (x, y, z), float32
        The solution so far, any unit.
    rhs : ndarray of shape (x, y, z), float32
        Right-hand side, unit of `u` per mm2.
    where : Unknowns
        The voxels that are solved for.
    weights : tuple of float32
        Inverse squared spacings of the three axes, 1/mm2.
    out : ndarray of shape (x, y, z), float32
        Zeros; filled where the solution is unknown.

    Returns
    -------
    float
        Squared norm of the residual.

    Examples
    --------
    >>> u, rhs, out = (np.zeros((3, 3, 3), np.float32) for _ in range(3))
    >>> rhs[1, 1, 1] = 2
    >>> residual(u, rhs, unknowns(np.ones(u.shape, bool)), (np.float32(1),) * 3, out)
    4.0
    """
    return float(loops.residual(u, rhs, *where, weights, out).sum())


class _Level(NamedTuple):
    """One grid of the multigrid: mask, unknowns, weights, solution, right-hand side and residual."""

    mask: BoolArray
    unknowns: Unknowns
    weights: Weights
    u: FloatArray
    rhs: FloatArray
    rest: FloatArray


def solve_poisson(
    rhs: FloatArray,
    mask: BoolArray,
    voxel_size_mm: tuple[float, float, float],
    *,
    tolerance: float = 1e-4,
    max_cycles: int = 40,
) -> FloatArray:
    """Return the solution of Poisson's equation inside a mask, 0 outside it.

    Parameters
    ----------
    rhs : ndarray of shape (x, y, z)
        Right-hand side, unit of the result per mm2; read inside the mask alone.
    mask : ndarray of shape (x, y, z), bool
        Where the equation holds; voxels outside are the boundary, as is the edge of the volume.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    tolerance : float, optional
        Norm of the residual, relative to the right-hand side's, at which the cycles end; > 0.
    max_cycles : int, optional
        Limit of multigrid cycles, >= 1.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Solution u with Laplacian(u) = `rhs` inside the mask.

    References
    ----------
    Brandt A. Multi-level adaptive solutions to boundary-value problems. Math Comput 1977;31:333-390.
    doi:10.1090/S0025-5718-1977-0431719-X

    Examples
    --------
    >>> mask = np.zeros((9, 9, 9), bool)
    >>> mask[4, 4, 4] = True
    >>> float(solve_poisson(np.full(mask.shape, -6.0, np.float32), mask, (1.0, 1.0, 1.0))[4, 4, 4])
    1.0
    """
    out = zeros(mask.shape)
    if not mask.any():
        return out
    box = bounding_box(mask)
    first = tuple(s.start for s in box)
    levels = _levels(mask[box], voxel_size_mm)
    top = levels[0]
    copy_inside(rhs, first, mask[box], np.float32(0), BOX_START, top.rhs)
    # Of a solution of 0 all is left.
    wanted = tolerance**2 * _residual(top)
    for _ in range(max_cycles):
        _cycle(levels, 0)
        if _residual(top) <= wanted:
            break
    copy_inside(top.u, BOX_START, mask[box], np.float32(0), first, out)
    return out


def _levels(mask: BoolArray, voxel_size_mm: tuple[float, float, float]) -> list[_Level]:
    """Halve the grid; a coarse voxel is inside where all its children are."""
    halvings = max(0, int(np.log2(min(mask.shape) / MIN_AXIS_VOXELS)))
    # The frame's first and last voxel are outside on every level, and every level halves evenly.
    shape = [-(-(n + 3) // 2**halvings) * 2**halvings for n in mask.shape]
    framed = np.zeros(shape, bool)
    framed[tuple(slice(p, p + n) for p, n in zip(BOX_START, mask.shape, strict=True))] = mask
    levels = [_level(framed, voxel_size_mm)]
    for _ in range(halvings):
        # An axis at a time: NumPy takes ten times as long over many short ones.
        coarse = levels[-1].mask
        coarse = coarse[0::2] & coarse[1::2]
        coarse = coarse[:, 0::2] & coarse[:, 1::2]
        coarse = coarse[:, :, 0::2] & coarse[:, :, 1::2]
        if not coarse.any():
            break
        voxel_size_mm = (2 * voxel_size_mm[0], 2 * voxel_size_mm[1], 2 * voxel_size_mm[2])
        levels.append(_level(coarse, voxel_size_mm))
    return levels


def _level(mask: BoolArray, voxel_size_mm: tuple[float, float, float]) -> _Level:
    """Return a level with nothing solved yet."""
    weights = tuple(np.float32(1 / v**2) for v in voxel_size_mm)
    u, rhs, rest = (zeros(mask.shape) for _ in range(3))
    return _Level(mask=mask, unknowns=unknowns(mask), weights=weights, u=u, rhs=rhs, rest=rest)


def _cycle(levels: list[_Level], depth: int) -> None:
    """Take one V-cycle from a level downwards: sweep, solve for the correction on the coarser level, add it, sweep."""
    here = levels[depth]
    with threads_for(here.u.size):
        if depth == len(levels) - 1:
            _step(here, FINAL_SWEEPS)
            return
        below = levels[depth + 1]
        _step(here, SWEEPS)
        _residual(here)
        loops.restrict(here.rest, below.rhs)
        below.u[...] = 0
        _cycle(levels, depth + 1)
        loops.prolong(below.u, *here.unknowns, here.u)
        _step(here, SWEEPS)


def _step(level: _Level, sweeps: int) -> None:
    """Sweep a level."""
    relax(level.u, level.rhs, level.unknowns, level.weights, sweeps)


def _residual(level: _Level) -> float:
    """Compute a level's residual; return its squared norm."""
    return residual(level.u, level.rhs, level.unknowns, level.weights, level.rest)
