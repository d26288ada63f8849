"""Windows over k-space: weights, spreads and flat parts against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, SliceProfile

HAMMING = KSpaceWindow(1.0, 1.0, 0.08)
WINDOWS = [
    KSpaceWindow(),
    KSpaceWindow(0.6),
    HAMMING,
    KSpaceWindow(0.8, 0.5, 0.0),
    KSpaceWindow(0.7, 0.3, 0.4),
]


def test_hamming_and_tukey_are_among_the_windows() -> None:
    k = np.linspace(-1, 1, 101)
    np.testing.assert_allclose(HAMMING.weight(k), 0.54 + 0.46 * np.cos(np.pi * k), atol=1e-12)
    tukey = KSpaceWindow(0.8, 0.5, 0.0)
    assert tukey.weight(np.array([0.0, 0.4, 0.6, 0.8, 0.81])) == pytest.approx([1, 1, 0.5, 0, 0])
    assert FULL_K_SPACE[0].weight(np.array([0.0, 1.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("window", WINDOWS)
def test_spread_is_the_transform_of_the_weight(window: KSpaceWindow) -> None:
    k = (np.arange(20000) + 0.5) / 20000
    at = np.array([0.0, 0.013, 0.5, 1.0, 2.37, -7.1])
    expected = np.cos(np.pi * np.outer(at, k)) @ window.weight(k) / len(k)
    np.testing.assert_allclose(window.point_spread(at), expected, atol=2e-4)
    # Samples at all voxels sum to the weight at frequency 0.
    assert window.point_spread(np.arange(-70, 71) + 0.3).sum() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("window", WINDOWS)
def test_flat_part_loses_no_more_than_it_says(window: KSpaceWindow) -> None:
    end = window.flat_up_to(0.01)
    assert window.weight(np.linspace(0, end * (1 - 1e-9), 50)).min() >= 0.99 - 1e-9
    assert window.weight(np.array([end + 0.02]))[0] < 0.99 or end == window.edge == 1.0


def test_a_slice_profile_sums_to_one() -> None:
    apart = (np.arange(4000) + 0.5) / 1000 - 2
    for thickness in (0.8, 0.9, 1.0, 1.1):
        assert SliceProfile(2, thickness).point_spread(apart).mean() * 4 == pytest.approx(1.0, abs=1e-3)
