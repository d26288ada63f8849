"""Comparison over sessions and the page of each subject: what follows once sessions are on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qsmcmb.errors import QsmcmbError
from qsmcmb.pipeline.clock import Clock
from qsmcmb.reporting.subject_page import write_subject_page
from qsmcmb.study.longitudinal import comparable_scans, compare_scans, describe_unmatched
from qsmcmb.typing import Report

__all__ = ("compare_and_report",)


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
            warnings = list(describe_unmatched(out, participant))
            for scans in comparable_scans(out, participant):
                try:
                    warnings += compare_scans(out, scans).warnings
                except QsmcmbError as error:
                    failed = True
                    notes.append(str(error))
                    say(str(error))
        for warning in dict.fromkeys(warnings):
            notes.append(warning)
            say(f"WARNING {warning}")
        with clock.stage("report"):
            page = write_subject_page(out, participant, notes=notes)
        say(f"page: {page}")
    return failed
