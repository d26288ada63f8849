"""A reader's verdict on one candidate, and the only values that it may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qsmcmb.anatomy.regions import MARS_REGIONS
from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import KINDS
from qsmcmb.typing import Triple

__all__ = [
    "CERTAINTIES",
    "MAX_COMMENT",
    "MIMICS",
    "VERDICTS",
    "Judgement",
    "read_judgement",
    "read_point",
    "refused",
]

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
            raise refused(where, "key", name, ", ".join(Judgement._fields))
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
        raise refused(where, name, value, texts.get(name) or ", ".join(words.get(name, ())))


def refused(where: object, name: str, value: object, expected: str) -> InvalidInputError:
    """Return the error about a value that no verdict holds.

    Parameters
    ----------
    where : object
        File or request, as the error names it.
    name : str
        Name of the value.
    value : object
        The value, as it came.
    expected : str
        What is allowed; empty where no words say it.

    Returns
    -------
    InvalidInputError
        REVIEW.

    Examples
    --------
    >>> refused("a.jsonl", "kind", "cat", "vein").code
    'REVIEW'
    """
    return InvalidInputError(
        "REVIEW", where, field=name, found=repr(value)[:80], expected=expected or "a legal value",
        fix="write logs by `qsmcmb review` alone; restore the file from a backup",
    )  # fmt: skip
