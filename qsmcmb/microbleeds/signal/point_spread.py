"""Point spread: how a scan sees a lesion, formed on cells smaller than a voxel and taken through the point spread.

The lesion's factor - 1 is split by a smooth taper t(r), 1 near the lesion and 0 further out:

    h * (factor - 1) = h * [t (factor - 1)] + h * [(1 - t) (factor - 1)].

Near the lesion the phase varies by more than voxels can follow. The first term is a sum over cells, those of the core
divided once more, and the point spread h is a product of one function along each axis: three matrix products sample
it. The second term is smooth, so that its value at one point is what the voxel shows: at the voxel's centre, or under
a filter at the centre of gravity of what the taper leaves. A taper, because a sum that is cut off would ring.
h is that of the k-space window or of the slice profile, averaged over a box of the extra width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.background_phase import BackgroundPhase
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL, SourceShape
from qsmcmb.typing import ComplexArray, FloatArray

__all__ = ("CELL_MM", "COARSE_CELL_MM", "PointSpread")

COARSE_CELL_MM = 0.5
"""Edge of the cells while a shape is looked for, mm: totals err by up to 0.9 %, in less than half of the time."""
CELL_MM = 1 / 3
"""Edge of the cells of a measurement, mm: totals err by up to 0.2 % (docs/notes/2026-11-27-lesion-fit.md)."""
CORE_SUBDIVISION = 2
"""Number of parts of a core cell along each axis: a ball's edge asks for cells of 0.17 mm."""
MAX_SMOOTH_PHASE = 0.4
"""Largest phase per voxel that counts as smooth, rad: the value at a point is the mean within 1 % then."""
MAX_SMOOTH_LOSS = 0.01
"""Largest loss by a filter at which a frequency counts as unfiltered, a fraction of the weight."""
MAX_CELL_PHASE = 3.0
"""Largest phase per cell that needs no division, rad: what turns by half a turn within a cell lies beyond the acquired
k-space, whatever the cells make of it."""
TAPER_VOXELS = 2.5
"""Width of the taper between cells and smooth part, acquired voxels: chosen on the development heads; cells that
end at once make strong lesions ring."""
TAPER_SLICES = 1.0
"""Width of that taper across two-dimensional slices, in slices: a slice profile has an end, and does not ring."""
TYPICAL_PSF_WIDTH_MM = 0.4
"""Extra width of the point spread for the weight and the centre of gravity that a voxel has outside the fine cells, mm:
the prior's; both hardly depend on it."""
MIN_SMOOTH_WEIGHT = 0.05
"""Smallest weight of the smooth part in a voxel that counts: of less, the centre of gravity would be a
quotient of two small numbers."""
MAX_CORE_MM = 5.0
"""Largest radius of the core that is due to the phase, mm: its divided cells take eight times the time."""
CORE_TAPER_MM = 0.75
"""Width of the taper from divided cells to whole ones, mm: a sum over cells that ends at once lacks what its slope at
the end adds (Euler-Maclaurin), and lesions had read 0.7 % high."""
MAX_RADIUS_MM = 9.0
"""Largest radius of the cells' region before its taper, mm: a patch of 8 mm and a millimetre more."""
MIN_TOTAL_PPM_MM3 = 0.2
"""Smallest total susceptibility for which the regions are laid out, ppm mm3: a fit may start near 0 and grow."""
PHASE_GRADIENT = 6.0
"""Factor g of a dipole's steepest phase gradient, g c M / r^4 on its axis along B0, with c M the phase at 1 mm on the
equator: on the axis the phase is 2 c M / r^3, and |d(2 / r^3) / dr| = 6 / r^4."""
MIN_DIVISOR = 1e-6
"""Smallest value of the two divisors in the taper, one relative to the half axes and one in mm: at the centre
neither is above 0, and the weight is 1."""
PSF_WIDTH2_STEP_MM2 = 0.02
"""Step of the derivative by the squared extra width, mm2: forward, since the square is not negative; by the width
itself there would be no slope at 0."""
PSF_NODES, PSF_NODE_WEIGHTS = np.array(np.polynomial.legendre.leggauss(4), np.float32)
"""Gauss-Legendre nodes on [-1, 1] and weights for the average over the box: exact for polynomials of order 7."""


class PointSpread:
    """Cells around a lesion, and what the voxels of a patch see of a signal on them.

    Parameters
    ----------
    patch : Patch
        The voxels, with the properties of the scan.
    total_chi_ppm_mm3 : float
        Total susceptibility expected, ppm mm3: the stronger, the larger the region of cells.
    centre_mm : ndarray of shape (3,)
        Centre of the region of cells, mm from the patch's point.
    radius_mm : float
        Radius expected of the body, mm.
    is_infinite : bool, optional
        Whether the body leaves the patch: cells are everywhere then.
    cell_mm : float, optional
        Edge of the cells, mm: CELL_MM or COARSE_CELL_MM; at most half a voxel is used.

    Examples
    --------
    A ball of 2 ppm mm3 takes signal from the voxel at its centre:

    >>> from qsmcmb.microbleeds.signal.acquisition import Acquisition
    >>> from qsmcmb.microbleeds.signal.source_shapes import Source
    >>> from qsmcmb.model import Grid
    >>> axis, ones = np.arange(-2.0, 3.0), np.ones((5, 5, 5))
    >>> patch = Patch(
    ...     acquisition=Acquisition(te_s=(0.02,), b0_tesla=3.0, noise_sd=0.01),
    ...     grid=Grid.isotropic((5, 5, 5), 1.0), signal=ones[None], field_hz=0 * ones, inside=ones > 0,
    ...     axes_mm=(axis, axis, axis), radius_mm=3.0, fraction_in_mask=1.0, box=(slice(0, 5),) * 3,
    ... )
    >>> source = Source(2.0, (0.0, 0.0, 0.0), 0.8)
    >>> spread = PointSpread(patch, source.total_chi_ppm_mm3, np.zeros(3), source.radius_mm)
    >>> factor = 1 + spread.factor(np.array([source.row()]), decay_hz=100.0, psf_width2_mm2=0.16)
    >>> factor.shape, bool(abs(factor[0, 0, 62]) < 0.5)
    ((1, 1, 125), True)
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
        self._centre = np.asarray(centre_mm, dtype=float)
        # Only rows of voxels that hold some inside are sampled; of these, `_voxels` are the ones inside.
        used = [np.flatnonzero(patch.inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        self._axes_mm = [axis[u] for axis, u in zip(patch.axes_mm, used, strict=True)]
        self._voxels = np.flatnonzero(patch.inside[np.ix_(*used)])
        # Largest phase gradient of the last echo times the fourth power of the distance, rad mm^3.
        steepness = (
            PHASE_GRADIENT
            * max(patch.acquisition.dipole_constants)
            * max(abs(total_chi_ppm_mm3), MIN_TOTAL_PPM_MM3)
        )
        self._lay_out_taper(steepness, radius_mm, is_infinite=is_infinite)
        cell_mm *= patch.length_scale
        max_core_mm = MAX_CORE_MM * patch.length_scale
        core_mm = max(min((steepness * cell_mm / MAX_CELL_PHASE) ** 0.25, max_core_mm), radius_mm + cell_mm)
        self._lay_out_cells(core_mm + CORE_TAPER_MM * patch.length_scale, cell_mm)
        self._sampled: dict[int, tuple[float, list[FloatArray]]] = {}
        self._latest: _Seen | None = None
        self._smooth_points, self._smooth_weight = self._smooth_part()
        self._background = BackgroundPhase.if_steep(patch, [level.middles for level in self._levels])

    def _lay_out_taper(self, steepness: float, radius_mm: float, *, is_infinite: bool) -> None:
        """Set the radius up to which cells count in full, and the half axes (3) at which they have ended, mm."""
        acquisition, size = self._patch.acquisition, np.array(self._patch.grid.voxel_size_mm)
        # Smooth is what turns little within a voxel and lies where the filter takes nothing.
        smooth = [min(MAX_SMOOTH_PHASE, np.pi * w.flat_up_to(MAX_SMOOTH_LOSS)) for w in acquisition.windows]
        inner = max((steepness * (size / smooth).max()) ** 0.25, radius_mm + 0.5 * size.max())
        # An infinite body has cells in all of the patch: beyond its voxels nothing of it shows.
        self._inner_mm = min(
            self._patch.radius_mm if is_infinite else inner, MAX_RADIUS_MM * self._patch.length_scale
        )
        width = TAPER_VOXELS * size / [w.edge for w in acquisition.windows]
        if acquisition.slice_profile is not None:
            slices = acquisition.slice_profile.axis
            width[slices] = TAPER_SLICES * size[slices]
        if acquisition.voxel_means:
            width = TAPER_SLICES * size
        self._outer_mm = self._inner_mm + width

    def _lay_out_cells(self, core_mm: float, cell_mm: float) -> None:
        """Set the two levels of cells, whole ones and divided ones in the core, each with its weight."""
        cells = np.minimum(cell_mm, np.array(self._patch.grid.voxel_size_mm) / 2)
        # Whole cells must surround the core: two of them at least.
        core_mm = min(core_mm, float((self._outer_mm - 2 * cells).min()))
        edges = [_cell_edges(reach, cell) for reach, cell in zip(self._outer_mm, cells, strict=True)]
        # First and last edge of the core along each axis, on edges of whole cells.
        core = [e[np.searchsorted(e, [-core_mm, core_mm])] for e in edges]
        self._core_reach_mm = min(float(end) for c in core for end in np.abs(c))
        coarse = self._level(edges, cell_mm)
        fine = self._level([_divided(*e) for e in zip(edges, core, strict=True)], cell_mm / CORE_SUBDIVISION)
        # The two weights add to the taper everywhere.
        coarse.weight[:] *= 1 - self._core_weight(coarse)
        fine.weight[:] *= self._core_weight(fine)
        self._levels = (coarse, fine)

    def _smooth_part(self) -> tuple[FloatArray, FloatArray]:
        """Return the point at which each voxel sees the smooth part of the signal (mm), and its weight there.

        Where the signal is linear over the point spread, its average over what the taper leaves is its value at the
        centre of gravity of that, times its weight.
        """
        patch = self._patch
        voxels_mm = patch.coordinates_mm[:, patch.inside].T
        if all(w.taper == 0 for w in patch.acquisition.windows):
            # Without a filter the taper is as good as band-limited: a sinc leaves it as it is.
            return np.ascontiguousarray(voxels_mm, np.float32), np.asarray(
                1 - self._taper(*(voxels_mm - self._centre).T), np.float32
            )
        # Weight and first moments (mm) that the cells have in each voxel. What they lack of a weight of 1 and of the
        # voxel's position is the smooth part's.
        moments = np.zeros((4, len(voxels_mm)))
        for number, level in enumerate(self._levels):
            offset = level.points - self._centre.astype(np.float32)
            values = np.concatenate([level.weight[None], level.weight * offset.T]).astype(np.float32)
            moments += self._sample(level, values, self._matrices(number, TYPICAL_PSF_WIDTH_MM))
        left = 1 - moments[0]
        moment = (voxels_mm - self._centre) - moments[1:].T
        counts = left > MIN_SMOOTH_WEIGHT
        # Where next to nothing is left, there is no centre of gravity: any point will do.
        points = np.where(
            counts[:, None], self._centre + moment / np.where(counts, left, 1)[:, None], voxels_mm
        )
        return np.ascontiguousarray(points, np.float32), np.asarray(np.where(counts, left, 0), np.float32)

    def _taper(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Return the fraction of the signal at points (mm from the centre) that is formed on cells."""
        r = np.sqrt(x**2 + y**2 + z**2)
        a, b, c = self._outer_mm
        # Distance at which the ellipsoid of the outer half axes is met in this direction.
        end = r / np.maximum(np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2), MIN_DIVISOR)
        return _falling((r - self._inner_mm) / np.maximum(end - self._inner_mm, MIN_DIVISOR))

    def _core_weight(self, level: _Level) -> FloatArray:
        """Return the weight that divided cells have at each cell of a level; whole cells have the rest to 1."""
        x, y, z = level.open_grid(self._centre)
        taper_mm = CORE_TAPER_MM * self._patch.length_scale
        return _falling((np.sqrt(x**2 + y**2 + z**2) - self._core_reach_mm) / taper_mm + 1).ravel()

    def _level(self, edges: list[FloatArray], cell_mm: float) -> _Level:
        """Return the cells between edges (mm from the centre) along each axis, weighted by the taper."""
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
        """Return the lesion's factor on the tissue's signal, less 1, as the voxels see it.

        Parameters
        ----------
        rows : ndarray of shape (n, k)
            Rows of the shape (`SourceShape.rows`): of balls M (ppm mm3), centre (mm, 3), radius (mm).
        decay_hz : float
            R2* inside above the tissue's, 1/s, >= 0.
        psf_width2_mm2 : float
            Squared extra width of the point spread, mm2, >= 0: filters, decay during the readout, motion.
        shape : SourceShape, optional
            Shape of the rows; balls by default.
        derivatives : bool, optional
            Add the derivatives by the rows' parameters, by the log of the decay and by the squared extra width.

        Returns
        -------
        ndarray of shape (1 or 3 + n * n_row_parameters, n_echoes, n_inside), complex64
            Factor - 1, dimensionless, then the derivatives per unit of each parameter.
        """
        at = (shape.name, rows.tobytes(), decay_hz, float(psf_width2_mm2))
        latest = self._latest
        # A start is fitted with polynomials first and then compared, or minimised, at the same source.
        if latest is None or latest.at != at or (derivatives and len(latest.factor) == 1):
            factor = self._formed(rows, decay_hz, psf_width2_mm2, shape=shape, derivatives=derivatives)
            if self._patch.acquisition.difference_te_s is not None:
                factor = _difference(factor)
            self._latest = latest = _Seen(at, factor)
        return latest.factor if derivatives else latest.factor[:1]

    def _formed(
        self,
        rows: FloatArray,
        decay_hz: float,
        psf_width2_mm2: float,
        *,
        shape: SourceShape,
        derivatives: bool,
    ) -> ComplexArray:
        """Return the factor less 1 of each echo formed, formed on the cells and sampled; as `factor`."""
        patch = self._patch
        psf_width_mm, wider_mm = np.sqrt([psf_width2_mm2, psf_width2_mm2 + PSF_WIDTH2_STEP_MM2])
        # Factor, derivatives by the rows, by the decay; that by the squared width is a difference, below.
        count = 2 + shape.n_row_parameters * len(rows) if derivatives else 1
        decay = decay_hz * np.array(patch.acquisition.formed_te_s)
        # Signal inside the body, and its derivative by the log of the decay.
        core = np.stack([np.exp(-decay), -decay * np.exp(-decay)])
        args = (
            np.array(patch.grid.b0_dir, np.float32),
            patch.acquisition.dipole_constants.astype(np.float32),
            core.astype(np.float32),
        )
        rows = rows.astype(np.float32)
        echoes = len(patch.acquisition.formed_te_s)
        # Real and imaginary part apart, for the loops.
        seen = np.zeros((2, count + derivatives, echoes, len(self._smooth_points)), np.float32)
        for number, level in enumerate(self._levels):
            on_cells = np.empty((2, count, echoes, len(level.points)), np.float32)
            shape.loop(rows, level.points, level.weight, *args, np.float32(level.cell_mm), on_cells)
            if self._background is not None:
                self._background.apply(on_cells, number)
            sampled = self._sample(level, on_cells, self._matrices(number, psf_width_mm))
            seen[:, :count] += sampled
            if derivatives:
                wider = self._sample(level, on_cells[:, 0], self._made_matrices(level, wider_mm))
                seen[:, count] += (wider - sampled[:, 0]) / np.float32(PSF_WIDTH2_STEP_MM2)
        if self._background is not None:
            self._background.remove(
                seen, psf_width_mm, (wider_mm, PSF_WIDTH2_STEP_MM2) if derivatives else None
            )
        # The smooth part is seen at one point: the background's phase would come off as it was put on.
        smooth = np.empty_like(seen[:, :count])
        edge_mm = np.float32(self._levels[0].cell_mm)
        shape.loop(rows, self._smooth_points, self._smooth_weight, *args, edge_mm, smooth)
        seen[:, :count] += smooth
        complex_out: ComplexArray = seen[0] + 1j * seen[1]
        return complex_out

    def _sample(self, level: _Level, values: FloatArray, matrices: list[FloatArray]) -> FloatArray:
        """Return what the voxels inside see, (..., voxel inside), of values (..., cell) of a level."""
        box = level.sample(values, matrices)
        return np.asarray(box.reshape(*values.shape[:-1], -1).take(self._voxels, axis=-1))

    def _matrices(self, number: int, psf_width_mm: float) -> list[FloatArray]:
        """Return the sampling matrices of a level, stored for the last width: many starts are compared at one width."""
        stored = self._sampled.get(number)
        if stored is None or stored[0] != psf_width_mm:
            self._sampled[number] = stored = (
                psf_width_mm,
                self._made_matrices(self._levels[number], psf_width_mm),
            )
        return stored[1]

    def _made_matrices(self, level: _Level, psf_width_mm: float) -> list[FloatArray]:
        """Return the sampling matrix of a level along each axis."""
        patch = self._patch
        return [
            _sampling_matrix(axis, middle, width, v, psf_width_mm, profile)
            for axis, middle, width, v, profile in zip(
                self._axes_mm,
                level.middles,
                level.widths,
                patch.grid.voxel_size_mm,
                patch.acquisition.axis_profiles,
                strict=True,
            )
        ]


class _Seen(NamedTuple):
    """Latest result of `PointSpread.factor`, stored because the same source is often asked for twice."""

    at: tuple[str, bytes, float, float]
    """Source: name of the shape, bytes of its rows, decay (1/s) and squared extra width (mm2)."""
    factor: ComplexArray
    """Factor - 1 at this source, and its derivatives if they were formed."""


class _Level:
    """Box of cells of one size: middles and widths along each axis (mm), all points, and the weight of each."""

    def __init__(self, middles: list[FloatArray], widths: list[FloatArray], cell_mm: float) -> None:
        self.middles, self.widths, self.cell_mm = middles, widths, cell_mm
        axes = [m.astype(np.float32) for m in middles]
        self.points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        self.weight = np.ones(len(self.points), np.float32)

    def open_grid(self, centre: FloatArray) -> tuple[FloatArray, ...]:
        """Return the distances (mm) of the middles from a centre along each axis, to be broadcast."""
        return np.ix_(*((m - c).astype(np.float32) for m, c in zip(self.middles, centre, strict=True)))

    def sample(self, values: FloatArray, matrices: list[FloatArray]) -> FloatArray:
        """Return values (..., x, y, z) at voxels of values (..., cell), by one matrix along each axis."""
        x, y, z = (len(m) for m in self.middles)
        mx, my, mz = matrices
        # From the longest rows to the shortest: few large products.
        step = np.matmul(mx, values.reshape(-1, x, y * z))
        step = np.matmul(my, step.reshape(-1, y, z)).reshape(-1, z) @ mz.T
        return np.asarray(step.reshape(*values.shape[:-1], len(mx), len(my), len(mz)))


def _difference(seen: ComplexArray) -> ComplexArray:
    """Return the second factor times the conjugate first, less 1, and its derivatives: its phase is their difference.

    `seen` has the factors less 1 of two echoes, then their derivatives, (..., 2, voxel).
    """
    first, second = 1 + seen[0, 0], 1 + seen[0, 1]
    out: ComplexArray = np.empty((len(seen), 1, seen.shape[-1]), seen.dtype)
    out[0, 0] = second * first.conj() - 1
    out[1:, 0] = seen[1:, 1] * first.conj() + second * seen[1:, 0].conj()
    return out


def _falling(fraction: FloatArray) -> FloatArray:
    """Return a smooth step from 1 at 0 to exactly 0 at 1: half a period of a cosine."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(fraction, 0, 1)))


def _cell_edges(reach_mm: float, cell_mm: float) -> FloatArray:
    """Return the edges of whole cells on both sides of 0 that hold a reach."""
    half = int(np.ceil(reach_mm / cell_mm))
    return np.asarray(np.arange(-half, half + 1) * cell_mm)


def _divided(edges: FloatArray, core: FloatArray) -> FloatArray:
    """Return the edges of divided cells between the first and the last edge of the core."""
    inner = edges[(edges >= core[0]) & (edges <= core[1])]
    return np.asarray(np.linspace(inner[0], inner[-1], CORE_SUBDIVISION * (len(inner) - 1) + 1))


def _sampling_matrix(
    voxels_mm: FloatArray,
    middles_mm: FloatArray,
    widths_mm: FloatArray,
    voxel_mm: float,
    psf_width_mm: float,
    profile: KSpaceWindow | SliceProfile,
) -> FloatArray:
    """Return the weight of each cell in each voxel along an axis: point spread, averaged over the box, times width."""
    distance = ((voxels_mm[:, None] - middles_mm)[..., None] + 0.5 * psf_width_mm * PSF_NODES) / voxel_mm
    # Single precision, as all that is sampled: its sine takes a third of the time.
    averaged = 0.5 * profile.point_spread(distance.astype(np.float32)) @ PSF_NODE_WEIGHTS
    return np.ascontiguousarray(averaged * (widths_mm / voxel_mm), np.float32)
