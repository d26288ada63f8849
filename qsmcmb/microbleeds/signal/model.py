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

from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import BALL, LAYOUT, CoreDecay, Source, SourceShape
from qsmcmb.microbleeds.signal.tissue import tissue_around
from qsmcmb.typing import ComplexArray, FloatArray


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
    patch : Patch
        The scan around the lesion.
    source : Source
        What is expected: sets the fine grid.
    core_decay : CoreDecay
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
        patch: Patch,
        source: Source,
        *,
        core_decay: CoreDecay,
        neighbours: ComplexArray | None = None,
        shape: SourceShape = BALL,
        cell_mm: float = CELL_MM,
    ) -> None:
        self.patch, self.core_decay, self.neighbours = patch, core_decay, neighbours
        self.shape = shape
        self.point_spread = PointSpread(
            patch,
            source.total_chi_ppm_mm3,
            np.array(source.centre_mm),
            source.radius_mm,
            is_infinite=shape.is_infinite,
            cell_mm=cell_mm,
        )
        self.tissue = self.polynomial = tissue_around(patch)
        self.data: ComplexArray = patch.signal[:, patch.inside].reshape(-1)

    @property
    def n_source_parameters(self) -> int:
        """Parameters of the source."""
        return self.shape.n_source_parameters

    def with_shape(self, shape: SourceShape) -> LesionModel:
        """Return the same model with another shape in place of a ball."""
        out = copy(self)
        out.shape = shape
        return out

    def with_neighbours(self, neighbours: ComplexArray | None) -> LesionModel:
        """Return the same model with other neighbours."""
        out = copy(self)
        out.neighbours = neighbours
        return out

    def on_patch(self, patch: Patch, source: Source, *, cell_mm: float = CELL_MM) -> LesionModel:
        """Return the same model of the same voxels, or of fewer, as another scanner sees them."""
        neighbours = self.neighbours
        if neighbours is not None:
            neighbours = patch.values_from_wider(self.patch, neighbours)
        return LesionModel(
            patch,
            source,
            core_decay=self.core_decay,
            neighbours=neighbours,
            shape=self.shape,
            cell_mm=cell_mm,
        )

    def patch_with_fitted_background(self, p: FloatArray) -> Patch:
        """Return the neighbourhood with the background field that polynomials have beside the lesion."""
        phase, _ = self._split(p)
        cubic = phase[self.polynomial.phase.slices[-1]]
        return replace(self.patch, background=cubic / (2 * np.pi * max(self.patch.acquisition.te_s)))

    def with_gp_prior(self, p: FloatArray) -> tuple[LesionModel, FloatArray]:
        """Return the same model with the tissue's processes, and its parameters at 0 processes."""
        out = copy(self)
        out.tissue = tissue_around(self.patch, gp_prior=True)
        # Processes are the last terms of each.
        phase, amplitude = (
            np.pad(plain, (0, smooth.size - len(plain)))
            for plain, smooth in zip(self._split(p), (out.tissue.phase, out.tissue.amplitude), strict=True)
        )
        return out, np.concatenate([p[: self.n_source_parameters], phase, amplitude])

    def _split(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        phase, amplitude = np.split(p[self.n_source_parameters :], [self.tissue.phase.size])
        return phase, amplitude

    def signal(self, p: FloatArray, *, slopes: bool = False) -> Signal:
        """Return the signal at parameters `p`, with the slopes of the factor if wanted."""
        rows = self.shape.rows(p)
        parts = self.point_spread.factor(
            rows,
            float(np.exp(p[LAYOUT.log_decay])),
            p[LAYOUT.psf_width2],
            shape=self.shape,
            derivatives=slopes,
        )
        parts = parts.reshape(len(parts), -1)
        factor = 1 + parts[0]
        found = self.shape.chain_rule(p, parts[1:]) if slopes else None
        if self.neighbours is not None:
            factor = factor * self.neighbours
            found = None if found is None else found * self.neighbours
        phase, amplitude = self._split(p)
        background = np.exp(self.tissue.amplitude.value(amplitude) + 1j * self.tissue.phase.value(phase))
        return Signal(background.reshape(-1), factor, found)

    def start_parameters(self, source: Source, own: FloatArray | Sequence[float] = ()) -> FloatArray:
        """Return the parameters from a source, what its shape adds, and polynomials fitted to what it leaves."""
        first = np.array(
            [
                source.total_chi_ppm_mm3,
                *source.centre_mm,
                np.log(source.radius_mm),
                self.patch.acquisition.psf_width2.value,
                np.log(self.core_decay.decay_hz),
                *own,
            ]
        )
        return self.with_fitted_background(first)

    def with_fitted_background(self, p: FloatArray) -> FloatArray:
        """Return parameters of the source with polynomials fitted to what it leaves; others are not looked at."""
        source = p[: self.n_source_parameters]
        rest = np.zeros(self.tissue.phase.size + self.tissue.amplitude.size)
        factor = self.signal(np.concatenate([source, rest])).factor
        return np.concatenate([source, *self.polynomial.fitted(self.patch, factor)])

    @property
    def precision(self) -> FloatArray:
        """Inverse variances of the tissue's coefficients; 0 where nothing is known."""
        return np.concatenate([self.tissue.phase.precision, self.tissue.amplitude.precision])

    def gp_prior_cost(self, p: FloatArray) -> float:
        """Return the squared coefficients of the processes, in SDs."""
        return float((self.precision * p[self.n_source_parameters :] ** 2).sum())
