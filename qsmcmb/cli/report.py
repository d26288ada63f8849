"""`qsmcmb report`: the pages again, from finished derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: qsmcmb report derivatives/qsmcmb")
    def report(
        out: Annotated[Path, typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`.")],
        participant_label: Annotated[
            list[str] | None, typer.Option(help="Only these (without sub-).")
        ] = None,
    ) -> None:
        """Write one self-contained HTML page per subject; nothing is recomputed."""
        from qsmcmb.cli.selection import participants_of
        from qsmcmb.reporting.subject_page import write_subject_page

        for participant in participants_of(out, participant_label):
            print(write_subject_page(out, participant))
