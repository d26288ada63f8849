"""A row of the table from one point's measurement: kind, certainty, flags and SD, one rule after the other."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.results.measurement as module
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.crosscheck.visible_void import VisibleVoid
from qsmcmb.microbleeds.fit.screening import Screening
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.measurement import (
    FittedLesion,
    LesionMeasurement,
    SceneContext,
    ScreenedCandidate,
    assemble_lesion,
    measure_fitted,
)
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Estimate, Grid
from tests.scenes.patches import small_patch

VEIN = Vein(0.5, 0.7, (0.0, 0.6, 0.8), 12.0)
UNIT = "ppm mm3"


def fit(
    total: float = 4.0,
    sd: float = 0.3,
    *,
    residual: float = 0.6,
    core_residual: float = 0.7,
    converged: bool = True,
    retaining: bool = False,
    described: bool = True,
) -> Any:
    return SimpleNamespace(
        is_described=described,
        source=Source(total, (0.5, -0.25, 1.0), 0.9),
        sd_ppm_mm3=sd,
        noise_sd_ppm_mm3=0.2,
        residual=residual,
        core_residual=core_residual,
        converged=converged,
        signal_retaining=retaining,
        state=SimpleNamespace(model=SimpleNamespace(shape=SimpleNamespace(name="pair"))),
    )


def fitted(
    total: float = 4.0,
    sd: float = 0.3,
    *,
    in_mask: float = 0.95,
    te_s: tuple[float, ...] = (0.01, 0.02),
    vein: Vein | None = None,
    loss: float | None = 4.2,
    **known: Any,
) -> FittedLesion:
    acquisition = SimpleNamespace(te_s=te_s)
    estimate = None if loss is None else Estimate(loss, 0.2, UNIT)
    return FittedLesion(
        patch=SimpleNamespace(fraction_in_mask=in_mask, acquisition=acquisition),  # type: ignore[arg-type]
        fit=fit(total, sd, **known),
        signal_loss=None if loss is None else SimpleNamespace(total_chi_ppm_mm3=loss, estimate=estimate),  # type: ignore[arg-type]
        vein=vein,
        adjacent_vein=None,
        void=VisibleVoid(12.0, 2.8, np.zeros((1, 1, 1), bool)),
        region=np.zeros((1, 1, 1), bool),
        total_chi_ppm_mm3=Estimate(total, sd, UNIT),
        systematic_sd_ppm_mm3=0.0,
        position_mm=(1.0, 2.0, 3.0),
        r2star_hz=40.0,
    )


def row(
    lesion: FittedLesion | None,
    context: SceneContext | None = None,
    *,
    source: str = "detector",
    kind: str | None = None,
    reason: Flag | None = None,
) -> Microbleed:
    measured = LesionMeasurement(
        label=3,
        point_mm=(9.0, 8.0, 7.0),
        stated_kind=kind,
        source=source,
        fitted=lesion,
        reason=reason,
    )
    return assemble_lesion(measured, context or SceneContext())


def map_sum(corrected: float | None, raw: float = 3.1) -> MapSum:
    estimate = None if corrected is None else Estimate(corrected, 0.2, UNIT)
    return MapSum(
        raw_ppm_mm3=raw,
        corrected=estimate,
        response=0.8,
        radius_mm=3.0,
        radii_mm=np.zeros(1),
        growth_ppm_mm3=np.zeros(1),
        response_growth_ppm_mm3=np.zeros(1),
    )


def test_every_field_of_a_row_has_its_source() -> None:
    context = SceneContext(
        map_sum=map_sum(4.1), detection_limit_ppm_mm3=0.4, side="left", territory="deep", is_duplicate=True
    )
    found = row(fitted(), context)
    assert found == Microbleed(
        label=3,
        position_mm=(1.0, 2.0, 3.0),
        kind="microbleed",
        certainty="definite",
        bombs_certainty="certain",
        score=None,
        total_chi_ppm_mm3=Estimate(4.0, 0.3, UNIT),
        total_chi_sum_ppm_mm3=4.1,
        total_chi_sum_raw_ppm_mm3=3.1,
        total_chi_loss_ppm_mm3=4.2,
        detection_limit_ppm_mm3=0.4,
        volume_mm3=12.0,
        diameter_mm=2.8,
        r2star_hz=40.0,
        side="left",
        territory="deep",
        source="detector",
        flags=("same-lesion",),
        fit_noise_limit_ppm_mm3=pytest.approx(1.0),
        shape="pair",
    )


def test_a_point_without_a_number_says_why() -> None:
    context = SceneContext(detection_limit_ppm_mm3=0.4, side="left", territory="deep")
    found = row(None, context, source="reader", kind="iron", reason=Flag.TOO_LARGE)
    assert found == Microbleed(
        label=3,
        position_mm=(9.0, 8.0, 7.0),
        kind="iron",
        detection_limit_ppm_mm3=0.4,
        side="left",
        territory="deep",
        source="reader",
        flags=("too-large",),
    )
    assert row(None).kind == "other"
    assert row(None).flags == ()


@pytest.mark.parametrize(
    ("lesion", "source", "kind", "expected"),
    [
        (fitted(), "detector", None, "microbleed"),
        (fitted(-4.0), "detector", None, "calcification"),
        # Not above noise: its sign says nothing.
        (fitted(-0.8), "detector", None, "microbleed"),
        (fitted(-0.91), "detector", None, "calcification"),
        (fitted(-4.0), "detector", "microbleed", "microbleed"),
        (fitted(vein=VEIN), "detector", "microbleed", "vein"),
        (fitted(vein=VEIN), "reader", "microbleed", "microbleed"),
        (fitted(vein=VEIN), "reader", None, "vein"),
    ],
)
def test_kind(lesion: FittedLesion, source: str, kind: str | None, expected: str) -> None:
    assert row(lesion, source=source, kind=kind).kind == expected


@pytest.mark.parametrize(
    ("lesion", "source", "expected"),
    [
        (fitted(), "detector", ("definite", "certain")),
        (fitted(), "reader", ("definite", "certain")),
        (fitted(residual=1.49), "reader", ("definite", "certain")),
        (fitted(residual=1.5), "reader", ("possible", "uncertain")),
        (fitted(in_mask=0.61), "reader", ("definite", "certain")),
        (fitted(in_mask=0.6), "reader", ("possible", "uncertain")),
        (fitted(0.89), "detector", ("rejected", "uncertain")),
        (fitted(0.89), "reader", ("possible", "uncertain")),
        (fitted(vein=VEIN), "detector", ("rejected", "uncertain")),
        (fitted(vein=VEIN), "reader", ("definite", "certain")),
    ],
)
def test_certainty_without_probabilities(
    lesion: FittedLesion, source: str, expected: tuple[str, str]
) -> None:
    found = row(lesion, source=source)
    assert (found.certainty, found.bombs_certainty) == expected


@pytest.mark.parametrize(
    ("lesion", "context", "expected"),
    [
        (fitted(in_mask=0.89), SceneContext(), {"near-mask-edge"}),
        (fitted(in_mask=0.9), SceneContext(), set()),
        (fitted(te_s=(0.02,)), SceneContext(), {"single-echo"}),
        (fitted(converged=False), SceneContext(), {"not-converged"}),
        (fitted(described=False), SceneContext(), {"irregular"}),
        # Nothing has no shape, and a vein is none of a lesion.
        (fitted(0.5, loss=None, described=False), SceneContext(), {"not-above-noise"}),
        (fitted(vein=VEIN, described=False), SceneContext(), {"vein-like"}),
        (fitted(residual=1.01), SceneContext(), {"poor-fit"}),
        (fitted(core_residual=1.01), SceneContext(), {"poor-fit"}),
        (fitted(core_residual=1.0, residual=1.0), SceneContext(), set()),
        (fitted(vein=VEIN), SceneContext(), {"vein-like"}),
        (fitted(0.89, loss=0.9), SceneContext(), {"not-above-noise"}),
        (fitted(-0.91, loss=-0.9), SceneContext(), set()),
        (fitted(), SceneContext(map_sum=map_sum(None)), {"map-sum-unreliable"}),
        (fitted(), SceneContext(map_sum=map_sum(4.3)), set()),
        (fitted(), SceneContext(map_sum=map_sum(5.2)), {"estimators-disagree"}),
        (fitted(loss=5.2), SceneContext(), {"estimators-disagree"}),
        (fitted(loss=None), SceneContext(), set()),
        (fitted(), SceneContext(is_duplicate=True), {"same-lesion"}),
        (fitted(), SceneContext(phase_filtered=True), {"filtered-phase"}),
        (fitted(), SceneContext(phase_difference=True), {"phase-difference"}),
        (fitted(), SceneContext(magnitude_is_shared=True), {"one-magnitude"}),
    ],
)
def test_flags(lesion: FittedLesion, context: SceneContext, expected: set[str]) -> None:
    assert set(row(lesion, context).flags) == expected


def test_a_candidate_turned_away_has_the_flags_of_its_scan() -> None:
    nothing = np.zeros((2, 2, 2), bool)
    one = Estimate(1.0, 1.0, "ppm mm3")
    screening = Screening(field=one, signal=one, core_residual=0.5, line_to_dipole=0.5)
    measured = LesionMeasurement(
        label=1,
        point_mm=(1.0, 2.0, 3.0),
        stated_kind=None,
        source="detector",
        fitted=None,
        reason=Flag.NO_DIPOLE,
        screened=ScreenedCandidate(screening, VisibleVoid(0.0, 0.0, nothing), nothing, None),
    )
    assert assemble_lesion(measured, SceneContext()).flags == ("no-dipole",)
    scan = SceneContext(phase_filtered=True, phase_difference=True, magnitude_is_shared=True)
    found = assemble_lesion(measured, scan)
    assert found.flags == ("no-dipole", "filtered-phase", "phase-difference", "one-magnitude")
    assert found.certainty == "rejected"


def test_filtered_phase_gives_a_number_alone_and_nothing_definite() -> None:
    found = row(fitted(), SceneContext(phase_filtered=True))
    assert (found.certainty, found.bombs_certainty) == ("possible", "uncertain")
    assert found.total_chi_ppm_mm3 is not None
    assert np.isnan(found.total_chi_ppm_mm3.sd)
    assert found.total_chi_ppm_mm3.value == 4.0


def test_a_phase_difference_has_a_wider_interval() -> None:
    found = row(fitted(), SceneContext(phase_difference=True))
    assert found.total_chi_ppm_mm3 is not None
    assert found.total_chi_ppm_mm3.sd == pytest.approx(np.hypot(0.3, 0.24))


def test_a_raw_sum_that_is_unknown_has_no_value() -> None:
    found = row(fitted(), SceneContext(map_sum=map_sum(None, raw=float("nan"))))
    assert found.total_chi_sum_raw_ppm_mm3 is None
    assert found.total_chi_sum_ppm_mm3 is None
    assert row(fitted(loss=None)).total_chi_loss_ppm_mm3 is None


@pytest.mark.parametrize(
    ("state", "vein", "ball", "expected"),
    [
        # A fit that holds has no rival; a vein is known to its own size only.
        (fit(), None, 9.0, 0.0),
        (fit(-4.0), VEIN, 9.0, 4.0),
        (fit(residual=1.01), None, 9.0, 5.0),
        (fit(residual=1.01), None, None, 0.0),
        (fit(core_residual=1.01), None, -1.0, 5.0),
        # A core that retains its signal may leave more.
        (fit(core_residual=1.01, retaining=True), None, 9.0, 0.0),
        (fit(converged=False), None, 9.0, 0.0),
        # Not converged, it is known to its own size, or to the other ball.
        (fit(converged=False, retaining=True), None, 5.0, 4.0),
        (fit(converged=False, retaining=True), None, 9.0, 5.0),
    ],
)
def test_the_systematic_sd_is_the_difference_to_what_explains_more(
    monkeypatch: pytest.MonkeyPatch, state: Any, vein: Vein | None, ball: float | None, expected: float
) -> None:
    rival = None if ball is None else Source(ball, (0.0, 0.0, 0.0), 2.0)
    monkeypatch.setattr(module, "fit_signal_retaining_ball", lambda patch, field: rival)
    monkeypatch.setattr(module, "retains_signal", lambda patch, source: True)
    assert module._systematic_sd(small_patch(), state, vein) == pytest.approx(expected)


def test_a_dark_body_has_no_bright_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    rival = Source(23.0, (2.0, 0.0, 0.0), 3.0)
    monkeypatch.setattr(module, "fit_signal_retaining_ball", lambda patch, field: rival)
    dark, state = small_patch(), fit(residual=1.04)
    assert module._systematic_sd(dark, state, None) == 0.0
    bright = replace(dark, signal=dark.signal / np.abs(dark.signal))
    assert module._systematic_sd(bright, state, None) == pytest.approx(19.0)


def test_a_fit_is_completed_by_its_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = small_patch()
    affine = np.array([[0.0, -1.1, 0.0, 5.0], [1.0, 0.0, 0.0, -7.0], [0.0, 0.0, 0.9, 2.0], [0, 0, 0, 1.0]])
    grid = Grid((30, 30, 30), (1.0, 1.1, 0.9), (0.36, 0.48, 0.8), affine)
    r2star = np.arange(27000.0).reshape(30, 30, 30)
    fields = ScanFields(field_hz=r2star, offset_rad=r2star, mask=r2star > 0, r2star_hz=r2star)
    void = np.zeros(patch.inside.shape, bool)
    void[4:7, 5, 5] = True
    monkeypatch.setattr(module, "measure_void", lambda p: VisibleVoid(3.0, 1.8, void))
    monkeypatch.setattr(module, "measure_signal_loss", lambda p, source: (p, source))
    monkeypatch.setattr(module, "_systematic_sd", lambda p, f, v: 0.4)
    made = measure_fitted(patch, fit(), fields, grid, vein=None, adjacent_vein=VEIN)
    assert made.total_chi_ppm_mm3 == Estimate(4.0, pytest.approx(0.5), UNIT)
    assert made.signal_loss == (patch, made.fit.source)
    assert (made.vein, made.adjacent_vein) == (None, VEIN)
    # The point lies at the middle of the box, the centre at (0.5, -0.25, 1) mm from it, along the image's axes.
    voxel = np.array([8.0, 9.0, 10.0]) + np.array([0.5, -0.25, 1.0]) / [1.0, 1.1, 0.9]
    assert made.position_mm == pytest.approx(tuple(grid.to_world(voxel)))
    # The median of the void's voxels in the volume.
    assert made.r2star_hz == r2star[patch.box][5, 5, 5]
    np.testing.assert_array_equal(made.region, void)
    monkeypatch.setattr(module, "measure_void", lambda p: VisibleVoid(0.0, 0.0, np.zeros_like(void)))
    made = measure_fitted(patch, fit(), fields._replace(r2star_hz=None), grid, vein=None, adjacent_vein=None)
    assert made.r2star_hz is None
    # Without a void the voxels within the longest edge of the point stand for it.
    expected = np.linalg.norm(patch.coordinates_mm, axis=0) <= 1.1
    np.testing.assert_array_equal(made.region, expected)
    assert expected.sum() == 7


def test_a_measurement_without_a_fit_lies_at_its_point() -> None:
    one = LesionMeasurement(
        label=1,
        point_mm=(9.0, 8.0, 7.0),
        stated_kind=None,
        source="reader",
        fitted=None,
        reason=None,
    )
    assert (one.position_mm, one.total_chi_ppm_mm3, one.diameter_mm) == ((9.0, 8.0, 7.0), None, None)
    two = LesionMeasurement(
        label=1,
        point_mm=(9.0, 8.0, 7.0),
        stated_kind=None,
        source="reader",
        fitted=fitted(),
        reason=None,
    )
    assert two.position_mm == (1.0, 2.0, 3.0)
    assert two.total_chi_ppm_mm3 == Estimate(4.0, 0.3, UNIT)
    assert two.diameter_mm == 2.8
