"""`qsmcmb report`: the pages again, from finished derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import Participants, ReportDetail
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="report derivatives/qsmcmb")
    def report(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."),
            Writes("folder", made_by="run", updates=True),
        ],
        participant_label: Participants = None,
        report: ReportDetail = "full",
    ) -> None:
        """Write the page of each subject again; nothing is recomputed.

        A page is one self-contained HTML file. It opens from disk and loads nothing.
        """
        from qsmcmb.cli.console import say, show
        from qsmcmb.reporting.budget import read_detail
        from qsmcmb.reporting.subject_page import write_subject_page
        from qsmcmb.study.last_page import last_page
        from qsmcmb.study.selection import participants_of

        detail = read_detail(report)
        for participant in participants_of(out, participant_label):
            last = last_page(out, participant)
            page = write_subject_page(
                out, participant, notes=last.notes, failures=last.failures, say=say, detail=detail
            )
            show(str(page))
