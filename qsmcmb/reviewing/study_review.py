"""Candidates of a study in the order of a reader, with the logs of all readers; every verdict goes through here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
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
    twins : sequence of sequence of (str, int), optional
        Candidates that are one at several visits, by the prefix of the scan and the label.

    Attributes
    ----------
    items : dict of str to Item
        Candidates by id, in the reader's order: those that the detector has turned away come last, unless blind.

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
    twins: Sequence[Sequence[tuple[str, int]]] = ()
    items: dict[str, Item] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        if self.blind and self.order in ("probability", "total"):
            raise ConfigError(
                f"--blind with --order {self.order}, which shows the detector's opinion; expected position or subject"
            )
        if self.blind and self.adjudicate:
            raise ConfigError("--blind and --adjudicate; an adjudicator sees the verdicts that differ")
        found = [(n, Item(c, scan)) for n, scan in enumerate(self.scans) for c in self._listed(scan)]
        found.sort(key=lambda entry: self._rank(*entry))
        self.items = {item.candidate.id: item for _, item in found}
        named = {(i.reviewed.scan.place.prefix, i.candidate.label): key for key, i in self.items.items()}
        groups = [[named[name] for name in group if name in named] for group in self.twins]
        self._twins = {key: [other for other in group if other != key] for group in groups for key in group}

    def _rank(self, scan: int, item: Item) -> tuple[Any, ...]:
        """Return what a candidate is sorted by: those that count, then those that the detector has turned away."""
        away, order = self._is_turned_away(item), ORDERS[self.order](item.candidate.row)
        return (scan, away) if self.order == "subject" else (away, order)

    def _is_turned_away(self, item: Item) -> bool:
        """Say whether the detector has turned a candidate away; a blind reader is not shown."""
        return not self.blind and item.candidate.row.get("certainty") == "rejected"

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
            "session": scan.heading,
            "turned_away": self._is_turned_away(item),
            "twins": self._twins.get(candidate.id, []),
            "position_mm": candidate.position_mm,
            "added": item.is_added,
            "detector": {} if self.blind else {name: candidate.row.get(name) for name in SHOWN},
            "others": {} if self.blind else {r: j._asdict() for r, j in others.items() if j is not None},
            "verdict": own.event.judgement._asdict() if own and own.event.judgement else None,
            "event": own.event.number if own else None,
            "together": own.event.together if own else None,
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

    def give(
        self,
        candidate: object,
        judgement: Judgement,
        seen: int | None,
        *,
        twins: Mapping[str, int | None] | None = None,
    ) -> list[ReviewEvent]:
        """Write a verdict down; it is on disk when this returns.

        Parameters
        ----------
        candidate : object
            Id of the candidate, as it came.
        judgement : Judgement
            The verdict.
        seen : int or None
            Number of the last event on the candidate that the page had.
        twins : mapping of str to (int or None), optional
            The same candidate at other visits that get the verdict, too: the same number for each id.

        Returns
        -------
        list of ReviewEvent
            The event of each candidate, that of the first one first.

        Raises
        ------
        InvalidInputError
            REVIEW: an unknown candidate, or one that is not the same at another visit.
        StorageError, OutputError
            It could not be written.

        Examples
        --------
        >>> review.give("0a", Judgement("accept"), None)  # doctest: +SKIP
        """
        with self._lock:
            first = self.find(candidate)
            own = self._twins.get(first.candidate.id, [])
            others = [
                (self.find(key if key in own else None), number) for key, number in (twins or {}).items()
            ]
            log = first.reviewed.logs[self.reader]
            name = f"{first.reviewed.scan.place.prefix}|{self.reader}|{len(log.events)}|{first.candidate.id}"
            together = digest_of(name.encode()) if others else None
            # A point that was moved is one of the first scan alone.
            carried = judgement._replace(moved_to_mm=None)
            given = [(first, judgement, seen), *((item, carried, number) for item, number in others)]
            return [
                item.reviewed.logs[self.reader].append(
                    "verdict", item.candidate.id, item.candidate.position_mm, label=item.candidate.label or None,
                    judgement=verdict, seen=number, adjudicates=self.adjudicate, together=together,
                )
                for item, verdict, number in given
            ]  # fmt: skip

    def undo(self, candidate: object, number: int) -> list[ReviewEvent]:
        """Take one of the reader's own events back, with those that the same key has given at other visits.

        Parameters
        ----------
        candidate : object
            Id of the candidate, as it came.
        number : int
            Number of the event.

        Returns
        -------
        list of ReviewEvent
            The events that take them back.

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
            event = next((e for e in log.standing() if e.number == number), None)
            if event is None or event.candidate != item.candidate.id:
                raise InvalidInputError(
                    "REVIEW", "request", field="undoes", found=number, expected="a verdict that stands",
                    fix="load the page again",
                )  # fmt: skip
            given = [(log, event)]
            if event.together:
                logs = [reviewed.logs[self.reader] for reviewed in self.scans]
                given = [(own, e) for own in logs for e in own.standing() if e.together == event.together]
            undone = [
                own.append(
                    "undo", e.candidate, e.position_mm, label=e.label, undoes=e.number, seen=own.last_on(e.candidate)
                )
                for own, e in given
            ]  # fmt: skip
            if event.action == "add":
                del self.items[item.candidate.id]
            return undone

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
