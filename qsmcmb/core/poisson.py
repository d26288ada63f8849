"""Poisson's equation inside a mask by multigrid.

Brandt 1977, doi 10.1090/S0025-5718-1977-0431719-X. A cycle is about five passes over the volume, whatever its size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core import _poisson_loops as loops
from qsmcmb.core._box_loops import copy_inside
from qsmcmb.core.compiled import threads_for
from qsmcmb.core.memory import zeros
from qsmcmb.core.morphology import bounding_box
from qsmcmb.typing import AnyArray, BoolArray, FloatArray

Weights = tuple[np.float32, ...]
"""Inverse squared spacings of the three axes."""

COARSEST = 8
"""Levels stop where an axis would fall below this many voxels."""
FRAME = (2, 2, 2)
"""Where the mask's box lies in the finest level."""
SWEEPS = 2
COARSEST_SWEEPS = 30


def laplacian_inside(
    volume: FloatArray, mask: BoolArray, voxel_size_mm: tuple[float, float, float]
) -> FloatArray:
    """Return the seven-point Laplacian (unit per mm2) inside the mask, 0 outside and at the volume's edge.

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
    """Where a level of a multigrid is solved."""

    colours: AnyArray
    """1 and 2 on the chequerboard, 0 where nothing is unknown; uint8."""
    rows: AnyArray
    """Where the unknowns of a row along z begin and end; int32."""


def unknowns(inside: BoolArray) -> Unknowns:
    """Return the unknowns of a mask, of which voxels at the volume's edge are none."""
    found = Unknowns(np.zeros(inside.shape, np.uint8), np.zeros((*inside.shape[:2], 2), np.int32))
    loops.mark(inside, *found)
    return found


def relax(u: FloatArray, rhs: FloatArray, where: Unknowns, weights: Weights, sweeps: int) -> None:
    """Take `sweeps` steps of red-black Gauss-Seidel towards Laplacian(u) = rhs, in place."""
    loops.relax(u, rhs, *where, weights, sweeps)


def residual(u: FloatArray, rhs: FloatArray, where: Unknowns, weights: Weights, out: FloatArray) -> float:
    """Fill `out`, which is 0 before, with rhs - Laplacian(u) where it is unknown; return its squared norm."""
    return float(loops.residual(u, rhs, *where, weights, out).sum())


class _Level(NamedTuple):
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
    """Return u with Laplacian `rhs` inside the mask and 0 outside it.

    Parameters
    ----------
    rhs : ndarray of shape (x, y, z)
        Unit of the result per mm2; read inside the mask alone.
    mask : ndarray of bool
        Where the equation holds; voxels outside are the boundary, as is the edge of the volume.
    voxel_size_mm : tuple of float
        mm.
    tolerance : float, optional
        Stop at this part of the right-hand side's norm.
    max_cycles : int, optional
        Limit of multigrid cycles.

    Returns
    -------
    ndarray of shape (x, y, z), float32

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
    copy_inside(rhs, first, mask[box], np.float32(0), FRAME, top.rhs)
    # Of a solution of 0 all is left.
    wanted = tolerance**2 * _residual(top)
    for _ in range(max_cycles):
        _cycle(levels, 0)
        if _residual(top) <= wanted:
            break
    copy_inside(top.u, FRAME, mask[box], np.float32(0), first, out)
    return out


def _levels(mask: BoolArray, voxel_size_mm: tuple[float, float, float]) -> list[_Level]:
    """Halve the grid; a coarse voxel is inside where all its children are."""
    halvings = max(0, int(np.log2(min(mask.shape) / COARSEST)))
    # The frame's first and last voxel are outside on every level, and every level halves evenly.
    shape = [-(-(n + 3) // 2**halvings) * 2**halvings for n in mask.shape]
    framed = np.zeros(shape, bool)
    framed[tuple(slice(p, p + n) for p, n in zip(FRAME, mask.shape, strict=True))] = mask
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
    weights = tuple(np.float32(1 / v**2) for v in voxel_size_mm)
    return _Level(mask, unknowns(mask), weights, *(zeros(mask.shape) for _ in range(3)))


def _cycle(levels: list[_Level], depth: int) -> None:
    here = levels[depth]
    with threads_for(here.u.size):
        if depth == len(levels) - 1:
            _step(here, COARSEST_SWEEPS)
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
    relax(level.u, level.rhs, level.unknowns, level.weights, sweeps)


def _residual(level: _Level) -> float:
    return residual(level.u, level.rhs, level.unknowns, level.weights, level.rest)
