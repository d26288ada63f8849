"""Points that are hard or wrong: a wide interval with a flag, or n/a with a reason; never a confident wrong number."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import fit_signal_retaining_ball
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.model import GreScan
from qsmcmb.typing import FloatArray
from tests.scenes.small_scans import SHAPE, covers, measured_at, rows_at, small_scan


@pytest.fixture(scope="module")
def plain() -> tuple[GreScan, FloatArray]:
    return small_scan([(4.0, (0.3, -0.2, 0.1))])


def test_an_easy_point_has_no_flag(plain: tuple[GreScan, FloatArray]) -> None:
    (lesion,) = rows_at(*plain, [(0.0, 0.0, 0.0)])
    assert covers(lesion, 4.0)
    assert lesion.flags == ()


def test_at_the_edge_of_the_mask(plain: tuple[GreScan, FloatArray]) -> None:
    mask = np.ones(SHAPE, bool)
    mask[15:] = False
    (lesion,) = rows_at(*plain, [(0.0, 0.0, 0.0)], mask)
    (whole,) = rows_at(*plain, [(0.0, 0.0, 0.0)])
    assert "near-mask-edge" in lesion.flags
    assert covers(lesion, 4.0)
    assert lesion.total_chi_ppm_mm3 is not None
    assert whole.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.sd > whole.total_chi_ppm_mm3.sd
    assert lesion.certainty != "definite"


@pytest.mark.parametrize(("place", "radius_mm"), [((0.0, 0.0, -9.0), 6.5), ((5.3, 0.0, 5.3), 5.0)])
def test_a_sinus_beside_it_is_not_the_lesion(place: tuple[float, float, float], radius_mm: float) -> None:
    scan, field_hz = small_scan([(2.3, (0.3, -0.2, 0.1))], air=(place, radius_mm))
    offset = np.indices(SHAPE) - 16.0 - np.reshape(place, (3, 1, 1, 1))
    mask = (offset**2).sum(axis=0) > (radius_mm + 1.5) ** 2
    (lesion,) = rows_at(scan, field_hz, [(0.0, 0.0, 0.0)], mask)
    assert "near-mask-edge" in lesion.flags
    assert covers(lesion, 2.3)


@pytest.mark.parametrize(
    ("place", "radius_mm", "half"),
    [((0.0, -10.0, 0.0), 5.0, (1.2, 0.5, 0.7)), ((5.3, 0.0, 5.3), 4.0, (0.3, 1.2, -0.7))],
)
def test_a_pair_beside_a_sinus_has_an_interval_that_reaches_it(
    place: tuple[float, float, float], radius_mm: float, half: tuple[float, float, float]
) -> None:
    halves = [(6.8, half), (6.8, (-half[0], -half[1], -half[2]))]
    scan, field_hz = small_scan(halves, dchi_ppm=0.5, air=(place, radius_mm))
    offset = np.indices(SHAPE) - 16.0 - np.reshape(place, (3, 1, 1, 1))
    mask = (offset**2).sum(axis=0) > (radius_mm + 1.5) ** 2
    (lesion,) = rows_at(scan, field_hz, [(0.5, -0.4, 0.3)], mask)
    assert "poor-fit" in lesion.flags
    assert covers(lesion, 13.6)
    # Not because it says nothing.
    assert lesion.total_chi_ppm_mm3.sd < 0.5 * 13.6


@pytest.mark.parametrize("point", [(40.0, 0.0, 0.0), (0.0, 0.0, -1e6)])
def test_outside_the_volume_is_not_available(
    plain: tuple[GreScan, FloatArray], point: tuple[float, float, float]
) -> None:
    (lesion,) = rows_at(*plain, [point])
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("outside-volume",)


def test_outside_the_mask_is_not_available(plain: tuple[GreScan, FloatArray]) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:8] = True
    (lesion,) = rows_at(*plain, [(0.0, 0.0, 0.0)], mask)
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("outside-mask",)


def test_two_points_on_one_lesion_agree_and_count_once(plain: tuple[GreScan, FloatArray]) -> None:
    lesions = rows_at(*plain, [(0.0, 0.0, 0.0), (1.0, -1.0, 0.0)])
    for lesion in lesions:
        assert "same-lesion" in lesion.flags
        assert covers(lesion, 4.0)
    burden = summarise_burden(lesions)
    assert burden["n_definite"] + burden["n_possible"] == 1
    assert burden["burden_ppm_mm3"] == pytest.approx(4.0, rel=0.15)


def test_two_lesions_side_by_side_stay_two() -> None:
    scan, field_hz = small_scan([(4.0, (0.0, -3.0, 0.0)), (3.0, (0.0, 3.0, 0.0))])
    lesions = rows_at(scan, field_hz, [(0.0, -3.0, 0.0), (0.0, 3.0, 0.0)])
    assert all("same-lesion" not in m.flags for m in lesions)
    assert covers(lesions[0], 4.0)
    assert covers(lesions[1], 3.0)


def test_on_nothing(plain: tuple[GreScan, FloatArray]) -> None:
    (lesion,) = rows_at(*plain, [(0.0, 10.0, 5.0)])
    assert "not-above-noise" in lesion.flags
    assert covers(lesion, 0.0)
    assert lesion.certainty != "definite"


@pytest.mark.parametrize(
    ("radius_mm", "dchi_ppm", "retained"), [(1.5, 0.5, 1.0), (3.0, -1.0, 0.7), (4.0, 0.5, 1.0)]
)
def test_a_lesion_that_retains_its_signal(radius_mm: float, dchi_ppm: float, retained: float) -> None:
    truth = 4 / 3 * np.pi * radius_mm**3 * dchi_ppm
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], retained=retained, dchi_ppm=abs(dchi_ppm))
    (lesion,) = rows_at(scan, field_hz, [(0.0, 0.0, 0.0)])
    assert covers(lesion, truth)
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.value == pytest.approx(truth, rel=0.04)
    assert "not-above-noise" not in lesion.flags


@pytest.mark.parametrize("x_mm", [0.0, 3.0])
@pytest.mark.parametrize(("radius_mm", "retained"), [(6.5, 0.0), (7.0, 1.0)])
def test_a_ball_too_large_for_the_fit_has_no_number(radius_mm: float, retained: float, x_mm: float) -> None:
    truth = 4 / 3 * np.pi * radius_mm**3 * 0.3
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], retained=retained, dchi_ppm=0.3)
    (lesion,) = rows_at(scan, field_hz, [(x_mm, 0.0, 0.0)])
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("too-large",)


@pytest.mark.parametrize("x_mm", [0.0, 3.0])
def test_a_ball_that_just_fits_is_held_by_a_wider_interval(x_mm: float) -> None:
    truth = 4 / 3 * np.pi * 5.6**3 * 0.8
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (lesion,) = rows_at(scan, field_hz, [(x_mm, 0.0, 0.0)])
    assert covers(lesion, truth)
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.sd < 0.05 * truth


def test_inside_a_haematoma_there_is_no_number() -> None:
    radius_mm, truth = 9.0, 4 / 3 * np.pi * 9.0**3 * 0.8
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (inside,) = rows_at(scan, field_hz, [(0.0, 0.0, 0.0)])
    assert inside.total_chi_ppm_mm3 is None
    assert inside.flags == ("too-large",)
    for x_mm in (radius_mm - 5, radius_mm, radius_mm + 3):
        (near_edge,) = rows_at(scan, field_hz, [(x_mm, 0.0, 0.0)])
        assert {"not-above-noise", "too-large"} & set(near_edge.flags)


def test_where_no_voxel_shows_tissue_there_is_nothing_to_solve() -> None:
    scan, field_hz = small_scan([(4 / 3 * np.pi * 7.5**3 * 0.8, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (lesion,) = rows_at(scan, field_hz, [(2.0, 0.0, 0.0)])
    assert "not-above-noise" in lesion.flags


def test_a_dark_core_is_not_taken_for_a_signal_retaining_one(plain: tuple[GreScan, FloatArray]) -> None:
    (fitted,) = measured_at(*plain, [(0.0, 0.0, 0.0)]).fitted
    assert fitted is not None
    assert not fitted.fit.signal_retaining
    assert fit_signal_retaining_ball(fitted.patch, fitted.patch.field_hz) is None


def test_single_echo() -> None:
    scan, field_hz = small_scan([(4.0, (0.3, -0.2, 0.1))], te_s=(0.016,))
    (lesion,) = rows_at(scan, field_hz, [(0.0, 0.0, 0.0)])
    assert "single-echo" in lesion.flags
    assert covers(lesion, 4.0)


def test_clipped_field_of_view() -> None:
    scan, field_hz = small_scan([(4.0, (0.3, -0.2, -14.4))])
    (lesion,) = rows_at(scan, field_hz, [(0.0, 0.0, -14.0)])
    assert "near-mask-edge" in lesion.flags
    assert covers(lesion, 4.0)
