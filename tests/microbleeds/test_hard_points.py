"""Points that are hard or wrong: a wide interval with a flag, or n/a with a reason; never a confident wrong number."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.visible_void import dark_beyond_ball
from qsmcmb.microbleeds.fit.field_fit import fit_signal_retaining_ball
from qsmcmb.microbleeds.measure import MeasuredLesions, ScanFields, measure_lesions
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.microbleeds.results.duplicates import flag_duplicates, without_duplicates
from qsmcmb.model import Estimate, GreScan, Grid
from qsmcmb.units import GAMMA_MHZ_PER_T

SHAPE = (32, 32, 32)
TE_S = (0.008, 0.016, 0.024)
SNR = 60.0
SUB = 4
AIR_PPM = 9.4


def small_scan(
    lesions: list[tuple[float, tuple[float, float, float]]],
    *,
    te_s: tuple[float, ...] = TE_S,
    kept: float = 0.0,
    dchi_ppm: float = 1.3,
    air: tuple[tuple[float, float, float], float] | None = None,
) -> tuple[GreScan, np.ndarray]:
    """Return a scan of tissue with balls that keep a part of their signal, and one of air; its field (Hz); mm."""
    grid = Grid.isotropic(SHAPE, 1.0)
    rng = np.random.default_rng(5)
    steps = (np.arange(SUB) + 0.5) / SUB - 0.5
    x, y, z = np.meshgrid(
        *(np.add.outer(np.arange(n) - n // 2, steps).ravel() for n in SHAPE), indexing="ij", sparse=True
    )
    field = np.zeros((SHAPE[0] * SUB, SHAPE[1] * SUB, SHAPE[2] * SUB), np.float32)
    visible = np.ones(field.shape, np.float32)
    bodies = [(total, at, dchi_ppm) for total, at in lesions]
    if air is not None:
        bodies.append((4 / 3 * np.pi * air[1] ** 3 * AIR_PPM, air[0], AIR_PPM))
    for total, (cx, cy, cz), dchi in bodies:
        r2 = np.maximum((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2, 1e-3)
        ball2 = (3 * abs(total) / (4 * np.pi * dchi)) ** (2 / 3)
        outside = r2 > ball2
        visible *= np.where(outside, 1, np.float32(kept))
        field += np.where(outside, total * (3 * (z - cz) ** 2 / r2 - 1) / (4 * np.pi * r2**1.5), 0)
    smooth = 0.01 * x + 0.02 * y * z / 16
    hz = GAMMA_MHZ_PER_T * 3.0 * (field + smooth)
    signal = []
    for t in te_s:
        full = visible * np.exp(2j * np.pi * t * hz).astype(np.complex64)
        mean = np.einsum("ax,by,cz,xyz->abc", *(crop(n) for n in SHAPE), full, optimize=True)
        noise = rng.standard_normal((2, *SHAPE)) / SNR
        signal.append(mean * np.exp(-20 * t) + noise[0] + 1j * noise[1])
    data = np.array(signal)
    mean_hz = hz.reshape(SHAPE[0], SUB, SHAPE[1], SUB, SHAPE[2], SUB).mean(axis=(1, 3, 5))
    scan = GreScan(np.angle(data).astype(np.float32), np.abs(data).astype(np.float32), te_s, 3.0, grid)
    return scan, mean_hz.astype(np.float32)


def crop(n: int) -> np.ndarray:
    """Return what a crop of k-space makes of one axis of fine cells."""
    k = np.fft.fftfreq(n, 1 / n)
    fine = np.arange(n * SUB) - (SUB - 1) / 2
    there = np.exp(-2j * np.pi * np.outer(k, fine) / (n * SUB)) / SUB
    return np.exp(2j * np.pi * np.outer(np.arange(n), k) / n) @ there / n


def measure(
    scan: GreScan,
    field_hz: np.ndarray,
    points: list[tuple[float, float, float]],
    mask: np.ndarray | None = None,
) -> MeasuredLesions:
    mask = np.ones(SHAPE, bool) if mask is None else mask
    data = ScanFields(field_hz, np.zeros(SHAPE, np.float32), mask, 1 / SNR)
    return measure_lesions(scan, np.array(points), data)


def covers(lesion: Microbleed, truth: float) -> bool:
    total = lesion.total_chi_ppm_mm3
    return total is not None and total.low <= truth <= total.high


@pytest.fixture(scope="module")
def plain() -> tuple[GreScan, np.ndarray]:
    return small_scan([(4.0, (0.3, -0.2, 0.1))])


def test_an_easy_point_has_no_flag(plain: tuple[GreScan, np.ndarray]) -> None:
    (lesion,) = measure(*plain, [(0.0, 0.0, 0.0)]).lesions
    assert covers(lesion, 4.0)
    assert lesion.flags == ()


def test_at_the_edge_of_the_mask(plain: tuple[GreScan, np.ndarray]) -> None:
    mask = np.ones(SHAPE, bool)
    mask[15:] = False
    (lesion,) = measure(*plain, [(0.0, 0.0, 0.0)], mask).lesions
    (whole,) = measure(*plain, [(0.0, 0.0, 0.0)]).lesions
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
    (lesion,) = measure(scan, field_hz, [(0.0, 0.0, 0.0)], mask).lesions
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
    (lesion,) = measure(scan, field_hz, [(0.5, -0.4, 0.3)], mask).lesions
    assert "poor-fit" in lesion.flags
    assert covers(lesion, 13.6)
    # Not because it says nothing.
    assert lesion.total_chi_ppm_mm3.sd < 0.5 * 13.6


@pytest.mark.parametrize("point", [(40.0, 0.0, 0.0), (0.0, 0.0, -1e6)])
def test_outside_the_volume_is_not_available(
    plain: tuple[GreScan, np.ndarray], point: tuple[float, float, float]
) -> None:
    (lesion,) = measure(*plain, [point]).lesions
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("outside-volume",)


def test_outside_the_mask_is_not_available(plain: tuple[GreScan, np.ndarray]) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:8] = True
    (lesion,) = measure(*plain, [(0.0, 0.0, 0.0)], mask).lesions
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("outside-mask",)


def test_two_points_on_one_lesion_agree_and_count_once(plain: tuple[GreScan, np.ndarray]) -> None:
    lesions = flag_duplicates(measure(*plain, [(0.0, 0.0, 0.0), (1.0, -1.0, 0.0)]).lesions)
    for lesion in lesions:
        assert "same-lesion" in lesion.flags
        assert covers(lesion, 4.0)
    burden = summarise_burden(lesions)
    assert burden["n_definite"] + burden["n_possible"] == 1
    assert burden["burden_ppm_mm3"] == pytest.approx(4.0, rel=0.15)


def test_two_lesions_side_by_side_stay_two() -> None:
    scan, field_hz = small_scan([(4.0, (0.0, -3.0, 0.0)), (3.0, (0.0, 3.0, 0.0))])
    lesions = flag_duplicates(measure(scan, field_hz, [(0.0, -3.0, 0.0), (0.0, 3.0, 0.0)]).lesions)
    assert all("same-lesion" not in m.flags for m in lesions)
    assert covers(lesions[0], 4.0)
    assert covers(lesions[1], 3.0)


def test_on_nothing(plain: tuple[GreScan, np.ndarray]) -> None:
    (lesion,) = measure(*plain, [(0.0, 10.0, 5.0)]).lesions
    assert "not-above-noise" in lesion.flags
    assert covers(lesion, 0.0)
    assert lesion.certainty != "definite"


@pytest.mark.parametrize(
    ("radius_mm", "dchi_ppm", "kept"), [(1.5, 0.5, 1.0), (3.0, -1.0, 0.7), (4.0, 0.5, 1.0)]
)
def test_a_lesion_that_keeps_its_signal(radius_mm: float, dchi_ppm: float, kept: float) -> None:
    truth = 4 / 3 * np.pi * radius_mm**3 * dchi_ppm
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], kept=kept, dchi_ppm=abs(dchi_ppm))
    (lesion,) = measure(scan, field_hz, [(0.0, 0.0, 0.0)]).lesions
    assert covers(lesion, truth)
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.value == pytest.approx(truth, rel=0.04)
    assert "not-above-noise" not in lesion.flags


@pytest.mark.parametrize("x_mm", [0.0, 3.0])
@pytest.mark.parametrize(("radius_mm", "kept"), [(6.5, 0.0), (7.0, 1.0)])
def test_a_ball_too_large_for_the_fit_has_no_number(radius_mm: float, kept: float, x_mm: float) -> None:
    truth = 4 / 3 * np.pi * radius_mm**3 * 0.3
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], kept=kept, dchi_ppm=0.3)
    (lesion,) = measure(scan, field_hz, [(x_mm, 0.0, 0.0)]).lesions
    assert lesion.total_chi_ppm_mm3 is None
    assert lesion.flags == ("too-large",)


@pytest.mark.parametrize("x_mm", [0.0, 3.0])
def test_a_ball_that_just_fits_is_held_by_a_wider_interval(x_mm: float) -> None:
    truth = 4 / 3 * np.pi * 5.6**3 * 0.8
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (lesion,) = measure(scan, field_hz, [(x_mm, 0.0, 0.0)]).lesions
    assert covers(lesion, truth)
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.sd < 0.05 * truth


def test_inside_a_haematoma_there_is_no_number() -> None:
    radius_mm, truth = 9.0, 4 / 3 * np.pi * 9.0**3 * 0.8
    scan, field_hz = small_scan([(truth, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (inside,) = measure(scan, field_hz, [(0.0, 0.0, 0.0)]).lesions
    assert inside.total_chi_ppm_mm3 is None
    assert inside.flags == ("too-large",)
    for x_mm in (radius_mm - 5, radius_mm, radius_mm + 3):
        (near_edge,) = measure(scan, field_hz, [(x_mm, 0.0, 0.0)]).lesions
        assert {"not-above-noise", "too-large"} & set(near_edge.flags)


def test_where_no_voxel_shows_tissue_there_is_nothing_to_solve() -> None:
    scan, field_hz = small_scan([(4 / 3 * np.pi * 7.5**3 * 0.8, (0.3, -0.2, 0.1))], dchi_ppm=0.8)
    (lesion,) = measure(scan, field_hz, [(2.0, 0.0, 0.0)]).lesions
    assert "not-above-noise" in lesion.flags


def test_a_dark_core_is_not_taken_for_a_kept_one(plain: tuple[GreScan, np.ndarray]) -> None:
    (detail,) = measure(*plain, [(0.0, 0.0, 0.0)]).details
    assert detail is not None
    assert not detail.fit.kept
    assert fit_signal_retaining_ball(detail.patch, detail.patch.field_hz) is None


def test_single_echo() -> None:
    scan, field_hz = small_scan([(4.0, (0.3, -0.2, 0.1))], te_s=(0.016,))
    (lesion,) = measure(scan, field_hz, [(0.0, 0.0, 0.0)]).lesions
    assert "single-echo" in lesion.flags
    assert covers(lesion, 4.0)


def test_clipped_field_of_view() -> None:
    scan, field_hz = small_scan([(4.0, (0.3, -0.2, -14.4))])
    (lesion,) = measure(scan, field_hz, [(0.0, 0.0, -14.0)]).lesions
    assert "near-mask-edge" in lesion.flags
    assert covers(lesion, 4.0)


def test_of_one_lesion_the_surest_row_counts() -> None:
    rows = [
        Microbleed(i + 1, (0.1 * i, 0.0, 0.0), total_chi_ppm_mm3=Estimate(2.0, sd, "ppm mm3"))
        for i, sd in enumerate((0.3, 0.1))
    ]
    far = Microbleed(3, (10.0, 0.0, 0.0), total_chi_ppm_mm3=Estimate(1.0, 0.1, "ppm mm3"))
    assert [m.label for m in without_duplicates([*rows, far])] == [2, 3]
    unknown = Microbleed(4, (10.0, 0.0, 0.0), flags=("outside-mask",))
    assert without_duplicates([far, unknown]) == [far, unknown]


@pytest.mark.parametrize(("radius_mm", "expected"), [(4.0, False), (9.0, True), (14.0, True)])
def test_what_is_dark_all_around_is_larger_than_the_ball(radius_mm: float, expected: bool) -> None:
    grid = Grid.isotropic((64, 64, 64), 1.0)
    distance2 = ((np.indices(grid.shape) - 32.0) ** 2).sum(axis=0)
    magnitude = np.where(distance2 < radius_mm**2, 40.0, 100.0).astype(np.float32)[None]
    scan = GreScan(np.zeros_like(magnitude), magnitude, (0.02,), 3.0, grid)
    mask = np.ones(grid.shape, bool)
    assert dark_beyond_ball(scan, np.full(3, 32.0), mask, 8.0) == expected
    # Most of the ball outside the mask says nothing.
    mask[30:] = False
    assert not dark_beyond_ball(scan, np.full(3, 32.0), mask, 8.0)
