"""Signal loss: the exact curve against plain integration, its asymptote, and simulated lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import qsmcmb.microbleeds.crosscheck.signal_loss as module
from qsmcmb.microbleeds.crosscheck.signal_loss import lost_volume, measure_signal_loss
from qsmcmb.units import GAMMA_MHZ_PER_T, dipole_phase_constant
from tests.scenes.patches import surroundings, true_source

B0_TESLA = 3.0


@pytest.mark.parametrize("phase", [0.02, 0.5, 3.0, 20.0])
def test_curve_is_the_integral_over_shells(phase: float) -> None:
    ball, radius = 1.0, 6.0
    r, mu = np.linspace(ball, radius, 1501), np.linspace(0, 1, 1501)
    turns = phase * (3 * mu[None] ** 2 - 1) / r[:, None] ** 3
    outside = np.trapezoid(np.trapezoid(1 - np.cos(turns), mu, axis=1) * 4 * np.pi * r**2, r)
    assert float(lost_volume(phase, ball, radius)) == pytest.approx(4 / 3 * np.pi + outside, rel=1e-3)


def test_strong_source_loses_what_the_asymptote_says() -> None:
    total, te_s = 200.0, 0.02
    per_ppm_mm3 = 2 * np.pi / (9 * np.sqrt(3)) * 2 * np.pi * GAMMA_MHZ_PER_T * B0_TESLA * te_s
    lost = lost_volume(total * dipole_phase_constant(B0_TESLA, te_s), 1.0, 1e3)
    # SCIENCE: good to 3 % once the phase at the surface is 2 rad; the ball itself is in both.
    assert float(lost) == pytest.approx(per_ppm_mm3 * total, rel=0.03)
    assert float(lost_volume(0.0, 1.5, 6.0)) == pytest.approx(4 / 3 * np.pi * 1.5**3)


@pytest.mark.parametrize("total", [2.0, 6.0, -6.0, 25.0])
def test_lesions_are_measured_with_their_sign(total: float) -> None:
    loss = measure_signal_loss(surroundings(total), true_source(total))
    assert loss is not None
    assert loss.total_chi_ppm_mm3 == pytest.approx(total, rel=0.1)
    assert abs(loss.total_chi_ppm_mm3 - total) < 2 * loss.sd_ppm_mm3
    assert (np.diff(loss.volume_mm3) > 0).all()


def test_a_fit_that_is_wrong_does_not_drag_the_loss_with_it() -> None:
    loss = measure_signal_loss(surroundings(6.0), true_source(6.0, wrong=1.3))
    assert loss is not None
    assert loss.total_chi_ppm_mm3 == pytest.approx(6.0, rel=0.12)


def test_an_echo_that_has_decayed_says_nothing() -> None:
    loss = measure_signal_loss(surroundings(6.0, te_s=(0.008, 0.016, 0.16)), true_source(6.0))
    assert loss is not None
    assert loss.te_s.tolist() == [0.008, 0.016]


def test_a_lesion_cut_by_the_mask_has_no_loss() -> None:
    patch = surroundings(6.0)
    cut = patch.inside.copy()
    cut[:9] = False
    assert measure_signal_loss(replace(patch, inside=cut), true_source(6.0)) is None


@pytest.mark.parametrize("phase", [1e-3, 0.4, 7.0])
def test_loss_without_an_outer_edge_adds_up_over_shells(phase: float) -> None:
    """What is lost within 6 mm is what is lost within 4 mm and between 4 and 6 mm."""
    whole, inner = lost_volume(phase, 1.0, 6.0), lost_volume(phase, 1.0, 4.0)
    shell = lost_volume(phase, 4.0, 6.0) - 4 / 3 * np.pi * 4.0**3
    assert float(whole) == pytest.approx(float(inner + shell), rel=1e-6)


def test_weak_phase_loses_its_square() -> None:
    # 1 - cos is a parabola, its mean over the sphere 2/5 of the square on the equator.
    expected = 0.4 * 4 * np.pi * 0.01**2 * (1 - 1 / 6.0**3) / 3
    assert float(lost_volume(0.01, 1.0, 6.0)) - 4 / 3 * np.pi == pytest.approx(expected, rel=1e-3)


def test_each_echo_alone_gives_the_total_and_sds_hold_the_noise() -> None:
    loss = measure_signal_loss(surroundings(6.0), true_source(6.0))
    assert loss is not None
    assert loss.per_echo_ppm_mm3 == pytest.approx([6.0] * 3, rel=0.15)
    assert loss.estimate.value == loss.total_chi_ppm_mm3
    assert loss.estimate.sd == loss.sd_ppm_mm3
    assert (loss.volume_sd_mm3 > 0).all()
    noisy = measure_signal_loss(surroundings(6.0, snr=12.0), true_source(6.0))
    assert noisy is not None
    assert (noisy.volume_sd_mm3 > 3 * loss.volume_sd_mm3).all()
    assert noisy.sd_ppm_mm3 > loss.sd_ppm_mm3


def test_volumes_are_those_of_the_curve() -> None:
    loss = measure_signal_loss(surroundings(25.0), true_source(25.0))
    assert loss is not None
    constants = np.array([dipole_phase_constant(B0_TESLA, t) for t in loss.te_s])
    expected = lost_volume(25.0 * constants, true_source(25.0).radius_mm, loss.radius_mm)
    np.testing.assert_allclose(loss.volume_mm3, expected, rtol=0.04)


@pytest.mark.parametrize(
    ("total", "radius_mm"),
    # Three voxels at least; where the phase has fallen to 0.3 rad; 8 mm less the shell of 2.5 mm at most.
    [(0.3, 3.0), (25.0, (dipole_phase_constant(B0_TESLA, 0.024) * 25.0 / 0.3) ** (1 / 3)), (60.0, 5.5)],
)
def test_the_sum_reaches_to_where_the_phase_is_small(total: float, radius_mm: float) -> None:
    loss = measure_signal_loss(surroundings(total), true_source(total))
    assert loss is not None
    assert loss.radius_mm == pytest.approx(radius_mm)


def test_a_background_without_sources_has_nine_harmonics(rng: np.random.Generator) -> None:
    """Sums over the six neighbours are six times the value: of polynomials up to the second order exactly."""
    at = rng.uniform(-1, 1, (3, 40))
    values = module._harmonics(at)
    steps = [sign * 0.1 * np.eye(3)[:, axis, None] for axis in range(3) for sign in (-1, 1)]
    around = sum(module._harmonics(at + step) for step in steps)
    assert values.shape == (40, 9)
    assert np.linalg.matrix_rank(values) == 9
    np.testing.assert_allclose(around, 6 * values, atol=1e-12)
