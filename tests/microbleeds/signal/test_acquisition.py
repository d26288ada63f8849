"""Windows over k-space: weights, spreads and flat parts against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow, SliceProfile
from qsmcmb.units import GAMMA_MHZ_PER_T

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


@pytest.mark.parametrize("window", WINDOWS)
def test_power_is_the_mean_squared_weight(window: KSpaceWindow) -> None:
    k = np.linspace(-1, 1, 200001)
    assert window.power == pytest.approx(np.mean(window.weight(k) ** 2), abs=2e-3)


@pytest.mark.parametrize("loss", [0.01, 0.3])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_flat_part_ends_where_the_loss_is_reached(window: KSpaceWindow, loss: float) -> None:
    end = window.flat_up_to(loss)
    if window.taper == 0:
        assert end == window.edge
    else:
        assert window.weight(np.array([end]))[0] == pytest.approx(1 - loss, abs=1e-9)
    # More than all that a filter takes is never lost before the edge.
    assert window.flat_up_to(1 - window.height) == window.edge


def test_a_slice_profile_is_a_trapezoid_and_its_weight_the_transform() -> None:
    profile = SliceProfile(1, 0.8)
    at = np.array([0.0, 0.3, 0.32, 0.4, 0.44, 0.48, 0.5])
    # Flanks of a fifth of the thickness around the half height.
    np.testing.assert_allclose(
        profile.point_spread(at), np.array([1, 1, 1, 0.5, 0.25, 0, 0]) / 0.8, atol=1e-12
    )
    np.testing.assert_array_equal(profile.point_spread(-at), profile.point_spread(at))
    x = (np.arange(20000) + 0.5) / 10000 - 1
    for k in (0.0, 0.4, 1.0):
        transform = np.mean(profile.point_spread(x) * np.cos(np.pi * k * x)) * 2
        assert profile.weight(np.array([k]))[0] == pytest.approx(transform, abs=1e-4)


def test_slices_take_the_place_of_a_window_along_their_axis() -> None:
    windows = (KSpaceWindow(0.9), KSpaceWindow(0.8), KSpaceWindow(0.7))
    scan = Acquisition(te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=1.0, windows=windows)
    assert scan.axis_profiles == list(windows)
    slices = SliceProfile(1, 0.9)
    with_slices = Acquisition(
        te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=1.0, windows=windows, slice_profile=slices
    )
    assert with_slices.axis_profiles == [windows[0], slices, windows[2]]


def test_the_dipole_constant_is_the_phase_at_one_millimetre() -> None:
    scan = Acquisition(te_s=(0.01, 0.03), b0_tesla=7.0, noise_sd=1.0)
    # 2 pi gamma B0 TE / (4 pi): MHz per tesla times ppm is Hz.
    expected = 2 * np.pi * GAMMA_MHZ_PER_T * 7.0 * np.array([0.01, 0.03]) / (4 * np.pi)
    np.testing.assert_allclose(scan.dipole_constants, expected)
