"""Long tests of many trials: all are made, and what went wrong is reported at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Trial = TypeVar("Trial")


def try_each(trials: Iterable[Trial], check: Callable[[Trial], None]) -> None:
    """Make each trial; fail at the end with the messages of all that failed."""
    wrong = []
    for trial in trials:
        try:
            check(trial)
        except AssertionError as error:
            wrong.append(f"{trial}: {error}")
    assert not wrong, "\n\n".join([f"{len(wrong)} trials failed:", *wrong])
