"""Sums over maps whose truth is known: growth, plateau, response, neighbours, what tissue feigns."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.agreement import flag_disagreement
from qsmcmb.microbleeds.crosscheck.map_sum import Maps, sum_over_map, sums_over_map
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
    maps = Maps(blob(6.0) + np.float32(0.05), blob(6.0), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 6.0)
    assert total.growth_ppm_mm3[-1] == pytest.approx(6.0, rel=0.01)
    assert (np.diff(total.growth_ppm_mm3[:4]) > 0).all()
    assert total.corrected is not None
    assert total.corrected.value == pytest.approx(6.0, rel=0.01)


def test_slices_thicker_than_the_largest_ball_have_a_sum() -> None:
    grid = Grid((48, 46, 10), (1.0, 1.0, 5.0))
    chi = np.zeros(grid.shape, np.float32)
    chi[24, 22, 5] = 2.0
    maps = Maps(chi, chi, np.ones(grid.shape, bool), grid)
    total = sum_over_map(maps, np.asarray(grid.to_world(np.array([24.0, 22.0, 5.0]))), 10.0)
    assert total.radius_mm > 5.0
    assert total.corrected is not None
    assert total.corrected.value == pytest.approx(10.0, rel=0.05)


def test_what_the_pipeline_loses_is_put_back() -> None:
    maps = Maps(0.7 * blob(6.0) + tissue(), 0.7 * blob(5.5), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 5.5)
    assert total.response == pytest.approx(0.7, rel=0.06)
    assert total.raw_ppm_mm3 == pytest.approx(0.7 * 6.0, rel=0.1)
    assert total.corrected is not None
    assert total.corrected.low < 6.0 < total.corrected.high


def test_ball_is_as_small_as_the_lesion_allows() -> None:
    small = sum_over_map(Maps(blob(2.0), blob(2.0), MASK, GRID), world(PLACE), 2.0)
    large = blob(20.0, width_mm=1.7)
    assert small.radius_mm < sum_over_map(Maps(large, large, MASK, GRID), world(PLACE), 20.0).radius_mm


def test_a_neighbour_is_not_counted() -> None:
    other = PLACE + np.array([0, 6.0, 0])
    both = blob(3.0) + blob(9.0, other)
    maps = Maps(0.9 * both, 0.9 * both, MASK, GRID)
    first, second = sums_over_map(maps, [world(PLACE), world(other)], [3.0, 9.0])
    assert first.corrected is not None
    assert second.corrected is not None
    assert first.corrected.value == pytest.approx(3.0, rel=0.02)
    assert second.corrected.value == pytest.approx(9.0, rel=0.02)


def test_sd_is_what_tissue_feigns() -> None:
    quiet, loud = (
        sum_over_map(Maps(blob(3.0) + tissue(sd), blob(3.0), MASK, GRID), world(PLACE), 3.0).corrected
        for sd in (0.0, 0.02)
    )
    assert quiet is not None
    assert loud is not None
    assert loud.sd > 1.5 * quiet.sd


def test_a_map_without_the_lesion_gives_no_corrected_sum() -> None:
    total = sum_over_map(Maps(tissue(), 0.1 * blob(5.0), MASK, GRID), world(PLACE), 5.0)
    assert total.corrected is None
    outside = sum_over_map(Maps(tissue(), blob(5.0), ~MASK, GRID), world(PLACE), 5.0)
    assert outside.corrected is None
    assert np.isnan(outside.raw_ppm_mm3)


def test_estimators_that_disagree_are_flagged() -> None:
    maps = Maps(blob(6.0) + tissue(), blob(6.0), MASK, GRID)
    total = sum_over_map(maps, world(PLACE), 6.0)
    right, wrong = (
        Microbleed(1, (0.0, 0.0, 0.0), total_chi_ppm_mm3=Estimate(value, 0.1, "ppm mm3"))
        for value in (6.0, 20.0)
    )
    flagged = flag_disagreement([right, wrong], [None, None], [total, total])
    assert [m.flags for m in flagged] == [(), ("estimators-disagree",)]
