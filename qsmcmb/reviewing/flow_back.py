"""Verdicts into the results: tables, burden and forms of each scan, then comparison, pages and tables of the group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qsmcmb.errors import QsmcmbError
from qsmcmb.reviewing.reviewed_scan import ReviewedScan
from qsmcmb.study.group import write_group
from qsmcmb.study.last_page import last_page
from qsmcmb.study.pages import compare_and_report
from qsmcmb.study.review_decisions import decide, read_review, write_review
from qsmcmb.study.reviewed_results import apply_review

__all__ = ["apply_verdicts", "count_not_applied"]


def apply_verdicts(out: Path, scans: Sequence[ReviewedScan], *, say: Callable[[str], None]) -> bool:
    """Write the verdicts of all readers into the results.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scans : sequence of ReviewedScan
        Scans with their logs.
    say : callable
        Takes each message for the user.

    Returns
    -------
    bool
        Whether a scan, a comparison or a page failed; the others are done.

    Examples
    --------
    >>> apply_verdicts(Path("derivatives/qsmcmb"), [], say=print)
    no verdicts yet: qsmcmb review derivatives/qsmcmb
    False
    """
    any_failed = False
    participants: dict[str, None] = {}
    for reviewed in scans:
        place = reviewed.scan.place
        try:
            review = decide(reviewed.events(), reviewed.images)
            before = read_review(place)
            if not review.decisions and not review.disputed and before is None:
                continue
            participants[reviewed.scan.participant] = None
            # The decisions come first: a run after an interruption applies them.
            write_review(place, review)
            for text in apply_review(out, reviewed.scan, review):
                say(f"WARNING {text}")
            say(f"{place.prefix}: {len(review.decisions)} verdicts in the tables")
        except QsmcmbError as error:
            any_failed = True
            say(str(error))
    if participants:
        for participant in participants:
            page = last_page(out, participant)
            any_failed |= compare_and_report(
                out, [participant], say=say, only_stale=True, failures={participant: page.failures},
                detail=page.detail, repeatability=page.repeatability,
            )  # fmt: skip
        if (out / "group_desc-cmb_burden.tsv").exists():
            write_group(out)
            say("tables over all sessions are written again")
    elif not any_failed:
        say(f"no verdicts yet: qsmcmb review {out}")
    return any_failed


def count_not_applied(scans: Sequence[ReviewedScan]) -> int:
    """Return on how many scans the verdicts differ from those in the tables.

    Parameters
    ----------
    scans : sequence of ReviewedScan
        Scans with their logs.

    Returns
    -------
    int
        Number of scans.

    Examples
    --------
    >>> count_not_applied([])
    0
    """
    count = 0
    for reviewed in scans:
        review, applied = decide(reviewed.events(), reviewed.images), read_review(reviewed.scan.place)
        count += len(review.decisions) != len(applied.decisions if applied else ()) or any(
            (one.judgement, one.label, one.reader) != (other.judgement, other.label, other.reader)
            for one, other in zip(review.decisions, applied.decisions if applied else (), strict=True)
        )
    return count
