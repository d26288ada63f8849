"""Rows of a study, one per lesion, scan and subject, each with the protocol that it was scanned with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.cohorts.scan_rows import SCAN_COLUMNS, flatten_burden, named_scan
from qsmcmb.cohorts.scan_times import acquisition_time, add_years
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.results import SessionResults, list_participants, list_results
from qsmcmb.io.tables import read_tsv

__all__ = ("PROTOCOL_COLUMNS", "SUBJECT_COLUMNS", "Study", "read_participants", "read_study")

PROTOCOL_COLUMNS = {
    "b0_tesla": "Field strength, T",
    "longest_te_s": "Longest echo time, s",
    "voxel_mm3": "Volume of a voxel, mm3",
    "scanner": "Manufacturer, model and serial number as the scan's sidecar states them",
    "years": "Time since the subject's first scan, years",
}
"""Columns of the protocol that rows of lesions and scans begin with, after the scan's names."""
SUBJECT_COLUMNS = {
    "participant_id": "Participant, with its prefix",
    "n_scans": "Scans with results",
    "n_sessions": "Sessions with results",
    "field_strengths": "Field strengths, T",
    "scanners": "Scanners",
    "n_baseline": "Microbleeds of the first scan, definite and possible",
    "burden_baseline_ppm_mm3": "Burden of the first scan, ppm mm3",
    "n_last": "Microbleeds of the last scan, definite and possible",
    "burden_last_ppm_mm3": "Burden of the last scan, ppm mm3",
    "followed": "1 where sessions were compared",
    "years": "Time from the first to the last scan, years",
    "n_incident": "New microbleeds, each session against the one before",
    "n_resolved": "Microbleeds that are gone, in the same way",
    "n_not_evaluable": "Lesions without a status: one session cannot show them, or a reader has rejected them in one "
    "session alone",
    "n_new_expected": "Expected number of new microbleeds of the last session against the first, by the lesions' "
    "probabilities of being new",
    "n_new_low": "Lower end of its 95 % interval: what is uncertain of the lesions",
    "n_new_high": "Upper end of it",
    "p_any_new": "Probability that one at least is new",
}
"""Columns of the table of subjects; those of the participants' table follow."""
LONGITUDINAL = "*desc-cmb_longitudinal.tsv"
SCANNER = ("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber")


class Study(NamedTuple):
    """The rows of a study.

    Parameters
    ----------
    lesions : list of dict
        One row per candidate: names of the scan, protocol, columns of the lesion table.
    scans : list of dict
        One row per scan: names, protocol, burden.
    subjects : list of dict
        One row per subject.
    changes : list of dict
        Rows of the longitudinal tables with the participant, each session against the one before.
    messages : list of str
        What is missing or cannot be read.
    sources : list of Path
        Files that were read.

    Examples
    --------
    >>> read_study(Path("nowhere")).subjects
    []
    """

    lesions: list[dict[str, Any]]
    scans: list[dict[str, Any]]
    subjects: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    messages: list[str]
    sources: list[Path]


def read_study(out: Path) -> Study:
    """Read the results of all scans of a study; nothing is computed again.

    Parameters
    ----------
    out : Path
        Derivatives folder of `qsmcmb run`.

    Returns
    -------
    Study
        Rows; a scan that cannot be read is left out and named.

    Examples
    --------
    >>> read_study(Path("nowhere")).messages
    []
    """
    study = Study([], [], [], [], [], [])
    for participant in list_participants(out):
        scans = [read for scan in list_results(out, participant) if (read := _read_scan(scan, study))]
        if not scans:
            continue
        rows = [row for row, _ in scans]
        study.messages.extend(add_years(rows))
        for row, lesions in scans:
            protocol = {name: row[name] for name in PROTOCOL_COLUMNS}
            names = {name: row[name] for name in SCAN_COLUMNS}
            study.lesions.extend({**names, **protocol, **lesion} for lesion in lesions)
        study.scans.extend(rows)
        folder = out / f"sub-{participant}"
        changes = list(_read_changes(folder, rows, study))
        study.changes.extend(changes)
        subject = _subject(rows, changes, compared=any(folder.glob(LONGITUDINAL)))
        study.subjects.append({**subject, **_expected_new(folder, study)})
    return study


def _read_scan(scan: SessionResults, study: Study) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return the row of a scan and those of its lesions; None, and a message, where they cannot be read."""
    table = scan.place.path("desc-cmb_lesions.tsv")
    try:
        record, lesions = scan.record("desc-cmb_burden"), read_tsv(table)
        names, protocol = named_scan(scan), _protocol(record)
        row = {**names, **protocol, **flatten_burden(record)}
        row["n_microbleeds"] = int(record["n_definite"]) + int(record["n_possible"])
    except Exception as error:
        # Old results may be damaged in any way.
        study.messages.append(f"{scan.place.prefix} is left out: {error}")
        return None
    study.sources.extend((scan.place.path("desc-cmb_burden.json"), table))
    return row, [dict(lesion) for lesion in lesions]


def _protocol(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the protocol of a scan from its burden record, and its time."""
    scanner = record.get("Input", {}).get("Scanner", {})
    named = [str(scanner[key]) for key in SCANNER if scanner.get(key)]
    voxel = record.get("VoxelSize")
    return {
        "b0_tesla": record.get("MagneticFieldStrength"),
        "longest_te_s": max(record.get("EchoTime") or [], default=None),
        "voxel_mm3": prod(voxel) if voxel else None,
        "scanner": " ".join(named) or None,
        "years": acquisition_time(record),
    }


def _expected_new(folder: Path, study: Study) -> dict[str, Any]:
    """Return what the lesions' probabilities say of new microbleeds of the last session against the first."""
    nothing = dict.fromkeys(("n_new_expected", "n_new_low", "n_new_high", "p_any_new"))
    tables = sorted(folder.glob(LONGITUDINAL))
    path = tables[0].with_name(tables[0].name.replace("longitudinal.tsv", "ariah.json")) if tables else None
    if path is None or not path.exists():
        return nothing
    try:
        last = read_sidecar(path)["microhaemorrhages"][-1]
        chances = last.get("class_probability")
        if not chances:
            return nothing
        found = {name: last[name] for name in ("n_new_expected", "n_new_low", "n_new_high")}
        found["p_any_new"] = 1.0 - float(chances["none"])
    except Exception as error:
        # Old results may be damaged in any way.
        study.messages.append(f"{path.name} is left out: {error}")
        return nothing
    study.sources.append(path)
    return found


def _read_changes(folder: Path, scans: Sequence[Mapping[str, Any]], study: Study) -> Iterator[dict[str, Any]]:
    """Yield the rows of a subject's longitudinal table, each session against the one before."""
    sessions = list(dict.fromkeys(row["session_id"] for row in scans))
    if len(sessions) < 2:
        return
    tables = sorted(folder.glob(LONGITUDINAL))
    if not tables:
        study.messages.append(f"{folder.name}: several sessions, not compared; run qsmcmb longitudinal")
        return
    if len(tables) > 1:
        study.messages.append(f"{folder.name}: {tables[0].name} is used of {len(tables)} longitudinal tables")
    try:
        rows = read_tsv(tables[0])
    except InvalidInputError as error:
        study.messages.append(f"{folder.name}: {error}")
        return
    study.sources.append(tables[0])
    before = _session_before(rows, [str(s) for s in sessions])
    for row in rows:
        if before.get(str(row.get("followup_session"))) == row.get("baseline_session"):
            yield {"participant_id": folder.name, **row}


def _session_before(
    rows: Sequence[Mapping[str, str | None]], sessions: Sequence[str]
) -> dict[str, str | None]:
    """Return for each follow-up session the nearest of the sessions that it was compared with."""
    nearest: dict[str, tuple[float, str | None]] = {}
    for row in rows:
        after, first = str(row.get("followup_session")), row.get("baseline_session")
        stated = row.get("interval_years")
        position = sessions.index(str(first)) if str(first) in sessions else 0
        distance = float(stated) if stated else float(len(sessions) - position)
        if after not in nearest or distance < nearest[after][0]:
            nearest[after] = (distance, first)
    return {after: first for after, (_, first) in nearest.items()}


def _subject(
    scans: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]], *, compared: bool
) -> dict[str, Any]:
    """Return the row of a subject."""
    dated = all(row["years"] is not None for row in scans)
    order = sorted(scans, key=lambda row: row["years"]) if dated else list(scans)
    first, last = order[0], order[-1]
    n_sessions = len({row["session_id"] for row in scans})
    status = [row["status"] for row in changes]
    # Two sessions without any lesion leave no row: the table itself shows that they were compared.
    followed = int(n_sessions > 1 and dated and compared)
    return {
        "participant_id": first["participant_id"],
        "n_scans": len(scans),
        "n_sessions": n_sessions,
        "field_strengths": ", ".join(
            f"{b:g}" for b in sorted({r["b0_tesla"] for r in scans if r["b0_tesla"]})
        ),
        "scanners": ", ".join(sorted({r["scanner"] for r in scans if r["scanner"]})) or None,
        "n_baseline": first["n_microbleeds"],
        "burden_baseline_ppm_mm3": first["burden_ppm_mm3"],
        "n_last": last["n_microbleeds"],
        "burden_last_ppm_mm3": last["burden_ppm_mm3"],
        "followed": followed,
        "years": last["years"] if dated and n_sessions > 1 else None,
        "n_incident": status.count("incident"),
        "n_resolved": status.count("resolved"),
        "n_not_evaluable": status.count("not_evaluable"),
    }


def read_participants(path: Path, columns: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """Read what a study knows of its participants.

    Parameters
    ----------
    path : Path
        Table with the column `participant_id`.
    columns : sequence of str
        Further columns that it must have.

    Returns
    -------
    dict
        Participant, with its prefix, to its row.

    Raises
    ------
    InvalidInputError
        PARTICIPANTS: a column is missing, or a participant stands twice.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "participants.tsv"
    ...     _ = path.write_text("participant_id\\tarm\\nsub-01\\tplacebo\\n")
    ...     read_participants(path, ["arm"])
    {'sub-01': {'participant_id': 'sub-01', 'arm': 'placebo'}}
    """
    rows = read_tsv(path)
    header = list(rows[0]) if rows else ["participant_id"]
    for column in ("participant_id", *columns):
        if column not in header:
            raise InvalidInputError(
                "PARTICIPANTS", path, field="columns", found=", ".join(header), expected=f"a column {column}",
                fix="name a column that the table has, or add it",
            )  # fmt: skip
    found: dict[str, dict[str, str | None]] = {}
    for row in rows:
        name = "sub-" + str(row["participant_id"]).removeprefix("sub-")
        if name in found:
            raise InvalidInputError(
                "PARTICIPANTS", path, field="participant_id", found=f"{name} twice", expected="one row for each",
                fix="leave one of the rows",
            )  # fmt: skip
        found[name] = row
    return found
