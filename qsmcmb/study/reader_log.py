"""Logs of readers: one for each reader and scan, beside the lesion table, that only grows.

The first line of ``<prefix>_reader-<name>_desc-cmb_review.jsonl`` says whose log it is and of which images; every
further line is an event (`review_events`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.append_log import append_line, read_lines
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.study.judgement import read_judgement, read_point, refused
from qsmcmb.study.review_events import ReviewEvent
from qsmcmb.study.source import digest_of
from qsmcmb.typing import Triple
from qsmcmb.version import version

__all__ = ["ReaderLog", "check_reader", "images_id", "readers_of"]

READER = re.compile(r"[A-Za-z0-9]{1,32}")
"""Names of readers: they stand in file names, as labels of BIDS."""
FORMAT = 1
"""Version of the log's format."""


def check_reader(name: str) -> str:
    """Return the name of a reader where it can stand in a file's name.

    Parameters
    ----------
    name : str
        Name.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InvalidInputError
        REVIEW for anything but 1 to 32 letters and digits.

    Examples
    --------
    >>> check_reader("JD2")
    'JD2'
    """
    if READER.fullmatch(name):
        return name
    raise InvalidInputError(
        "REVIEW", "--reader", field="name", found=repr(name), expected="1 to 32 letters and digits",
        fix="choose a short name, such as initials",
    )  # fmt: skip


def images_id(scan: SessionResults) -> str:
    """Return what stands for the images of a scan in its logs: a hash of their checksums.

    Parameters
    ----------
    scan : SessionResults
        Results of the scan.

    Returns
    -------
    str
        16 hexadecimal digits; they change with the images, not with methods, sidecars or versions.

    Raises
    ------
    InvalidInputError
        RESULT: the burden's record cannot be read.

    Examples
    --------
    >>> images_id(scan)  # doctest: +SKIP
    '1f40fc92da241694'
    """
    sums = scan.record("desc-cmb_burden").get("SourceChecksums", {})
    images = sorted(str(digest) for name, digest in sums.items() if name.endswith((".nii", ".nii.gz")))
    return digest_of("\n".join(images).encode())


def readers_of(place: Place) -> list[str]:
    """Return the readers with a log on a scan.

    Parameters
    ----------
    place : Place
        Folder and prefix of the scan's results.

    Returns
    -------
    list of str
        Names, sorted.

    Examples
    --------
    >>> from pathlib import Path
    >>> readers_of(Place(Path("nowhere"), "sub-01"))
    []
    """
    start, end = place.path("reader-").name, "_desc-cmb_review.jsonl"
    names = (p.name for p in place.folder.glob(f"{start}*{end}"))
    labels = (name.removeprefix(start).removesuffix(end) for name in names)
    return sorted(label for label in labels if READER.fullmatch(label))


class ReaderLog:
    """Log of one reader's verdicts on one scan.

    Parameters
    ----------
    place : Place
        Folder and prefix of the scan's results.
    reader : str
        Name of the reader.
    images : str
        What stands for the scan's images, as `images_id` returns it.

    Attributes
    ----------
    path : Path
        The file; it is made with the first event.
    events : list of ReviewEvent
        Events in their order.
    notes : list of str
        What was noticed on reading.

    Raises
    ------
    InvalidInputError
        REVIEW: the file is of other images, another reader or another format. JSON: a line of it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from qsmcmb.study.judgement import Judgement
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = ReaderLog(Place(Path(folder), "sub-01"), "A", "1f40")
    ...     _ = log.append("verdict", "0a", (1.0, 2.0, 3.0), label=3, judgement=Judgement("accept"))
    ...     again = ReaderLog(Place(Path(folder), "sub-01"), "A", "1f40")
    ...     again.events[0].judgement.verdict, again.path.name
    ('accept', 'sub-01_reader-A_desc-cmb_review.jsonl')
    """

    def __init__(self, place: Place, reader: str, images: str) -> None:
        self.reader = check_reader(reader)
        self.path = place.path(f"reader-{reader}_desc-cmb_review.jsonl")
        self._header = {"format": FORMAT, "scan": place.prefix, "images": images, "reader": reader}
        self.notes: list[str] = []
        records, torn_bytes = read_lines(self.path)
        if torn_bytes:
            self.notes.append(
                f"{self.path.name}: {torn_bytes} bytes after the last whole line are dropped: a verdict that was never "
                "acknowledged"
            )
        self._has_header = bool(records)
        if records:
            self._check_header(records[0])
        self.events = [_read_event(r, f"{self.path}: line {n}") for n, r in enumerate(records[1:], start=2)]

    def _check_header(self, found: Mapping[str, Any]) -> None:
        """Raise unless the log is one of this scan, reader and format."""
        for name, expected in self._header.items():
            if found.get(name) != expected:
                raise InvalidInputError(
                    "REVIEW", self.path, field=name, found=found.get(name), expected=str(expected),
                    fix="verdicts hold for the images that they were given on: move the file to its own data set",
                )  # fmt: skip

    def append(self, action: str, candidate: str, position_mm: Triple, **more: Any) -> ReviewEvent:
        """Append an event; it is on disk when this returns.

        Parameters
        ----------
        action : {"verdict", "add", "undo"}
            What the reader did.
        candidate : str
            Id of the candidate.
        position_mm : tuple of float
            Point of the candidate, scanner RAS+ mm.
        **more : Any
            Further fields of `ReviewEvent`.

        Returns
        -------
        ReviewEvent
            The event, with number, time and what it conflicts with.

        Raises
        ------
        StorageError, OutputError
            It could not be written; the log is as it was.

        Examples
        --------
        >>> log.append("undo", "0a", (1.0, 2.0, 3.0), undoes=1)  # doctest: +SKIP
        """
        last = self.last_on(candidate)
        seen = more.get("seen")
        conflict = last if last is not None and last != seen else None
        event = ReviewEvent(
            number=len(self.events) + 1, action=action, candidate=candidate, position_mm=position_mm,
            conflicts_with=conflict, time=datetime.now(UTC).isoformat(timespec="milliseconds"), **more,
        )  # fmt: skip
        if not self._has_header:
            append_line(self.path, {**self._header, "version": version()})
            self._has_header = True
        judgement = event.judgement
        append_line(self.path, {**event._asdict(), "judgement": judgement._asdict() if judgement else None})
        self.events.append(event)
        return event

    def standing(self) -> list[ReviewEvent]:
        """Return the events that were not taken back.

        Returns
        -------
        list of ReviewEvent
            Verdicts and additions, in their order.

        Examples
        --------
        >>> from pathlib import Path
        >>> ReaderLog(Place(Path("nowhere")), "A", "").standing()
        []
        """
        undone = {e.undoes for e in self.events if e.action == "undo"}
        return [e for e in self.events if e.action != "undo" and e.number not in undone]

    def last_on(self, candidate: str) -> int | None:
        """Return the number of the last event on a candidate.

        Parameters
        ----------
        candidate : str
            Id of the candidate.

        Returns
        -------
        int or None
            None where there is none.

        Examples
        --------
        >>> from pathlib import Path
        >>> ReaderLog(Place(Path("nowhere")), "A", "").last_on("0a")
        """
        return next((e.number for e in reversed(self.events) if e.candidate == candidate), None)


def _read_event(record: Mapping[str, Any], where: str) -> ReviewEvent:
    """Return the event of a line."""
    try:
        judgement = record["judgement"]
        return ReviewEvent(
            **{
                **record,
                "position_mm": read_point(record["position_mm"], where),
                "judgement": None if judgement is None else read_judgement(judgement, where),
            }
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise refused(where, "event", error, "the keys that `qsmcmb review` writes") from error
