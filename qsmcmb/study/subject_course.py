"""Course of a subject over its sessions: each lesion's, the burden's, the regions', and the count of new lesions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.change.ariah import NOTICE, ariah_record
from qsmcmb.change.course import annual_change, interval_record
from qsmcmb.change.errors import ChangeErrors, without_common_errors
from qsmcmb.change.judgement import PRIOR, Sight
from qsmcmb.change.protocol import ProtocolDifference
from qsmcmb.change.records import NORMAL_QUANTILE, Change
from qsmcmb.change.tracks import Track
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.place import Place
from qsmcmb.io.result_records import provenance_record
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv, write_json
from qsmcmb.model import Estimate, Provenance
from qsmcmb.study.repeatability import RepeatabilityFile
from qsmcmb.study.session_views import AlignedSessions
from qsmcmb.study.siderosis_course import new_areas
from qsmcmb.units import PPM_MM3

__all__ = ("COURSE_COLUMNS", "REGION_SD_PPM", "Course", "write_course")

REGION_SD_PPM = 0.006
"""SD of a region's mean susceptibility in one scan without a repeatability file, ppm: two simulated heads at 1.5, 3 and
7 T.
"""
COURSE_COLUMNS: dict[str, dict[str, Any]] = {
    "lesion": {"Description": "Number of the lesion, as in the longitudinal table"},
    "session_id": {"Description": "Session"},
    "years": {"Description": "Time since the first session; n/a where not every session has a time", "Units": "year"},
    "labels": {
        "Description": "Rows of the session's lesion table, separated by +, rejected or not; n/a where it has none"
    },
    "origin": {
        "Description": "Where the number comes from",
        "Levels": {
            "fit": "the lesion fit of the session's own row",
            "parts": "the sum of several rows",
            "rejected": "the lesion fit of a row that a reader has rejected",
            "place": "the local field at the place, where the session's table holds no lesion",
        },
    },
    "total_chi_ppm_mm3": {"Description": "Total susceptibility", "Units": PPM_MM3},
    "total_chi_sd_ppm_mm3": {"Description": "Its standard deviation", "Units": PPM_MM3},
    "detection_limit_ppm_mm3": {"Description": "Detection limit of the session at the place", "Units": PPM_MM3},
    "annual_change_ppm_mm3": {
        "Description": "Change a year by a weighted straight line over all sessions, the same in each row of a lesion",
        "Units": f"{PPM_MM3}/year",
    },
    "annual_change_sd_ppm_mm3": {"Description": "Its standard deviation", "Units": f"{PPM_MM3}/year"},
}  # fmt: skip
"""Columns of the table of courses (`*_desc-cmb_course.tsv`), in their order."""
CHEMISTRY = (
    "A total that falls is not always iron that leaves: the susceptibility of blood products changes with their "
    "chemistry at constant iron."
)


class Course(NamedTuple):
    """All that is known of a subject over its sessions.

    Parameters
    ----------
    sessions : list of SessionResults
        Sessions, in order.
    years : list of float, optional
        Time since the first, years.
    aligned : AlignedSessions
        Poses and views.
    tracks : list of Track
        Lesions.
    sights : list of list of Sight
        Each lesion in each session.
    changes : mapping
        Changes by pair of sessions.
    differences : mapping
        Differences of the scans by pair of sessions.
    errors : ChangeErrors
        Errors of change.
    repeatability : RepeatabilityFile, optional
        The study's own errors.

    Examples
    --------
    >>> Course._fields[:3]
    ('sessions', 'years', 'aligned')
    """

    sessions: list[SessionResults]
    """Sessions, in order."""
    years: list[float] | None
    """Time since the first, years; None where the times do not say."""
    aligned: AlignedSessions
    """Poses and views."""
    tracks: list[Track]
    """Lesions."""
    sights: list[list[Sight]]
    """Each lesion in each session."""
    changes: Mapping[tuple[int, int], list[Change]]
    """Changes by pair of sessions."""
    differences: Mapping[tuple[int, int], list[ProtocolDifference]]
    """Differences of the scans by pair of sessions."""
    errors: ChangeErrors
    """Errors of change."""
    repeatability: RepeatabilityFile | None
    """The study's own errors, where there are any."""


def write_course(place: Place, course: Course, *, provenance: Provenance) -> tuple[Path, ...]:
    """Write the table of courses, the trend and the research table of ARIA-H.

    Parameters
    ----------
    place : Place
        Folder and prefix of the subject's results.
    course : Course
        The subject over its sessions.
    provenance : Provenance
        Goes into each JSON.

    Returns
    -------
    tuple of Path
        Files.

    Examples
    --------
    >>> write_course(place, course, provenance=provenance)  # doctest: +SKIP
    """
    table = write_table(
        place, "desc-cmb_course", _course_rows(course), columns=COURSE_COLUMNS, provenance=provenance
    )
    trend, ariah = (place.path(f"desc-cmb_{name}.json") for name in ("trend", "ariah"))
    write_json(trend, {**_trend(course), **provenance_record(provenance)})
    write_json(ariah, {**_ariah(course), **provenance_record(provenance)})
    return table, table.with_suffix(".json"), trend, ariah


def _course_rows(course: Course) -> list[dict[str, Any]]:
    """Return one row per lesion and session."""
    rows = []
    for track, sights in zip(course.tracks, course.sights, strict=True):
        slope = annual_change(course.years, _in_change(sights, course)) if course.years else None
        for k, sight in enumerate(sights):
            parts, rejected = track.parts.get(k, ()), track.rejected.get(k, ())
            origin = ("parts" if len(parts) > 1 else "fit") if parts else "rejected" if rejected else "place"
            rows.append({
                "lesion": track.number,
                "session_id": course.sessions[k].name,
                "years": course.years[k] if course.years else None,
                "labels": track.labels(k),
                "origin": origin,
                "total_chi_ppm_mm3": sight.total.value if sight.total else None,
                "total_chi_sd_ppm_mm3": sight.total.sd if sight.total else None,
                "detection_limit_ppm_mm3": sight.limit_ppm_mm3,
                "annual_change_ppm_mm3": slope.value if slope else None,
                "annual_change_sd_ppm_mm3": slope.sd if slope else None,
            })  # fmt: skip
    return rows


def _trend(course: Course) -> dict[str, Any]:
    """Return what the subject's JSON says of sessions, burden, new lesions and regions."""
    members = [k for k, pose in enumerate(course.aligned.mid.poses) if pose is not None]
    unclear = {c.lesion for changes in course.changes.values() for c in changes if c.has_unlike_verdicts}
    whole = [
        s for track, s in zip(course.tracks, course.sights, strict=True)
        if track.number not in unclear and all(s[k].total is not None for k in members)
    ]  # fmt: skip
    burdens = {k: _burden(whole, k, course, in_change=False) for k in members}
    slope = None
    if course.years:
        slope = annual_change(
            [course.years[k] for k in members], [_burden(whole, k, course, in_change=True) for k in members]
        )
    first = {pair: changes for pair, changes in course.changes.items() if pair[0] == 0}
    return {
        "sessions": [_session(course, k) for k in range(len(course.sessions))],
        "differences": [
            {"baseline_session": course.sessions[i].name, "followup_session": course.sessions[j].name,
             "field": d.field, "baseline": d.before, "followup": d.after}
            for (i, j), found in course.differences.items() for d in found
        ],
        "burden": [
            {"session_id": course.sessions[k].name, **interval_record(value, "burden", "ppm_mm3")}
            for k, value in burdens.items()
        ],
        "n_lesions": len(whole),
        "n_lesions_left_out": len(course.sights) - len(whole),
        **interval_record(slope, "annual_change", "ppm_mm3_per_year"),
        "annual_change_missing": "" if slope else _why_no_rate(course, members),
        "new_since_baseline": [
            {"followup_session": course.sessions[j].name, **_counts(changes)} for (_, j), changes in first.items()
        ] if course.years else [],
        "regions": list(itertools.chain.from_iterable(_regions(course, pair) for pair in first)),
        "errors": asdict(course.errors),
        "prior": {"stable": PRIOR.stable, "changed": PRIOR.changed, "new": PRIOR.absent, "gone": PRIOR.absent},
        "notice": CHEMISTRY,
    }  # fmt: skip


def _why_no_rate(course: Course, members: Sequence[int]) -> str:
    """Return why there is no change a year."""
    if not course.years:
        return "not every session has an acquisition time of its own"
    if len(members) < 2:
        return "fewer than two sessions show one head"
    return "no lesion is measured in all sessions"


def _session(course: Course, k: int) -> dict[str, Any]:
    """Return what is known of a session in the comparison."""
    pose, error = course.aligned.mid.poses[k], course.aligned.mid.error_mm[k]
    pairs = [p for p in course.aligned.mid.pairs if k in (p.fixed, p.moving)]
    return {
        "session_id": course.sessions[k].name,
        "years": course.years[k] if course.years else None,
        "is_same_head": pose is not None,
        "registration_error_mm": error if np.isfinite(error) else None,
        "similarity": max(p.similarity for p in pairs),
        "overlap": max(p.transform.dice for p in pairs),
    }


def _burden(sights: Sequence[Sequence[Sight]], k: int, course: Course, *, in_change: bool) -> Estimate:
    """Return the sum over the lesions in one session, with what they share as one error.

    In a change the errors that all sessions have in common do not count; in the number of one session they do.
    """
    same, errors = not any(course.differences.values()), course.errors
    members = [j for j, pose in enumerate(course.aligned.mid.poses) if pose is not None]
    variance, value = 0.0, 0.0
    for own in sights:
        chosen, by_fits = [own[j] for j in members], in_change and all(own[j].is_found for j in members)
        totals = _distinct(chosen) if by_fits else [s.total for s in chosen]
        total = totals[members.index(k)]
        assert total is not None
        value += total.value
        variance += errors.own_sd(total, by_fits=by_fits) ** 2
    return Estimate(value, float(np.hypot(variance**0.5, errors.shared(same=same) * value)), PPM_MM3)


def _in_change(sights: Sequence[Sight], course: Course) -> list[Estimate | None]:
    """Return a lesion's totals with the SDs that count in a change."""
    same, by_fits = not any(course.differences.values()), all(s.is_found for s in sights)
    totals = _distinct(sights) if by_fits else [s.total for s in sights]
    return [
        Estimate(t.value, course.errors.scan_sd(t, same=same, by_fits=by_fits), t.unit) if t else None
        for t in totals
    ]


def _distinct(sights: Sequence[Sight]) -> list[Estimate]:
    """Return a lesion's fits with what they do not have in common."""
    return without_common_errors([s.total for s in sights if s.total], [s.noise_sd_ppm_mm3 for s in sights])


def _counts(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the count of new lesions with its interval."""
    record = ariah_record(changes)
    return {name: value for name, value in record.items() if name.startswith("n_")}


def _ariah(course: Course) -> dict[str, Any]:
    """Return the research table of ARIA-H, for each session since the first."""
    found = [
        {
            "baseline_session": course.sessions[i].name,
            "followup_session": course.sessions[j].name,
            **(ariah_record(changes) if course.years and course.aligned.mid.poses[i] and course.aligned.mid.poses[j]
               else {"class": None, "status": "not_evaluable"}),
        }
        for (i, j), changes in course.changes.items()
        if i == 0
    ]  # fmt: skip
    siderosis = new_areas(course.sessions, course.aligned.views, has_order=bool(course.years))
    return {"microhaemorrhages": found, "superficial_siderosis": siderosis, "notice": NOTICE}


def _regions(course: Course, pair: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the change of each region's mean susceptibility between two sessions, with its limit."""
    tables = []
    for k in pair:
        path = course.sessions[k].place.path("desc-regions_stats.tsv")
        rows = read_tsv(path) if path.exists() and course.aligned.mid.poses[k] else []
        tables.append({(r["structure"], r["side"]): r.get("chi_mean_ppm") for r in rows})
    sds = course.repeatability.region_sd_ppm if course.repeatability else {}
    rows_out = []
    for (structure, side), before in tables[0].items():
        after = tables[1].get((structure, side))
        if before is None or after is None:
            continue
        change = float(after) - float(before)
        limit = NORMAL_QUANTILE * 2**0.5 * sds.get(str(structure), REGION_SD_PPM)
        rows_out.append({
            "baseline_session": course.sessions[pair[0]].name, "followup_session": course.sessions[pair[1]].name,
            "structure": structure, "side": side, "chi_change_ppm": change, "mdc_ppm": limit,
            "is_changed": abs(change) > limit,
        })  # fmt: skip
    return rows_out
