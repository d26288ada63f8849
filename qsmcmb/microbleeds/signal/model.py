"""The scan's complex signal around a lesion: balls seen through the point spread, on tissue that varies smoothly.

signal = tissue(r, TE) x factor(r, TE); the tissue's magnitude, R2*, receive phase and background field are low-order
polynomials, the factor comes from balls whose signal decays, with the field of a dipole (`PointSpread`).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.point_spread import CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import ONE_BALL, SourceShape
from qsmcmb.microbleeds.signal.tissue import tissue_around
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray


class Source(NamedTuple):
    """A ball: total susceptibility (ppm mm3), centre (mm from the neighbourhood's middle), radius (mm)."""

    total_chi_ppm_mm3: float
    centre_mm: tuple[float, float, float]
    radius_mm: float

    @property
    def dchi_ppm(self) -> float:
        """Size of the susceptibility against the surroundings."""
        return float(abs(self.total_chi_ppm_mm3) / (4 / 3 * np.pi * self.radius_mm**3))

    def row(self) -> list[float]:
        """Return the row that the loop reads."""
        return [self.total_chi_ppm_mm3, *self.centre_mm, self.radius_mm]


class Core(NamedTuple):
    """What is expected of the inside of a lesion: R2* above the tissue's (1/s), and how well its logarithm is known."""

    decay_hz: float
    log_sd: float

    def at(self, b0_tesla: float) -> Core:
        """Return what one per tesla is at a field strength."""
        return self._replace(decay_hz=self.decay_hz * b0_tesla)


class Signal(NamedTuple):
    """Model at some parameters; all over (echo, voxel inside) in one axis."""

    background: ComplexArray
    factor: ComplexArray
    slopes: ComplexArray | None
    """Derivatives of the factor by the source's parameters, (parameter, echo and voxel)."""

    @property
    def value(self) -> ComplexArray:
        """The scan's signal."""
        return self.background * self.factor


class LesionModel:
    """Signal model around one lesion.

    Parameters: those of the source's shape (M in ppm mm3, centre, log radius, squared blur, log decay of the core, and
    what the shape adds), then the coefficients of phase and log magnitude.

    Parameters
    ----------
    near : Neighbourhood
        The scan around the lesion.
    source : Source
        What is expected: sets the fine grid.
    blur : Estimate
        What is known of the squared blur beyond the k-space crop, mm2.
    core : Core
        What is known of the lesion's inside.
    neighbours : ndarray of shape (echo and voxel,), optional
        Factor of other lesions on the signal.
    shape : SourceShape, optional
        A ball by default.
    cell_mm : float, optional
        Edge of the cells that the signal is formed on.
    """

    def __init__(
        self,
        near: Neighbourhood,
        source: Source,
        *,
        blur: Estimate,
        core: Core,
        neighbours: ComplexArray | None = None,
        shape: SourceShape = ONE_BALL,
        cell_mm: float = CELL_MM,
    ) -> None:
        self.near, self.blur, self.core, self.neighbours = near, blur, core, neighbours
        self.shape = shape
        self.spread = PointSpread(
            near,
            source.total_chi_ppm_mm3,
            np.array(source.centre_mm),
            source.radius_mm,
            endless=shape.endless,
            cell_mm=cell_mm,
        )
        self.tissue = self.plain = tissue_around(near)
        self.data: ComplexArray = near.signal[:, near.inside].reshape(-1)

    @property
    def n_source(self) -> int:
        """Parameters of the source."""
        return self.shape.n_source

    def with_shape(self, shape: SourceShape) -> LesionModel:
        """Return the same model with another shape in place of a ball."""
        out = copy(self)
        out.shape = shape
        return out

    def beside(self, neighbours: ComplexArray | None) -> LesionModel:
        """Return the same model with other neighbours."""
        out = copy(self)
        out.neighbours = neighbours
        return out

    def seen_by(self, near: Neighbourhood, source: Source, *, cell_mm: float = CELL_MM) -> LesionModel:
        """Return the same model of the same voxels, or of fewer, as another scanner sees them."""
        neighbours = self.neighbours
        if neighbours is not None:
            neighbours = near.of_wider(self.near, neighbours)
        return LesionModel(
            near,
            source,
            blur=self.blur,
            core=self.core,
            neighbours=neighbours,
            shape=self.shape,
            cell_mm=cell_mm,
        )

    def near_as_found(self, p: FloatArray) -> Neighbourhood:
        """Return the neighbourhood with the background field that polynomials have beside the lesion."""
        phase, _ = self._split(p)
        cubic = phase[self.plain.phase.slices[-1]]
        return replace(self.near, background=cubic / (2 * np.pi * max(self.near.te_s)))

    def with_process(self, p: FloatArray, blur: Estimate) -> tuple[LesionModel, FloatArray]:
        """Return the same model with the tissue's processes, and its parameters at 0 processes."""
        out = copy(self)
        out.tissue, out.blur = tissue_around(self.near, process=True), blur
        # Processes are the last terms of each.
        phase, amplitude = (
            np.pad(plain, (0, smooth.size - len(plain)))
            for plain, smooth in zip(self._split(p), (out.tissue.phase, out.tissue.amplitude), strict=True)
        )
        return out, np.concatenate([p[: self.n_source], phase, amplitude])

    def _split(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        phase, amplitude = np.split(p[self.n_source :], [self.tissue.phase.size])
        return phase, amplitude

    def signal(self, p: FloatArray, *, slopes: bool = False) -> Signal:
        """Return the signal at parameters `p`, with the slopes of the factor if wanted."""
        rows = self.shape.rows(p)
        parts = self.spread.factor(rows, float(np.exp(p[6])), p[5], shape=self.shape, derivatives=slopes)
        parts = parts.reshape(len(parts), -1)
        factor = 1 + parts[0]
        found = self.shape.chain(p, parts[1:]) if slopes else None
        if self.neighbours is not None:
            factor = factor * self.neighbours
            found = None if found is None else found * self.neighbours
        phase, amplitude = self._split(p)
        background = np.exp(self.tissue.amplitude.value(amplitude) + 1j * self.tissue.phase.value(phase))
        return Signal(background.reshape(-1), factor, found)

    def start(self, source: Source, own: FloatArray | Sequence[float] = ()) -> FloatArray:
        """Return the parameters from a source, what its shape adds, and polynomials fitted to what it leaves."""
        first = np.array(
            [
                source.total_chi_ppm_mm3,
                *source.centre_mm,
                np.log(source.radius_mm),
                self.blur.value,
                np.log(self.core.decay_hz),
                *own,
            ]
        )
        return self.surrounded(first)

    def surrounded(self, p: FloatArray) -> FloatArray:
        """Return parameters of the source with polynomials fitted to what it leaves; others are not looked at."""
        source = p[: self.n_source]
        rest = np.zeros(self.tissue.phase.size + self.tissue.amplitude.size)
        factor = self.signal(np.concatenate([source, rest])).factor
        return np.concatenate([source, *self.plain.fitted(self.near, factor)])

    @property
    def precision(self) -> FloatArray:
        """Inverse variances of the tissue's coefficients; 0 where nothing is known."""
        return np.concatenate([self.tissue.phase.precision, self.tissue.amplitude.precision])

    def roughness(self, p: FloatArray) -> float:
        """Return the squared coefficients of the processes, in SDs."""
        return float((self.precision * p[self.n_source :] ** 2).sum())
