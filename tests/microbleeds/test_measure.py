"""Points that are hard or wrong: a wide interval with a flag, or n/a with a reason; never a confident wrong number."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.joint_fit as joint_fit
import qsmcmb.microbleeds.measure as module
from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.fit.field_fit import fit_signal_retaining_ball
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.measure import Targets, gather_all_evidence, measure_lesions
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.microbleeds.signal.point_spread import PointSpread
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import GreScan
from qsmcmb.pipeline.lesions import describe_lesions
from qsmcmb.typing import BoolArray, FloatArray
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch
from tests.scenes.small_scans import SHAPE, covers, measured_at, rows_at, small_scan


@pytest.fixture(scope="module")
def plain() -> tuple[GreScan, FloatArray]:
    return small_scan([(4.0, (0.3, -0.2, 0.1))])


def test_an_easy_point_has_no_flag(plain: tuple[GreScan, FloatArray]) -> None:
    (lesion,) = rows_at(*plain, [(0.0, 0.0, 0.0)])
    assert covers(lesion, 4.0)
    assert lesion.flags == ()


SHARED = {
    "root mean square": lambda magnitude: np.sqrt((magnitude**2).mean(axis=0)),
    "first echo": lambda magnitude: magnitude[0],
    "last echo": lambda magnitude: magnitude[-1],
}


@pytest.mark.parametrize("which", SHARED)
def test_one_magnitude_for_all_echoes_changes_no_number(
    plain: tuple[GreScan, FloatArray], which: str
) -> None:
    scan, field_hz = plain
    decay = np.exp(-20 * (np.array(scan.te_s) - scan.te_s[0]))[:, None, None, None]
    magnitude = (SHARED[which](scan.magnitude) * decay).astype(np.float32)
    shared = replace(scan, magnitude=magnitude, magnitude_is_shared=True)
    (lesion,) = rows_at(shared, field_hz, [(0.0, 0.0, 0.0)])
    assert covers(lesion, 4.0)
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.value == pytest.approx(4.0, rel=0.03)
    assert lesion.flags == ("one-magnitude",)
    assert lesion.total_chi_loss_ppm_mm3 is None


@pytest.mark.parametrize("magnitude_of", [0, 1])
def test_a_phase_difference_is_that_of_both_echoes(
    plain: tuple[GreScan, FloatArray], magnitude_of: int
) -> None:
    scan, field_hz = plain
    turn = scan.phase_rad[1] - scan.phase_rad[0]
    difference = GreScan(
        phase_rad=np.angle(np.exp(1j * turn))[None].astype(np.float32),
        magnitude=scan.magnitude[[magnitude_of]],
        te_s=(scan.te_s[1] - scan.te_s[0],),
        b0_tesla=scan.b0_tesla,
        grid=scan.grid,
        difference_te_s=(scan.te_s[0], scan.te_s[1]),
    )
    (lesion,) = rows_at(difference, field_hz, [(0.0, 0.0, 0.0)])
    assert covers(lesion, 4.0)
    assert lesion.total_chi_ppm_mm3 is not None
    # As one echo it reads 6 % low.
    assert lesion.total_chi_ppm_mm3.value == pytest.approx(4.0, rel=0.03)
    assert set(lesion.flags) == {"single-echo", "phase-difference"}


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


def job_of(scan: GreScan, field_hz: FloatArray, voxels: FloatArray, mask: BoolArray | None = None) -> Any:
    mask = np.ones(SHAPE, bool) if mask is None else mask
    return joint_fit.FitJob(
        scan, ScanFields(field_hz, np.zeros(SHAPE, np.float32), mask), np.atleast_2d(voxels)
    )


def acquisition_of(scan: GreScan) -> Acquisition:
    return Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=0.01)


def test_targets_of_a_reader_have_no_scores() -> None:
    targets = Targets.of_readers([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], ["iron", None])  # type: ignore[arg-type]
    np.testing.assert_array_equal(targets.points_mm, [[1, 2, 3], [4, 5, 6]])
    assert targets[1:] == (["iron", None], [None, None], 2)
    assert Targets.of_readers([[1.0, 2.0, 3.0]]).kinds == [None]  # type: ignore[arg-type]
    assert Targets.of_readers([]).points_mm.shape == (0, 3)  # type: ignore[arg-type]


def test_points_that_are_not_finite_are_refused(plain: tuple[GreScan, FloatArray]) -> None:
    with pytest.raises(InvalidInputError, match="finite scanner coordinates"):
        measured_at(*plain, [(0.0, np.nan, 0.0)])


def test_without_points_nothing_is_measured(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    fields = ScanFields(field_hz, np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool))
    found = measure_lesions(scan, Targets.of_readers([]), fields, acquisition_of(scan))  # type: ignore[arg-type]
    assert found.lesions == found.fitted == ()
    assert not found.labels.any()


def test_points_know_their_source_and_labels_the_earlier_one(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    points = np.array([(40.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.5, -0.5, 0.0)])
    targets = Targets(points, [None, "iron", None], [None, None, 0.7], 2)
    fields = ScanFields(field_hz, np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool))
    seen: list[tuple[int, int]] = []
    found = measure_lesions(
        scan, targets, fields, acquisition_of(scan), progress=lambda done, n: seen.append((done, n))
    )
    one, two, three = found.lesions
    assert [m.label for m in found.lesions] == [1, 2, 3]
    assert [m.source for m in found.lesions] == ["reader", "reader", "detector"]
    assert [m.evidence and m.evidence.detector_score for m in found.lesions] == [None, None, 0.7]
    assert [m.stated_kind for m in found.lesions] == [None, "iron", None]
    assert (one.reason, two.reason, three.reason) == (Flag.OUTSIDE_VOLUME, None, None)
    assert one.point_mm == (40.0, 0.0, 0.0)
    assert found.fitted == (None, two.fitted, three.fitted)
    assert sorted(seen) == [(1, 3), (2, 3), (3, 3)]
    # Both see the same void: the earlier point has its voxels.
    region = np.zeros(SHAPE, bool)
    assert two.fitted is not None
    region[two.fitted.patch.box] = two.fitted.region
    np.testing.assert_array_equal(found.labels, np.where(region, 2, 0))
    assert region.sum() > 8


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_volume_ends_half_a_voxel_beyond_its_outer_voxels(
    plain: tuple[GreScan, FloatArray], axis: int
) -> None:
    for at, inside in ((-0.5, True), (-0.51, False), (31.5, True), (31.51, False)):
        voxel = np.full(3, 16.0)
        voxel[axis] = at
        assert module._in_volume(plain[0], voxel) == inside


def test_a_patch_needs_a_fifth_of_its_ball_and_eighty_voxels(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    x = np.indices(SHAPE)[0]
    ball = ((np.indices(SHAPE) - 16.0) ** 2).sum(axis=0) <= 64
    for part, enough in ((0.21, True), (0.19, False)):
        order = np.flatnonzero(ball)
        mask = np.zeros(SHAPE, bool)
        mask.ravel()[order[: int(part * 4 / 3 * np.pi * 512)]] = True
        job = job_of(scan, field_hz, np.full(3, 16.0), mask)
        found = module._patch_at(job, np.full(3, 16.0), acquisition_of(scan))
        assert (found is not None) == enough
    # Of thin slices of k-space few voxels are left.
    windows = (KSpaceWindow(0.3), KSpaceWindow(0.3), KSpaceWindow(0.45))
    acquisition = replace(acquisition_of(scan), windows=windows)
    for start, enough in ((9, True), (17, False)):
        job = job_of(scan, field_hz, np.full(3, 16.0), x >= start)
        found = module._patch_at(job, np.full(3, 16.0), acquisition)
        voxels = 0 if found is None else int(found.inside.sum())
        assert (voxels > 80) == enough


@pytest.mark.parametrize(
    ("total", "exceeds", "dark", "expected"),
    [
        (4.0, False, False, None),
        (4.0, True, False, Flag.TOO_LARGE),
        # Dark all around: only a lesion of more than five SDs has a number.
        (-0.51, False, True, None),
        (-0.49, False, True, Flag.TOO_LARGE),
    ],
)
def test_what_is_too_large_has_no_number(
    monkeypatch: pytest.MonkeyPatch,
    plain: tuple[GreScan, FloatArray],
    total: float,
    exceeds: bool,
    dark: bool,
    expected: Flag | None,
) -> None:
    job = job_of(*plain, np.array([[16.0, 16.0, 16.0], [16.0, 16.0, 99.0]]))
    fit = SimpleNamespace(source=Source(total, (0.0, 0.0, 0.0), 1.0), sd_ppm_mm3=0.1, exceeds_patch=exceeds)
    monkeypatch.setattr(
        module, "dark_beyond_ball", lambda scan, voxel, mask, radius_mm: dark and radius_mm == 8.0
    )
    assert module._reason_without_number(job, 0, SimpleNamespace(fit=fit)) == expected
    assert module._reason_without_number(job, 0, None) == Flag.OUTSIDE_MASK
    assert module._reason_without_number(job, 1, None) == Flag.OUTSIDE_VOLUME


def state_of(patch: Patch, source: Source) -> FitState:
    model = LesionModel(patch, source, core_decay=SMALL_BALL_DECAY)
    return FitState(model=model, parameters=model.start_parameters(source), objective=None, converged=True)  # type: ignore[arg-type]


def test_neighbours_are_the_signal_of_the_others_in_reach() -> None:
    patch = small_patch()
    positions = np.array(
        [[0.0, 0.0, 0.0], [3.0, -1.0, 2.0], [-2.0, 4.0, 0.0], [0.5, 0.5, 0.0], [9.0, 9.0, 9.0]]
    )
    sources = [
        SMALL_BALL,
        Source(3.0, (0.1, 0.2, -0.3), 0.9),
        Source(-1.5, (0.0, -0.2, 0.1), 0.7),
        # Ends 0.6 mm from the first: the same lesion.
        Source(2.1, (-0.3, -0.1, 0.0), 0.8),
        Source(5.0, (0.0, 0.0, 0.0), 1.0),
    ]
    states: list[FitState | None] = [state_of(patch, s) for s in sources]
    found = joint_fit._neighbour_factor(0, np.array([0, 1, 2, 3]), positions, states)
    expected = np.ones(2 * int(patch.inside.sum()), complex)
    for i in (1, 2):
        centre = np.array(sources[i].centre_mm) + positions[i]
        row = np.array([[sources[i].total_chi_ppm_mm3, *centre, sources[i].radius_mm]])
        spread = PointSpread(patch, row[0, 0], centre, row[0, 4])
        expected *= 1 + spread.factor(row, 100.0, 0.16)[0].reshape(-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - 1).max() > 0.5
    # The states themselves are as they were.
    np.testing.assert_allclose(states[1].rows[0], sources[1].row())  # type: ignore[union-attr]
    assert joint_fit._neighbour_factor(0, np.array([0, 3]), positions, states) is None
    states[1] = None
    alone = joint_fit._neighbour_factor(0, np.array([0, 1]), positions, states)
    assert alone is None


def test_lesions_within_fourteen_mm_are_fitted_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sees those in its own reach as they are then; groups are joined through others."""
    scan, field_hz = small_scan([])
    voxels = np.array([[0.0, 0, 0], [13.9, 0, 0], [27.0, 0, 0], [0.0, 14.1, 30.0], [0.0, 28.0, 0.0]])
    job = job_of(scan, field_hz, voxels)
    states = [SimpleNamespace(name=f"initial {i}", core_residual=lambda: 1.0) for i in range(4)]
    seen: dict[int, Any] = {}
    simple: list[tuple[bool, float]] = []

    def factor(i: int, in_reach: Any, positions: FloatArray, now: list[Any]) -> Any:
        seen[i] = [now[j] and now[j].name for j in in_reach]
        np.testing.assert_array_equal(positions, voxels)
        return None

    def refine(
        job: Any,
        state: Any,
        acquisition: Any,
        neighbours: Any,
        *,
        is_simple: bool,
        min_free_significance: float,
    ) -> Any:
        assert acquisition == "calibrated"
        simple.append((is_simple, min_free_significance))
        done = SimpleNamespace(name=state.name.replace("initial", "refined"))
        return SimpleNamespace(fit=SimpleNamespace(state=done))

    monkeypatch.setattr(joint_fit, "_neighbour_factor", factor)
    monkeypatch.setattr(joint_fit, "_refine", refine)
    # The calibration has found that lesion 1 is as well described without a free source, and has one of lesion 3.
    monkeypatch.setattr(joint_fit, "is_free", lambda fit: fit.name == "free 3")
    states[1].with_compared_models = lambda models: SimpleNamespace(name=f"initial 1 with {models}")
    known = {1: SimpleNamespace(name="simple", compared_models="two"), 3: SimpleNamespace(name="free 3")}
    calibration = SimpleNamespace(states=[*states, None], acquisition="calibrated", fits_among_tissue=known)
    done: list[tuple[int, int]] = []
    found = joint_fit.fit_all_lesions(
        job, calibration, [3.0, 20.0, 3.0, 4.0, 3.0], lambda i, n: done.append((i, n))
    )
    assert seen == {
        0: ["initial 0", "initial 1"],
        1: ["refined 0", "initial 1", "initial 2"],
        2: ["refined 1 with two", "initial 2"],
        3: ["initial 3"],
    }
    assert [f and f.fit.state.name for f in found] == [
        "refined 0", "refined 1 with two", "refined 2", "free 3", None
    ]  # fmt: skip
    assert sorted(simple) == [(False, 3.0), (False, 3.0), (False, 4.0), (True, 20.0)]
    assert sorted(done) == [(i, 5) for i in range(1, 6)]
    assert [s and s.name for s in calibration.states] == [f"initial {i}" for i in range(4)] + [None]


@pytest.mark.parametrize("has_neighbours", [False, True])
@pytest.mark.parametrize(
    ("total", "vein", "expected"),
    [(0.31, "vein", ("vein", None)), (0.29, "vein", (None, "beside")), (-0.31, None, (None, "beside"))],
)
def test_veins_are_looked_for_in_turn(
    monkeypatch: pytest.MonkeyPatch,
    has_neighbours: bool,
    total: float,
    vein: str | None,
    expected: tuple[str | None, str | None],
) -> None:
    state = SimpleNamespace(
        source=SimpleNamespace(total_chi_ppm_mm3=total),
        sandwich_sd=lambda: 0.1,
        model=SimpleNamespace(patch=small_patch(), core_decay=SMALL_BALL_DECAY),
    )
    selected = SimpleNamespace(**vars(state))
    beside = SimpleNamespace(**vars(state))
    acquisition = replace(small_patch().acquisition, noise_sd=0.7)
    neighbours = np.ones(3) if has_neighbours else None

    def select(patch: Patch, source: Any, *, neighbours: Any, core_decay: Any) -> Any:
        assert patch.acquisition is acquisition
        assert (source, core_decay) == (state.source, SMALL_BALL_DECAY)
        return selected

    monkeypatch.setattr(joint_fit, "select_shape", select)
    monkeypatch.setattr(
        joint_fit,
        "refine_with_tissue_prior",
        lambda state, given, *, is_simple, min_free_significance: (
            state if given is acquisition and is_simple and min_free_significance == 7.0 else None
        ),
    )
    monkeypatch.setattr(joint_fit, "find_vein", lambda state: vein)
    monkeypatch.setattr(joint_fit, "fit_adjacent_vein", lambda state: (beside, "beside"))
    monkeypatch.setattr(joint_fit, "summarise_fit", lambda state, patches: (state, patches))
    job = SimpleNamespace(reference_patches=lambda patch: ["around", patch])
    found = joint_fit._refine(job, state, acquisition, neighbours, is_simple=True, min_free_significance=7.0)
    assert (found.vein, found.adjacent_vein) == expected
    ends = beside if expected[1] else (selected if has_neighbours else state)
    assert found.fit[0] is ends
    assert found.fit[1] == ["around", ends.model.patch]


def with_candidates(scan: GreScan, field_hz: FloatArray, targets: Targets) -> Any:
    fields = ScanFields(field_hz=field_hz, offset_rad=np.zeros(SHAPE, np.float32), mask=np.ones(SHAPE, bool))
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=1 / 60)
    return measure_lesions(scan, targets, fields, acquisition)


def test_a_candidate_without_a_lesion_keeps_a_row_and_a_label(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    points = np.array([[0.0, 0.0, 0.0], [-9.0, -8.0, 7.0], [9.0, 8.0, -7.0]])
    targets = Targets(points_mm=points, kinds=[None] * 3, scores=[None, 0.9, 0.9], n_reader_points=1)
    measured = with_candidates(scan, field_hz, targets)
    lesion, *others = describe_lesions(measured, scan, np.ones(SHAPE, bool))
    assert covers(lesion, 4.0)
    for i, row in enumerate(others, start=1):
        # Without a map there is no probability.
        assert (row.certainty, row.kind, row.flags, row.score) == ("rejected", "other", ("no-dipole",), None)
        assert measured.evidence[i].detector_score == 0.9
        assert row.position_mm == tuple(points[i])
        assert covers(row, 0.0)
        assert (measured.labels == row.label).any()
        assert measured.fitted[i] is None
    alone = rows_at(scan, field_hz, [(0.0, 0.0, 0.0)])
    assert summarise_burden([lesion, *others]) == summarise_burden([lesion])
    # The candidates' places are left out of the tissue that makes the SD; the value is the same.
    assert lesion.total_chi_ppm_mm3 is not None
    assert alone[0].total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.value == pytest.approx(alone[0].total_chi_ppm_mm3.value, rel=1e-6)


def test_points_of_a_reader_are_never_turned_away(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    points = np.array([[-9.0, -8.0, 7.0]])
    (row,) = rows_at(scan, field_hz, [(-9.0, -8.0, 7.0)])
    assert "not-above-noise" in row.flags
    assert row.certainty == "possible"
    fields = ScanFields(field_hz=field_hz, offset_rad=np.zeros(SHAPE, np.float32), mask=np.ones(SHAPE, bool))
    of_reader = measure_lesions(scan, Targets.of_readers(points), fields, acquisition_of(scan)).lesions[0]
    candidate = Targets(points, [None], [0.9], 0)
    of_detector = measure_lesions(scan, candidate, fields, acquisition_of(scan)).lesions[0]
    assert of_reader.fitted is not None
    assert of_detector.fitted is None
    # The figures before the fit are the same of both.
    assert of_reader.evidence is not None
    assert of_detector.evidence is not None
    assert of_reader.evidence.signal_ppm_mm3 == pytest.approx(of_detector.evidence.signal_ppm_mm3)
    assert of_reader.evidence.detector_score is None


def test_a_candidate_that_may_be_a_lesion_is_fitted_whatever_screening_says(
    plain: tuple[GreScan, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, field_hz = plain
    candidate = Targets(np.array([[-9.0, -8.0, 7.0]]), [None], [0.9], 0)
    for chance, reason in ((True, None), (False, Flag.NO_DIPOLE), (None, Flag.NO_DIPOLE)):
        monkeypatch.setattr(module, "may_be_lesion", lambda _, chance=chance: chance)
        (found,) = with_candidates(scan, field_hz, candidate).lesions
        assert (found.fitted is not None) == (reason is None)
        assert found.reason == reason


def test_evidence_without_fits_is_that_before_the_fit(plain: tuple[GreScan, FloatArray]) -> None:
    scan, field_hz = plain
    fields = ScanFields(field_hz, np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool))
    targets = Targets.of_readers([(0.0, 0.0, 0.0), (40.0, 0.0, 0.0)])
    lesion, outside = gather_all_evidence(scan, targets, fields, acquisition_of(scan))
    assert outside is None
    assert lesion is not None
    assert lesion.signal_ppm_mm3 == pytest.approx(4.0, rel=0.35)
    assert lesion.residual is None
    whole = measure_lesions(scan, targets, fields, acquisition_of(scan)).evidence[0]
    assert whole is not None
    assert whole.residual is not None
    assert whole.total_chi_ppm_mm3 == pytest.approx(4.0, rel=0.2)
    assert whole.echo_spread is not None
    assert whole.echo_spread < 0.3
    unfitted = {"vein_bic_difference", "echo_spread", "r2star_hz", "diameter_mm", "residual", "core_residual"}
    unfitted |= {"total_chi_ppm_mm3", "total_chi_sd_ppm_mm3"}
    assert {k: v for k, v in asdict(whole).items() if k not in unfitted} == {
        k: v for k, v in asdict(lesion).items() if k not in unfitted
    }
