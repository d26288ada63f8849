"""How a scanner sees a lesion: formed on sub-voxel points, taken through the scan's own point spread.

Near the lesion the signal turns faster than voxels can follow; there it is formed on a fine grid and sampled with the
spread of the acquired k-space. Further out it is smooth, and its value at the voxel's centre is what the scan shows;
a taper joins the two, so that nothing is cut off and rings.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.background_phase import BackgroundPhase
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL, SourceShape
from qsmcmb.typing import ComplexArray, FloatArray

MAX_SMOOTH_PHASE = 0.4
"""Phase per voxel (rad) below which the signal is as good as smooth."""
MAX_SMOOTH_LOSS = 0.01
"""Signal that a filter may take where it counts as smooth."""
MAX_CELL_PHASE = 3.0
"""Phase per cell (rad) above which cells are divided: k-space leaves out what turns faster long before."""
TAPER_VOXELS = 2.5
"""Width of the taper in acquired voxels."""
TAPER_SLICES = 1.0
"""The same along slices, whose profile ends."""
TYPICAL_PSF_WIDTH_MM = 0.4
MIN_SMOOTH_WEIGHT = 0.05
"""Of the smooth part in a voxel that counts."""
COARSE_CELL_MM = 0.5
"""To find a shape: lesions read up to 0.9 % off."""
CELL_MM = 1 / 3
"""To measure: up to 0.2 %."""
CORE_SUBDIVISION = 2
"""Into how many a core cell is divided along each axis."""
MAX_CORE_MM = 5.0
CORE_TAPER_MM = 0.75
"""Width of the taper from divided cells to whole ones."""
MAX_RADIUS_MM = 9.0
PSF_WIDTH2_STEP_MM2 = 0.02
"""Of the squared blur: near 0 the blur itself has no slope."""
PSF_NODES, PSF_NODE_WEIGHTS = np.array(np.polynomial.legendre.leggauss(4), np.float32)
"""Gauss' nodes and weights for an average over the blur."""


class PointSpread:
    """Points around a lesion and what the voxels of a neighbourhood make of a signal at them.

    Parameters
    ----------
    patch : Patch
        The voxels.
    total_chi_ppm_mm3 : float
        Total susceptibility expected: the stronger, the wider the fine grid.
    centre_mm : ndarray of shape (3,)
        Middle of the fine grid.
    radius_mm : float
        Radius expected of the dark ball.
    is_infinite : bool, optional
        The source leaves the neighbourhood: its core is everywhere.
    cell_mm : float, optional
        Edge of the cells, CELL_MM or ROUGH_CELL_MM; of those in the core a CORE_PARTS-th.
    """

    def __init__(
        self,
        patch: Patch,
        total_chi_ppm_mm3: float,
        centre_mm: FloatArray,
        radius_mm: float,
        *,
        is_infinite: bool = False,
        cell_mm: float = CELL_MM,
    ) -> None:
        self._patch = patch
        held = [np.flatnonzero(patch.inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        self._axes_mm = [axis[h] for axis, h in zip(patch.axes_mm, held, strict=True)]
        self._voxels = np.flatnonzero(patch.inside[np.ix_(*held)])
        """Those inside, among all of the rows that hold some."""
        size = np.array(patch.grid.voxel_size_mm)
        turn = 6.0 * max(patch.acquisition.dipole_constants) * max(abs(total_chi_ppm_mm3), 0.2)
        smooth = [
            min(MAX_SMOOTH_PHASE, np.pi * w.flat_up_to(MAX_SMOOTH_LOSS)) for w in patch.acquisition.windows
        ]
        inner = max((turn * (size / smooth).max()) ** 0.25, radius_mm + 0.5 * size.max())
        # Beyond the voxels nothing endless shows.
        self._inner_mm = min(patch.radius_mm if is_infinite else inner, MAX_RADIUS_MM)
        width = TAPER_VOXELS * size / [w.edge for w in patch.acquisition.windows]
        if patch.acquisition.slice_profile is not None:
            width[patch.acquisition.slice_profile.axis] = (
                TAPER_SLICES * size[patch.acquisition.slice_profile.axis]
            )
        self._outer_mm = self._inner_mm + width
        core = (
            max(min((turn * cell_mm / MAX_CELL_PHASE) ** 0.25, MAX_CORE_MM), radius_mm + cell_mm)
            + CORE_TAPER_MM
        )
        cells = np.minimum(cell_mm, size / 2)
        # Cells of the taper surround the core.
        core = min(core, float((self._outer_mm - 2 * cells).min()))
        self._centre = np.asarray(centre_mm, dtype=float)
        self._edges = [_cells(reach, cell) for reach, cell in zip(self._outer_mm, cells, strict=True)]
        self._core = [e[np.searchsorted(e, [-core, core])] for e in self._edges]
        self._reach_mm = min(float(end) for c in self._core for end in np.abs(c))
        coarse = self._level(self._edges, cell_mm)
        fine = self._level(
            [_divided(*e) for e in zip(self._edges, self._core, strict=True)], cell_mm / CORE_SUBDIVISION
        )
        coarse.weight[:] *= 1 - self._in_core(coarse)
        fine.weight[:] *= self._in_core(fine)
        self._levels = (coarse, fine)
        self._sampled: dict[int, tuple[float, list[FloatArray]]] = {}
        self._smooth, self._direct = self._smooth_part()
        self._background = BackgroundPhase.of(patch, [level.middles for level in self._levels])

    def _smooth_part(self) -> tuple[FloatArray, FloatArray]:
        """Return where a voxel sees the smooth part of the signal, and with what weight.

        The spread over what the taper leaves has a size and a middle; where the signal is smooth, no more counts.
        """
        patch = self._patch
        where = patch.coordinates_mm[:, patch.inside].T
        if all(w.taper == 0 for w in patch.acquisition.windows):
            # The taper is as good as band-limited: a sinc leaves it as it is.
            return np.ascontiguousarray(where, np.float32), np.asarray(
                1 - self._taper(*(where - self._centre).T), np.float32
            )
        moments = np.zeros((4, len(where)))
        for number, level in enumerate(self._levels):
            offset = level.points - self._centre.astype(np.float32)
            values = np.concatenate([level.weight[None], level.weight * offset.T]).astype(np.float32)
            moments += self._sample(level, values, self._matrices(number, TYPICAL_PSF_WIDTH_MM))
        left = 1 - moments[0]
        middle = (where - self._centre) - moments[1:].T
        use = left > MIN_SMOOTH_WEIGHT
        # Where next to nothing is left, its middle is nowhere.
        seen = np.where(use[:, None], self._centre + middle / np.where(use, left, 1)[:, None], where)
        return np.ascontiguousarray(seen, np.float32), np.asarray(np.where(use, left, 0), np.float32)

    def _taper(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Return the part of the signal at places (mm from the centre) that is formed on cells."""
        r = np.sqrt(x**2 + y**2 + z**2)
        a, b, c = self._outer_mm
        end = r / np.maximum(np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2), 1e-6)
        return _falling((r - self._inner_mm) / np.maximum(end - self._inner_mm, 1e-6))

    def _in_core(self, level: _Level) -> FloatArray:
        """Return the part of it that the core's cells have: a sum that is cut off would ring."""
        x, y, z = level.open_grid(self._centre)
        return _falling((np.sqrt(x**2 + y**2 + z**2) - self._reach_mm) / CORE_TAPER_MM + 1).ravel()

    def _level(self, edges: list[FloatArray], cell_mm: float) -> _Level:
        middles = [(e[1:] + e[:-1]) / 2 + c for e, c in zip(edges, self._centre, strict=True)]
        level = _Level(middles, [np.diff(e) for e in edges], cell_mm)
        level.weight[:] = self._taper(*level.open_grid(self._centre)).ravel()
        return level

    def factor(
        self,
        rows: FloatArray,
        decay_hz: float,
        psf_width2_mm2: float,
        *,
        shape: SourceShape = BALL,
        derivatives: bool = False,
    ) -> ComplexArray:
        """Return the lesion's factor - 1 on the signal, and its derivatives.

        Parameters
        ----------
        rows : ndarray of shape (n, k)
            What the shape's loop reads: of balls M (ppm mm3), centre (mm, 3), radius (mm).
        decay_hz : float
            R2* inside above the tissue's, 1/s.
        psf_width2_mm2 : float
            Squared width of a box that widens the spread of the k-space crop along each axis: filters, decay, motion.
        shape : SourceShape, optional
            Of the rows; balls by default.
        derivatives : bool, optional
            Also by the rows' parameters, by the logarithm of the decay, and by the squared blur.

        Returns
        -------
        ndarray of shape (1 or 3 + k n, echo, voxel inside), complex64
        """
        patch = self._patch
        psf_width_mm, wider_mm = np.sqrt([psf_width2_mm2, psf_width2_mm2 + PSF_WIDTH2_STEP_MM2])
        count = 2 + shape.per_row * len(rows) if derivatives else 1
        decay = decay_hz * np.array(patch.acquisition.te_s)
        core = np.stack([np.exp(-decay), -decay * np.exp(-decay)])
        args = (
            np.array(patch.grid.b0_dir, np.float32),
            patch.acquisition.dipole_constants.astype(np.float32),
            core.astype(np.float32),
        )
        rows = rows.astype(np.float32)
        echoes = len(patch.acquisition.te_s)
        seen = np.zeros((2, count + derivatives, echoes, len(self._smooth)), np.float32)
        for number, level in enumerate(self._levels):
            part = np.empty((2, count, echoes, len(level.points)), np.float32)
            shape.loop(rows, level.points, level.weight, *args, np.float32(level.cell_mm), part)
            if self._background is not None:
                self._background.put_on(part, number)
            sampled = self._sample(level, part, self._matrices(number, psf_width_mm))
            seen[:, :count] += sampled
            if derivatives:
                wider = self._sample(level, part[:, 0], self._made_matrices(level, wider_mm))
                seen[:, count] += (wider - sampled[:, 0]) / np.float32(PSF_WIDTH2_STEP_MM2)
        if self._background is not None:
            self._background.take_off(
                seen, psf_width_mm, (wider_mm, PSF_WIDTH2_STEP_MM2) if derivatives else None
            )
        direct = np.empty_like(seen[:, :count])
        shape.loop(rows, self._smooth, self._direct, *args, np.float32(self._levels[0].cell_mm), direct)
        seen[:, :count] += direct
        complex_out: ComplexArray = seen[0] + 1j * seen[1]
        return complex_out

    def _sample(self, level: _Level, values: FloatArray, matrices: list[FloatArray]) -> FloatArray:
        """Return (..., voxel inside) of (..., point) values of a level."""
        box = level.sample(values, matrices)
        return np.asarray(box.reshape(*values.shape[:-1], -1).take(self._voxels, axis=-1))

    def _matrices(self, number: int, psf_width_mm: float) -> list[FloatArray]:
        """Return the sampling of a level along each axis; many starts are compared at one blur."""
        kept = self._sampled.get(number)
        if kept is None or kept[0] != psf_width_mm:
            self._sampled[number] = kept = (
                psf_width_mm,
                self._made_matrices(self._levels[number], psf_width_mm),
            )
        return kept[1]

    def _made_matrices(self, level: _Level, psf_width_mm: float) -> list[FloatArray]:
        patch = self._patch
        return [
            _sampling(axis, middle, width, v, psf_width_mm, profile)
            for axis, middle, width, v, profile in zip(
                self._axes_mm,
                level.middles,
                level.widths,
                patch.grid.voxel_size_mm,
                patch.acquisition.axis_profiles,
                strict=True,
            )
        ]


class _Level:
    """A box of cells: their middles, the taper's weight, and their widths along each axis."""

    def __init__(self, middles: list[FloatArray], widths: list[FloatArray], cell_mm: float) -> None:
        self.middles, self.widths, self.cell_mm = middles, widths, cell_mm
        axes = [m.astype(np.float32) for m in middles]
        self.points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        self.weight = np.ones(len(self.points), np.float32)

    def open_grid(self, centre: FloatArray) -> tuple[FloatArray, ...]:
        """Return the distances (mm) of the middles from a centre along each axis, to be broadcast."""
        return np.ix_(*((m - c).astype(np.float32) for m, c in zip(self.middles, centre, strict=True)))

    def sample(self, values: FloatArray, matrices: list[FloatArray]) -> FloatArray:
        """Return (..., x, y, z) voxels of (..., point) values."""
        x, y, z = (len(m) for m in self.middles)
        mx, my, mz = matrices
        # From the longest rows to the shortest: few large products.
        step = np.matmul(mx, values.reshape(-1, x, y * z))
        step = np.matmul(my, step.reshape(-1, y, z)).reshape(-1, z) @ mz.T
        return np.asarray(step.reshape(*values.shape[:-1], len(mx), len(my), len(mz)))


def _falling(part: FloatArray) -> FloatArray:
    """Return a smooth step from 1 at 0 to exactly 0 at 1."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(part, 0, 1)))


def _cells(reach_mm: float, cell_mm: float) -> FloatArray:
    half = int(np.ceil(reach_mm / cell_mm))
    return np.asarray(np.arange(-half, half + 1) * cell_mm)


def _divided(edges: FloatArray, core: FloatArray) -> FloatArray:
    inner = edges[(edges >= core[0]) & (edges <= core[1])]
    return np.asarray(np.linspace(inner[0], inner[-1], CORE_SUBDIVISION * (len(inner) - 1) + 1))


def _sampling(
    voxels: FloatArray,
    middles: FloatArray,
    widths: FloatArray,
    voxel_mm: float,
    psf_width_mm: float,
    profile: KSpaceWindow | SliceProfile,
) -> FloatArray:
    """Return the weights of cells in voxels: the spread of k-space's window or of a slice, averaged over the blur."""
    apart = ((voxels[:, None] - middles)[..., None] + 0.5 * psf_width_mm * PSF_NODES) / voxel_mm
    # Single precision, as all that is sampled: its sine takes a third of the time.
    blurred = 0.5 * profile.point_spread(apart.astype(np.float32)) @ PSF_NODE_WEIGHTS
    return np.ascontiguousarray(blurred * (widths / voxel_mm), np.float32)
