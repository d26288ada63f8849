"""Statistics over a mask against NumPy on the gathered voxels."""

import numpy as np
import pytest

from qsmcmb.core import _robust_loops as loops
from qsmcmb.core.robust import (
    ROW_STEP,
    deviation_inside,
    inverse_sd_weights,
    median_inside,
    positive_inside,
    std_inside,
)


@pytest.fixture(params=[1, 2, 3, 500, 501])
def some(request, rng):
    """A volume of both signs with ties, and a mask of so many voxels."""
    volume = np.round(rng.standard_normal((9, 11, 10)), 1).astype(np.float32) * np.float32(1e-3)
    mask = np.zeros(volume.size, bool)
    mask[rng.permutation(volume.size)[: request.param]] = True
    return volume, mask.reshape(volume.shape)


@pytest.mark.loops
def test_ranks_are_exact(some):
    volume, mask = some
    values = volume[mask]
    assert median_inside(volume, mask) == np.median(values)
    assert deviation_inside(volume, mask) == np.median(np.abs(values - np.median(values)))


@pytest.mark.loops
def test_a_rank_in_another_bin(rng):
    volume = np.array([[[-3.0, -1e-30, 1e30, 2.0, 0.0, 7.0]]], np.float32)
    assert median_inside(volume, np.ones(volume.shape, bool)) == 1.0
    assert median_inside(volume, volume < 0) == np.median(np.array([-3.0, -1e-30], np.float32))


def test_a_rank_that_the_sample_misses(rng):
    volume = rng.standard_normal((60, 40, 30)).astype(np.float32)
    mask = volume < 9
    # The rows of the sample alone are far off.
    volume.reshape(-1, 30)[::ROW_STEP] += 50
    assert median_inside(volume, mask) == np.median(volume)


@pytest.mark.loops
def test_what_lies_between_limits_is_gathered(some):
    volume, mask = some
    out = np.empty((len(volume), volume[0].size + 1), np.float32)
    low, high = np.float32(-5e-4), np.float32(1e-3)
    found = loops.gather(volume, mask, (np.float32(0), False, False), (low, high), 1, out)
    values = volume[mask]
    inside = (low <= values) & (values <= high)
    assert found.sum(axis=0).tolist() == [(values < low).sum(), inside.sum(), mask.sum()]
    kept = np.concatenate([row[:n] for row, n in zip(out, found[:, 1], strict=True)])
    np.testing.assert_array_equal(kept, values[inside])


@pytest.mark.loops
def test_standard_deviation(some):
    volume, mask = some
    assert std_inside(volume, mask) == pytest.approx(volume[mask].std(dtype=np.float64), rel=1e-12, abs=1e-20)


def test_a_constant_deviates_by_nothing(some):
    """Sums are kept in float64: those of float32 would leave a part in ten million."""
    volume, mask = some
    assert std_inside(np.full_like(volume, 0.1), mask) == 0.0


@pytest.mark.loops
def test_weights_of_usable_voxels(rng):
    sd = rng.uniform(0.5, 2.0, (6, 7, 8)).astype(np.float32)
    sd[0, 0, :4] = [np.inf, np.nan, 0.0, -1.0]
    mask = np.ones(sd.shape, bool)
    mask[1] = False
    usable = mask & np.isfinite(sd) & (sd > 0)
    np.testing.assert_array_equal(positive_inside(sd, mask), usable)
    with np.errstate(divide="ignore"):
        expected = np.where(usable, np.minimum(np.median(sd[usable]) / sd, np.float32(1.5)), 0)
    np.testing.assert_array_equal(inverse_sd_weights(sd, mask, 1.5), expected)


@pytest.mark.loops
def test_without_a_usable_sd_all_weigh_the_same():
    mask = np.ones((2, 3, 4), bool)
    for sd in (None, np.full(mask.shape, np.inf, np.float32)):
        np.testing.assert_array_equal(inverse_sd_weights(sd, mask, 2.0), mask)
