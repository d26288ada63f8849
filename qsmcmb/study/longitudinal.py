"""Change of every lesion over a subject's sessions, from the derivatives alone."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.change.matching import SessionLesions, compare_sessions
from qsmcmb.change.records import COLUMNS, Change, ChangeRow, without_order
from qsmcmb.core.software import software_versions
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.entities import natural_key, scan_key
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.microbleeds.crosscheck.forced_dipole import estimate_forced_dipole
from qsmcmb.model import Estimate, Provenance
from qsmcmb.registration.rigid import Image, RigidTransform, register_rigid
from qsmcmb.typing import FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = ["Comparison", "comparable_scans", "comparable_times", "compare_scans", "describe_unmatched"]

YEAR_DAYS = 365.25
"""Mean length of a year, days."""
PROTOCOL = {
    "MagneticFieldStrength": "field-strength-differs",
    "EchoTime": "echo-times-differ",
    "VoxelSize": "voxel-size-differs",
}
"""Flag of a change by the field of the records in which the two scans differ."""
DRIFT = 1e-3
"""Fraction by which a number of two scans may differ: a magnet's frequency drifts by less."""


class Comparison(NamedTuple):
    """Rows of the longitudinal table, and messages.

    Parameters
    ----------
    rows : list of ChangeRow
        One row per lesion and pair of sessions.
    warnings : tuple of str
        Messages to the user.
    table : Path
        File of the table.

    Examples
    --------
    >>> Comparison(rows=[], warnings=("no acq_time",), table=Path("a.tsv")).warnings[0]
    'no acq_time'
    """

    rows: list[ChangeRow]
    warnings: tuple[str, ...]
    table: Path


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


def compare_scans(out: Path, scans: Sequence[SessionResults]) -> Comparison:
    """Compare each of a participant's scans with the one before it; write the longitudinal table.

    Parameters
    ----------
    out : path
        Derivatives folder.
    scans : sequence of SessionResults
        Scans of two sessions or more, as `comparable_scans` returns them.

    Returns
    -------
    Comparison
        The table's rows, and messages.

    Raises
    ------
    InvalidInputError
        REGISTRATION when two sessions do not show the same head.

    Examples
    --------
    >>> compare_scans(Path("out"), comparable_scans(Path("out"), "01")[0])  # doctest: +SKIP
    """
    sessions, times, warnings = _in_order(scans)
    rows: list[ChangeRow] = []
    numbers: dict[int, int] = {}
    free, transforms = 1, {}
    for before, after in itertools.pairwise(sessions):
        transform = register_rigid(_image(before), _image(after))
        transforms[f"{before.name} to {after.name}"] = {
            "matrix": transform.matrix.tolist(), "dice": transform.dice
        }  # fmt: skip
        changes = _compare(before, after, transform, numbers, free)
        changes = changes if times else [without_order(c) for c in changes]
        free = max([free, *(c.lesion + 1 for c in changes)])
        numbers = {c.followup_label: c.lesion for c in changes if c.followup_label is not None}
        shared, flags = _pair_record(before, after, times), _protocol_flags(before, after)
        rows += [{**c.row(), **shared, "flags": ";".join((*c.flags, *flags)) or None} for c in changes]
    steps = (("longitudinal", {"method": "rigid", "transforms": transforms}),)
    provenance = Provenance(_sources(sessions, out), steps, software_versions())
    first = sessions[0]
    entities = [f"{name}-{value}" for name, value in first.entities.items()]
    place = Place(out / f"sub-{first.participant}", "_".join([f"sub-{first.participant}", *entities]))
    table = write_table(
        place, "desc-cmb_longitudinal", rows, columns={**COLUMNS}, provenance=provenance, warnings=warnings
    )
    return Comparison(rows, warnings, table)


def _in_order(
    sessions: Sequence[SessionResults],
) -> tuple[list[SessionResults], dict[str, datetime], tuple[str, ...]]:
    """Return the sessions by acquisition time and the times; without times by label, and a warning."""
    times = {}
    for session in sessions:
        stated = session.record("desc-cmb_burden").get("AcquisitionTime")
        if stated:
            times[session.session] = datetime.fromisoformat(stated)
    times = comparable_times(times)
    if len(times) == len(set(times.values())) == len(sessions):
        return sorted(sessions, key=lambda s: times[s.session]), times, ()
    warning = (
        f"sub-{sessions[0].participant}: no acq_time of its own for every session in sessions.tsv or scans.tsv; "
        "sessions are in the order of their labels, and no lesion is called new or resolved"
    )
    return sorted(sessions, key=lambda s: natural_key(s.session)), {}, (warning,)


def comparable_times(times: dict[str, datetime]) -> dict[str, datetime]:
    """Return times that can be compared: in UTC where each states its zone, else as the clocks on the wall showed them.

    Parameters
    ----------
    times : dict of str to datetime
        Time by session, each with a zone or without.

    Returns
    -------
    dict of str to datetime
        The same without zones.

    Examples
    --------
    >>> early, late = datetime(2021, 1, 1, 10), datetime(2021, 1, 2, 9, tzinfo=UTC)
    >>> [time.isoformat() for time in comparable_times({"1": early, "2": late}).values()]
    ['2021-01-01T10:00:00', '2021-01-02T09:00:00']
    """
    if all(time.tzinfo for time in times.values()):
        times = {session: time.astimezone(UTC) for session, time in times.items()}
    return {session: time.replace(tzinfo=None) for session, time in times.items()}


def _image(session: SessionResults) -> Image:
    data, grid = session.image("desc-swi_T2starw")
    mask, _ = session.image("desc-brain_mask")
    return Image(data, mask > 0, grid, str(session.place.path("desc-swi_T2starw.nii.gz")))


def _compare(
    before: SessionResults,
    after: SessionResults,
    transform: RigidTransform,
    numbers: dict[int, int],
    free: int,
) -> list[Change]:
    return compare_sessions(
        _lesions(before), _lesions(after), transform.apply, transform.inverse().apply,
        numbers=numbers, first_free=free,
    )  # fmt: skip


def _lesions(session: SessionResults) -> SessionLesions:
    field_hz, grid = session.image("desc-local_fieldmap")
    b0_tesla = float(session.record("desc-cmb_burden")["MagneticFieldStrength"])
    mask, _ = session.image("desc-brain_mask")
    field_ppm = hz_to_ppm(field_hz, b0_tesla)

    def lookup(point_mm: FloatArray) -> Estimate | None:
        return estimate_forced_dipole(field_ppm, mask > 0, grid, point_mm)

    return SessionLesions(session.name, session.lesions(), lookup)


def _pair_record(before: SessionResults, after: SessionResults, times: dict[str, datetime]) -> ChangeRow:
    """Return the cells that the changes between two sessions have in common."""
    interval = None
    if times:
        interval = (times[after.session] - times[before.session]).total_seconds() / 86400 / YEAR_DAYS
    return {"baseline_session": before.name, "followup_session": after.name, "interval_years": interval}


def _protocol_flags(before: SessionResults, after: SessionResults) -> list[str]:
    one, two = (s.record("desc-cmb_burden") for s in (before, after))
    return [flag for field, flag in PROTOCOL.items() if _differ(one.get(field), two.get(field))]


def _differ(one: Any, two: Any) -> bool:
    """Say whether two values differ; numbers by more than the drift of a magnet.

    Examples
    --------
    >>> _differ(2.89355, 2.89362), _differ(2.89355, 3.0), _differ([1.0, 1.0], [1.0, 1.5])
    (False, True, True)
    """
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) > DRIFT * max(one, two)
    return bool(one != two)


def _sources(sessions: Sequence[SessionResults], out: Path) -> tuple[tuple[str, str], ...]:
    files = [s.place.path(e) for s in sessions for e in ("desc-swi_T2starw.nii.gz", "desc-cmb_lesions.tsv")]
    return tuple(("bids::" + p.relative_to(out).as_posix(), sha256_of(p)) for p in files)
