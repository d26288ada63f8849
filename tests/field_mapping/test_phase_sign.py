"""The sign of the phase from one echo: what is dark and narrow in the magnitude is paramagnetic."""

from __future__ import annotations

import numpy as np

from qsmcmb.field_mapping.phase_sign import contrast_of_the_dark
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.checks import find_map_faults, find_noise_faults
from qsmcmb.pipeline.scan_checks import check_sign

GRID = Grid.isotropic((56, 56, 40), 1.0)
MASK = np.ones(GRID.shape, bool)


def veins_and_falx(rng):
    """Return the map (ppm) and the magnitude of vessels across the slices, and of a dark diamagnetic plate."""
    x, y, _ = np.indices(GRID.shape)
    vessel = (x % 10 < 2) & (y % 10 < 2)
    plate = np.abs(x - 28) < 1
    chi = 0.3 * vessel * ~plate - 0.2 * plate + 0.01 * rng.standard_normal(GRID.shape)
    # Errors of one echo vary slowly and are larger than any tissue.
    chi = chi + 0.5 * np.sin(x / 20)
    magnitude = np.where(vessel, 0.6, 1.0) * np.where(plate, 0.5, 1.0) + 0.02 * rng.standard_normal(
        GRID.shape
    )
    return chi.astype(np.float32), magnitude.astype(np.float32)


def one_echo(magnitude, te_s, read_as=None):
    return GreScan(
        phase_rad=0 * magnitude[None], magnitude=magnitude[None], te_s=(te_s,), b0_tesla=3.0, grid=GRID,
        read_as=read_as or {},
    )  # fmt: skip


def map_faults(scan, chi, r2star_hz):
    return find_map_faults(scan, check_sign(scan, chi, r2star_hz, MASK), MASK)


def test_veins_tell_the_sign_and_a_diamagnetic_falx_does_not(rng):
    chi, magnitude = veins_and_falx(rng)
    right, wrong = (contrast_of_the_dark(s * chi, magnitude, MASK, GRID) for s in (1, -1))
    assert right.mean > 5 * right.sd
    assert wrong.is_inverted
    assert not right.is_inverted
    tissue = 1 + 0.02 * rng.standard_normal(GRID.shape)
    of_tissue = contrast_of_the_dark(-chi, tissue, MASK, GRID)
    assert of_tissue.is_undecided
    assert not of_tissue.is_inverted
    (said,) = map_faults(one_echo(tissue.astype(np.float32), 0.03), -chi, None)
    assert "nothing in the magnitude shows" in said
    assert (
        contrast_of_the_dark(chi[:12, :12, :12], magnitude[:12, :12, :12], MASK[:12, :12, :12], GRID) is None
    )


def test_the_warning_names_the_option_that_mends_it_and_nothing_is_flipped(rng):
    chi, magnitude = veins_and_falx(rng)
    scan = one_echo(magnitude, 0.03)
    assert map_faults(scan, chi, None) == ()
    before = chi.copy()
    (said,) = map_faults(scan, -chi, None)
    assert "diamagnetic" in said
    assert said.endswith("(--phase-sign -1)")
    assert np.array_equal(chi, before)
    (again,) = map_faults(one_echo(magnitude, 0.03, {"PhaseSign": -1}), -chi, None)
    assert again.endswith("(--phase-sign 1)")


def test_skull_in_the_mask_is_to_be_left_out_before_the_sign_is_changed(rng):
    r2star_hz = 15 + 2 * rng.standard_normal(GRID.shape).astype(np.float32)
    chi = 0.01 * rng.standard_normal(GRID.shape).astype(np.float32)
    high = np.zeros(GRID.shape, bool)
    high[20:36, 20:36, 10:30] = True
    r2star_hz[high], chi[high] = 80, -0.2
    echoes = np.ones((2, *GRID.shape), np.float32)
    for edge_mm, holds_skull in ((1.0, False), (4.0, True)):
        grid = Grid.isotropic(GRID.shape, edge_mm)
        (said,) = map_faults(GreScan(0 * echoes, echoes, (0.01, 0.03), 3.0, grid), chi, r2star_hz)
        assert ("Give a mask of the brain" in said) == holds_skull
        assert said.startswith("where R2* is highest the tissue is diamagnetic")
        assert said.endswith("(--phase-sign -1)")


def test_high_r2star_beside_air_alone_does_not_invert_the_sign(rng):
    chi, magnitude = veins_and_falx(rng)
    air = np.zeros(GRID.shape, bool)
    air[10:30, 10:30, 10:30] = True
    r2star_hz = np.where(air, 80, 20).astype(np.float32)
    for te_s, sign, is_said in (
        ((0.01, 0.03), 1, False),
        ((0.01, 0.03), -1, True),
        ((0.002, 0.004), 1, True),
    ):
        scan = GreScan(np.zeros((2, *GRID.shape), np.float32), np.stack([magnitude] * 2), te_s, 3.0, GRID)
        found = check_sign(scan, sign * chi - 0.3 * air, r2star_hz, MASK)
        assert found.value < -0.1
        assert found.is_inverted == is_said


def test_a_short_echo_does_not_show_iron_and_that_is_said(rng):
    chi, magnitude = veins_and_falx(rng)
    for sign in (1, -1):
        (said,) = map_faults(one_echo(magnitude, 0.004), sign * chi, None)
        assert "nothing in the magnitude shows" in said


def test_a_field_noisier_than_tissue_is_said_with_its_sd():
    ones = np.ones(GRID.shape, np.float32)
    # 8 ppb at 3 T is 1.02 Hz.
    assert find_noise_faults(one_echo(ones, 0.02), 0.9 * ones, MASK) == ()
    (said,) = find_noise_faults(one_echo(ones, 0.002), 2.555 * ones, MASK)
    assert said.startswith("one echo at 2 ms: the field's SD is 20 ppb")
    two = GreScan(
        phase_rad=np.stack([0 * ones] * 2), magnitude=np.stack([ones] * 2), te_s=(0.001, 0.002), b0_tesla=3.0,
        grid=GRID,
    )  # fmt: skip
    assert find_noise_faults(two, 2.555 * ones, MASK)[0].startswith("2 echoes up to 2 ms")
