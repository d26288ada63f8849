"""Every problem of a data set before a run: those of its scans, and of the data set itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import faulty_times
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.preflight import find_problems
from qsmcmb.pipeline.load import combine_channels

__all__ = ["Problem", "check_scans", "merge_problems"]

MAX_NAMED = 3
"""Files that a merged problem names: more are counted."""


class Problem(NamedTuple):
    """One problem of a scan, as `qsmcmb check --json` prints it.

    Parameters
    ----------
    level : {"error", "warning"}
        Whether it would end the scan's run.
    scan : str
        Name of the scan.
    found : str
        What was found; the text of a warning.
    code : str, optional
        Error code; empty for a warning.
    file, field, expected, fix : str, optional
        Fields of the error; empty where a warning has none.

    Examples
    --------
    >>> Problem(level="warning", scan="sub-01", found="one echo: R2* is n/a").code
    ''
    """

    level: str
    scan: str
    found: str
    code: str = ""
    file: str = ""
    field: str = ""
    expected: str = ""
    fix: str = ""


def check_scans(
    scans: Sequence[SessionFiles], options: InputOptions, *, deep: bool = False
) -> Iterator[list[Problem]]:
    """Return the problems of each scan, one scan after the other; nothing of a scan stays in memory.

    Parameters
    ----------
    scans : sequence of SessionFiles
        Scans of a data set.
    options : InputOptions
        The user's word on the stored phase.
    deep : bool, optional
        Whether the data are read, too.

    Returns
    -------
    iterator of list of Problem
        Errors, then warnings, of each scan; empty for a scan that is right.

    Examples
    --------
    >>> list(check_scans([], InputOptions()))
    []
    """
    return (_problems_of(scan, options, deep=deep) for scan in scans)


def _problems_of(scan: SessionFiles, options: InputOptions, *, deep: bool) -> list[Problem]:
    """Return the problems of one scan."""
    found = find_problems(scan, options, deep=deep, combine=combine_channels)
    errors = [_problem_of(scan, error) for error in found.errors]
    warnings = list(found.warnings)
    try:
        warnings += faulty_times(scan.root, scan.participant, scan.session)
    except InvalidInputError as error:
        errors.append(_problem_of(scan, error))
    return errors + [Problem(level="warning", scan=scan.name, found=text) for text in warnings]


def _problem_of(scan: SessionFiles, error: InvalidInputError) -> Problem:
    return Problem(
        level="error", scan=scan.name, code=error.code, file=error.where, field=error.field, found=error.found,
        expected=error.expected, fix=error.fix,
    )  # fmt: skip


def merge_problems(problems: Sequence[Problem]) -> list[str]:
    """Return the lines of a report: a problem that many files have is one line.

    Parameters
    ----------
    problems : sequence of Problem
        Problems of all scans.

    Returns
    -------
    list of str
        Errors first; each names the first files and says how many more there are.

    Examples
    --------
    >>> one = Problem(level="warning", scan="sub-01", found="one echo: R2* is n/a")
    >>> merge_problems([one, one._replace(scan="sub-02")])
    ['WARNING sub-01, sub-02: one echo: R2* is n/a']
    """
    groups: dict[Problem, list[str]] = {}
    for problem in sorted(problems, key=lambda p: p.level):
        same = problem._replace(scan="", file="", found=_without_names(problem))
        groups.setdefault(same, []).append(problem.file or problem.scan)
    return [_line(problem, list(dict.fromkeys(locations))) for problem, locations in groups.items()]


def _without_names(problem: Problem) -> str:
    """Return what was found, its file's own name left out: many files may have the same."""
    return problem.found.replace(Path(problem.file).name, "the file") if problem.file else problem.found


def _line(problem: Problem, locations: Sequence[str]) -> str:
    """Return the line of a problem of several files."""
    more = f" and {len(locations) - MAX_NAMED} more" if len(locations) > MAX_NAMED else ""
    where = ", ".join(locations[:MAX_NAMED]) + more
    if problem.level == "warning":
        return f"WARNING {where}: {problem.found}"
    return str(
        InvalidInputError(
            problem.code,
            where,
            field=problem.field,
            found=problem.found,
            expected=problem.expected,
            fix=problem.fix,
        )
    )
