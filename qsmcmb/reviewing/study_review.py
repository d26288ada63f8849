"""Candidates of a study in the order of a reader, with the logs of all readers; every verdict goes through here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.io.lesion_table import Cell
from qsmcmb.reviewing.reviewed_scan import Item, ReviewedScan
from qsmcmb.study.detector_files import Candidate
from qsmcmb.study.judgement import Judgement, read_point
from qsmcmb.study.review_decisions import decide, gather, is_disputed
from qsmcmb.study.review_events import ReviewEvent, StandingVerdict, standing_verdicts
from qsmcmb.study.source import digest_of

__all__ = ["ORDERS", "StudyReview"]

ORDERS: dict[str, Callable[[Mapping[str, Cell]], Any]] = {
    "probability": lambda row: abs(_number(row, "score", 2.0) - 0.5),
    "total": lambda row: -abs(_number(row, "total_chi_ppm_mm3", 0.0)),
    "position": lambda row: -_number(row, "z_mm", 0.0),
    "subject": lambda _: 0,
}
"""Orders of the candidates: what is least certain first, strongest first, from above, or scan by scan."""
SHOWN = (
    "kind", "certainty", "score", "total_chi_ppm_mm3", "total_chi_low_ppm_mm3", "total_chi_high_ppm_mm3", "diameter_mm",
    "territory", "mars_region", "side", "flags",
)  # fmt: skip
"""Cells of the detector's row that the page shows; none of them in a blind reading."""


def _number(row: Mapping[str, Cell], name: str, unknown: float) -> float:
    try:
        return float(str(row.get(name)))
    except ValueError:
        return unknown


@dataclass
class StudyReview:
    """Hold the review of a study by one reader.

    Parameters
    ----------
    scans : list of ReviewedScan
        Scans that are read.
    reader : str
        Name of the reader.
    order : str, optional
        One of `ORDERS`.
    blind : bool, optional
        Whether the detector's opinion and other readers' verdicts are hidden.
    adjudicate : bool, optional
        Whether the candidates on which readers differ are shown alone, and the verdict decides.

    Attributes
    ----------
    items : dict of str to Item
        Candidates by id, in the reader's order.

    Raises
    ------
    ConfigError
        A blind reading in an order that shows the detector's opinion, a blind adjudication, or an adjudicator who is
        one of the readers.

    Examples
    --------
    >>> StudyReview([], "A").items
    {}
    """

    scans: list[ReviewedScan]
    reader: str
    order: str = "probability"
    blind: bool = False
    adjudicate: bool = False
    items: dict[str, Item] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        if self.blind and self.order in ("probability", "total"):
            raise ConfigError(
                f"--blind with --order {self.order}, which shows the detector's opinion; expected position or subject"
            )
        if self.blind and self.adjudicate:
            raise ConfigError("--blind and --adjudicate; an adjudicator sees the verdicts that differ")
        found = [Item(c, scan) for scan in self.scans for c in self._listed(scan)]
        if self.order != "subject":
            found.sort(key=lambda item: ORDERS[self.order](item.candidate.row))
        self.items = {item.candidate.id: item for item in found}

    def _listed(self, reviewed: ReviewedScan) -> list[Candidate]:
        """Return the candidates of a scan that the reader is shown."""
        events = reviewed.events()
        judged = gather(events)
        added = {
            j.candidate: Candidate(j.candidate, 0, j.position_mm, {})
            for j in judged
            if j.label is None and (self.adjudicate or self.reader in j.verdicts)
        }
        if not self.adjudicate:
            return [*reviewed.candidates, *added.values()]
        readers = decide(events, reviewed.images).readers
        if self.reader in readers:
            raise ConfigError(
                f"--adjudicate --reader {self.reader}, who is one of the readers; expected a third one"
            )
        disputed = {j.candidate for j in judged if is_disputed(j, readers)}
        return [c for c in [*reviewed.candidates, *added.values()] if c.id in disputed]

    def describe(self) -> list[dict[str, Any]]:
        """Return what the page shows of each candidate.

        Returns
        -------
        list of dict
            Records that JSON can hold, in the reader's order.

        Examples
        --------
        >>> StudyReview([], "A").describe()
        []
        """
        with self._lock:
            standing = {id(s): {r: standing_verdicts(e) for r, e in s.events().items()} for s in self.scans}
            return [self._describe(item, standing[id(item.reviewed)]) for item in self.items.values()]

    def _describe(self, item: Item, standing: Mapping[str, Mapping[str, StandingVerdict]]) -> dict[str, Any]:
        candidate, scan = item.candidate, item.reviewed.scan
        log = item.reviewed.logs[self.reader]
        own = standing[self.reader].get(candidate.id)
        others = {
            reader: verdicts[candidate.id].event.judgement
            for reader, verdicts in standing.items() if reader != self.reader and candidate.id in verdicts
        }  # fmt: skip
        return {
            "id": candidate.id,
            "label": candidate.label or None,
            "scan": f"sub-{scan.participant}, {scan.heading}",
            "position_mm": candidate.position_mm,
            "added": item.is_added,
            "detector": {} if self.blind else {name: candidate.row.get(name) for name in SHOWN},
            "others": {} if self.blind else {r: j._asdict() for r, j in others.items() if j is not None},
            "verdict": own.event.judgement._asdict() if own and own.event.judgement else None,
            "event": own.event.number if own else None,
            "seen": log.last_on(candidate.id),
        }

    def find(self, candidate: object) -> Item:
        """Return a candidate by its id.

        Parameters
        ----------
        candidate : object
            Id, as it came.

        Returns
        -------
        Item
            The candidate.

        Raises
        ------
        InvalidInputError
            REVIEW: there is none of this id. Nothing else is looked up by it.

        Examples
        --------
        >>> StudyReview([], "A").find("../../etc/passwd")
        Traceback (most recent call last):
        qsmcmb.errors.InvalidInputError: ERROR REVIEW request: candidate = '../../etc/passwd'; expected an id...
        """
        item = self.items.get(candidate) if isinstance(candidate, str) else None
        if item is None:
            raise InvalidInputError(
                "REVIEW", "request", field="candidate", found=repr(candidate)[:80],
                expected="an id of the list of candidates", fix="load the page again",
            )  # fmt: skip
        return item

    def give(self, candidate: object, judgement: Judgement, seen: int | None) -> ReviewEvent:
        """Write a verdict down; it is on disk when this returns.

        Parameters
        ----------
        candidate : object
            Id of the candidate, as it came.
        judgement : Judgement
            The verdict.
        seen : int or None
            Number of the last event on the candidate that the page had.

        Returns
        -------
        ReviewEvent
            The event.

        Raises
        ------
        InvalidInputError
            REVIEW: an unknown candidate.
        StorageError, OutputError
            It could not be written.

        Examples
        --------
        >>> review.give("0a", Judgement("accept"), None)  # doctest: +SKIP
        """
        with self._lock:
            item = self.find(candidate)
            return item.reviewed.logs[self.reader].append(
                "verdict", item.candidate.id, item.candidate.position_mm, label=item.candidate.label or None,
                judgement=judgement, seen=seen, adjudicates=self.adjudicate,
            )  # fmt: skip

    def undo(self, candidate: object, number: int) -> ReviewEvent:
        """Take one of the reader's own events back.

        Parameters
        ----------
        candidate : object
            Id of the candidate, as it came.
        number : int
            Number of the event.

        Returns
        -------
        ReviewEvent
            The event that takes it back.

        Raises
        ------
        InvalidInputError
            REVIEW: an unknown candidate, or no such event on it that stands.

        Examples
        --------
        >>> review.undo("0a", 3)  # doctest: +SKIP
        """
        with self._lock:
            item = self.find(candidate)
            log = item.reviewed.logs[self.reader]
            undone = {e.undoes for e in log.events if e.action == "undo"}
            stands = [e.number for e in log.events if e.action != "undo" and e.number not in undone]
            if number not in stands or log.events[number - 1].candidate != item.candidate.id:
                raise InvalidInputError(
                    "REVIEW", "request", field="undoes", found=number, expected="a verdict that stands",
                    fix="load the page again",
                )  # fmt: skip
            event = log.append(
                "undo", item.candidate.id, item.candidate.position_mm, label=item.candidate.label or None,
                undoes=number, seen=log.last_on(item.candidate.id),
            )  # fmt: skip
            if log.events[number - 1].action == "add":
                del self.items[item.candidate.id]
            return event

    def add(self, beside: object, position: object, judgement: Judgement) -> ReviewEvent:
        """Add a lesion that the detector has not found.

        Parameters
        ----------
        beside : object
            Id of a candidate of the same scan, as it came.
        position : object
            Point, scanner RAS+ mm, as it came.
        judgement : Judgement
            Certainty, region and comment of the lesion.

        Returns
        -------
        ReviewEvent
            The event, with the id of the new candidate.

        Raises
        ------
        InvalidInputError
            REVIEW: an unknown candidate, or no point.

        Examples
        --------
        >>> review.add("0a", [12.0, -30.5, 8.0], Judgement("accept"))  # doctest: +SKIP
        """
        with self._lock:
            reviewed = self.find(beside).reviewed
            point = read_point(position, "request")
            log = reviewed.logs[self.reader]
            name = f"{reviewed.scan.place.prefix}|added|{self.reader}|{len(log.events)}|{point}"
            event = log.append(
                "add", digest_of(name.encode()), point, judgement=judgement, adjudicates=self.adjudicate
            )
            self.items[event.candidate] = Item(Candidate(event.candidate, 0, point, {}), reviewed)
            return event
