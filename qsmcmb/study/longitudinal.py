"""Change of every lesion over a subject's sessions, from the derivatives alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from qsmcmb.change.matching import COLUMNS, Change, SessionLesions, compare_sessions
from qsmcmb.core.software import software_versions
from qsmcmb.io.derivatives import Place, write_table
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.microbleeds.crosscheck.forced_dipole import estimate_forced_dipole
from qsmcmb.microbleeds.results.table import lesion_from_row
from qsmcmb.model import Estimate, Provenance
from qsmcmb.registration.rigid import Image, RigidTransform, register_rigid
from qsmcmb.typing import FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = ["Comparison", "run_longitudinal"]

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
    rows : list of dict
        One row per lesion and pair of sessions, by the columns of `qsmcmb.change.matching.COLUMNS`.
    warnings : tuple of str
        Messages to the user.

    Examples
    --------
    >>> Comparison(rows=[], warnings=("no acq_time",)).warnings[0]
    'no acq_time'
    """

    rows: list[dict[str, Any]]
    warnings: tuple[str, ...]


class _Pair(TypedDict):
    """Cells that the changes between two sessions have in common, by column of the table."""

    baseline_session: str
    followup_session: str
    interval_years: float | None


def run_longitudinal(out: Path, participant: str) -> Comparison | None:
    """Compare each session of a participant with the one before it; write the longitudinal table.

    Parameters
    ----------
    out : path
        Derivatives folder with finished sessions.
    participant : str
        Label without `sub-`.

    Returns
    -------
    Comparison or None
        None with fewer than two sessions.

    Raises
    ------
    InvalidInputError
        REGISTRATION when two sessions do not show the same head.

    Examples
    --------
    >>> run_longitudinal(Path("nowhere"), "01") is None
    True
    """
    sessions = list_results(out, participant)
    if len(sessions) < 2:
        return None
    sessions, times, warnings = _in_order(sessions)
    rows: list[dict[str, Any]] = []
    numbers: dict[int, int] = {}
    free, transforms = 1, {}
    for before, after in itertools.pairwise(sessions):
        transform = register_rigid(_image(before), _image(after))
        transforms[f"{before.name} to {after.name}"] = {
            "matrix": transform.matrix.tolist(), "dice": transform.dice
        }  # fmt: skip
        changes = _compare(before, after, transform, numbers, free)
        free = max([free, *(c.lesion + 1 for c in changes)])
        numbers = {c.followup_label: c.lesion for c in changes if c.followup_label is not None}
        shared, flags = _pair_record(before, after, times), _protocol_flags(before, after)
        rows += [{**c.row(), **shared, "flags": ";".join((*c.flags, *flags)) or None} for c in changes]
    steps = (("longitudinal", {"method": "rigid", "transforms": transforms}),)
    provenance = Provenance(_sources(sessions, out), steps, software_versions())
    place = Place(out / f"sub-{participant}", f"sub-{participant}")
    columns: dict[str, Any] = {**COLUMNS}
    write_table(place, "desc-cmb_longitudinal", rows, columns=columns, provenance=provenance)
    return Comparison(rows, warnings)


def _in_order(
    sessions: Sequence[SessionResults],
) -> tuple[list[SessionResults], dict[str, datetime], tuple[str, ...]]:
    """Return the sessions by acquisition time, the times, and a warning where labels had to do."""
    times = {}
    for session in sessions:
        stated = session.record("desc-cmb_burden").get("AcquisitionTime")
        if stated:
            times[session.session] = datetime.fromisoformat(stated)
    if len(times) == len(sessions):
        return sorted(sessions, key=lambda s: times[s.session]), times, ()
    warning = (
        f"sub-{sessions[0].participant}: no acq_time for every session in sessions.tsv or scans.tsv; "
        "sessions are ordered by label"
    )
    return sorted(sessions, key=lambda s: s.session), {}, (warning,)


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
    lesions = [lesion_from_row(row) for row in session.lesion_rows()]
    field_hz, grid = session.image("desc-local_fieldmap")
    b0_tesla = float(session.record("desc-cmb_burden")["MagneticFieldStrength"])
    mask, _ = session.image("desc-brain_mask")
    field_ppm = hz_to_ppm(field_hz, b0_tesla)

    def lookup(point_mm: FloatArray) -> Estimate | None:
        return estimate_forced_dipole(field_ppm, mask > 0, grid, point_mm)

    return SessionLesions(session.name, lesions, lookup)


def _pair_record(before: SessionResults, after: SessionResults, times: dict[str, datetime]) -> _Pair:
    interval = None
    if times:
        interval = (times[after.session] - times[before.session]).total_seconds() / 86400 / YEAR_DAYS
    return {"baseline_session": before.name, "followup_session": after.name, "interval_years": interval}


def _protocol_flags(before: SessionResults, after: SessionResults) -> list[str]:
    one, two = (s.record("desc-cmb_burden") for s in (before, after))
    return [flag for field, flag in PROTOCOL.items() if _differ(one.get(field), two.get(field))]


def _differ(one: Any, two: Any) -> bool:
    """Say whether two values differ; numbers by more than the drift of a magnet."""
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) > DRIFT * max(one, two)
    return bool(one != two)


def _sources(sessions: Sequence[SessionResults], out: Path) -> tuple[tuple[str, str], ...]:
    files = [s.place.path(e) for s in sessions for e in ("desc-swi_T2starw.nii.gz", "desc-cmb_lesions.tsv")]
    return tuple(("bids::" + p.relative_to(out).as_posix(), sha256_of(p)) for p in files)
