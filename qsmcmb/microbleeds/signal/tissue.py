"""Tissue around a lesion: log magnitude and phase as polynomials and a Gaussian process, free of the lesion.

The tissue's signal is A exp(i phi) with

    log A(r, TE)  = a(r) - TE R2*(r)        polynomials of order 2 and 1, and a Gaussian process in each,
    phi(r, TE)    = phi0(r) + 2 pi TE f(r)  polynomials of order 1 and 3, and the field of a susceptibility process.

Polynomials follow what varies over centimetres: coil sensitivity, receive phase, background field. What sulci, vessels
and borders add varies over millimetres: a Gaussian process of known SD and correlation length (Rasmussen and Williams
2006, chapter 2, doi:10.7551/mitpress/3206.001.0001). Were it left to an error that is white from voxel to voxel, many
distant voxels would outweigh the few near the lesion that determine it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.gaussian_process import basis_centres, gaussian_basis, gaussian_field_basis
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = (
    "MIN_HETEROGENEITY",
    "BasisTerm",
    "ModelErrorSd",
    "SeparableBasis",
    "Tissue",
    "tissue_around",
)

BASIS_MARGIN_MM = 0.5
"""Distance beyond the patch up to which there are basis functions, mm: the process must not fade at the patch's edge;
functions further out changed no result on the development heads."""
GP_LOG_MAGNITUDE_SD = 0.12
"""SD of the process of log magnitude in a brain: chosen on the development heads; the evidence of single lesions asks
for a quarter of it (docs/notes/2026-11-27-lesion-fit.md)."""
GP_CHI_SD_PPM = 0.015
"""SD of the process of susceptibility in a brain, ppm: of 8 to 25 ppb the value with the smallest errors on heads of
independent code (docs/notes/2026-11-27-lesion-fit.md)."""
GP_R2STAR_SD_PER_TESLA_HZ = 1.5
"""SD of the process of R2* in a brain, 1/s per tesla: chosen on the development heads; single lesions ask for a
quarter of it, too."""
RELATIVE_LOADING = 1e-9
"""Fraction by which the diagonal of a normal matrix is raised before it is solved, against rounding."""
RELATIVE_TRACE_LOADING = 1e-12
"""Fraction of the trace that is added to each element of the diagonal, for functions that no voxel with weight
sees."""
MIN_LOADING = 1e-30
"""Smallest addition to the diagonal: without any weight the matrix is 0, and the answer shall be 0."""
MIN_SIGNAL = 1e-12
"""Smallest magnitude whose logarithm is taken, in the signal's unit: a voxel of 0 has no weight either."""
MIN_RATIO = 0.05
"""Smallest ratio of signal to fitted tissue whose logarithm is taken: no single dark
voxel is to dominate an SD."""
MIN_HETEROGENEITY = 0.1
"""Tissue heterogeneity, relative to a brain's, up to which polynomials alone describe the tissue: in a liquid a process
has nothing to describe and makes the SD a third larger."""


class BasisTerm(NamedTuple):
    """Functions of space, all times the same function of echo time, with coefficients of the same prior."""

    along_te: FloatArray
    """Function of echo time, (echo,), >= 0."""
    basis: FloatArray
    """Functions of space, (voxel inside, n)."""
    sd: float
    """SD of each coefficient before the data are seen; infinite without a prior."""


class SeparableBasis:
    """Sum of terms over echoes and voxels, with what a least-squares fit needs of it.

    Each function is a product of one of space and one of echo time, so that matrices are made of voxels alone.

    Parameters
    ----------
    terms : list of BasisTerm
        Terms on the same echoes and voxels.

    Attributes
    ----------
    terms : list of BasisTerm
        The terms.
    slices : list of slice
        Positions of each term's coefficients.
    size : int
        Number of coefficients.
    precision : ndarray of shape (size,)
        Prior precision of each coefficient, one over its variance; 0 without a prior.

    Examples
    --------
    >>> line = np.array([[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> basis = SeparableBasis([BasisTerm(np.array([0.5, 1.0]), line, np.inf)])
    >>> basis.value(np.array([0.0, 2.0])).tolist()
    [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]]
    """

    def __init__(self, terms: list[BasisTerm]) -> None:
        self.terms = terms
        sizes = [t.basis.shape[1] for t in terms]
        stops = np.cumsum(sizes)
        self.slices = [slice(int(stop - n), int(stop)) for n, stop in zip(sizes, stops, strict=True)]
        self.size = int(stops[-1])
        self.precision = np.concatenate([np.full(n, t.sd**-2.0) for n, t in zip(sizes, terms, strict=True)])

    def value(self, coefficients: FloatArray) -> FloatArray:
        """Return the sum of all functions.

        Parameters
        ----------
        coefficients : ndarray of shape (size,)
            Coefficients of the functions.

        Returns
        -------
        ndarray of shape (n_echoes, n_inside)
            Their sum, in the unit of the coefficients.
        """
        return np.asarray(
            sum(
                np.outer(t.along_te, t.basis @ coefficients[s])
                for t, s in zip(self.terms, self.slices, strict=True)
            )
        )

    def dense(self) -> FloatArray:
        """Return all functions as one matrix.

        Returns
        -------
        ndarray of shape (n_echoes * n_inside, size)
            A function in each column, echo after echo.
        """
        blocks = [t.along_te[:, None, None] * t.basis for t in self.terms]
        return np.concatenate([block.reshape(-1, block.shape[2]) for block in blocks], axis=1)

    def normal(self, weight2: FloatArray) -> FloatArray:
        """Return the normal matrix of a weighted least-squares fit, without the prior.

        Parameters
        ----------
        weight2 : ndarray of shape (n_echoes, n_inside)
            Squared weights, >= 0.

        Returns
        -------
        ndarray of shape (size, size)
            B^T W^2 B, symmetric, with B the matrix of all functions.
        """
        out = np.empty((self.size, self.size))
        for i, (one, s) in enumerate(zip(self.terms, self.slices, strict=True)):
            for two, t in zip(self.terms[: i + 1], self.slices, strict=False):
                over_te = ((one.along_te * two.along_te) @ weight2)[:, None]
                if one.basis is two.basis:
                    # A matrix times its own transpose takes half of a product's time, in single precision a quarter:
                    # enough where a prior keeps the matrix far from singular.
                    kind = np.float32 if np.isfinite(one.sd) else np.float64
                    root = np.sqrt(over_te).astype(kind) * one.basis.astype(kind, copy=False)
                    out[s, t] = root.T @ root
                else:
                    out[s, t] = one.basis.T @ (over_te * two.basis)
                out[t, s] = out[s, t].T
        return out

    def project(self, values: FloatArray) -> FloatArray:
        """Return the scalar products of all functions with some values.

        Parameters
        ----------
        values : ndarray of shape (k, n_echoes, n_inside)
            Values over echoes and voxels.

        Returns
        -------
        ndarray of shape (size, k)
            B^T v for each of the k.
        """
        return np.concatenate(
            [t.basis.T @ np.tensordot(values, t.along_te, axes=(1, 0)).T for t in self.terms]
        )

    def solved(self, values: FloatArray, weight2: FloatArray) -> FloatArray:
        """Return the coefficients that fit some values best, without the prior.

        Parameters
        ----------
        values : ndarray of shape (n_echoes, n_inside)
            Values over echoes and voxels.
        weight2 : ndarray of shape (n_echoes, n_inside)
            Squared weights, >= 0.

        Returns
        -------
        ndarray of shape (size,)
            Coefficients; 0 where all weights are.
        """
        normal = self.normal(weight2)
        # Where no voxel counts (all of them in the void) nothing is asked for, and 0 is the answer.
        loading = RELATIVE_LOADING * np.diag(normal) + max(
            RELATIVE_TRACE_LOADING * np.trace(normal), MIN_LOADING
        )
        return np.asarray(
            np.linalg.solve(normal + np.diag(loading), self.project((weight2 * values)[None])[:, 0])
        )


class ModelErrorSd(NamedTuple):
    """SDs of what the model of tissue and lesion cannot follow, white from voxel to voxel."""

    magnitude: float
    """Of the magnitude, relative."""
    field_ppm: float
    """Of the field, ppm: its phase grows with echo time."""
    offset_rad: float
    """Of the phase at echo time 0, rad."""
    core: float
    """Of the lesion's inside, relative to the tissue's signal."""


POLYNOMIAL_MODEL_ERROR = ModelErrorSd(magnitude=0.06, field_ppm=0.006, offset_rad=0.02, core=0.02)
"""Model error beside polynomials alone. Larger than what single voxels show, because what is left of the tissue is
correlated: with the SD of single voxels, many distant voxels would outweigh the few near the lesion. Chosen on the
development heads."""
GP_MODEL_ERROR = ModelErrorSd(magnitude=0.02, field_ppm=0.002, offset_rad=0.01, core=0.04)
"""Model error beside the Gaussian process, which follows most of the tissue: a third of the former in magnitude and
field. Chosen on the development heads."""


class Tissue(NamedTuple):
    """Functions that make the tissue's phase and log magnitude, and the error beside them."""

    phase: SeparableBasis
    """Functions of the phase, rad."""
    amplitude: SeparableBasis
    """Functions of the log magnitude."""
    model_error: ModelErrorSd
    """SDs of what these functions leave."""

    def fitted(self, patch: Patch, factor: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients that fit a patch's signal divided by a lesion's factor.

        Parameters
        ----------
        patch : Patch
            The patch on whose voxels the functions are.
        factor : ndarray of shape (n_echoes * n_inside,), complex
            Factor of the lesion on the tissue's signal; its phase is taken off, and voxels it darkens count less.

        Returns
        -------
        tuple of ndarray
            Coefficients of the phase and of the log magnitude.
        """
        data = patch.signal[:, patch.inside].reshape(-1)
        without_lesion = data * np.exp(-1j * np.angle(factor))
        # Signal-to-noise of phase and log magnitude is the magnitude; below half of the tissue's nothing counts.
        voxel_weight = np.clip(2 * np.abs(factor) - 1, 0, 1) * np.abs(data)
        # The plane through the unwrapped field takes the turns out; what is left is a smooth phase around its mean.
        guide = patch.linear_field_phase(voxel_weight).reshape(-1)
        left = np.angle(without_lesion * np.exp(-1j * guide))
        mean = np.angle((voxel_weight * np.exp(1j * left)).sum())
        phase = np.angle(np.exp(1j * (left - mean))) + mean + guide
        shape = (len(patch.acquisition.te_s), -1)
        weight2 = (voxel_weight**2).reshape(shape)
        log_magnitude = np.log(np.maximum(np.abs(data), MIN_SIGNAL))
        return (
            self.phase.solved(phase.reshape(shape), weight2),
            self.amplitude.solved(log_magnitude.reshape(shape), weight2),
        )

    def residual(self, patch: Patch) -> ComplexArray:
        """Return what these functions leave of a patch without a lesion.

        Parameters
        ----------
        patch : Patch
            A patch of the same shape.

        Returns
        -------
        ndarray of shape (n_echoes * n_inside,), complex
            Log of the ratio of signal to fit: its real part is of log magnitude, its imaginary part of phase (rad).
        """
        data = patch.signal[:, patch.inside].reshape(-1)
        phase, amplitude = self.fitted(patch, np.ones(len(data), np.complex64))
        background = np.exp(self.amplitude.value(amplitude) + 1j * self.phase.value(phase))
        ratio = data / background.reshape(-1)
        return np.asarray(np.log(np.maximum(np.abs(ratio), MIN_RATIO)) + 1j * np.angle(ratio))


def tissue_around(patch: Patch, *, gp_prior: bool = False) -> Tissue:
    """Return the functions that make the tissue of a patch.

    Parameters
    ----------
    patch : Patch
        The patch.
    gp_prior : bool, optional
        Add Gaussian processes to the polynomials, as large as the scan's tissue heterogeneity says; none where that is
        at most MIN_HETEROGENEITY. They are the last terms.

    Returns
    -------
    Tissue
        Phase: receive phase linear in space, field cubic. Log magnitude: quadratic at TE = 0, R2* linear. A single echo
        cannot tell those at TE = 0 from those that grow with it: it has field and magnitude alone.

    References
    ----------
    Rasmussen CE, Williams CKI. Gaussian processes for machine learning. MIT Press 2006.
    doi:10.7551/mitpress/3206.001.0001

    Examples
    --------
    >>> from qsmcmb.microbleeds.signal.acquisition import Acquisition
    >>> from qsmcmb.model import Grid
    >>> axis, ones = np.arange(-4.0, 5.0), np.ones((9, 9, 9))
    >>> patch = Patch(
    ...     acquisition=Acquisition(te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=0.01),
    ...     grid=Grid.isotropic((9, 9, 9), 1.0), signal=np.exp(0.5) * ones[None].repeat(2, 0), field_hz=0 * ones,
    ...     inside=ones > 0, axes_mm=(axis, axis, axis), radius_mm=4.0, fraction_in_mask=1.0,
    ...     box=(slice(0, 9), slice(0, 9), slice(0, 9)),
    ... )
    >>> tissue = tissue_around(patch)
    >>> tissue.phase.size, tissue.amplitude.size
    (24, 14)
    >>> _, amplitude = tissue.fitted(patch, np.ones(2 * 729, complex))
    >>> round(float(amplitude[0]), 6)
    0.5
    """
    xyz = patch.coordinates_mm[:, patch.inside]
    unit = xyz / patch.radius_mm
    echoes = np.array(patch.acquisition.te_s)
    # Coefficients that grow with echo time are values at the last echo.
    te, ones = echoes / echoes.max(), np.ones(len(echoes))
    linear, quadratic, cubic = (polynomials(unit, order) for order in (1, 2, 3))
    phase, amplitude = [BasisTerm(te, cubic, np.inf)], [BasisTerm(ones, quadratic, np.inf)]
    if len(echoes) > 1:
        phase.insert(0, BasisTerm(ones, linear, np.inf))
        amplitude.append(BasisTerm(te, linear, np.inf))
    heterogeneity = patch.acquisition.heterogeneity
    if gp_prior and heterogeneity > MIN_HETEROGENEITY:
        # A process of another correlation length is the same over another unit of length; so is its field.
        scaled = xyz / patch.length_scale
        centres = basis_centres(patch.radius_mm / patch.length_scale + BASIS_MARGIN_MM)
        gaussians = gaussian_basis(scaled, centres)
        fields = gaussian_field_basis(scaled, centres, patch.grid.b0_dir)
        rad_per_ppm = 2 * np.pi * GAMMA_MHZ_PER_T * patch.acquisition.b0_tesla * echoes.max()
        phase.append(BasisTerm(te, fields, heterogeneity * GP_CHI_SD_PPM * rad_per_ppm))
        amplitude.append(BasisTerm(ones, gaussians, heterogeneity * GP_LOG_MAGNITUDE_SD))
        if len(echoes) > 1:
            r2star = GP_R2STAR_SD_PER_TESLA_HZ * patch.acquisition.b0_tesla * echoes.max()
            amplitude.append(BasisTerm(te, gaussians, heterogeneity * r2star))
    return Tissue(
        SeparableBasis(phase),
        SeparableBasis(amplitude),
        GP_MODEL_ERROR if gp_prior else POLYNOMIAL_MODEL_ERROR,
    )
