"""Verdicts of readers on the candidates of a scan: one log per reader that only grows, and what stands at its end.

``<prefix>_reader-<name>_desc-cmb_review.jsonl`` lies beside the lesion table. Its first line says whose log it is and
of which images; every further line is an event:

========  =================================================================================
verdict   a candidate is accepted, rejected, or the reader is unsure
add       a lesion that the detector has not found
undo      takes an earlier event back, by its number; nothing is ever removed
========  =================================================================================

An event holds the number of the last event on the candidate that the reader's page had seen: where another one had come
in between, from a second tab say, both stay, and the later one says which it conflicts with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from qsmcmb.anatomy.regions import MARS_REGIONS
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.append_log import append_line, read_lines
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import KINDS
from qsmcmb.study.source import digest_of
from qsmcmb.typing import Triple
from qsmcmb.version import version

__all__ = [
    "CERTAINTIES", "MAX_COMMENT", "MIMICS", "VERDICTS", "Judgement", "ReaderLog", "ReviewEvent", "StandingVerdict",
    "check_reader", "images_id", "read_judgement", "read_point", "readers_of", "standing_verdicts",
]  # fmt: skip

VERDICTS = ("accept", "reject", "unsure")
"""Verdicts on a candidate."""
CERTAINTIES = ("definite", "possible")
"""Certainties of a microbleed that is accepted, in the words of MARS."""
MIMICS = tuple(kind for kind in KINDS if kind != "microbleed")
"""Kinds of a candidate that is rejected."""
MAX_COMMENT = 2000
"""Longest comment, characters."""
MAX_MM = 1e4
"""Largest coordinate of a point, mm."""
READER = re.compile(r"[A-Za-z0-9]{1,32}")
"""Names of readers: they stand in file names, as labels of BIDS."""
FORMAT = 1
"""Version of the log's format."""


class Judgement(NamedTuple):
    """Content of a verdict.

    Parameters
    ----------
    verdict : {"accept", "reject", "unsure"}
        Verdict.
    certainty : {"definite", "possible"}, optional
        Certainty of a microbleed that is accepted.
    kind : str, optional
        What a rejected candidate is, one of `MIMICS`.
    region : str or None, optional
        Region of MARS where the reader corrects it.
    comment : str, optional
        Remark.
    moved_to_mm : tuple of float or None, optional
        Point where the lesion lies, scanner RAS+ mm, where the reader has moved it.

    Examples
    --------
    >>> Judgement("accept").category, Judgement("reject", kind="vein").category
    ('definite', 'rejected')
    """

    verdict: str
    certainty: str = "definite"
    kind: str = "other"
    region: str | None = None
    comment: str = ""
    moved_to_mm: Triple | None = None

    @property
    def category(self) -> str:
        """Category by which readers agree or not: definite, possible, rejected, unsure."""
        return {"accept": self.certainty, "reject": "rejected"}.get(self.verdict, "unsure")


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


def read_judgement(record: Mapping[str, Any], where: object) -> Judgement:
    """Return the verdict that a record states, every value held against what is allowed.

    Parameters
    ----------
    record : mapping
        Values by the names of the fields of `Judgement`; others are refused.
    where : object
        Where it stands, for messages.

    Returns
    -------
    Judgement
        The verdict.

    Raises
    ------
    InvalidInputError
        REVIEW, with the field.

    Examples
    --------
    >>> read_judgement({"verdict": "reject", "kind": "vein"}, "a.jsonl").kind
    'vein'
    """
    allowed: dict[str, Sequence[object]] = {
        "verdict": VERDICTS, "certainty": CERTAINTIES, "kind": MIMICS, "region": (None, *MARS_REGIONS),
    }  # fmt: skip
    for name, value in record.items():
        if name in allowed:
            _require(isinstance(value, str | None) and value in allowed[name], where, name, value)
        elif name == "comment":
            _require(isinstance(value, str) and len(value) <= MAX_COMMENT, where, name, value)
        elif name == "moved_to_mm":
            _require(value is None or _is_point(value), where, name, value)
        else:
            raise _refused(where, "key", name, ", ".join(Judgement._fields))
    _require("verdict" in record, where, "verdict", "nothing")
    moved = record.get("moved_to_mm")
    return Judgement(**{**record, "moved_to_mm": read_point(moved, where) if moved else None})


def read_point(value: Any, where: object) -> Triple:
    """Return a point of three finite numbers.

    Parameters
    ----------
    value : object
        Value of a request or of a line of the log.
    where : object
        File or request, as an error names it.

    Returns
    -------
    tuple of float
        Point, scanner RAS+ mm.

    Raises
    ------
    InvalidInputError
        REVIEW for anything else.

    Examples
    --------
    >>> read_point([1, 2.5, -3], "verdict")
    (1.0, 2.5, -3.0)
    """
    _require(_is_point(value), where, "position_mm", value)
    x, y, z = value
    return float(x), float(y), float(z)


def _is_point(value: object) -> bool:
    """Say whether a value is a list of three numbers of the size of a head's coordinates."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        and all(math.isfinite(v) and abs(v) < MAX_MM for v in value)
    )


def _require(holds: bool, where: object, name: str, value: object) -> None:
    if not holds:
        words = {"verdict": VERDICTS, "certainty": CERTAINTIES, "kind": MIMICS, "region": MARS_REGIONS}
        texts = {
            "comment": f"a text of at most {MAX_COMMENT} characters", "moved_to_mm": "three numbers, mm",
            "position_mm": "three numbers, mm",
        }  # fmt: skip
        raise _refused(where, name, value, texts.get(name) or ", ".join(words.get(name, ())))


def _refused(where: object, name: str, value: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        "REVIEW", where, field=name, found=repr(value)[:80], expected=expected or "a legal value",
        fix="write logs by `qsmcmb review` alone; restore the file from a backup",
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
        raise _refused(where, "event", error, "the keys that `qsmcmb review` writes") from error


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
