"""`qsmcmb longitudinal`: change over sessions from finished derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import Participants, Repeatability
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="longitudinal derivatives/qsmcmb --participant-label 01")
    def longitudinal(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."),
            Writes("folder", made_by="run", updates=True),
        ],
        participant_label: Participants = None,
        repeatability: Repeatability = None,
    ) -> None:
        """Compare the sessions of each subject.

        Sessions are registered and lesions matched; tables of change and course, and the page, are written.
        """
        from qsmcmb.cli.console import say
        from qsmcmb.study.last_page import last_page
        from qsmcmb.study.pages import compare_and_report
        from qsmcmb.study.selection import participants_of

        participants = participants_of(out, participant_label)
        failures = {participant: last_page(out, participant).failures for participant in participants}
        failed = compare_and_report(
            out, participants, say=say, repeatability=repeatability, failures=failures
        )
        raise typer.Exit(int(failed))
