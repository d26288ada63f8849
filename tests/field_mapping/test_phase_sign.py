"""The sign of the phase: what is dark and narrow in a late magnitude is paramagnetic, and what has a high R2*."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.field_mapping.phase_sign import MIN_DIFFERENCE_PPM, contrast_of_the_dark
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.checks import find_map_faults, find_noise_faults
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.inversion import Inversion, local_field_of
from qsmcmb.pipeline.scan_checks import check_sign
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.relaxometry.r2star import map_r2star

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
    assert right.in_sd > 5
    assert wrong.in_sd == -right.in_sd
    tissue = 1 + 0.02 * rng.standard_normal(GRID.shape)
    of_tissue = contrast_of_the_dark(-chi, tissue, MASK, GRID)
    assert abs(of_tissue.in_sd) < 3
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
        scan = GreScan(0 * echoes, echoes, (0.01, 0.03), 3.0, Grid.isotropic(GRID.shape, edge_mm))
        (said,) = map_faults(scan, chi, r2star_hz)
        assert ("Give a mask of the brain" in said) == holds_skull
        assert said.startswith("where R2* is highest the tissue is diamagnetic")
        assert said.endswith("(--phase-sign -1)")
        # Skull is as dark and narrow with the wrong sign as veins are with the right one.
        of_other_sign = map_faults(scan, -chi, r2star_hz)
        assert len(of_other_sign) == holds_skull
        assert not holds_skull or "nothing shows whether the phase sign is right" in of_other_sign[0]


def two_echoes(magnitude, te_s=(0.01, 0.03)):
    return GreScan(np.zeros((2, *GRID.shape), np.float32), np.stack([magnitude] * 2), te_s, 3.0, GRID)


def test_high_r2star_beside_air_does_not_outvote_veins(rng):
    """A region of high R2* has the contrast of air in the right map, and hides the wrong sign in the other."""
    chi, magnitude = veins_and_falx(rng)
    air = np.zeros(GRID.shape, bool)
    air[10:30, 10:30, 10:30] = True
    r2star_hz = np.where(air, 80, 20).astype(np.float32)
    scan = two_echoes(magnitude)
    for sign in (1, -1):
        found = check_sign(scan, sign * (chi - 0.3 * air), r2star_hz, MASK)
        assert sign * found.iron_ppm < -0.1
        assert found.verdict == ("right" if sign == 1 else "inverted")
    (said,) = map_faults(scan, -(chi - 0.3 * air), r2star_hz)
    assert said.startswith("where the last echo is dark and narrow (veins, bleeds) the tissue is diamagnetic")


def test_one_strong_lesion_in_water_is_not_taken_for_the_other_sign() -> None:
    """Around a spot the map's curvature has the other sign: in water nothing else is dark, and it had decided."""
    grid = Grid.isotropic((40, 40, 40), 1.5)
    ball = np.linalg.norm((np.indices(grid.shape) - 19.5) * 1.5, axis=0) < 28
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        chi, magnitude = rng.normal(0, 0.002, grid.shape), rng.normal(680, 8, grid.shape) * ball
        chi[16, 16, 16], magnitude[16, 16, 16] = 1.3, 4.0
        found.append(contrast_of_the_dark(chi, magnitude, ball, grid))
    assert min(dark.in_sd for dark in found if dark) > 0


def test_r2star_decides_where_nothing_is_dark_and_narrow(rng):
    tissue = (1 + 0.02 * rng.standard_normal(GRID.shape)).astype(np.float32)
    noise = 0.01 * rng.standard_normal(GRID.shape)
    nuclei = np.zeros(GRID.shape, bool)
    nuclei[10:30, 10:30, 10:30] = True
    r2star_hz = np.where(nuclei, 80, 20).astype(np.float32)
    for contrast_ppm, verdict in (
        (0.05, "right"),
        (-0.05, "inverted"),
        (0.013, "undecided"),
        (-0.013, "undecided"),
    ):
        chi = contrast_ppm * nuclei + noise
        found = check_sign(two_echoes(tissue), chi, r2star_hz, MASK)
        assert abs(found.dark_sd) < 3
        assert found.verdict == verdict
        assert set(found.deciding) == ({"dark_sd", "iron_ppm"} if verdict == "undecided" else {"iron_ppm"})
        said = map_faults(two_echoes(tissue), chi, r2star_hz)
        expected = {
            "right": 0,
            "inverted": "R2* is highest",
            "undecided": "nothing in magnitude and R2* shows",
        }
        assert expected[verdict] in said[0] if said else verdict == "right"


def test_echoes_that_are_all_early_do_not_tell(rng):
    """Both contrasts of a real head at 2.3 and 4.6 ms look inverted, and its sign is right."""
    chi, magnitude = veins_and_falx(rng)
    r2star_hz = np.where(magnitude < 0.8, 80, 20).astype(np.float32)
    for sign in (1, -1):
        (said,) = map_faults(two_echoes(magnitude, (0.002, 0.004)), sign * chi, r2star_hz)
        assert said.startswith("nothing in magnitude and R2* shows whether the phase sign is right")


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


@pytest.mark.shared
@pytest.mark.parametrize(("participant", "session"), [("dev01", "15T"), ("dev02", "3T")])
def test_heads_of_other_code_show_both_signs(participant: str, session: str, shared_data: Path) -> None:
    """Their highest R2* lies near the sinuses: its contrast is too small to tell."""
    scan = qc.load_scan(shared_data / "heads", participant=participant, session=session)
    chi, r2star_hz, mask = map_of(scan, "tkd")
    assert_both_signs_are_told(scan, chi, r2star_hz, mask)
    assert abs(check_sign(scan, chi, r2star_hz, mask).iron_ppm) < MIN_DIFFERENCE_PPM


@pytest.mark.shared
def test_a_real_crop_shows_both_signs(shared_data: Path) -> None:
    folder = shared_data / "gre-crop-3echo"
    scan = qc.load_files(
        [folder / "Phase.nii"], [folder / "Mag.nii"], (0.004, 0.008, 0.012), 3.0,
        phase_range=(-0.003674, 0.003674),
    )  # fmt: skip
    assert_both_signs_are_told(scan, *map_of(scan))
    inverted = replace(scan, phase_rad=-scan.phase_rad)
    assert check_sign(inverted, *map_of(inverted)).verdict == "inverted"


@pytest.mark.shared
def test_a_real_head_of_early_echoes_shows_neither(shared_data: Path) -> None:
    names = [f"2001_WIP_fcMRI_Field_Mapping_cl_e{echo}" for echo in (1, 2)]
    folder = shared_data / "philips-3t-fieldmap" / "Ref"
    scan = qc.load_files(
        [folder / f"{n}_ph.nii.gz" for n in names], [folder / f"{n}.nii.gz" for n in names], (0.0023, 0.0046), 3.0
    )  # fmt: skip
    chi, r2star_hz, mask = map_of(scan)
    for sign in (1, -1):
        found = check_sign(scan, sign * chi, r2star_hz, mask)
        assert found.verdict == "undecided"
        assert len(find_map_faults(scan, found, mask)) == 1


def assert_both_signs_are_told(scan, chi, r2star_hz, mask):
    """Look for no warning of the right map, and one of the map that the inverted phase gives."""
    for sign, verdict in ((1, "right"), (-1, "inverted")):
        found = check_sign(scan, sign * chi, r2star_hz, mask)
        assert found.verdict == verdict, found
        said = find_map_faults(scan, found, mask)
        assert "--phase-sign -1" in said[0] if sign < 0 else said == ()


def map_of(scan, inversion="huber"):
    """Return map (ppm), R2* (1/s) and mask by the default methods but the inversion's."""
    config = make_config({"invert": {"method": inversion}})
    field = map_scan_field(scan, config)
    inverted = Inversion(scan, config, field, local_field_of(field, scan, config))
    return inverted.of_scan(), map_r2star(scan.magnitude, field.mask, te_s=scan.te_s), inverted.mask
