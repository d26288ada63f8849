"""The tissue's functions: products of space and echo time against plain matrices, and what the process is worth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.microbleeds.calibration.heterogeneity import texture_of
from qsmcmb.microbleeds.calibration.psf_width import pooled_blur
from qsmcmb.microbleeds.fit.objective import solved
from qsmcmb.microbleeds.fit.priors import BLUR
from qsmcmb.microbleeds.fit.refinement import Optimum, refine
from qsmcmb.microbleeds.fit.shape_selection import rough_fit
from qsmcmb.microbleeds.fit.uncertainty import describe_fit
from qsmcmb.microbleeds.signal.model import Core, LesionModel, Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.tissue import LEAST_TEXTURE, Smooth, tissue_around
from qsmcmb.model import Estimate
from tests.microbleeds.test_lesion_model import TE_S, scanned

BALL = [2.0, 0.3, -0.4, 0.2, 0.8]


@pytest.fixture(scope="module")
def near() -> Neighbourhood:
    return scanned(np.array([BALL]))


@pytest.fixture(scope="module")
def smooths(near: Neighbourhood) -> tuple[Smooth, ...]:
    tissue = tissue_around(near, process=True)
    return tissue.phase, tissue.amplitude


def test_products_are_those_of_the_plain_matrix(
    smooths: tuple[Smooth, ...], near: Neighbourhood, rng: np.random.Generator
) -> None:
    shape = (len(TE_S), int(near.inside.sum()))
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


def test_coefficients_of_polynomials_are_found(near: Neighbourhood, rng: np.random.Generator) -> None:
    smooth = tissue_around(near).phase
    truth = rng.standard_normal(smooth.size)
    weight2 = rng.random((len(TE_S), int(near.inside.sum())))
    np.testing.assert_allclose(smooth.solved(smooth.value(truth), weight2), truth, atol=1e-4)


def test_unit_coefficients_make_a_process_of_unit_variance(
    smooths: tuple[Smooth, ...], near: Neighbourhood
) -> None:
    bumps = smooths[1].terms[1 if len(TE_S) == 1 else 2].basis
    r = np.linalg.norm(near.coordinates_mm[:, near.inside], axis=0)
    variance = (bumps**2).sum(axis=1)[r < 5]
    np.testing.assert_allclose(variance, 1.0, atol=0.1)


def beside_a_sulcus(near: Neighbourhood) -> Neighbourhood:
    """Return the scan with a bright sheet with its own field and R2* 2.5 mm beside the lesion, smooth over 1.5 mm."""
    sheet = np.exp(-0.5 * ((near.coordinates_mm[0] - 2.8) / 1.5) ** 2)
    te = np.array(TE_S)[:, None, None, None]
    turn = 2 * np.pi * 42.5775 * 3.0 * 0.008 * te
    factor = np.exp(0.25 * sheet + 6.0 * te * sheet + 1j * turn * sheet)
    return dataclasses.replace(near, signal=(near.signal * factor).astype(np.complex64))


def test_the_process_takes_the_tissue_beside_a_weak_lesion_away(near: Neighbourhood) -> None:
    # What the simulation's cells widen.
    blur = Estimate(1 / 36, 0.01, "mm2")
    start = Source(1.5, (0.0, 0.0, 0.0), 0.8)
    rough = [rough_fit(scan, start, blur=blur) for scan in (near, beside_a_sulcus(near))]
    fine = [refine(optimum, blur) for optimum in rough]
    by_sheet = [two.source.total_chi_ppm_mm3 - one.source.total_chi_ppm_mm3 for one, two in (rough, fine)]
    assert abs(by_sheet[1]) < 0.5 * abs(by_sheet[0])
    assert fine[1].source.total_chi_ppm_mm3 == pytest.approx(BALL[0], rel=0.03)


def test_lesions_together_know_the_blur_better_than_each(near: Neighbourhood) -> None:
    optimum = rough_fit(near, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    alone, together = pooled_blur([optimum]), pooled_blur([optimum] * 9)
    assert together.sd < alone.sd < BLUR.sd
    # The simulation's cells widen by 1/6 mm; what was known before says 0.4.
    assert abs(together.value - 1 / 36) < 2 * together.sd < 0.1


def test_without_a_lesion_the_blur_is_what_was_known(near: Neighbourhood) -> None:
    optimum = rough_fit(near, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    lost = Optimum(optimum.model, optimum.parameters, optimum.misfit, converged=False)
    assert pooled_blur([]) == BLUR == pooled_blur([lost])


def test_a_known_blur_is_kept(near: Neighbourhood) -> None:
    optimum = rough_fit(near, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    fit = describe_fit(refine(optimum, Estimate(0.5, 0.005, "mm2")))
    assert fit.blur.value == pytest.approx(0.5, abs=0.02)
    assert fit.blur.sd < 0.006


def places_of(rng: np.random.Generator, *, texture: float) -> list[Neighbourhood]:
    """Return lesion-free places with noise, and with bumps of 3 mm of this SD in the magnitude."""
    empty = scanned(np.array([[0.0, 0.0, 0.0, 0.0, 0.1]]))
    made = []
    for _ in range(6):
        bumps = ndimage.gaussian_filter(rng.standard_normal(empty.inside.shape), 1.5)
        noise = rng.standard_normal((2, *empty.signal.shape)) * empty.noise
        signal = empty.signal * np.exp(texture * bumps / bumps.std()) + noise[0] + 1j * noise[1]
        made.append(dataclasses.replace(empty, signal=signal.astype(np.complex64)))
    return made


def test_a_liquid_has_no_texture_and_tissue_has_it(rng: np.random.Generator) -> None:
    water = texture_of(places_of(rng, texture=0.0))
    assert water < LEAST_TEXTURE
    assert texture_of(places_of(rng, texture=0.06)) == 1.0
    # Too few places to tell.
    assert texture_of(places_of(rng, texture=0.0)[:2]) == 1.0


def test_no_process_without_texture(near: Neighbourhood) -> None:
    liquid = dataclasses.replace(near, texture=0.0)
    assert tissue_around(liquid, process=True).phase.size == tissue_around(liquid).phase.size
    assert tissue_around(near, process=True).phase.size > tissue_around(near).phase.size


def test_normal_equations_that_rounding_made_singular_are_solved(near: Neighbourhood) -> None:
    model = LesionModel(near, Source(3.0, (0.0, 0.0, 0.0), 1.0), blur=BLUR, core=Core(100.0, 0.8))
    size = model.n_source + model.tissue.phase.size + model.tissue.amplitude.size
    normal = np.eye(size)
    # Two columns alike, a third that no datum tells of.
    normal[-2, -1] = normal[-1, -2] = 1 + 1e-7
    normal[-3, -3] = 0
    right = np.ones(size)
    right[-3] = 0
    found = solved(model, normal, right, damping=1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[: size - 3], 1.0, rtol=1e-4)
    assert found[-2] + found[-1] == pytest.approx(1.0, rel=1e-3)
