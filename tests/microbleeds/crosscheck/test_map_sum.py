"""Sums over maps whose truth is known: growth, plateau, response, neighbours, what tissue feigns."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.crosscheck.agreement import estimators_disagree
from qsmcmb.microbleeds.crosscheck.map_sum import ChiMaps, sum_over_map, sums_over_map
from qsmcmb.model import Estimate, Grid

GRID = Grid((48, 46, 44), (1.0, 1.0, 1.1))
MASK = np.ones(GRID.shape, bool)
PLACE = np.array([24.3, 22.8, 24.0])


def blob(total: float, place: np.ndarray = PLACE, width_mm: float = 0.9) -> np.ndarray:
    """Return a Gaussian of this sum (ppm mm3): a lesion as a map shows it."""
    axes = [np.arange(n) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    r2 = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2
    shape = np.exp(-r2 / (2 * width_mm**2))
    return (total * shape / (shape.sum() * GRID.voxel_volume_mm3)).astype(np.float32)


def world(place: np.ndarray) -> np.ndarray:
    return np.asarray(GRID.to_world(place / np.array(GRID.voxel_size_mm)))


def tissue(sd: float = 0.004) -> np.ndarray:
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(6).standard_normal(GRID.shape), 1.0)
    return (sd * noise / noise.std()).astype(np.float32)


def test_growth_reaches_the_total_above_any_reference() -> None:
    maps = ChiMaps(blob(6.0) + np.float32(0.05), blob(6.0), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 6.0)
    assert total.growth_ppm_mm3[-1] == pytest.approx(6.0, rel=0.01)
    assert (np.diff(total.growth_ppm_mm3[:4]) > 0).all()
    assert total.corrected is not None
    assert total.corrected.value == pytest.approx(6.0, rel=0.01)


def test_slices_thicker_than_the_largest_ball_have_a_sum() -> None:
    grid = Grid((48, 46, 10), (1.0, 1.0, 5.0))
    chi = np.zeros(grid.shape, np.float32)
    chi[24, 22, 5] = 2.0
    maps = ChiMaps(chi, chi, np.ones(grid.shape, bool), grid)
    total = sum_over_map(maps, np.asarray(grid.to_world(np.array([24.0, 22.0, 5.0]))), 10.0)
    assert total.radius_mm > 5.0
    assert total.corrected is not None
    assert total.corrected.value == pytest.approx(10.0, rel=0.05)


def test_what_the_pipeline_loses_is_put_back() -> None:
    maps = ChiMaps(0.7 * blob(6.0) + tissue(), 0.7 * blob(5.5), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 5.5)
    assert total.response == pytest.approx(0.7, rel=0.06)
    assert total.raw_ppm_mm3 == pytest.approx(0.7 * 6.0, rel=0.1)
    assert total.corrected is not None
    assert total.corrected.low < 6.0 < total.corrected.high


def test_ball_is_as_small_as_the_lesion_allows() -> None:
    small = sum_over_map(ChiMaps(blob(2.0), blob(2.0), MASK, GRID), world(PLACE), 2.0)
    large = blob(20.0, width_mm=1.7)
    assert small.radius_mm < sum_over_map(ChiMaps(large, large, MASK, GRID), world(PLACE), 20.0).radius_mm


def test_a_neighbour_is_not_counted() -> None:
    other = PLACE + np.array([0, 6.0, 0])
    both = blob(3.0) + blob(9.0, other)
    maps = ChiMaps(0.9 * both, 0.9 * both, MASK, GRID)
    first, second = sums_over_map(maps, [world(PLACE), world(other)], [3.0, 9.0])
    assert first.corrected is not None
    assert second.corrected is not None
    assert first.corrected.value == pytest.approx(3.0, rel=0.02)
    assert second.corrected.value == pytest.approx(9.0, rel=0.02)


def test_sd_is_what_tissue_feigns() -> None:
    quiet, loud = (
        sum_over_map(ChiMaps(blob(3.0) + tissue(sd), blob(3.0), MASK, GRID), world(PLACE), 3.0).corrected
        for sd in (0.0, 0.02)
    )
    assert quiet is not None
    assert loud is not None
    assert loud.sd > 1.5 * quiet.sd


def test_a_map_without_the_lesion_gives_no_corrected_sum() -> None:
    total = sum_over_map(ChiMaps(tissue(), 0.1 * blob(5.0), MASK, GRID), world(PLACE), 5.0)
    assert total.corrected is None
    outside = sum_over_map(ChiMaps(tissue(), blob(5.0), ~MASK, GRID), world(PLACE), 5.0)
    assert outside.corrected is None
    assert np.isnan(outside.raw_ppm_mm3)


def test_a_fit_far_from_its_map_sum_disagrees() -> None:
    maps = ChiMaps(blob(6.0) + tissue(), blob(6.0), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 6.0)
    assert not estimators_disagree(Estimate(6.0, 0.1, "ppm mm3"), [total.corrected, None])
    assert estimators_disagree(Estimate(20.0, 0.1, "ppm mm3"), [total.corrected, None])


def flat(level: float) -> np.ndarray:
    return np.full(GRID.shape, level, np.float32)


def test_the_sum_of_a_ball_is_its_contrast_times_its_volume() -> None:
    """A step of 0.4 ppm within 3 mm of the middle, over a background of 0.1: the growth is a ball's."""
    axes = [(np.arange(n) - p / v) * v for n, p, v in zip(GRID.shape, PLACE, GRID.voxel_size_mm, strict=True)]
    r = np.sqrt(sum(np.ix_(*(a**2 for a in axes))))
    chi = np.where(r < 3.0, 0.5, 0.1).astype(np.float32)
    total = sum_over_map(ChiMaps(chi, chi, MASK, GRID), world(PLACE), 10.0)
    np.testing.assert_allclose(total.radii_mm, np.arange(2.0, 6.01, 0.5))
    # A ball that reaches beyond the body holds it; one within holds its own volume, with an edge one voxel wide.
    body = 0.4 * (r < 3.0).sum() * GRID.voxel_volume_mm3
    np.testing.assert_allclose(total.growth_ppm_mm3[4:], body, rtol=1e-5)
    soft = 4 / 3 * np.pi * (2.0**3 + 2.0 * GRID.voxel_volume_mm3 ** (2 / 3) / 4)
    np.testing.assert_allclose(total.growth_ppm_mm3[0], 0.4 * soft, rtol=0.01)
    np.testing.assert_array_equal(total.growth_ppm_mm3, total.response_growth_ppm_mm3)
    assert total.response == pytest.approx(total.growth_ppm_mm3[total.radii_mm == total.radius_mm][0] / 10.0)


def test_a_weak_response_gives_no_corrected_sum() -> None:
    for held, expected in ((0.32, True), (0.28, False)):
        maps = ChiMaps(held * blob(5.0), held * blob(5.0), MASK, GRID)
        total = sum_over_map(maps, world(PLACE), 5.0)
        assert total.response == pytest.approx(held, rel=0.05)
        assert (total.corrected is not None) == expected
    assert sum_over_map(maps, world(PLACE), 0.0).corrected is None


def test_sd_of_a_quiet_map_is_a_tenth_of_the_sum() -> None:
    total = sum_over_map(ChiMaps(blob(6.0), blob(6.0), MASK, GRID), world(PLACE), 6.0)
    assert total.corrected is not None
    assert total.corrected.sd == pytest.approx(0.1 * total.corrected.value, rel=1e-3)


def test_sd_grows_with_the_clutter_over_the_response() -> None:
    maps = [ChiMaps(held * blob(6.0) + tissue(0.01), held * blob(6.0), MASK, GRID) for held in (1.0, 0.5)]
    full, half = (sum_over_map(m, world(PLACE), 6.0) for m in maps)
    clutter = []
    for total in (full, half):
        assert total.corrected is not None
        clutter.append(np.sqrt(total.corrected.sd**2 - (0.1 * total.corrected.value) ** 2))
    assert clutter[1] * half.response == pytest.approx(clutter[0] * full.response, rel=1e-3)
    # The same sum over tissue alone, at points all over the map.
    rng, maps = np.random.default_rng(3), ChiMaps(tissue(0.01), blob(6.0), MASK, GRID)
    sums = [sum_over_map(maps, world(rng.uniform(11, 33, 3)), 6.0, usual_response=0.0) for _ in range(80)]
    there = [s.growth_ppm_mm3[s.radii_mm == full.radius_mm][0] for s in sums]
    assert clutter[0] * full.response == pytest.approx(np.sqrt(np.mean(np.square(there))), rel=0.25)


def test_too_little_tissue_around_tells_no_sd() -> None:
    mask = np.zeros_like(MASK)
    mask[17:32, 16:31, 15:29] = True
    total = sum_over_map(ChiMaps(blob(6.0), blob(6.0), mask, GRID), world(PLACE), 6.0)
    assert total.corrected is not None
    assert total.corrected.sd == np.inf


def test_a_lone_lesion_uses_its_own_response_and_a_pair_that_of_the_lone() -> None:
    lone, one, two = (np.array(p) for p in ((10.0, 10.0, 10.0), (32.0, 30.0, 30.0), (32.0, 38.0, 30.0)))
    chi = 0.8 * blob(4.0, lone) + 0.6 * blob(4.0, one) + 0.6 * blob(4.0, two)
    maps = ChiMaps(chi, chi, MASK, GRID)
    found = sums_over_map(maps, [world(p) for p in (one, lone, two)], [4.0, 4.0, 4.0])
    assert found[1].response == pytest.approx(0.8, rel=0.03)
    assert found[0].response == found[2].response == found[1].response
    alone = sums_over_map(maps, [world(lone)], [4.0])
    assert alone[0].response == found[1].response
    # Without a lone one each has its own, its neighbour's part included.
    pair = sums_over_map(maps, [world(p) for p in (one, two)], [4.0, 4.0])
    assert pair[0].response == pytest.approx(0.6, rel=0.1)
    assert sums_over_map(maps, [], []) == []
