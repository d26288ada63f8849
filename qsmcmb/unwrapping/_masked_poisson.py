"""Least-squares phase on a mask: conjugate gradients, preconditioned by one multigrid cycle.

Solves A phi = b with (A u)_i = sum_j w_ij (u_i - u_j) over the neighbours in the mask, w_ij the inverse squared
distance relative to the nearest, and b the same sum of the wrapped steps. Coarse levels are blocks of 2 x 2 x 2 voxels
whose edges are the sums of those that cross (aggregation), so that a mask of any shape has natural boundaries on every
level and its parts stay apart. Blocks make the coarse operator twice too stiff: its correction is stretched, and each
level solves the one below twice. An echo starts from the one before. The last smoothing of a cycle is done where its
result is used, twice, so that no volume is needed for it. Between four and five float32 volumes of the mask's box
beside the result; usually 6 iterations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.compiled import threads_for
from qsmcmb.core.memory import zeros
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _laplacian_loops as loops

__all__: tuple[str, ...] = ()

MAX_COARSEST_VOXELS = 8
"""Voxels along the longest axis at which coarsening ends, a count: sweeps alone solve so small a grid, and a call to
a loop costs more than a sweep there.
"""
COARSEST_SWEEPS = 16
"""Sweeps on the coarsest level, a count, even: enough for a preconditioner of eight voxels a side."""
STRETCH = np.float32(1.8)
"""Factor of the coarse correction: below 2, so that the cycle, solving twice, is a positive preconditioner on every
level.
"""


class Graph(NamedTuple):
    """Hold the voxels of a level and their edges, as the loops take them.

    Parameters
    ----------
    w : ndarray
        Edges: bits by voxel on the finest level, else weights by axis and voxel.
    weight : ndarray of shape (3,), float32
        Weight of an edge along each axis on the finest level.
    steps : ndarray, float32
        Damped inverse of the diagonal: by bits on the finest level, else by voxel.
    rows : ndarray of shape (x, y, 2), int32
        First voxel of each row along z that has an edge, and the one after the last.
    """

    w: AnyArray
    weight: FloatArray
    steps: FloatArray
    rows: AnyArray


class _Level(NamedTuple):
    """Hold one level: its graph, solution, spare volume and right side."""

    graph: Graph
    u: FloatArray
    spare: FloatArray
    b: FloatArray


def finest_graph(mask: BoolArray, voxel_size_mm: tuple[float, float, float]) -> Graph:
    """Return the graph of a mask that has a face of voxels outside on every side."""
    # Relative to the smallest edge: the largest weight is 1.
    smallest = min(voxel_size_mm)
    weight = np.array([(smallest / v) ** 2 for v in voxel_size_mm], np.float32)
    edges, table = np.zeros(mask.shape, np.uint8), np.zeros(64, np.float32)
    loops.join(mask, edges)
    loops.step_table(weight, table)
    return Graph(edges, weight, table, _rows(edges))


class MaskedPoisson:
    """Hold a solver for one mask; it serves all echoes, each from the one before.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.
    voxel_size_mm : tuple of float
        Edge lengths, mm.
    start : tuple of int, optional
        First voxel of the mask's box in the volumes of the result.
    """

    def __init__(
        self,
        mask: BoolArray,
        voxel_size_mm: tuple[float, float, float],
        start: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        graph, none = finest_graph(np.pad(mask, 1), voxel_size_mm), zeros((0, 0, 0))
        # The right side of the finest level is the residual, and its cycle's last step is taken elsewhere.
        # One block, which goes back to the system as a whole.
        spare, self.r, self.p = zeros((3, *graph.w.shape))
        self.levels = [_Level(graph, none, spare, none)]
        while max(graph.w.shape[-3:]) - 2 > MAX_COARSEST_VOXELS:
            # Half of the inner voxels, rounded up, and a face on either side.
            coarse = np.zeros((3, *((n - 1) // 2 + 2 for n in graph.w.shape[-3:])), np.float32)
            loops.coarsen(graph.w, graph.weight, coarse)
            graph = _coarse_graph(coarse, graph.weight)
            self.levels.append(_Level(graph, *(zeros(coarse.shape[1:]) for _ in range(3))))
        self.start, self.last, self.norm = start, np.zeros((0, 0, 0), np.float32), 0.0

    def unwrap(
        self, phase_rad: FloatArray, out: FloatArray, *, tolerance: float, max_iterations: int
    ) -> None:
        """Fill the mask's box of `out`, 0 before, with the phase whose steps are nearest to the wrapped steps.

        It is free by a constant in each part. The next call starts from it: until then it must not change.
        """
        with threads_for(self.r.size):
            self._conjugate_gradients(phase_rad, out, tolerance, max_iterations)
        self.last = out

    def _conjugate_gradients(
        self, phase_rad: FloatArray, out: FloatArray, tolerance: float, max_iterations: int
    ) -> None:
        """Solve one echo by preconditioned conjugate gradients."""
        graph = self.levels[0].graph
        # A cycle's spare volume is free between cycles.
        r, p, q = self.r, self.p, self.levels[0].spare
        p[1:-1, 1:-1, 1:-1] = phase_rad
        loops.wrapped_laplacian(p, graph.w, graph.weight, r)
        p.fill(0)
        # Phase grows with echo time: most of it is a multiple of the echo's before.
        scale = self._start_from_last(out)
        p.fill(0)
        self._cycle(0, r)
        # The preconditioned residual is formed twice, in this product and in the direction: no volume holds it.
        rz = float(loops.smooth_dot(q, r, graph))
        loops.smooth_turn(q, r, graph, np.float32(0), p)
        # Of the right side before the start was taken off, without a cycle for it: both are at most that.
        self.norm = max(rz, scale**2 * self.norm)
        goal = tolerance**2 * self.norm
        for _ in range(max_iterations):
            if rz <= goal or rz <= 0:
                break
            # p' A p and A p in one pass.
            bend = float(loops.apply_graph(p, graph, q))
            loops.advance(np.float32(rz / bend), p, q, graph.rows, self.start, out, r)
            self._cycle(0, r)
            rz, before = float(loops.smooth_dot(q, r, graph)), rz
            loops.smooth_turn(q, r, graph, np.float32(rz / before), p)

    def _start_from_last(self, out: FloatArray) -> float:
        """Scale the phase of the echo before so that it explains most of this one's; take it off the residual."""
        if not self.last.size:
            return 0.0
        x, r, q, graph = self.p, self.r, self.levels[0].spare, self.levels[0].graph
        box = tuple(slice(s, s + n - 2) for s, n in zip(self.start, x.shape, strict=True))
        x[1:-1, 1:-1, 1:-1] = self.last[box]
        energy = float(loops.apply_graph(x, graph, q))
        # Least squares of one factor in the operator's norm.
        scale = float(loops.dot(x, r, graph.rows)) / energy if energy > 0 else 0.0
        loops.advance(np.float32(scale), x, q, graph.rows, self.start, out, r)
        return scale

    def _cycle(self, depth: int, b: FloatArray) -> None:
        """Solve a level roughly, into its `u`; on the finest one `spare` is left for the last step of smoothing."""
        with threads_for(b.size):
            self._sweep(depth, b)

    def _sweep(self, depth: int, b: FloatArray) -> None:
        """Smooth, correct from the coarser level, smooth again."""
        graph, u, spare, _ = self.levels[depth]
        # From 0 Jacobi's step needs no product.
        loops.first_step(b, graph, spare)
        if depth + 1 < len(self.levels):
            below = self.levels[depth + 1]
            loops.restrict_residual(spare, b, graph, below.graph.rows, below.b)
            loops.add_coarse(spare, self._coarse(depth + 1), STRETCH, graph.rows)
            if depth:
                loops.smooth(spare, b, graph, u)
        elif depth:
            loops.smooth(spare, b, graph, u)
            # In pairs of steps, there and back, less the two taken already.
            loops.smooth_often(u, b, graph, spare, COARSEST_SWEEPS // 2 - 1)
        else:
            room = np.zeros_like(spare)
            loops.smooth_often(spare, b, graph, room, COARSEST_SWEEPS // 2 - 1)

    def _coarse(self, depth: int) -> FloatArray:
        """Solve a coarse level by two cycles: with one, blocks of blocks would take twice the iterations."""
        graph, u, spare, b = self.levels[depth]
        self._cycle(depth, b)
        if depth + 1 < len(self.levels):
            first = u.copy()
            loops.apply_graph(first, graph, spare)
            # The second cycle solves for what the first has left.
            b[...] -= spare
            self._cycle(depth, b)
            u += first
        return u


def _coarse_graph(w: FloatArray, weight: FloatArray) -> Graph:
    """Return the graph of a coarser level with the steps that its edges allow."""
    steps = zeros(w.shape[1:])
    loops.step_sizes(w, steps)
    return Graph(w, weight, steps, _rows(steps))


def _rows(members: AnyArray) -> AnyArray:
    """Return where the voxels above 0 of each row along z begin and end."""
    rows = np.zeros((*members.shape[:2], 2), np.int32)
    loops.mark_rows(members, rows)
    return rows
