"""The tissue's functions: products of space and echo time against plain matrices, and the process' variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.tissue import BasisTerm, SeparableBasis, tissue_around
from qsmcmb.units import GAMMA_MHZ_PER_T
from tests.scenes.lesion_signal import TE_S
from tests.scenes.patches import scanned, small_patch, with_acquisition

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


def test_no_process_without_heterogeneity(patch: Patch) -> None:
    liquid = with_acquisition(patch, heterogeneity=0.0)
    assert tissue_around(liquid, gp_prior=True).phase.size == tissue_around(liquid).phase.size
    assert tissue_around(patch, gp_prior=True).phase.size > tissue_around(patch).phase.size


def test_terms_and_their_priors_are_those_of_the_scan() -> None:
    patch = small_patch(heterogeneity=0.5)
    tissue = tissue_around(patch, gp_prior=True)
    te = np.array([0.006, 0.014]) / 0.014
    along = [[t.along_te.tolist() for t in part.terms] for part in (tissue.phase, tissue.amplitude)]
    once, growing = [1.0, 1.0], te.tolist()
    assert along == [[once, growing, growing], [once, growing, once, growing]]
    n = tissue.phase.terms[2].basis.shape[1]
    assert [t.basis.shape[1] for t in tissue.phase.terms] == [4, 20, n]
    assert [t.basis.shape[1] for t in tissue.amplitude.terms] == [10, 4, n, n]
    # Half of a brain's: 15 ppb of susceptibility in phase, 0.12 of log magnitude, 1.5 1/s per tesla of R2*.
    turn = 2 * np.pi * GAMMA_MHZ_PER_T * 3.0 * 0.014
    sds = [[t.sd for t in part.terms] for part in (tissue.phase, tissue.amplitude)]
    assert sds[0] == pytest.approx([np.inf, np.inf, 0.5 * 0.015 * turn])
    assert sds[1] == pytest.approx([np.inf, np.inf, 0.5 * 0.12, 0.5 * 1.5 * 3 * 0.014])
    np.testing.assert_allclose(tissue.phase.precision, [*np.zeros(24), *np.full(n, sds[0][2] ** -2)])
    assert tissue.phase.size == 24 + n
    assert tissue.amplitude.size == 14 + 2 * n
    assert tissue.model_error == (0.02, 0.002, 0.01, 0.04)
    assert tissue_around(patch).model_error == (0.06, 0.006, 0.02, 0.02)


def test_a_single_echo_has_no_receive_phase_and_no_decay() -> None:
    patch = small_patch(te_s=(0.014,))
    plain, tissue = tissue_around(patch), tissue_around(patch, gp_prior=True)
    assert [t.basis.shape[1] for t in plain.phase.terms] == [20]
    assert [t.basis.shape[1] for t in plain.amplitude.terms] == [10]
    assert len(tissue.phase.terms) == len(tissue.amplitude.terms) == 2


@pytest.mark.parametrize(("heterogeneity", "process"), [(0.1, False), (0.11, True)])
def test_a_process_needs_a_tenth_of_a_brains_heterogeneity(heterogeneity: float, process: bool) -> None:
    patch = small_patch(heterogeneity=heterogeneity)
    assert (tissue_around(patch, gp_prior=True).phase.size > tissue_around(patch).phase.size) == process


def test_the_tissue_is_found_through_wraps_and_a_lesions_factor() -> None:
    """Phase over several turns, polynomials of the stated orders: the fit is exact where the factor is known."""
    patch = small_patch()
    rng = np.random.default_rng(3)
    tissue = tissue_around(patch)
    phase, amplitude = rng.normal(0, 0.3, tissue.phase.size), rng.normal(0, 0.2, tissue.amplitude.size)
    # A plane of some hundred Hz: turns that the field map takes out.
    slope_hz = np.array([0.0, 300.0, -200.0, 150.0])
    phase[4:8] += 2 * np.pi * slope_hz * 0.014
    n = int(patch.inside.sum())
    factor = np.exp(rng.normal(0, 1, 2 * n) * 1j) * rng.uniform(0.8, 1.0, 2 * n)
    dark = rng.random(2 * n) < 0.1
    factor[dark] *= 0.3
    background = np.exp(tissue.amplitude.value(amplitude) + 1j * tissue.phase.value(phase)).ravel()
    signal = np.zeros(patch.signal.shape, complex)
    # Log magnitude is not divided by the factor; where it is below a half nothing counts.
    signal[:, patch.inside] = (background * np.exp(1j * np.angle(factor))).reshape(2, n)
    signal[:, patch.inside] *= np.where(dark, 0.01, 1.0).reshape(2, n)
    x, y, z = patch.coordinates_mm / 4.4
    field = slope_hz[1] * x + slope_hz[2] * y + slope_hz[3] * z
    seen = replace(patch, signal=signal, field_hz=field)
    found_phase, found_amplitude = tissue.fitted(seen, factor)
    turns = (tissue.phase.value(found_phase) - tissue.phase.value(phase)) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-4)
    np.testing.assert_allclose(found_amplitude, amplitude, atol=1e-4)


def test_the_residual_is_the_log_ratio_to_what_fits() -> None:
    patch = small_patch()
    rng = np.random.default_rng(5)
    tissue = tissue_around(patch)
    rough = 0.1 * (rng.standard_normal(patch.signal.shape) + 1j * rng.standard_normal(patch.signal.shape))
    clean = np.exp(0.3 + 0.02 * patch.coordinates_mm[0])
    seen = replace(patch, signal=clean * np.exp(rough), field_hz=0 * patch.field_hz)
    residual = tissue.residual(seen)
    # Weighted by the squared magnitude the residual is orthogonal to every function.
    weight = np.abs(seen.signal[:, patch.inside].reshape(-1)) ** 2
    for part, basis in ((residual.real, tissue.amplitude), (residual.imag, tissue.phase)):
        product = basis.dense().T @ (weight * part)
        np.testing.assert_allclose(product, 0, atol=1e-5 * np.abs(basis.dense().T @ weight).max())
        assert np.std(part) == pytest.approx(0.1, rel=0.1)
    # A voxel that is all but black is a log ratio of 1 to 20.
    dark = replace(seen, signal=seen.signal.copy())
    dark.signal[0, 5, 5, 5] *= 1e-6
    at = np.flatnonzero(np.flatnonzero(patch.inside) == np.ravel_multi_index((5, 5, 5), patch.inside.shape))[
        0
    ]
    assert tissue.residual(dark).real[at] == pytest.approx(np.log(0.05))


def test_without_weights_the_coefficients_are_zero() -> None:
    line = np.array([[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]])
    basis = SeparableBasis([BasisTerm(np.array([0.5, 1.0]), line, np.inf)])
    assert basis.solved(np.ones((2, 3)), np.zeros((2, 3))).tolist() == [0.0, 0.0]
    # A function that no voxel with weight sees has a coefficient of 0, the others are as they were.
    weight2 = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert basis.solved(np.array([[9.0, 1.0, 9.0], [9.0, 2.0, 9.0]]), weight2) == pytest.approx([2.0, 0.0])
