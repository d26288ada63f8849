"""`qsmcmb longitudinal`: change over sessions from finished derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: qsmcmb longitudinal derivatives/qsmcmb --participant-label 01")
    def longitudinal(
        out: Annotated[Path, typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`.")],
        participant_label: Annotated[
            list[str] | None, typer.Option(help="Only these (without sub-).")
        ] = None,
    ) -> None:
        """Register the sessions of each subject, match lesions, write the longitudinal table and the page."""
        from qsmcmb.cli.pages import compare_and_report
        from qsmcmb.cli.selection import participants_of

        raise typer.Exit(int(compare_and_report(out, participants_of(out, participant_label))))
