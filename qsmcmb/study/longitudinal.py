"""Change of every lesion over a subject's sessions, from the derivatives alone."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.change.errors import DEFAULT_ERRORS, ChangeErrors
from qsmcmb.change.flags import OTHER_HEAD
from qsmcmb.change.protocol import ProtocolDifference, protocol_differences
from qsmcmb.change.records import COLUMNS, Change, ChangeRow, without_order
from qsmcmb.change.tracks import find_tracks, judge_track, measure_track
from qsmcmb.core.software import software_versions
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.entities import scan_key
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.model import Provenance
from qsmcmb.study.repeatability import RepeatabilityFile
from qsmcmb.study.session_order import order_sessions
from qsmcmb.study.session_views import AlignedSessions, align_sessions
from qsmcmb.study.subject_course import Course, write_course

__all__ = [
    "RESULTS", "Comparison", "comparable_scans", "compare_scans", "comparison_place", "describe_unmatched",
]  # fmt: skip

RESULTS = ("desc-cmb_longitudinal", "desc-cmb_course", "desc-cmb_trend", "desc-cmb_ariah")
"""Ends of the names of a comparison's results, without extension."""


class Comparison(NamedTuple):
    """Rows of the longitudinal table, messages and files.

    Parameters
    ----------
    rows : list of ChangeRow
        One row per lesion and pair of sessions.
    warnings : tuple of str
        Messages to the user.
    errors : tuple of str
        Messages about sessions that could not be compared.
    files : tuple of Path
        Tables and their JSON; the longitudinal table comes first.

    Examples
    --------
    >>> Comparison(rows=[], warnings=("no acq_time",), errors=(), files=(Path("a.tsv"),)).warnings[0]
    'no acq_time'
    """

    rows: list[ChangeRow]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    files: tuple[Path, ...]


def comparable_scans(
    out: Path, participant: str, *, without: Collection[str] = ()
) -> list[list[SessionResults]]:
    """Return the scans of a participant that are compared: those of several sessions with the same entities.

    Parameters
    ----------
    out : path
        Derivatives folder with finished sessions.
    participant : str
        Label without `sub-`.
    without : collection of str, optional
        Scans that are left out, by the prefix of their names.

    Returns
    -------
    list of list of SessionResults
        Scans of two sessions or more, those with the same acquisition, reconstruction and run together.

    Examples
    --------
    >>> comparable_scans(Path("nowhere"), "01")
    []
    """
    return [scans for scans in _same_kind(out, participant, without) if len(scans) > 1]


def describe_unmatched(out: Path, participant: str) -> tuple[str, ...]:
    """Return a warning where a participant has several sessions, and scans that no other session has.

    Parameters
    ----------
    out : path
        Derivatives folder with finished sessions.
    participant : str
        Label without `sub-`.

    Returns
    -------
    tuple of str
        At most one message, with the scans.

    Examples
    --------
    >>> describe_unmatched(Path("nowhere"), "01")
    ()
    """
    groups = _same_kind(out, participant)
    alone = [scans[0].heading for scans in groups if len(scans) == 1]
    if not alone or len({scan.session for scans in groups for scan in scans}) < 2:
        return ()
    return (
        f"sub-{participant}: no other session has a scan of the same acq, rec and run as {'; '.join(alone)}",
    )


def _same_kind(out: Path, participant: str, without: Collection[str] = ()) -> list[list[SessionResults]]:
    """Return the scans of a participant, those with the same entities together."""
    groups: dict[object, list[SessionResults]] = {}
    for scan in list_results(out, participant):
        if scan.place.prefix in without:
            continue
        groups.setdefault(scan_key(scan.entities), []).append(scan)
    return list(groups.values())


def compare_scans(
    out: Path, scans: Sequence[SessionResults], *, repeatability: RepeatabilityFile | None = None
) -> Comparison:
    """Compare each of a participant's scans with the first and with the one before it; write the tables.

    Parameters
    ----------
    out : path
        Derivatives folder.
    scans : sequence of SessionResults
        Scans of two sessions or more, as `comparable_scans` returns them.
    repeatability : RepeatabilityFile, optional
        The study's own errors of change; by default those of `DEFAULT_ERRORS`.

    Returns
    -------
    Comparison
        The table's rows, messages (REGISTRATION for a session that shows another head) and files.

    Raises
    ------
    InvalidInputError
        RESULT: a record that cannot be read.

    Examples
    --------
    >>> compare_scans(Path("out"), comparable_scans(Path("out"), "01")[0])  # doctest: +SKIP
    """
    order = order_sessions(scans)
    sessions, years = order.sessions, order.years
    errors = repeatability.errors if repeatability else DEFAULT_ERRORS
    aligned = align_sessions(out, sessions)
    records = [session.record("desc-cmb_burden") for session in sessions]
    tracks = find_tracks(aligned.views)
    sights = [measure_track(track, aligned.views) for track in tracks]
    labelled = {track.number: track for track in tracks}
    rows: list[ChangeRow] = []
    differences: dict[tuple[int, int], list[ProtocolDifference]] = {}
    changes: dict[tuple[int, int], list[Change]] = {}
    for pair in sorted({(k, j) for j in range(1, len(sessions)) for k in (0, j - 1)}, key=lambda p: p[::-1]):
        differences[pair] = protocol_differences(records[pair[0]], records[pair[1]])
        found = [
            judge_track(track, aligned.views, own, pair, errors=errors, same_protocol=not differences[pair])
            for track, own in zip(tracks, sights, strict=True)
        ]
        changes[pair] = [_completed(c, aligned, pair, has_order=years is not None) for c in found if c]
        flags = list(dict.fromkeys(d.flag for d in differences[pair]))
        shared: ChangeRow = {
            "baseline_session": sessions[pair[0]].name, "followup_session": sessions[pair[1]].name,
            "interval_years": years[pair[1]] - years[pair[0]] if years else None,
        }  # fmt: skip
        rows += [
            {
                **c.row(),
                **shared,
                "flags": ";".join((*c.flags, *flags)) or None,
                "baseline_labels": labelled[c.lesion].labels(pair[0]),
                "followup_labels": labelled[c.lesion].labels(pair[1]),
            }
            for c in changes[pair]
        ]
    warnings = (*order.warnings, *_protocol_warnings(sessions, differences))
    course = Course(sessions, years, aligned, tracks, sights, changes, differences, errors, repeatability)
    place, provenance = comparison_place(out, sessions[0]), _provenance(out, sessions, aligned, errors)
    table = write_table(
        place, RESULTS[0], rows, columns={**COLUMNS}, provenance=provenance,
        warnings=(*warnings, *aligned.errors),
    )  # fmt: skip
    files = write_course(place, course, provenance=provenance)
    return Comparison(rows, warnings, aligned.errors, (table, table.with_suffix(".json"), *files))


def _completed(change: Change, aligned: AlignedSessions, pair: tuple[int, int], *, has_order: bool) -> Change:
    """Return a change with the flags of its pair of sessions."""
    if any(aligned.mid.poses[k] is None for k in pair):
        change = replace(change, flags=(*change.flags, OTHER_HEAD))
    return change if has_order else without_order(change)


def _protocol_warnings(
    sessions: Sequence[SessionResults], differences: dict[tuple[int, int], list[ProtocolDifference]]
) -> tuple[str, ...]:
    """Return a message for each session that differs from the one before it."""
    return tuple(
        f"{sessions[k].name} and {sessions[j].name} differ in "
        + "; ".join(f"{d.field} ({d.before} and {d.after})" for d in differences[k, j])
        for k, j in itertools.pairwise(range(len(sessions)))
        if differences[k, j]
    )


def comparison_place(out: Path, scan: SessionResults) -> Place:
    """Return folder and prefix of the results of a comparison.

    Parameters
    ----------
    out : path
        Derivatives folder.
    scan : SessionResults
        One of the scans that are compared.

    Returns
    -------
    Place
        Folder of the subject; the prefix holds the entities that the scans share.

    Examples
    --------
    >>> scan = SessionResults(Place(Path("out/sub-01/ses-1/anat"), "sub-01_ses-1_acq-qsm"), "01", "1", {"acq": "qsm"})
    >>> comparison_place(Path("out"), scan).prefix
    'sub-01_acq-qsm'
    """
    entities = [f"{name}-{value}" for name, value in scan.entities.items()]
    return Place(out / f"sub-{scan.participant}", "_".join([f"sub-{scan.participant}", *entities]))


def _provenance(
    out: Path, sessions: Sequence[SessionResults], aligned: AlignedSessions, errors: ChangeErrors
) -> Provenance:
    """Return what a comparison was made of."""
    poses: dict[str, Any] = {
        session.name: {"matrix": pose.matrix.tolist(), "dice": pose.dice, "error_mm": error}
        for session, pose, error in zip(sessions, aligned.mid.poses, aligned.mid.error_mm, strict=True)
        if pose is not None
    }
    options = {
        "method": "rigid",
        "map": aligned.map,
        "repeatability": errors.source,
        "from_midspace": poses,
        "transforms": _transforms(sessions, aligned),
    }
    endings = (f"{aligned.map}.nii.gz", "desc-cmb_lesions.tsv", "desc-local_fieldmap.nii.gz")
    files = [session.place.path(ending) for session in sessions for ending in endings]
    sources = tuple(("bids::" + p.relative_to(out).as_posix(), sha256_of(p)) for p in files)
    return Provenance(sources, (("longitudinal", options),), software_versions())


def _transforms(sessions: Sequence[SessionResults], aligned: AlignedSessions) -> dict[str, Any]:
    """Return the transform between the sessions of each pair that shows one head."""
    found: dict[str, Any] = {}
    poses = aligned.mid.poses
    for j in range(1, len(sessions)):
        for k in sorted({0, j - 1}):
            start, end = poses[k], poses[j]
            if start is not None and end is not None:
                matrix = end.matrix @ start.inverse().matrix
                found[f"{sessions[k].name} to {sessions[j].name}"] = {"matrix": matrix.tolist()}
    return found
