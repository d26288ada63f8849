"""Scan-rescan pairs of a study, and the file of its own errors of change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.change.errors import ChangeErrors, without_common_errors
from qsmcmb.change.repeatability import fit_errors
from qsmcmb.change.tracks import find_tracks, measure_track
from qsmcmb.core.software import software_versions
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.result_records import provenance_record
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import read_tsv, write_json
from qsmcmb.model import Provenance
from qsmcmb.study.session_views import align_sessions
from qsmcmb.typing import FloatArray

__all__ = ("RepeatabilityFile", "measure_repeatability", "read_pairs", "read_repeatability")

COLUMNS = ("participant_id", "session_a", "session_b")
"""Columns of the table of pairs."""
KEYS = ("sd_factor", "own_relative_sd", "shared_relative_sd", "shared_relative_sd_other")
"""Numbers of the file, each 0 or more."""


class RepeatabilityFile(NamedTuple):
    """Errors of change of a study.

    Parameters
    ----------
    errors : ChangeErrors
        Errors of the lesions' totals.
    region_sd_ppm : dict of str to float
        SD of the mean susceptibility of each structure in one scan, ppm.

    Examples
    --------
    >>> from qsmcmb.change.errors import DEFAULT_ERRORS
    >>> RepeatabilityFile(DEFAULT_ERRORS, {"putamen": 0.004}).region_sd_ppm["putamen"]
    0.004
    """

    errors: ChangeErrors
    region_sd_ppm: dict[str, float]


def measure_repeatability(out: Path, pairs: Path, target: Path) -> dict[str, Any]:
    """Measure a study's own errors of change from scan-rescan pairs; write them as JSON.

    Parameters
    ----------
    out : Path
        Derivatives folder with finished sessions.
    pairs : Path
        Table with `participant_id`, `session_a` and `session_b`.
    target : Path
        File to write.

    Returns
    -------
    dict
        The record as written.

    Raises
    ------
    InvalidInputError
        TSV: a column is missing, or a pair has no results; REGISTRATION: a pair of two heads; LESIONS: fewer than five
        lesions.

    Examples
    --------
    >>> measure_repeatability(Path("derivatives/qsmcmb"), Path("pairs.tsv"), Path("errors.json"))  # doctest: +SKIP
    """
    totals: list[tuple[FloatArray, FloatArray]] = []
    regions: dict[str, list[float]] = {}
    sources = [pairs]
    for scans in read_pairs(out, pairs):
        aligned = align_sessions(out, scans)
        if aligned.errors:
            raise InvalidInputError(
                "REGISTRATION", pairs, field=f"pair of sub-{scans[0].participant}",
                found=", ".join(s.name for s in scans), expected="two sessions of one head",
                fix="leave the pair out, or correct its labels",
            )  # fmt: skip
        sights = [
            measure_track(track, aligned.views)
            for track in find_tracks(aligned.views)
            if len(track.parts) == 2
        ]
        found = [
            without_common_errors([s.total for s in pair if s.total], [s.noise_sd_ppm_mm3 for s in pair])
            for pair in sights
        ]
        both = np.array([[[t.value, t.sd] for t in row] for row in found]).reshape(-1, 2, 2)
        both = both[np.isfinite(both).all(axis=(1, 2))]
        totals.append((both[:, 0], both[:, 1]))
        for structure, difference in _region_differences(scans):
            regions.setdefault(structure, []).append(difference)
        sources += [scan.place.path("desc-cmb_lesions.tsv") for scan in scans]
    errors = fit_errors(totals, source=target.name)
    values = np.vstack([np.column_stack([a[:, 0], b[:, 0]]) for a, b in totals])
    relative = (values[:, 1] - values[:, 0]) / values.mean(axis=1)
    record = {
        **{name: value for name, value in asdict(errors).items() if name in KEYS},
        "n_pairs": len(totals),
        "n_lesions": len(values),
        "within_subject_cv": float(np.sqrt(np.mean(relative**2) / 2)),
        # Both sides of a structure count as two scans of it.
        "region_sd_ppm": {s: float(np.sqrt(np.mean(np.square(d)) / 2)) for s, d in sorted(regions.items())},
    }
    named = tuple((path.name, sha256_of(path)) for path in sources)
    write_json(target, {**record, **provenance_record(Provenance(named, (), software_versions()))})
    return record


def read_pairs(out: Path, pairs: Path) -> list[list[SessionResults]]:
    """Return the scans of each pair.

    Parameters
    ----------
    out : Path
        Derivatives folder with finished sessions.
    pairs : Path
        Table with `participant_id`, `session_a` and `session_b`; with or without `sub-` and `ses-`.

    Returns
    -------
    list of list of SessionResults
        Two scans each: the first of each session.

    Raises
    ------
    InvalidInputError
        TSV: a column is missing, the table has no row, or a session has no results.

    Examples
    --------
    >>> read_pairs(Path("derivatives/qsmcmb"), Path("pairs.tsv"))  # doctest: +SKIP
    """
    rows = read_tsv(pairs)
    missing = [c for c in COLUMNS if not rows or any(not row.get(c) for row in rows)]
    if missing:
        raise InvalidInputError(
            "TSV", pairs, field="columns", found=f"nothing in {', '.join(missing)}", expected=", ".join(COLUMNS),
            fix="write one row for each scan-rescan pair",
        )  # fmt: skip
    found = []
    for row in rows:
        participant = str(row["participant_id"]).removeprefix("sub-")
        labels = [str(row[c]).removeprefix("ses-") for c in COLUMNS[1:]]
        results: Sequence[SessionResults] = list_results(out, participant)
        scans = [next((r for r in results if r.session == label), None) for label in labels]
        known = [scan for scan in scans if scan is not None]
        if len(known) < 2 or labels[0] == labels[1]:
            raise InvalidInputError(
                "TSV", pairs, field=f"sessions of sub-{participant}", found=", ".join(labels),
                expected="two sessions with results", fix="correct the labels, or run the sessions",
            )  # fmt: skip
        found.append(known)
    return found


def _region_differences(scans: Sequence[SessionResults]) -> list[tuple[str, float]]:
    """Return the difference of each structure's mean susceptibility between two scans, ppm."""
    tables = []
    for scan in scans:
        path = scan.place.path("desc-regions_stats.tsv")
        rows = read_tsv(path) if path.exists() else []
        tables.append({(str(r["structure"]), r["side"]): r.get("chi_mean_ppm") for r in rows})
    both = [(key, value, tables[1].get(key)) for key, value in tables[0].items()]
    return [(key[0], float(b) - float(a)) for key, a, b in both if a is not None and b is not None]


def read_repeatability(path: Path) -> RepeatabilityFile:
    """Read a study's own errors of change.

    Parameters
    ----------
    path : Path
        File that `qsmcmb repeatability` has written.

    Returns
    -------
    RepeatabilityFile
        The errors.

    Raises
    ------
    InvalidInputError
        REPEATABILITY: a number is missing or none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "errors.json"
    ...     write_json(file, dict.fromkeys(KEYS, 0.5))
    ...     read_repeatability(file).errors.sd_factor
    0.5
    """
    record = read_sidecar(path)
    numbers = {name: record.get(name) for name in KEYS}
    regions = record.get("region_sd_ppm") or {}
    for name, value in (*numbers.items(), *regions.items()):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise InvalidInputError(
                "REPEATABILITY", path, field=name, found=value, expected="a number, 0 or more",
                fix="write the file with `qsmcmb repeatability`",
            )  # fmt: skip
    return RepeatabilityFile(
        ChangeErrors(**{n: float(v) for n, v in numbers.items() if v is not None}, source=path.name),
        dict(regions),
    )
