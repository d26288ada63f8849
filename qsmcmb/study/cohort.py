"""Tables, statistics and page of a cohort, from the derivatives alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.cohorts.analysis import analyse_study
from qsmcmb.cohorts.scan_rows import SCAN_COLUMNS
from qsmcmb.cohorts.statistic import COLUMNS, Statistic
from qsmcmb.cohorts.study_tables import (
    PROTOCOL_COLUMNS,
    SUBJECT_COLUMNS,
    Study,
    read_participants,
    read_study,
)
from qsmcmb.core.software import software_versions
from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.place import Place
from qsmcmb.model import Provenance
from qsmcmb.reporting.cohort_page import write_cohort_page

__all__ = ["CohortResult", "write_cohort"]

MAX_NAMED = 5
"""Participants that a message names; it counts the others."""


class CohortResult(NamedTuple):
    """Files of a cohort, its statistics, and what must be known of them.

    Parameters
    ----------
    files : tuple of Path
        Tables and page.
    statistics : list of Statistic
        Rows of the table of statistics.
    messages : tuple of str
        Participants and scans that are missing.

    Examples
    --------
    >>> CohortResult((), [], ()).files
    ()
    """

    files: tuple[Path, ...]
    statistics: list[Statistic]
    messages: tuple[str, ...]


def write_cohort(
    out: Path,
    folder: Path,
    *,
    participants: Path | None = None,
    arm: str = "",
    adjust: Sequence[str] = (),
) -> CohortResult:
    """Write the tables of lesions, scans and subjects of a study, its statistics, and a page.

    Parameters
    ----------
    out : Path
        Derivatives folder of `qsmcmb run`.
    folder : Path
        Where the files go.
    participants : Path, optional
        Table with `participant_id`, the arm and covariates.
    arm : str, optional
        Column with the arm.
    adjust : sequence of str, optional
        Columns that are adjusted for.

    Returns
    -------
    CohortResult
        Files, statistics and messages.

    Raises
    ------
    InvalidInputError
        PARTICIPANTS: the table does not fit.
    NothingMatchedError
        NO-MATCH: no scan has results.

    Examples
    --------
    >>> write_cohort(Path("derivatives/qsmcmb"), Path("cohort"))  # doctest: +SKIP
    """
    wanted = [name for name in (arm, *adjust) if name]
    known = read_participants(participants, wanted) if participants else {}
    study = read_study(out)
    if not study.scans:
        raise NothingMatchedError(
            "NO-MATCH", out, field="scans with results", found="0", expected="at least 1",
            fix="name the derivatives folder of `qsmcmb run`",
        )  # fmt: skip
    messages = [*study.messages, *_unmatched(study, known, participants)]
    subjects = [{**known.get(s["participant_id"], {}), **s} for s in study.subjects]
    statistics = analyse_study(study, known, arm=arm, adjust=adjust)
    make_folder(folder)
    provenance = Provenance(
        tuple(("bids::" + p.relative_to(out).as_posix(), sha256_of(p)) for p in study.sources),
        (("cohort", {"arm": arm, "adjust": list(adjust)}),),
        software_versions(),
    )
    scan_columns = _described({**SCAN_COLUMNS, **PROTOCOL_COLUMNS})
    of_participants = {name: f"Column of {participants.name}" for name in wanted} if participants else {}
    tables: dict[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]] = {
        "lesions": (study.lesions, _with_rest(scan_columns, study.lesions)),
        "scans": (study.scans, _with_rest(scan_columns, study.scans)),
        "subjects": (subjects, _described({**SUBJECT_COLUMNS, **of_participants})),
        "statistics": ([s.row() for s in statistics], COLUMNS),
    }
    place = Place(folder)
    files = [
        write_table(place, f"cohort_{name}", rows, columns=columns, provenance=provenance, warnings=messages)
        for name, (rows, columns) in tables.items()
    ]
    page = write_cohort_page(
        folder / "cohort.html", scans=study.scans, subjects=subjects, statistics=statistics, messages=messages
    )
    return CohortResult((*files, page), statistics, tuple(messages))


def _described(columns: Mapping[str, str]) -> dict[str, Any]:
    """Return columns with their descriptions as BIDS wants them."""
    return {name: {"Description": text} for name, text in columns.items()}


def _with_rest(first: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return these columns, then all others that rows have."""
    rest = dict.fromkeys(key for row in rows for key in row if key not in first)
    described = {key: {"Description": f"As in the results of each scan: {key}"} for key in rest}
    return {**first, **described}


def _unmatched(study: Study, known: Mapping[str, Any], participants: Path | None) -> list[str]:
    """Return which participants have results or a row alone.

    Raises
    ------
    InvalidInputError
        PARTICIPANTS: none has both.
    """
    if participants is None:
        return []
    measured = [str(s["participant_id"]) for s in study.subjects]
    without_row = [name for name in measured if name not in known]
    without_results = [name for name in known if name not in measured]
    if len(without_row) == len(measured):
        raise InvalidInputError(
            "PARTICIPANTS", participants, field="participant_id", found=_some(list(known)),
            expected=f"participants with results, such as {measured[0]}", fix="give the table of this study",
        )  # fmt: skip
    said = []
    if without_row:
        said.append(
            f"{len(without_row)} with results lack a row in {participants.name}, and are in no arm: "
            f"{_some(without_row)}"
        )
    if without_results:
        said.append(
            f"{len(without_results)} of {participants.name} have no results: {_some(without_results)}"
        )
    return said


def _some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
