"""Signals that end a run: it ends within seconds, its workers with it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from qsmcmb.errors import Interrupted

__all__ = ["interruptible"]

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run in an orderly way: Ctrl-C, and what schedulers send."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` at the first Ctrl-C or SIGTERM; further ones wait until the run has ended.

    Yields
    ------
    None
        For the `with` block. Outside the main thread, where Python takes no signals, nothing changes.

    Examples
    --------
    >>> with interruptible():
    ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
