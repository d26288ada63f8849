"""Progress of a scan: which stage runs, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from qsmcmb.typing import Report

__all__ = ["Clock"]


@dataclass
class Clock:
    """Duration of each stage of a scan, reported as it passes; for the log, since results never hold times.

    Parameters
    ----------
    name : str
        Name of the scan in the report.
    report : callable or None
        Progress.
    seconds : dict, optional
        Duration by stage, s; filled as stages end.

    Examples
    --------
    >>> clock = Clock("scan", report=lambda scan, stage, seconds: print(scan, stage, seconds > 0))
    >>> with clock.stage("mask"):
    ...     pass
    scan mask False
    scan mask True
    """

    name: str
    report: Report | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage.

        Parameters
        ----------
        name : str
            Name of the stage, as in `qsmcmb.stages`.

        Yields
        ------
        None
            While the stage runs.

        Examples
        --------
        >>> clock = Clock("scan", None)
        >>> with clock.stage("mask"):
        ...     pass
        >>> list(clock.seconds)
        ['mask']
        """
        if self.report:
            self.report(self.name, name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        if self.report:
            self.report(self.name, name, self.seconds[name])
