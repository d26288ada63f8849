"""Course, trend and ARIA-H table of fabricated subjects: what is said where the data give no number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.change.errors import DEFAULT_ERRORS
from qsmcmb.change.judgement import Sight
from qsmcmb.change.records import NOT_AT_BASELINE, Change
from qsmcmb.change.tracks import Place, SessionView, Track
from qsmcmb.io.place import Place as OutputPlace
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv
from qsmcmb.model import Estimate, Provenance
from qsmcmb.registration.midspace import MidSpace, PairFit
from qsmcmb.registration.rigid import RigidTransform
from qsmcmb.study.session_views import AlignedSessions
from qsmcmb.study.subject_course import Course, write_course

POSE = RigidTransform(np.eye(4), 0.95)
NEW = Change(
    2, "incident", (0.0, 0.0, 0.0), Estimate(0.0, 0.3, ""), Estimate(4.0, 0.1, ""), 0.32, 0.9, 0.9,
    (NOT_AT_BASELINE,),
)  # fmt: skip


def fit(value: float) -> Sight:
    return Sight(Estimate(value, 0.1, "ppm mm3"), True, 1.0)


def course_of(
    tmp_path: Path, *, poses: tuple[RigidTransform | None, ...], years: list[float] | None
) -> Course:
    """Return a subject with one lesion that grows by 1 ppm mm3 a year and one that is new in the last session."""
    n = len(poses)
    sessions = [
        SessionResults(OutputPlace(tmp_path, f"sub-01_ses-{k + 1}"), "01", str(k + 1)) for k in range(n)
    ]
    pairs = tuple(PairFit(0, k, POSE, 0.8 if poses[k] else 0.2) for k in range(1, n))
    views = [
        SessionView(s.name, [], lambda p: p, lambda p: p, 0.2, lambda p: Place(None, None)) for s in sessions
    ]
    aligned = AlignedSessions(views, MidSpace(poses, (0.2,) * n, pairs), "R2starmap", ())
    absent = Sight(Estimate(0.0, 0.3, "ppm mm3"), False, 1.0)
    grown = [fit(5.0 + k) if pose else Sight(None, False) for k, pose in enumerate(poses)]
    new = [absent if pose else Sight(None, False) for pose in poses[:-1]]
    tracks = [Track(1, np.zeros(3), {}), Track(2, np.zeros(3), {})]
    changes = {(0, k): [replace(NEW, lesion=2)] for k in range(1, n)}
    sights = [grown, [*new, fit(4.0) if poses[-1] else Sight(None, False)]]
    return Course(
        sessions,
        years,
        aligned,
        tracks,
        sights,
        changes,
        {pair: [] for pair in changes},
        DEFAULT_ERRORS,
        None,
    )


def written(
    tmp_path: Path, course: Course
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, str | None]]]:
    write_course(OutputPlace(tmp_path, "sub-01"), course, provenance=Provenance((), (), {}))
    trend, ariah = (
        json.loads((tmp_path / f"sub-01_desc-cmb_{n}.json").read_text()) for n in ("trend", "ariah")
    )
    return trend, ariah, read_tsv(tmp_path / "sub-01_desc-cmb_course.tsv")


def test_trend_and_classes_of_three_dated_sessions(tmp_path: Path) -> None:
    course = course_of(tmp_path, poses=(POSE, POSE, POSE), years=[0.0, 1.0, 2.0])
    trend, ariah, rows = written(tmp_path, course)
    assert float(str(rows[0]["annual_change_ppm_mm3"])) == pytest.approx(1.0)
    assert [b["burden_ppm_mm3"] for b in trend["burden"]] == [5.0, 6.0, 11.0]
    assert 1.0 < trend["annual_change_ppm_mm3_per_year"] < 4.0
    last = ariah["microhaemorrhages"][-1]
    assert (last["class"], last["n_new_low"], last["n_new_high"]) == ("1-4", 0, 1)
    assert last["class_probability"]["none"] == pytest.approx(0.1)
    assert {area["status"] for area in ariah["superficial_siderosis"]} == {"not_evaluable"}


def test_errors_common_to_both_fits_count_in_the_burden_and_not_in_its_change(tmp_path: Path) -> None:
    course = course_of(tmp_path, poses=(POSE, POSE), years=[0.0, 1.0])
    course = course._replace(sights=course.sights[:1], tracks=course.tracks[:1])
    full, half = (
        written(tmp_path, course._replace(errors=replace(DEFAULT_ERRORS, sd_factor=k)))[0] for k in (1.0, 0.5)
    )
    assert [b["burden_sd_ppm_mm3"] for b in half["burden"]] == [
        b["burden_sd_ppm_mm3"] for b in full["burden"]
    ]
    assert half["annual_change_sd_ppm_mm3_per_year"] < full["annual_change_sd_ppm_mm3_per_year"]


@pytest.mark.parametrize(
    ("poses", "years", "said"),
    [
        ((POSE, None), [0.0, 1.0], "fewer than two sessions show one head"),
        ((POSE, POSE), None, "not every session has an acquisition time of its own"),
    ],
)
def test_no_rate_and_no_class_without_a_head_or_dates(
    poses: tuple[RigidTransform | None, ...], years: list[float] | None, said: str, tmp_path: Path
) -> None:
    trend, ariah, rows = written(tmp_path, course_of(tmp_path, poses=poses, years=years))
    assert trend["annual_change_missing"] == said
    assert trend["annual_change_ppm_mm3_per_year"] is None
    found = ariah["microhaemorrhages"][0]
    assert (found["class"], found["status"]) == (None, "not_evaluable")
    assert all(row["annual_change_ppm_mm3"] is None for row in rows)
