"""The tissue's functions: products of space and echo time against plain matrices, and the process' variance."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.tissue import SeparableBasis, tissue_around
from tests.scenes.lesion_signal import TE_S
from tests.scenes.patches import scanned, with_acquisition

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
