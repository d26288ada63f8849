"""Comparison over sessions and the page of each subject: what follows once sessions are on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from qsmcmb.errors import QsmcmbError
from qsmcmb.pipeline.clock import Clock
from qsmcmb.reporting.subject_page import write_subject_page
from qsmcmb.study.longitudinal import comparable_scans, compare_scans, describe_unmatched
from qsmcmb.typing import Report

__all__ = ("compare_and_report",)

T = TypeVar("T")


def compare_and_report(
    out: Path,
    participants: Sequence[str],
    *,
    say: Callable[[str], None],
    report: Report | None = None,
    failures: Mapping[str, Sequence[str]] | None = None,
) -> bool:
    """Compare the sessions of each subject and write its page; one subject's failure stops no other.

    Parameters
    ----------
    out : Path
        Derivatives folder with finished sessions.
    participants : sequence of str
        Labels without `sub-`.
    say : callable
        Takes each message for the user.
    report : callable, optional
        Progress, called with (subject, stage, seconds).
    failures : mapping of str to sequence of str, optional
        Errors of a participant's sessions, shown on the page.

    Returns
    -------
    bool
        Whether a comparison failed.

    Examples
    --------
    >>> compare_and_report(Path("derivatives/qsmcmb"), [], say=print)
    False
    """
    failed = False
    for participant in participants:
        notes = list((failures or {}).get(participant, ()))
        clock = Clock(f"sub-{participant}", report)
        with clock.stage("longitudinal"):
            compared, found = _compare(out, participant, say)
        with clock.stage("report"):
            page = partial(write_subject_page, out, participant, notes=[*notes, *found])
            written = _attempt(page, participant)
        say(written if isinstance(written, str) else f"page: {written}")
        failed = failed or not compared or isinstance(written, str)
    return failed


def _compare(out: Path, participant: str, say: Callable[[str], None]) -> tuple[bool, list[str]]:
    """Compare a participant's sessions; return whether all went well, and what the page must say."""
    scans = _attempt(partial(comparable_scans, out, participant), participant)
    if isinstance(scans, str):
        say(scans)
        return False, [scans]
    errors, warnings = [], list(describe_unmatched(out, participant))
    for group in scans:
        done = _attempt(partial(compare_scans, out, group), participant)
        if isinstance(done, str):
            errors.append(done)
            say(done)
        else:
            warnings += done.warnings
    unique = list(dict.fromkeys(warnings))
    for warning in unique:
        say(f"WARNING {warning}")
    return not errors, [*errors, *unique]


def _attempt(work: Callable[[], T], participant: str) -> T | str:
    """Return what a piece of work returns, or the message of its failure: one subject's stops no other's."""
    try:
        return work()
    except QsmcmbError as error:
        return str(error)
    except Exception as error:
        # Old results may be damaged in any way: a cell, a key or an image that is not there.
        return f"ERROR RESULT sub-{participant}: {type(error).__name__}: {error}. Fix: run its sessions again"
