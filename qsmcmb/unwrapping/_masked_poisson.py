"""Least-squares phase on a mask: conjugate gradients, preconditioned by one multigrid cycle.

Coarse levels are blocks of 2 x 2 x 2 voxels whose edges are the sums of those that cross (aggregation), so that a
mask of any shape keeps natural boundaries and its parts stay apart. Blocks make the coarse operator twice too stiff:
its correction is stretched, and each level solves the one below twice. An echo starts from the one before. About
ten float32 volumes of the mask's box beside the result; usually 6 iterations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.compiled import threads_for
from qsmcmb.core.memory import zeros
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _laplacian_loops as loops

SMALLEST = 4
"""Voxels along the longest axis at which coarsening ends."""
COARSEST_SWEEPS = 16
STRETCH = np.float32(1.8)
"""Below 2: then the cycle, solving twice, keeps a positive preconditioner on every level."""


class _Level(NamedTuple):
    w: FloatArray
    steps: FloatArray
    rows: AnyArray
    u: FloatArray
    spare: FloatArray
    b: FloatArray


class MaskedPoisson:
    """Solver for one mask; serves all echoes, each from the one before."""

    def __init__(self, mask: BoolArray, voxel_size_mm: tuple[float, float, float]) -> None:
        smallest = min(voxel_size_mm)
        weight = np.array([(smallest / v) ** 2 for v in voxel_size_mm], np.float32)
        padded = np.pad(mask, 1)
        w = np.zeros((3, *padded.shape), np.float32)
        loops.join(padded, weight, w)
        # The right side of the finest level is the residual itself.
        self.levels = [_level(w, zeros((0, 0, 0)))]
        while max(w.shape) - 2 > SMALLEST:
            coarse = np.zeros((3, *((n - 1) // 2 + 2 for n in w.shape[1:])), np.float32)
            loops.coarsen(w, coarse)
            w = coarse
            self.levels.append(_level(w, zeros(w.shape[1:])))
        self.x, self.norm = np.zeros(padded.shape, np.float32), 0.0

    def unwrap(self, phase_rad: FloatArray, *, tolerance: float, max_iterations: int) -> FloatArray:
        """Return the phase whose steps are nearest to the wrapped steps, free by a constant in each part.

        It is a view that the next call changes.
        """
        with threads_for(self.levels[0].u.size):
            return self._conjugate_gradients(phase_rad, tolerance, max_iterations)

    def _conjugate_gradients(
        self, phase_rad: FloatArray, tolerance: float, max_iterations: int
    ) -> FloatArray:
        top = self.levels[0]
        r = np.zeros(top.u.shape, np.float32)
        loops.wrapped_laplacian(np.pad(phase_rad, 1), top.w, r)
        # A cycle's spare volume is free between cycles.
        x, q = self.x, top.spare
        scale = self._start_from_last(r, q)
        z = self._cycle(0, r)
        p, rz = z.copy(), self._dot(r, z)
        # Of the right side before the start was taken off, without a cycle for it: both are at most that.
        self.norm = max(rz, scale**2 * self.norm)
        goal = tolerance**2 * self.norm
        for _ in range(max_iterations):
            if rz <= goal or rz <= 0:
                break
            bend = float(loops.apply_graph(p, top.w, top.rows, q))
            loops.advance(np.float32(rz / bend), p, q, top.rows, x, r)
            z = self._cycle(0, r)
            rz, before = self._dot(r, z), rz
            loops.turn(z, np.float32(rz / before), top.rows, p)
        return x[1:-1, 1:-1, 1:-1]

    def _start_from_last(self, r: FloatArray, q: FloatArray) -> float:
        """Scale the phase of the echo before so that it explains most of this one's; take it off `r`."""
        energy = float(loops.apply_graph(self.x, self.levels[0].w, self.levels[0].rows, q))
        scale = self._dot(self.x, r) / energy if energy > 0 else 0.0
        self.x *= np.float32(scale)
        q *= np.float32(scale)
        r -= q
        return scale

    def _cycle(self, depth: int, b: FloatArray) -> FloatArray:
        with threads_for(b.size):
            return self._sweep(depth, b)

    def _sweep(self, depth: int, b: FloatArray) -> FloatArray:
        level = self.levels[depth]
        u, spare = level.u, level.spare
        loops.first_step(b, level.steps, level.rows, spare)
        if depth + 1 == len(self.levels):
            loops.smooth(spare, b, level.w, level.steps, level.rows, u)
            loops.smooth_often(u, b, level.w, level.steps, level.rows, spare, COARSEST_SWEEPS // 2 - 1)
            return u
        below = self.levels[depth + 1]
        loops.restrict_residual(spare, b, level.w, level.rows, below.rows, below.b)
        loops.add_coarse(spare, self._coarse(depth + 1), STRETCH, level.rows)
        loops.smooth(spare, b, level.w, level.steps, level.rows, u)
        return u

    def _coarse(self, depth: int) -> FloatArray:
        """Solve a coarse level by two cycles: with one, blocks of blocks would take twice the iterations."""
        level = self.levels[depth]
        found = self._cycle(depth, level.b)
        if depth + 1 == len(self.levels):
            return found
        first = found.copy()
        loops.apply_graph(first, level.w, level.rows, level.spare)
        level.b[...] -= level.spare
        found = self._cycle(depth, level.b)
        found += first
        return found

    def _dot(self, a: FloatArray, b: FloatArray) -> float:
        return float(loops.dot(a, b, self.levels[0].rows))


def _level(w: FloatArray, b: FloatArray) -> _Level:
    steps, u, spare = (zeros(w.shape[1:]) for _ in range(3))
    loops.step_sizes(w, steps)
    rows = np.zeros((*steps.shape[:2], 2), np.int32)
    loops.mark_rows(steps, rows)
    return _Level(w, steps, rows, u, spare, b)
