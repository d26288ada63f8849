"""The tissue's functions: products of space and echo time against plain matrices, and what the process is worth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from tests.microbleeds.test_lesion_model import TE_S, scanned

from qsmcmb.microbleeds.calibration.heterogeneity import tissue_heterogeneity
from qsmcmb.microbleeds.calibration.psf_width import pool_psf_width2
from qsmcmb.microbleeds.fit.objective import solve_normal_equations
from qsmcmb.microbleeds.fit.priors import PSF_WIDTH2_PRIOR
from qsmcmb.microbleeds.fit.refinement import FitState, refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import summarise_fit
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import CoreDecay, Source
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY, SeparableBasis, tissue_around
from qsmcmb.model import Estimate

BALL = [2.0, 0.3, -0.4, 0.2, 0.8]


@pytest.fixture(scope="module")
def patch() -> Patch:
    return scanned(np.array([BALL]))


@pytest.fixture(scope="module")
def smooths(patch: Patch) -> tuple[SeparableBasis, ...]:
    tissue = tissue_around(patch, gp_prior=True)
    return tissue.phase, tissue.amplitude


def test_products_are_those_of_the_plain_matrix(
    smooths: tuple[SeparableBasis, ...], patch: Patch, rng: np.random.Generator
) -> None:
    shape = (len(TE_S), int(patch.inside.sum()))
    weight2, values = rng.random(shape), rng.standard_normal((2, *shape))
    for smooth in smooths:
        plain, coefficients = smooth.dense(), rng.standard_normal(smooth.size)
        np.testing.assert_allclose(smooth.value(coefficients).ravel(), plain @ coefficients, atol=1e-9)
        normal = plain.T @ (weight2.reshape(-1, 1) * plain)
        size = np.sqrt(np.diag(normal))
        # In single precision, which a step and an SD can bear.
        np.testing.assert_allclose(
            smooth.normal(weight2) / np.outer(size, size), normal / np.outer(size, size), atol=5e-6
        )
        np.testing.assert_allclose(smooth.project(values), plain.T @ values.reshape(2, -1).T, atol=1e-8)


def test_coefficients_of_polynomials_are_found(patch: Patch, rng: np.random.Generator) -> None:
    smooth = tissue_around(patch).phase
    truth = rng.standard_normal(smooth.size)
    weight2 = rng.random((len(TE_S), int(patch.inside.sum())))
    np.testing.assert_allclose(smooth.solved(smooth.value(truth), weight2), truth, atol=1e-4)


def test_unit_coefficients_make_a_process_of_unit_variance(
    smooths: tuple[SeparableBasis, ...], patch: Patch
) -> None:
    gaussian_basis = smooths[1].terms[1 if len(TE_S) == 1 else 2].basis
    r = np.linalg.norm(patch.coordinates_mm[:, patch.inside], axis=0)
    variance = (gaussian_basis**2).sum(axis=1)[r < 5]
    np.testing.assert_allclose(variance, 1.0, atol=0.1)


def beside_a_sulcus(patch: Patch) -> Patch:
    """Return the scan with a bright sheet with its own field and R2* 2.5 mm beside the lesion, smooth over 1.5 mm."""
    sheet = np.exp(-0.5 * ((patch.coordinates_mm[0] - 2.8) / 1.5) ** 2)
    te = np.array(TE_S)[:, None, None, None]
    turn = 2 * np.pi * 42.5775 * 3.0 * 0.008 * te
    factor = np.exp(0.25 * sheet + 6.0 * te * sheet + 1j * turn * sheet)
    return dataclasses.replace(patch, signal=(patch.signal * factor).astype(np.complex64))


def test_the_process_takes_the_tissue_beside_a_weak_lesion_away(patch: Patch) -> None:
    # What the simulation's cells widen.
    psf_width2 = Estimate(1 / 36, 0.01, "mm2")
    start = Source(1.5, (0.0, 0.0, 0.0), 0.8)
    initial = [select_shape(scan, start, psf_width2=psf_width2) for scan in (patch, beside_a_sulcus(patch))]
    fine = [refine_with_tissue_prior(state, psf_width2) for state in initial]
    by_sheet = [two.source.total_chi_ppm_mm3 - one.source.total_chi_ppm_mm3 for one, two in (initial, fine)]
    assert abs(by_sheet[1]) < 0.5 * abs(by_sheet[0])
    assert fine[1].source.total_chi_ppm_mm3 == pytest.approx(BALL[0], rel=0.03)


def test_lesions_together_know_the_blur_better_than_each(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    alone, together = pool_psf_width2([state]), pool_psf_width2([state] * 9)
    assert together.sd < alone.sd < PSF_WIDTH2_PRIOR.sd
    # The simulation's cells widen by 1/6 mm; what was known before says 0.4.
    assert abs(together.value - 1 / 36) < 2 * together.sd < 0.1


def test_without_a_lesion_the_blur_is_what_was_known(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    lost = FitState(state.model, state.parameters, state.objective, converged=False)
    assert pool_psf_width2([]) == PSF_WIDTH2_PRIOR == pool_psf_width2([lost])


def test_a_known_blur_is_kept(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    fit = summarise_fit(refine_with_tissue_prior(state, Estimate(0.5, 0.005, "mm2")))
    assert fit.psf_width2.value == pytest.approx(0.5, abs=0.02)
    assert fit.psf_width2.sd < 0.006


def places_of(rng: np.random.Generator, *, heterogeneity: float) -> list[Patch]:
    """Return lesion-free places with noise, and with bumps of 3 mm of this SD in the magnitude."""
    empty = scanned(np.array([[0.0, 0.0, 0.0, 0.0, 0.1]]))
    made = []
    for _ in range(6):
        gaussian_basis = ndimage.gaussian_filter(rng.standard_normal(empty.inside.shape), 1.5)
        noise = rng.standard_normal((2, *empty.signal.shape)) * empty.noise
        signal = (
            empty.signal * np.exp(heterogeneity * gaussian_basis / gaussian_basis.std())
            + noise[0]
            + 1j * noise[1]
        )
        made.append(dataclasses.replace(empty, signal=signal.astype(np.complex64)))
    return made


def test_a_liquid_has_no_texture_and_tissue_has_it(rng: np.random.Generator) -> None:
    water = tissue_heterogeneity(places_of(rng, heterogeneity=0.0))
    assert water < MIN_HETEROGENEITY
    assert tissue_heterogeneity(places_of(rng, heterogeneity=0.06)) == 1.0
    # Too few places to tell.
    assert tissue_heterogeneity(places_of(rng, heterogeneity=0.0)[:2]) == 1.0


def test_no_process_without_texture(patch: Patch) -> None:
    liquid = dataclasses.replace(patch, heterogeneity=0.0)
    assert tissue_around(liquid, gp_prior=True).phase.size == tissue_around(liquid).phase.size
    assert tissue_around(patch, gp_prior=True).phase.size > tissue_around(patch).phase.size


def test_normal_equations_that_rounding_made_singular_are_solved(patch: Patch) -> None:
    model = LesionModel(
        patch, Source(3.0, (0.0, 0.0, 0.0), 1.0), psf_width2=PSF_WIDTH2_PRIOR, core=CoreDecay(100.0, 0.8)
    )
    size = model.n_source_parameters + model.tissue.phase.size + model.tissue.amplitude.size
    normal = np.eye(size)
    # Two columns alike, a third that no datum tells of.
    normal[-2, -1] = normal[-1, -2] = 1 + 1e-7
    normal[-3, -3] = 0
    right = np.ones(size)
    right[-3] = 0
    found = solve_normal_equations(model, normal, right, damping=1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[: size - 3], 1.0, rtol=1e-4)
    assert found[-2] + found[-1] == pytest.approx(1.0, rel=1e-3)
