"""`qsmcmb status`: what of a study is done, and what the next run would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads

if TYPE_CHECKING:
    from qsmcmb.study.status import Entry

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="status derivatives/qsmcmb")
    def status(
        out: Annotated[
            Path, typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."), Reads("results")
        ],
    ) -> None:
        """Show which steps are done, stale, damaged or missing.

        A row for each session and step, with the reason, as the command of the last run would find them now. Where
        files of a session cannot be read, one row `inputs` says which and why. Nothing is computed or written.
        """
        from qsmcmb.cli.console import print_table
        from qsmcmb.study.status import study_status

        entries = study_status(out)
        rows = [
            (entry.name, step, "held" if step in entry.held else state.state, state.reason)
            for entry in entries
            for step, state in entry.states.items()
        ]
        rows += [(entry.name, "inputs", "failed", entry.error) for entry in entries if entry.error]
        print_table(str(out), ["session", "step", "state", "reason"], rows, notes=_summary(entries))


def _summary(entries: list[Entry]) -> list[str]:
    """Return what is to be mended, and how much the next run would do."""
    faulty = [e.name for e in entries if e.error]
    late = [e.name for e in entries if not all(s.is_current for s in e.states.values())]
    if not faulty and not late:
        return ["all is current"]
    mend = f"to mend first: {', '.join(faulty)}. Their rows `inputs` name file, reason and fix"
    todo = (
        f"to do: {', '.join(late)}. The results of a session are made together: one stale step means that the whole "
        "session is done again, except for steps that are held; a parameter `acquired` alone is only entered"
    )
    return [*([mend] if faulty else []), *([todo] if late else [])]
