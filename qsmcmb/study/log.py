"""Log of a run: the only place that holds times and durations, so that results are the same bytes each time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qsmcmb.io.atomic import make_folder

__all__ = ("LogFile",)


class LogFile:
    """Write JSON lines under OUT/logs: time, event and what belongs to it.

    Parameters
    ----------
    out : Path
        Derivatives folder; `logs` is made in it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = LogFile(Path(folder))
    ...     log.write("start", sessions=["sub-01"])
    ...     json.loads(log.path.read_text())["event"]
    'start'
    """

    def __init__(self, out: Path) -> None:
        folder = out / "logs"
        make_folder(folder)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self.path = folder / f"qsmcmb-{stamp}.jsonl"

    def write(self, event: str, **fields: Any) -> None:
        """Append one line.

        Parameters
        ----------
        event : str
            Name of the event.
        **fields : Any
            Values that JSON can hold, by name.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = LogFile(Path(folder))
        ...     log.write("end", exit_code=0)
        ...     json.loads(log.path.read_text())["exit_code"]
        0
        """
        record = {"time": datetime.now(UTC).isoformat(), "event": event, **fields}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, ensure_ascii=True) + "\n")
