"""Joint result of several readers' verdicts on a scan: decisions where they agree or an adjudicator has decided.

``<prefix>_desc-cmb_review.json`` holds the decisions of the last `qsmcmb review OUT --apply`. A later run reads this
file alone, so that verdicts which nobody has applied change no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.place import Place
from qsmcmb.io.tables import write_json
from qsmcmb.study.judgement import Judgement, read_judgement, read_point
from qsmcmb.study.review_events import ReviewEvent, StandingVerdict, standing_verdicts
from qsmcmb.typing import Triple

__all__ = [
    "Decision", "Judged", "Review", "decide", "gather", "is_disputed", "read_review", "review_path", "write_review",
]  # fmt: skip

SAME_POINT_MM = 3.0
"""Largest distance, mm, of two points that stand for one candidate: two readers' clicks, or two versions' fits."""
FORMAT = 1
"""Version of the file's format."""


class Judged(NamedTuple):
    """One candidate with all verdicts that stand on it.

    Parameters
    ----------
    candidate : str
        Id of the candidate.
    position_mm : tuple of float
        Its point, scanner RAS+ mm.
    label : int or None
        Its label in the detector's table; None for a lesion that was added.
    verdicts : dict of str to Judgement
        Verdict by reader.
    adjudication : tuple of (str, Judgement) or None
        Reader who decides, and the verdict.

    Examples
    --------
    >>> is_disputed(Judged("0a", (0.0, 0.0, 0.0), 1, {"A": Judgement("accept")}, None), ("A",))
    False
    """

    candidate: str
    position_mm: Triple
    label: int | None
    verdicts: dict[str, Judgement]
    adjudication: tuple[str, Judgement] | None


class Decision(NamedTuple):
    """Verdict that goes into the tables.

    Parameters
    ----------
    position_mm : tuple of float
        Point of the candidate, scanner RAS+ mm.
    label : int or None
        Its label in the detector's table; None for a lesion that was added.
    reader : str
        Reader whose verdict it is; several that agree are joined by +.
    judgement : Judgement
        The verdict.

    Examples
    --------
    >>> Decision((0.0, 0.0, 0.0), 1, "A+B", Judgement("accept")).reader
    'A+B'
    """

    position_mm: Triple
    label: int | None
    reader: str
    judgement: Judgement


class Review(NamedTuple):
    """Review of a scan as it is applied.

    Parameters
    ----------
    images : str
        What stands for the images, as `images_id` returns it.
    readers : tuple of str
        Readers with verdicts.
    decisions : tuple of Decision
        Decisions, in the order of the candidates.
    disputed : tuple of Judged
        Candidates on which the readers differ and nobody has decided: their rows stay the detector's.

    Examples
    --------
    >>> Review("1f40", ("A",), (), ()).readers
    ('A',)
    """

    images: str
    readers: tuple[str, ...]
    decisions: tuple[Decision, ...]
    disputed: tuple[Judged, ...]


def gather(events: Mapping[str, Sequence[ReviewEvent]]) -> list[Judged]:
    """Return the candidates that were judged, each with the verdicts of all readers.

    Parameters
    ----------
    events : mapping of str to sequence of ReviewEvent
        Events by reader.

    Returns
    -------
    list of Judged
        Candidates, by label; lesions that were added last.

    Examples
    --------
    >>> add = ReviewEvent(1, "add", "0a", (1.0, 2.0, 3.0), judgement=Judgement("accept"))
    >>> near = add._replace(candidate="0b", position_mm=(1.0, 2.0, 4.0))
    >>> [list(judged.verdicts) for judged in gather({"A": [add], "B": [near]})]
    [['A', 'B']]
    """
    found: list[Judged] = []
    for reader, of_reader in sorted(events.items()):
        for standing in standing_verdicts(of_reader).values():
            _enter(found, reader, standing)
    return sorted(found, key=lambda j: (j.label is None, j.label or 0))


def _enter(found: list[Judged], reader: str, standing: StandingVerdict) -> None:
    """Enter one reader's verdict among the candidates."""
    event = standing.event
    assert event.judgement is not None
    at = next((n for n, j in enumerate(found) if _is_same(j, event)), None)
    if at is None:
        at = len(found)
        found.append(Judged(event.candidate, event.position_mm, event.label, {}, None))
    if event.adjudicates:
        found[at] = found[at]._replace(adjudication=(reader, event.judgement))
    else:
        found[at].verdicts[reader] = event.judgement


def _is_same(judged: Judged, event: ReviewEvent) -> bool:
    """Say whether an event is on a candidate: by its id, or a lesion added at the same point."""
    if judged.candidate == event.candidate:
        return True
    return judged.label is None and event.label is None and _distance_mm(judged, event) <= SAME_POINT_MM


def _distance_mm(one: Judged | Decision, other: ReviewEvent) -> float:
    return float(np.linalg.norm(np.subtract(one.position_mm, other.position_mm)))


def is_disputed(judged: Judged, readers: Sequence[str]) -> bool:
    """Say whether readers differ on a candidate.

    Parameters
    ----------
    judged : Judged
        The candidate.
    readers : sequence of str
        Readers of the scan: a lesion that one of several has added is disputed.

    Returns
    -------
    bool
        Whether an adjudicator has to decide.

    Examples
    --------
    >>> verdicts = {"A": Judgement("accept"), "B": Judgement("reject")}
    >>> is_disputed(Judged("0a", (0.0, 0.0, 0.0), 1, verdicts, None), ("A", "B"))
    True
    """
    categories = {judgement.category for judgement in judged.verdicts.values()}
    missed = judged.label is None and len(judged.verdicts) < len(readers)
    return len(categories) > 1 or missed


def decide(events: Mapping[str, Sequence[ReviewEvent]], images: str) -> Review:
    """Return what the readers' verdicts on a scan come to.

    Parameters
    ----------
    events : mapping of str to sequence of ReviewEvent
        Events by reader.
    images : str
        What stands for the scan's images.

    Returns
    -------
    Review
        The adjudicator's verdict where there is one; else the verdict that all readers of a candidate agree on.

    Examples
    --------
    >>> event = ReviewEvent(1, "verdict", "0a", (1.0, 2.0, 3.0), label=1, judgement=Judgement("accept"))
    >>> other = event._replace(judgement=Judgement("reject"))
    >>> len(decide({"A": [event], "B": [other]}, "1f40").disputed)
    1
    """
    readers = tuple(sorted(r for r, found in events.items() if any(not e.adjudicates for e in found)))
    decisions, disputed = [], []
    for judged in gather(events):
        if judged.adjudication is not None:
            reader, judgement = judged.adjudication
        elif is_disputed(judged, readers):
            disputed.append(judged)
            continue
        else:
            reader, judgement = "+".join(judged.verdicts), next(iter(judged.verdicts.values()))
        decisions.append(Decision(judged.position_mm, judged.label, reader, judgement))
    return Review(images, readers, tuple(decisions), tuple(disputed))


def review_path(place: Place) -> Any:
    """Return the file of a scan's decisions.

    Parameters
    ----------
    place : Place
        Folder and prefix of the scan's results.

    Returns
    -------
    Path
        The file, there or not.

    Examples
    --------
    >>> from pathlib import Path
    >>> review_path(Place(Path("out"), "sub-01")).name
    'sub-01_desc-cmb_review.json'
    """
    return place.path("desc-cmb_review.json")


def write_review(place: Place, review: Review) -> None:
    """Write the decisions of a scan; a review without any leaves no file.

    Parameters
    ----------
    place : Place
        Folder and prefix of the scan's results.
    review : Review
        Decisions.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Place(Path(folder), "sub-01")
    ...     write_review(place, Review("1f40", ("A",), (Decision((0.0, 0.0, 1.0), 1, "A", Judgement("accept")),), ()))
    ...     read_review(place).decisions[0].judgement.verdict
    'accept'
    """
    path = review_path(place)
    if not review.decisions and not review.disputed:
        path.unlink(missing_ok=True)
        return
    record = {
        "Format": FORMAT,
        "Scan": place.prefix,
        "Images": review.images,
        "Readers": list(review.readers),
        "Decisions": [{**d._asdict(), "judgement": d.judgement._asdict()} for d in review.decisions],
        "Disputed": [
            {
                "label": j.label, "position_mm": j.position_mm,
                "verdicts": {reader: judgement._asdict() for reader, judgement in j.verdicts.items()},
            }
            for j in review.disputed
        ],
    }  # fmt: skip
    write_json(path, record)


def read_review(place: Place) -> Review | None:
    """Read the decisions of a scan.

    Parameters
    ----------
    place : Place
        Folder and prefix of the scan's results.

    Returns
    -------
    Review or None
        None where nothing has been applied. Disputed candidates come without an id.

    Raises
    ------
    InvalidInputError
        REVIEW: the file is damaged, of another scan or of another format.

    Examples
    --------
    >>> from pathlib import Path
    >>> read_review(Place(Path("nowhere"), "sub-01")) is None
    True
    """
    path = review_path(place)
    if not path.exists():
        return None
    record = read_sidecar(path)
    found = {"Format": record.get("Format"), "Scan": record.get("Scan")}
    for name, expected in {"Format": FORMAT, "Scan": place.prefix}.items():
        if found[name] != expected:
            raise _damaged(path, name, found[name], str(expected))
    try:
        decisions = tuple(
            Decision(
                read_point(d["position_mm"], path),
                d["label"],
                str(d["reader"]),
                read_judgement(d["judgement"], path),
            )
            for d in record["Decisions"]
        )
        disputed = tuple(
            Judged(
                "", read_point(j["position_mm"], path), j["label"],
                {str(r): read_judgement(v, path) for r, v in j["verdicts"].items()}, None,
            )
            for j in record["Disputed"]
        )  # fmt: skip
        return Review(str(record["Images"]), tuple(map(str, record["Readers"])), decisions, disputed)
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "Decisions", error, "what `qsmcmb review OUT --apply` writes") from error


def _damaged(path: object, name: str, found: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        "REVIEW", path, field=name, found=found, expected=expected,
        fix="run `qsmcmb review OUT --apply`, which writes the file again from the readers' logs",
    )  # fmt: skip
