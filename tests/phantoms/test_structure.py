"""Structure of a head's tissue: spectrum, folds, what is painted, and that uniform heads stay as they were."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.anatomy import Anatomy
from qsmcmb.phantoms.head_anatomy import NUCLEI
from qsmcmb.phantoms.recipe import Recipe, read_recipe
from qsmcmb.phantoms.structure import EXPONENT, LONGEST_MM, power_law_field
from qsmcmb.phantoms.structured_anatomy import CORTEX_MM, MEDULLARY_RADIUS_MM, VEIN_STEP_MM
from qsmcmb.phantoms.structured_head import HeadTruth, head_truth

SMALL = 0.5
UNIFORM_PPM = [0.0189114, -0.016588, -0.0285971, 0.0017364, 0.1100084]
UNIFORM_SIGNAL = [0.988598, 0.889295, 0.853268, 0.937149, 0.86256]
UNIFORM_VEIN_POINTS = 7304
"""Of the last version that had uniform tissue alone."""


def small_head(**changes: Any) -> Recipe:
    return replace(read_recipe("smallhead"), size=SMALL, heterogeneity_ppm=0.0, checksum="", **changes)


@pytest.fixture(scope="module")
def head() -> HeadTruth:
    return head_truth(3, voxel_mm=1.5, size=SMALL)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return make_anatomy(small_head(tissue="structured", seed=3))


def test_the_random_part_has_the_exponent_that_is_stated(rng: np.random.Generator) -> None:
    n, spacing = 96, 0.8
    field = power_law_field((n, n, n), spacing, rng)
    assert field.std() == pytest.approx(1, abs=1e-4)
    power = np.abs(np.fft.fftn(field)) ** 2
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(n, spacing)] * 3, indexing="ij")))
    edges = np.geomspace(4 / LONGEST_MM, 0.5 / spacing, 9)
    middle = np.sqrt(edges[1:] * edges[:-1])
    mean = [power[(k >= a) & (k < b)].mean() for a, b in itertools.pairwise(edges)]
    slope = np.polyfit(np.log(middle), np.log(mean), 1)[0]
    assert slope == pytest.approx(-EXPONENT, abs=0.15)


def test_a_head_has_the_size_of_a_real_map(head: HeadTruth) -> None:
    chi, inside = head.chi_ppm, head.mask
    field = forward_field(chi, head.grid)
    assert 0.020 < chi[inside].std() < 0.033
    assert 0.005 < field[inside].std() < 0.010
    assert (chi[~inside] == 0).all()
    for number, (name, (_, _, ppm, _)) in enumerate(NUCLEI.items(), 1):
        if name in {"caudate", "putamen", "pallidum"}:
            assert chi[head.nuclei == number].mean() == pytest.approx(ppm, abs=0.45 * ppm), name


def test_the_same_seed_makes_the_same_head_and_another_one_another(head: HeadTruth) -> None:
    again, other = (head_truth(seed, voxel_mm=1.5, size=SMALL) for seed in (3, 4))
    np.testing.assert_array_equal(again.chi_ppm, head.chi_ppm)
    np.testing.assert_array_equal(again.magnitude, head.magnitude)
    assert np.mean(np.abs(other.chi_ppm - head.chi_ppm)[head.mask & other.mask] > 0.005) > 0.4


def test_the_cortex_lies_between_csf_and_white_matter(head: HeadTruth, anatomy: Anatomy) -> None:
    structure = anatomy._structure  # type: ignore[attr-defined]
    voxels = np.moveaxis(np.indices(head.grid.shape, dtype=np.float32), 0, -1)
    points = np.moveaxis(head.grid.to_world(voxels), -1, 0)
    template = anatomy._template(points)  # type: ignore[attr-defined]
    index = ((template.reshape(3, -1).T - structure.axes[0]) / structure.axes[1]).T
    pial = structure.maps[
        (*np.clip(np.rint(index), 0, np.array(structure.maps.shape[:3])[:, None] - 1).astype(int), 0)
    ]
    # Above the deep nuclei, where folds alone make the tissue.
    high = template[2].ravel() > 35
    fine = anatomy.tissue(points)
    signal, chi = fine.signal.ravel(), fine.chi_ppm.ravel()
    zones = [
        high & fine.brain.ravel() & (pial > low) & (pial < up)
        for low, up in ((-9, -0.7), (0.7, 1.6), (4.5, 9))
    ]
    assert all(z.sum() > 100 for z in zones)
    for zone, level in zip(zones, (0.7, 1.0, 0.85), strict=True):
        assert np.median(signal[zone]) == pytest.approx(level, abs=0.03)
    assert np.median(chi[zones[0]]) == 0
    assert 0.02 < chi[zones[1]].mean() - chi[zones[2]].mean() < 0.06
    assert 2 <= CORTEX_MM <= 4


def test_within_a_tissue_everything_varies(head: HeadTruth) -> None:
    for nucleus in (2, 4):
        inside = head.nuclei == nucleus
        assert head.chi_ppm[inside].std() > 0.008
        assert head.r2star_hz[inside].std() > 0.5
        assert head.magnitude[inside].std() > 0.01


def test_veins_begin_at_two_tenths_of_a_millimetre(anatomy: Anatomy) -> None:
    points, volumes = anatomy.veins()
    radius = np.sqrt(volumes / np.pi / VEIN_STEP_MM)
    assert len(points) > 5000
    assert radius.min() < MEDULLARY_RADIUS_MM[0] * 1.01
    assert radius.max() < 1.5


def test_lesions_keep_away_from_sulci(anatomy: Anatomy) -> None:
    tissue = anatomy.tissue(anatomy.lesion_positions().T)
    assert len(tissue.signal) > 100
    assert tissue.brain.all()
    # CSF decays least.
    assert (tissue.r2star_hz > 8).mean() > 0.98


def test_uniform_tissue_stays_as_it_was() -> None:
    anatomy = make_anatomy(small_head(tissue="uniform", seed=130))
    points = np.array([[0, -17, 8], [10, -10, 10], [-20, -30, 20], [25, 5, 5], [-9, -15, 6]], float).T
    tissue = anatomy.tissue(points)
    np.testing.assert_allclose(tissue.chi_ppm, UNIFORM_PPM, atol=2e-6)
    np.testing.assert_allclose(tissue.signal, UNIFORM_SIGNAL, atol=1e-5)
    assert len(anatomy.veins()[0]) == UNIFORM_VEIN_POINTS
