"""Every error code with its meaning and its cure: the one list behind `qsmcmb explain` and docs/reference/errors.md."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

__all__ = ["ERROR_CODES", "ErrorCode"]


class ErrorCode(NamedTuple):
    """One error code, explained.

    Parameters
    ----------
    title : str
        What is wrong, without a full stop.
    meaning : str
        Why it is refused.
    cure : str
        What to do.

    Examples
    --------
    >>> ERROR_CODES["TE-EQUAL"].title
    'Two echoes with one echo time'
    """

    title: str
    meaning: str
    cure: str


ERROR_CODES = {
    code: ErrorCode(**entry)
    for code, entry in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
}
"""Code to its explanation, in the order of the alphabet."""
