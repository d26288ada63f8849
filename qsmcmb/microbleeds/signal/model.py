"""Lesion model: the complex signal of a scan around one lesion, as a function of its parameters.

    s(r, TE) = A(r, TE) exp(i phi(r, TE)) [1 + (h * (factor - 1))(r, TE)]

A and phi are magnitude and phase of the tissue (`tissue`), factor is that of the lesion's body on the signal
(`source_shapes`), h the point spread of the scan (`point_spread`); neighbouring lesions multiply the bracket by their
own. The parameter vector holds the source's parameters (`ParameterLayout`), then the coefficients of the tissue's
phase, then those of its log magnitude.
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

__all__ = ("LesionModel", "Signal")


class Signal(NamedTuple):
    """Model at some parameters, over echoes and voxels inside in one axis."""

    background: ComplexArray
    """Signal of the tissue, (n_echoes * n_inside,), in the scan's unit."""
    factor: ComplexArray
    """Factor of the lesion and its neighbours, (n_echoes * n_inside,)."""
    slopes: ComplexArray | None
    """Derivatives of the factor by the source's parameters, (n_source_parameters, n_echoes * n_inside)."""

    @property
    def value(self) -> ComplexArray:
        """Signal of the scan, (n_echoes * n_inside,), in its unit."""
        return self.background * self.factor


class LesionModel:
    """Model of the signal around one lesion.

    Parameters
    ----------
    patch : Patch
        The scan around the lesion.
    source : Source
        Lesion that is expected: it lays out the cells.
    core_decay : CoreDecay
        Prior of the signal decay inside the lesion.
    neighbours : ndarray of shape (n_echoes * n_inside,), complex, optional
        Factor of other lesions on the signal; none by default.
    shape : SourceShape, optional
        Shape of the lesion; a ball by default.
    cell_mm : float, optional
        Edge of the cells on which the signal is formed, mm.

    Attributes
    ----------
    patch, core_decay, neighbours, shape
        As given.
    point_spread : PointSpread
        Cells and point spread.
    tissue : Tissue
        Functions of the tissue in the parameter vector, Gaussian processes included where there are any.
    polynomial : Tissue
        Polynomials alone.
    data : ndarray of shape (n_echoes * n_inside,), complex
        Signal of the scan at the voxels inside.

    Examples
    --------
    >>> from qsmcmb.microbleeds.signal.acquisition import Acquisition
    >>> from qsmcmb.model import Grid
    >>> axis, ones = np.arange(-4.0, 5.0), np.ones((9, 9, 9))
    >>> patch = Patch(
    ...     acquisition=Acquisition(te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=0.01),
    ...     grid=Grid.isotropic((9, 9, 9), 1.0), signal=ones[None].repeat(2, 0), field_hz=0 * ones,
    ...     inside=ones > 0, axes_mm=(axis, axis, axis), radius_mm=4.0, fraction_in_mask=1.0, box=(slice(0, 9),) * 3,
    ... )
    >>> source = Source(2.0, (0.0, 0.0, 0.0), 0.8)
    >>> model = LesionModel(patch, source, core_decay=CoreDecay(105.0, 0.8), cell_mm=0.5)
    >>> p = model.start_parameters(source)
    >>> p.shape, model.signal(p).value.shape
    ((45,), (1458,))
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
        """Number of parameters of the source."""
        return self.shape.n_source_parameters

    @property
    def precision(self) -> FloatArray:
        """Prior precision of the tissue's coefficients, one over their variances; 0 without a prior."""
        return np.concatenate([self.tissue.phase.precision, self.tissue.amplitude.precision])

    def with_shape(self, shape: SourceShape) -> LesionModel:
        """Return the model with another shape on the same cells.

        Parameters
        ----------
        shape : SourceShape
            The other shape, which stays in the region of the cells.

        Returns
        -------
        LesionModel
            Its parameter vector is that of the shape; the tissue's part stays.
        """
        out = copy(self)
        out.shape = shape
        return out

    def with_neighbours(self, neighbours: ComplexArray | None) -> LesionModel:
        """Return the model with other neighbours.

        Parameters
        ----------
        neighbours : ndarray of shape (n_echoes * n_inside,), complex, or None
            Factor of other lesions on the signal; None without any.

        Returns
        -------
        LesionModel
            The same parameters; cells and sampling are shared.
        """
        out = copy(self)
        out.neighbours = neighbours
        return out

    def on_patch(self, patch: Patch, source: Source, *, cell_mm: float = CELL_MM) -> LesionModel:
        """Return the model on the same voxels or fewer, with other properties of the scan or other cells.

        Parameters
        ----------
        patch : Patch
            The same box; its voxels inside are among those of this model's patch.
        source : Source
            Lesion that is expected: it lays out the cells anew.
        cell_mm : float, optional
            Edge of the cells, mm.

        Returns
        -------
        LesionModel
            Of the same shape, with polynomials alone.
        """
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
        """Return the patch with the background field that the fit has found beside the lesion.

        Parameters
        ----------
        p : ndarray
            Parameters of this model, with polynomials alone.

        Returns
        -------
        Patch
            Its `background` is the fitted cubic of the field.
        """
        phase, _ = self._split(p)
        # The last term of the phase is the cubic, in rad at the last echo.
        cubic = phase[self.polynomial.phase.slices[-1]]
        return replace(self.patch, background=cubic / (2 * np.pi * max(self.patch.acquisition.te_s)))

    def with_gp_prior(self, p: FloatArray) -> tuple[LesionModel, FloatArray]:
        """Return the model with the tissue's Gaussian processes, and the same parameters in it.

        Parameters
        ----------
        p : ndarray
            Parameters of this model.

        Returns
        -------
        tuple of (LesionModel, ndarray)
            The model, and its parameters with all coefficients of the processes at 0.
        """
        out = copy(self)
        out.tissue = tissue_around(self.patch, gp_prior=True)
        return out, out.with_zero_processes(p)

    def with_zero_processes(self, p: FloatArray) -> FloatArray:
        """Return the parameters of this model from those with polynomials alone.

        Parameters
        ----------
        p : ndarray
            Source and polynomials.

        Returns
        -------
        ndarray
            The same, with all coefficients of the tissue's Gaussian processes at 0.
        """
        phase, amplitude = np.split(p[self.n_source_parameters :], [self.polynomial.phase.size])
        # The processes are the last terms of phase and log magnitude.
        extended = (
            np.pad(plain, (0, full.size - len(plain)))
            for plain, full in ((phase, self.tissue.phase), (amplitude, self.tissue.amplitude))
        )
        return np.concatenate([p[: self.n_source_parameters], *extended])

    def _split(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients of phase and log magnitude in a parameter vector."""
        phase, amplitude = np.split(p[self.n_source_parameters :], [self.tissue.phase.size])
        return phase, amplitude

    def signal(self, p: FloatArray, *, slopes: bool = False) -> Signal:
        """Return the model's signal.

        Parameters
        ----------
        p : ndarray
            Parameters.
        slopes : bool, optional
            Add the derivatives of the factor by the source's parameters.

        Returns
        -------
        Signal
            Background, factor and, if wanted, derivatives.
        """
        rows = self.shape.rows(p)
        # The factor less 1, then the derivatives by the rows, by the log decay and by the squared width.
        seen = self.point_spread.factor(
            rows,
            float(np.exp(p[LAYOUT.log_decay])),
            p[LAYOUT.psf_width2],
            shape=self.shape,
            derivatives=slopes,
        )
        seen = seen.reshape(len(seen), -1)
        factor = 1 + seen[0]
        by_parameter = self.shape.chain_rule(p, seen[1:]) if slopes else None
        if self.neighbours is not None:
            # Each lesion goes through the point spread by itself: good where their steep parts do not overlap.
            factor = factor * self.neighbours
            by_parameter = None if by_parameter is None else by_parameter * self.neighbours
        phase, amplitude = self._split(p)
        background = np.exp(self.tissue.amplitude.value(amplitude) + 1j * self.tissue.phase.value(phase))
        return Signal(background.reshape(-1), factor, by_parameter)

    def start_parameters(self, source: Source, own: FloatArray | Sequence[float] = ()) -> FloatArray:
        """Return the parameters of a source, with polynomials fitted to what it leaves of the data.

        Parameters
        ----------
        source : Source
            Total susceptibility, centre and radius.
        own : sequence of float, optional
            What the shape has beyond the common parameters, such as a half axis.

        Returns
        -------
        ndarray
            Parameters; extra width of the point spread and decay as expected.
        """
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
        return self.parameters_with_fitted_tissue(first)

    def parameters_with_fitted_tissue(self, p: FloatArray, *, slopes: bool = False) -> FloatArray:
        """Return the source's parameters with polynomials fitted to what it leaves of the data.

        Parameters
        ----------
        p : ndarray
            Parameters of the source; those after them are not used.
        slopes : bool, optional
            Form the derivatives at this source, too: for a minimisation that starts from it.

        Returns
        -------
        ndarray
            Parameters of this model with polynomials alone.
        """
        source = p[: self.n_source_parameters]
        rest = np.zeros(self.tissue.phase.size + self.tissue.amplitude.size)
        factor = self.signal(np.concatenate([source, rest]), slopes=slopes).factor
        return np.concatenate([source, *self.polynomial.fitted(self.patch, factor)])

    def gp_prior_cost(self, p: FloatArray) -> float:
        """Return the cost of the tissue's coefficients under their prior.

        Parameters
        ----------
        p : ndarray
            Parameters.

        Returns
        -------
        float
            Sum of the squared coefficients of the processes, each over its SD.
        """
        return float((self.precision * p[self.n_source_parameters :] ** 2).sum())
