"""Progress and tables: rich on a terminal, plain lines elsewhere; progress to stderr, results to stdout."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from qsmcmb.errors import escape_controls
from qsmcmb.stages import SCAN_STAGES, SHARES

__all__ = ("Progress", "print_table", "progress", "say", "say_lines", "say_warnings", "show")

MAX_WARNINGS = 3
"""Most warnings of a scan that are written unless all are asked for."""
_WITHIN_A_SCAN = frozenset(stage.name for stage in SCAN_STAGES)
"""Stages whose start plain lines leave out: one follows the other. Of all others the start is a line of its own."""


class Progress:
    """Stage, elapsed and remaining time.

    Of one scan the time left is forecast from its own stages. Of several it is from those that are finished: the
    first stages take far longer than their share where loops are compiled.

    Parameters
    ----------
    planned : sequence of str
        Stages that will run, from `qsmcmb.stages`, one entry per scan and stage.
    n_scans : int, optional
        Scans that will run.

    Examples
    --------
    >>> with Progress(["mask", "unwrap"]) as bar:
    ...     bar.report("scan", "mask", 0.2)
    """

    def __init__(self, planned: Sequence[str], n_scans: int = 1) -> None:
        self._all = sum(SHARES[stage] for stage in planned)
        self._done = 0.0
        self._n_scans = n_scans
        self._spent: dict[str, list[tuple[float, float]]] = {}
        self._slowness: list[float] = []
        self._start = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
                console=Console(stderr=True),
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task("start", total=self._all, left="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def report(self, scan: str, stage: str, seconds: float) -> None:
        """Show that a stage begins (0 seconds) or is done.

        Parameters
        ----------
        scan : str
            Name of the scan.
        stage : str
            Name of the stage.
        seconds : float
            Duration, s; 0 when the stage begins.

        Examples
        --------
        >>> Progress(["mask"]).report("scan", "mask", 0.2)
        """
        if seconds == 0.0:
            if self._bar:
                self._bar.update(self._task, description=_plain(f"{scan}: {stage}"), left=self._left())
            elif stage not in _WITHIN_A_SCAN:
                say(f"{scan}: {stage}")
            return
        self._done += SHARES.get(stage, 0.0)
        self._spent.setdefault(scan, []).append((seconds, SHARES.get(stage, 0.0)))
        if self._bar:
            self._bar.update(self._task, completed=self._done, left=self._left())
        else:
            say(f"{scan}: {stage} {seconds:.1f} s{self._left(', ')}")

    def finish(self, scan: str) -> None:
        """Take a scan whose stages have all been reported as an example of how long one takes.

        Parameters
        ----------
        scan : str
            Name of the scan.

        Examples
        --------
        >>> bar = Progress(["mask"] * 2, 2)
        >>> bar.report("first", "mask", 0.2)
        >>> bar.finish("first")
        """
        spent = self._spent.get(scan, [])
        shares = sum(share for _, share in spent)
        if shares > 0:
            self._slowness.append(sum(seconds for seconds, _ in spent) / shares)

    def drop(self, stages: Sequence[str]) -> None:
        """Take stages off the plan that will not run after all.

        Parameters
        ----------
        stages : sequence of str
            Stages of the plan that have not been reported.

        Examples
        --------
        >>> Progress(["mask", "swi"]).drop(["swi"])
        """
        self._all -= sum(SHARES[stage] for stage in stages)
        if self._bar:
            self._bar.update(self._task, total=self._all, left=self._left())

    def _left(self, before: str = "") -> str:
        remaining = self._all - self._done
        if self._done <= 0 or remaining < 1e-6:
            return ""
        elapsed = time.perf_counter() - self._start
        if self._n_scans == 1:
            return f"{before}about {elapsed * remaining / self._done:.0f} s left"
        if not self._slowness:
            return f"{before}time left not known yet"
        at_once = sum(seconds for stages in self._spent.values() for seconds, _ in stages) / elapsed
        # Of the lower half: the first ones may have compiled.
        slowness = sorted(self._slowness)[(len(self._slowness) - 1) // 2]
        return f"{before}about {slowness * remaining / at_once:.0f} s left"


def say(text: str) -> None:
    """Write a line to stderr, what is in it escaped; a closed stderr is no error.

    Parameters
    ----------
    text : str
        The line.

    Examples
    --------
    >>> say("done")
    """
    with contextlib.suppress(BrokenPipeError, ValueError):
        print(escape_controls(text), file=sys.stderr, flush=True)


def say_lines(text: str) -> None:
    """Write several lines of ours to stderr, what is in them escaped.

    Parameters
    ----------
    text : str
        The lines.

    Examples
    --------
    >>> say_lines("Traceback\\n  ...")
    """
    for line in text.splitlines():
        say(line)


def show(text: str) -> None:
    """Write a line to stdout, what is in it escaped.

    Parameters
    ----------
    text : str
        The line.

    Examples
    --------
    >>> show("tkd")
    tkd
    """
    print(escape_controls(text))


def say_warnings(warnings: Sequence[str], *, name: str = "", verbose: bool) -> None:
    """Write the warnings of a scan to stderr; of many the first, and how many there are.

    Parameters
    ----------
    warnings : sequence of str
        The warnings.
    name : str, optional
        Name of the scan, for the start of each line.
    verbose : bool
        Whether all have a line of their own, however many.

    Examples
    --------
    >>> say_warnings(["one echo"], name="sub-01", verbose=False)
    """
    start = f"{name}: " if name else ""
    shown = warnings if verbose else warnings[:MAX_WARNINGS]
    for warning in shown:
        say(f"WARNING {start}{warning}")
    if len(shown) < len(warnings):
        say(f"{start}{len(warnings)} warnings, all of them in the log; -v prints each")


def print_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, notes: Sequence[str] = ()
) -> None:
    """Write a table to stdout: drawn on a terminal, tab-separated elsewhere; title and notes go to stderr there.

    Parameters
    ----------
    title : str
        Title of the table.
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells.
    notes : sequence of str, optional
        Lines below the table.

    Examples
    --------
    >>> print_table("Lesions", ["lesion", "kind"], [["1", "microbleed"]])  # doctest: +NORMALIZE_WHITESPACE
    lesion  kind
    1       microbleed
    """
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=_plain(title))
        for name in header:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*map(_plain, row))
        Console().print(table)
    else:
        say(title)
        for row in (header, *rows):
            print("\t".join(map(escape_controls, row)))
    for note in notes:
        say(note)


def _plain(text: str) -> str:
    """Return a text that rich shows as it is: no markup, no control characters."""
    from rich.markup import escape

    return escape(escape_controls(text))


@contextlib.contextmanager
def progress(stages: Sequence[str], n_scans: int = 1) -> Iterator[Progress]:
    """Show progress over these stages.

    Parameters
    ----------
    stages : sequence of str
        Stages that will run, from `qsmcmb.stages`, one entry per scan and stage.
    n_scans : int, optional
        Scans that will run.

    Yields
    ------
    Progress
        Takes the reports.

    Examples
    --------
    >>> with progress(["mask"]) as bar:
    ...     bar.report("scan", "mask", 0.2)
    """
    with Progress(stages, n_scans) as bar:
        yield bar
