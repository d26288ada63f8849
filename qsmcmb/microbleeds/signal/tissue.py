"""The tissue around a lesion: log magnitude and phase as polynomials and a Gaussian process, free of the lesion.

Polynomials follow what varies over centimetres (coil, receive phase, background field). What sulci, vessels and
borders add varies over millimetres, and no low order follows it: it is a Gaussian process of known size and length
(Rasmussen and Williams 2006, chapter 2), written as bumps on a lattice whose heights have a prior; of susceptibility
where it makes the field, which no tissue can shape otherwise. Left to the white error, many far voxels would outvote
the few near the core, or else count too little for their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.gaussian_process import basis_centres, gaussian_basis, gaussian_field_basis
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

BASIS_MARGIN_MM = 0.5
"""How far beyond the neighbourhood there are bumps."""
MAGNITUDE_SD = 0.12
CHI_SD_PPM = 0.015
R2STAR_SD_PER_TESLA_HZ = 1.5
MIN_LOADING = 1e-30
MIN_HETEROGENEITY = 0.1
"""Over a brain's, below which polynomials do."""


class BasisTerm(NamedTuple):
    """Functions of space (voxel, n) times one function of echo time (echo,), not negative; SD of their coefficients."""

    along_te: FloatArray
    basis: FloatArray
    sd: float


class SeparableBasis:
    """A sum of terms over (echo, voxel), all that a least-squares fit needs of it.

    The functions are products of space and echo time: matrices are made of voxels alone, not of voxels and echoes.
    """

    def __init__(self, terms: list[BasisTerm]) -> None:
        self.terms = terms
        sizes = [t.basis.shape[1] for t in terms]
        stops = np.cumsum(sizes)
        self.slices = [slice(int(stop - n), int(stop)) for n, stop in zip(sizes, stops, strict=True)]
        self.size = int(stops[-1])
        self.precision = np.concatenate([np.full(n, t.sd**-2.0) for n, t in zip(sizes, terms, strict=True)])

    def value(self, coefficients: FloatArray) -> FloatArray:
        """Return the sum over (echo, voxel)."""
        return np.asarray(
            sum(
                np.outer(t.along_te, t.basis @ coefficients[s])
                for t, s in zip(self.terms, self.slices, strict=True)
            )
        )

    def dense(self) -> FloatArray:
        """Return all functions as (echo and voxel, n)."""
        parts = [t.along_te[:, None, None] * t.basis for t in self.terms]
        return np.concatenate([part.reshape(-1, part.shape[2]) for part in parts], axis=1)

    def normal(self, weight2: FloatArray) -> FloatArray:
        """Return the normal matrix under squared weights over (echo, voxel), priors left out."""
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
        """Return the scalar products (n, k) of all functions with (k, echo, voxel) values."""
        return np.concatenate(
            [t.basis.T @ np.tensordot(values, t.along_te, axes=(1, 0)).T for t in self.terms]
        )

    def solved(self, values: FloatArray, weight2: FloatArray) -> FloatArray:
        """Return the coefficients that fit (echo, voxel) values best."""
        normal = self.normal(weight2)
        # Where no voxel counts (all of them in the void) nothing is asked for, and 0 is the answer.
        loading = 1e-9 * np.diag(normal) + max(1e-12 * np.trace(normal), MIN_LOADING)
        return np.asarray(
            np.linalg.solve(normal + np.diag(loading), self.project((weight2 * values)[None])[:, 0])
        )


class ModelErrorSd(NamedTuple):
    """SD of what the functions cannot follow: magnitude (relative), field (ppm) and phase at TE 0 (rad).

    And of what the model of the core cannot follow, relative to the tissue's signal.
    """

    magnitude: float
    field_ppm: float
    offset_rad: float
    core: float


POLYNOMIAL_MODEL_ERROR = ModelErrorSd(0.06, 0.006, 0.02, 0.02)
"""With polynomials alone. Larger than what single voxels show, since texture is correlated: taken at its face value,
many far voxels would outvote the few near the core, which know more."""
GP_MODEL_ERROR = ModelErrorSd(0.02, 0.002, 0.01, 0.04)
"""With the processes."""


class Tissue(NamedTuple):
    """Phase and log magnitude, and what they leave."""

    phase: SeparableBasis
    amplitude: SeparableBasis
    heterogeneity: ModelErrorSd

    def fitted(self, patch: Patch, factor: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """Return the coefficients of phase and log magnitude that fit a signal divided by a lesion's factor."""
        data = patch.signal[:, patch.inside].reshape(-1)
        rest = data * np.exp(-1j * np.angle(factor))
        cost_weight = np.clip(2 * np.abs(factor) - 1, 0, 1) * np.abs(data)
        # The unwrapped field takes the turns out; what is left is a smooth phase around 0.
        guide = patch.background_phase_guide(cost_weight).reshape(-1)
        left = np.angle(rest * np.exp(-1j * guide))
        mean = np.angle((cost_weight * np.exp(1j * left)).sum())
        left = np.angle(np.exp(1j * (left - mean))) + mean + guide
        shape = (len(patch.acquisition.te_s), -1)
        weight = (cost_weight**2).reshape(shape)
        log_size = np.log(np.maximum(np.abs(data), 1e-12))
        return (
            self.phase.solved(left.reshape(shape), weight),
            self.amplitude.solved(log_size.reshape(shape), weight),
        )

    def residual(self, place: Patch) -> ComplexArray:
        """Return the log of a lesion-free place's signal less what fits it, (echo and voxel)."""
        data = place.signal[:, place.inside].reshape(-1)
        phase, amplitude = self.fitted(place, np.ones(len(data), np.complex64))
        background = np.exp(self.amplitude.value(amplitude) + 1j * self.phase.value(phase))
        ratio = data / background.reshape(-1)
        return np.asarray(np.log(np.maximum(np.abs(ratio), 0.05)) + 1j * np.angle(ratio))


def tissue_around(patch: Patch, *, gp_prior: bool = False) -> Tissue:
    """Return the tissue's functions in a neighbourhood: polynomials, and the processes if wanted.

    Phase: receive phase linear in space, field cubic. Log magnitude: quadratic, and R2* linear. Processes are as large
    as the scan's texture, and left out where there is none.
    """
    xyz = patch.coordinates_mm[:, patch.inside]
    unit = xyz / patch.radius_mm
    echoes = np.array(patch.acquisition.te_s)
    te, ones = echoes / echoes.max(), np.ones(len(echoes))
    linear, quadratic, cubic = (polynomials(unit, order) for order in (1, 2, 3))
    phase, amplitude = [BasisTerm(te, cubic, np.inf)], [BasisTerm(ones, quadratic, np.inf)]
    if len(echoes) > 1:
        phase.insert(0, BasisTerm(ones, linear, np.inf))
        amplitude.append(BasisTerm(te, linear, np.inf))
    if gp_prior and patch.acquisition.heterogeneity > MIN_HETEROGENEITY:
        middles = basis_centres(patch.radius_mm + BASIS_MARGIN_MM)
        bump = gaussian_basis(xyz, middles)
        fields = gaussian_field_basis(xyz, middles, patch.grid.b0_dir)
        turn = 2 * np.pi * GAMMA_MHZ_PER_T * patch.acquisition.b0_tesla * echoes.max()
        phase.append(BasisTerm(te, fields, patch.acquisition.heterogeneity * CHI_SD_PPM * turn))
        amplitude.append(BasisTerm(ones, bump, patch.acquisition.heterogeneity * MAGNITUDE_SD))
        if len(echoes) > 1:
            r2star = R2STAR_SD_PER_TESLA_HZ * patch.acquisition.b0_tesla * echoes.max()
            amplitude.append(BasisTerm(te, bump, patch.acquisition.heterogeneity * r2star))
    return Tissue(
        SeparableBasis(phase),
        SeparableBasis(amplitude),
        GP_MODEL_ERROR if gp_prior else POLYNOMIAL_MODEL_ERROR,
    )
