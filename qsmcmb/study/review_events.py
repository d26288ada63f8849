"""Events of readers' logs, and the verdicts that stand at the end of one.

========  =================================================================================
verdict   a candidate is accepted, rejected, or the reader is unsure
add       a lesion that the detector has not found
undo      takes an earlier event back, by its number; nothing is ever removed
========  =================================================================================

One key may give a verdict at all visits of a lesion: one event in the log of each scan, with one value of `together`;
they are taken back together.

An event holds the number of the last event on the candidate that the reader's page had seen: where another one had come
in between, from a second tab say, both stay, and the later one says which it conflicts with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from qsmcmb.study.judgement import Judgement
from qsmcmb.typing import Triple

__all__ = ["ReviewEvent", "StandingVerdict", "standing_verdicts"]


class ReviewEvent(NamedTuple):
    """One event of a log.

    Parameters
    ----------
    number : int
        Number in the log, from 1.
    action : {"verdict", "add", "undo"}
        What the reader did.
    candidate : str
        Id of the candidate.
    position_mm : tuple of float
        Point of the candidate as the reader saw it, scanner RAS+ mm.
    label : int or None, optional
        Its label in the detector's table; None for a lesion that was added.
    judgement : Judgement or None, optional
        The verdict; None of an undo.
    undoes : int or None, optional
        Number of the event that is taken back.
    seen : int or None, optional
        Number of the last event on the candidate that the page had.
    conflicts_with : int or None, optional
        Number of an event in between that the page had not seen.
    adjudicates : bool, optional
        Whether it decides between readers.
    time : str, optional
        UTC, ISO 8601.
    together : str or None, optional
        What events that one key has given at several visits share.

    Examples
    --------
    >>> ReviewEvent(1, "add", "0a", (1.0, 2.0, 3.0)).label is None
    True
    """

    number: int
    action: str
    candidate: str
    position_mm: Triple
    label: int | None = None
    judgement: Judgement | None = None
    undoes: int | None = None
    seen: int | None = None
    conflicts_with: int | None = None
    adjudicates: bool = False
    time: str = ""
    together: str | None = None


class StandingVerdict(NamedTuple):
    """Verdict of one reader that stands on a candidate.

    Parameters
    ----------
    event : ReviewEvent
        The event that holds it.
    is_added : bool
        Whether the candidate is a lesion that the reader has added.

    Examples
    --------
    >>> StandingVerdict(ReviewEvent(1, "add", "0a", (1.0, 2.0, 3.0)), True).is_added
    True
    """

    event: ReviewEvent
    is_added: bool


def standing_verdicts(events: Iterable[ReviewEvent]) -> dict[str, StandingVerdict]:
    """Return the verdicts that stand at the end of a log: of each candidate the last one that was not taken back.

    Parameters
    ----------
    events : iterable of ReviewEvent
        Events in their order.

    Returns
    -------
    dict of str to StandingVerdict
        Verdict by the candidate's id, in the order of the first event on each.

    Examples
    --------
    >>> first = ReviewEvent(1, "verdict", "0a", (0.0, 0.0, 0.0), judgement=Judgement("accept"))
    >>> second = first._replace(number=2, judgement=Judgement("reject"))
    >>> undone = first._replace(number=3, action="undo", judgement=None, undoes=2)
    >>> standing_verdicts([first, second, undone])["0a"].event.number
    1
    """
    events = list(events)
    undone = {e.undoes for e in events if e.action == "undo"}
    added = {e.candidate for e in events if e.action == "add" and e.number not in undone}
    gone = {e.candidate for e in events if e.action == "add"} - added
    standing: dict[str, StandingVerdict] = {}
    for event in events:
        if event.action != "undo" and event.number not in undone and event.candidate not in gone:
            standing[event.candidate] = StandingVerdict(event, event.candidate in added)
    return standing
