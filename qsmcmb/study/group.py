"""Tables and page over all sessions of a study, from the records on disk alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.cohorts.scan_rows import ENTITIES, SCAN_COLUMNS, flatten_burden, named_scan
from qsmcmb.cohorts.scan_times import acquisition_time, add_years
from qsmcmb.cohorts.study_tables import PROTOCOL_COLUMNS
from qsmcmb.core.software import software_versions
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.lesion_table import column_sidecar
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.place import Place
from qsmcmb.io.quality_records import Finding, quality_findings
from qsmcmb.io.records import QUALITY
from qsmcmb.io.results import SessionResults, list_participants, list_results
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import READER_COLUMNS
from qsmcmb.model import Provenance
from qsmcmb.pipeline.quality_limits import flat_quality, quality_columns
from qsmcmb.study.manifest import FOLDER, read_manifest

__all__ = ["GroupResult", "write_group"]

WARNING_COLUMNS = {
    "kind": "error: the session has no results; damaged: they cannot be read; warning: they must be read with it",
    "text": "Message",
}
NUMBERS = ("b0_tesla", "burden_ppm_mm3", "burden_low_ppm_mm3", "burden_high_ppm_mm3")
"""Values of a burden that the page draws: a record in which one is no number is damaged."""


class GroupResult(NamedTuple):
    """Files over all sessions, and sessions that are not in them.

    Parameters
    ----------
    files : tuple of Path
        Tables and page.
    n_scans : int
        Scans with results.
    problems : tuple of str
        A message for each session without results, and for each whose results cannot be read.

    Examples
    --------
    >>> GroupResult((), 0, ()).n_scans
    0
    """

    files: tuple[Path, ...]
    n_scans: int
    problems: tuple[str, ...]


class _Rows(NamedTuple):
    """Rows of the tables, and the records that they come from."""

    lesions: list[dict[str, Any]]
    burdens: list[dict[str, Any]]
    qualities: list[dict[str, Any]]
    findings: list[list[Finding]]
    messages: list[dict[str, Any]]
    sources: list[Path]


def write_group(out: Path) -> GroupResult:
    """Write the tables of lesions, burdens, quality and messages over all sessions, and OUT/group.html.

    Parameters
    ----------
    out : Path
        Derivatives folder.

    Returns
    -------
    GroupResult
        Files and problems; a damaged session is left out of the tables and named.

    Raises
    ------
    OutputError, StorageError
        A file cannot be written.

    Examples
    --------
    >>> write_group(Path("derivatives/qsmcmb"))  # doctest: +SKIP
    """
    from qsmcmb.reporting.group_page import GroupRows, write_group_page

    rows = _collect(out)
    provenance = Provenance(
        tuple(("bids::" + p.relative_to(out).as_posix(), sha256_of(p)) for p in rows.sources),
        (),
        software_versions(),
    )
    place, scan = Place(out, "group"), {name: {"Description": text} for name, text in SCAN_COLUMNS.items()}
    burden_columns = list(dict.fromkeys(key for row in rows.burdens for key in row if key not in scan))
    judged = READER_COLUMNS if any("reader" in row for row in rows.lesions) else {}
    tables: dict[str, tuple[list[dict[str, Any]], Mapping[str, Any]]] = {
        "desc-cmb_lesions": (rows.lesions, {**column_sidecar(), **column_sidecar(judged)}),
        "desc-cmb_burden": (rows.burdens, {key: _described(key) for key in burden_columns}),
        QUALITY: (rows.qualities, quality_columns()),
        "desc-cmb_warnings": (
            rows.messages,
            {name: {"Description": t} for name, t in WARNING_COLUMNS.items()},
        ),
    }
    files = [
        write_table(place, ending, found, columns={**scan, **columns}, provenance=provenance)
        for ending, (found, columns) in tables.items()
    ]
    shown = GroupRows(rows.burdens, rows.qualities, rows.findings, rows.messages)
    files.append(write_group_page(out / "group.html", shown, quality_columns=quality_columns()))
    problems = [f"{row['kind']}: {row['text']}" for row in rows.messages if row["kind"] != "warning"]
    return GroupResult(tuple(files), len(rows.burdens), tuple(problems))


def _described(key: str) -> dict[str, str]:
    """Return the description of a column of the table of burdens."""
    unit = next((unit for end, unit in (("_ppm_mm3", "ppm mm3"), ("_mm3", "mm3")) if key.endswith(end)), "")
    if key == "years":
        return {"Description": PROTOCOL_COLUMNS[key], "Units": "year"}
    described = {"Description": f"As the key of desc-cmb_burden.json: {key.replace('.', ', ')}"}
    return {**described, "Units": unit} if unit else described


def _collect(out: Path) -> _Rows:
    """Return the rows of all scans, of the ones that failed the messages alone."""
    rows = _Rows([], [], [], [], [], [])
    for participant in list_participants(out):
        own = len(rows.burdens)
        for scan in list_results(out, participant):
            named = named_scan(scan)
            try:
                record = scan.record("desc-cmb_burden")
                table = scan.place.path("desc-cmb_lesions.tsv")
                lesions = read_tsv(table)
                burden = {**named, "years": acquisition_time(record), **flatten_burden(record)}
                for name in NUMBERS:
                    float(burden.get(name) or 0)
                quality = _quality(scan)
                flat, findings = flat_quality(quality), quality_findings(quality)
            except Exception as error:
                # Old results may be damaged in any way.
                rows.messages.append({**named, "kind": "damaged", "text": f"{scan.place.prefix}: {error}"})
                continue
            rows.lesions.extend({**named, **lesion} for lesion in lesions)
            rows.burdens.append(burden)
            rows.qualities.append({**named, **flat})
            rows.findings.append(findings)
            rows.messages.extend(
                {**named, "kind": "warning", "text": str(w)} for w in record.get("Warnings", [])
            )
            beside = [scan.place.path(f"{QUALITY}.json")] if quality else []
            rows.sources.extend((scan.place.path("desc-cmb_burden.json"), table, *beside))
        times = add_years(rows.burdens[own:])
        rows.messages.extend(
            {"participant_id": f"sub-{participant}", "kind": "warning", "text": text} for text in times
        )
    rows.messages.extend(_failed(out))
    return rows


def _quality(scan: SessionResults) -> dict[str, Any]:
    """Return the quality record of a scan; nothing where an earlier version left none."""
    return scan.record(QUALITY) if scan.place.path(f"{QUALITY}.json").exists() else {}


def _failed(out: Path) -> Iterator[dict[str, Any]]:
    """Yield a message for each scan whose last run has failed."""
    for path in sorted((out / FOLDER / "manifest").glob("*.json")):
        known = read_manifest(path)
        if known is None or not known.error:
            continue
        pairs = dict(token.partition("-")[::2] for token in path.stem.split("_"))
        yield {
            "participant_id": f"sub-{pairs.get('sub', '')}",
            "session_id": f"ses-{pairs['ses']}" if "ses" in pairs else None,
            **{column: pairs.get(entity) for column, entity in ENTITIES.items()},
            "kind": "error",
            "text": known.error.splitlines()[0],
        }
