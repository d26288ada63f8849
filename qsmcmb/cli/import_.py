"""`qsmcmb import`: a folder of DICOM files as a BIDS data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

if TYPE_CHECKING:
    from qsmcmb.dicom.study import ImportPlan

__all__: tuple[str, ...] = ()

HEADER = ("series", "echo time", "values", "session", "file")
"""Columns of the plan."""


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="import dicom bids --yes", name="import")
    def import_(
        dicom: Annotated[
            Path, typer.Argument(metavar="DICOM_DIR", help="Folder of the scanner's files."), Reads("folder")
        ],
        bids: Annotated[
            Path, typer.Argument(metavar="BIDS", help="Data set to write into."), Writes("folder", adds=True)
        ],
        yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
        participant: Annotated[
            str | None,
            typer.Option(
                "--participant-label", metavar="LABEL", help="Label; the next free number by default."
            ),
        ] = None,
        session: Annotated[
            str | None,
            typer.Option("--session-label", metavar="LABEL", help="Label; numbered by date by default."),
        ] = None,
        dates: Annotated[
            bool | None,
            typer.Option(
                "--dates/--no-dates",
                help="Write the true time of each scan, which may tell who was scanned, or none. By default dates "
                "are shifted for each participant: order and intervals stay.",
                show_default=False,
            ),
        ] = None,
    ) -> None:
        """Bring gradient echoes with phase from DICOM into BIDS.

        Shows what goes where, and writes after a yes. Names and numbers of patients are not written.
        """
        import sys
        import tempfile

        from qsmcmb.cli.console import print_table, say
        from qsmcmb.dicom.study import plan_import
        from qsmcmb.dicom.write_bids import write_import

        with tempfile.TemporaryDirectory(prefix="qsmcmb-import-") as work:
            plan = plan_import(dicom, bids, Path(work), participant=participant, session=session, dates=dates)
            left_out = [f"left out: {line}" for line in plan.left_out]
            rows = [file.row for file in plan.files]
            print_table(f"into {bids}", HEADER, rows, notes=[*left_out, *plan.notes])
            if not yes and not (sys.stdin.isatty() and typer.confirm("Write these files?", err=True)):
                say("nothing was written; --yes writes without asking")
                return
            write_import(plan)
        say(f"{len(plan.files)} images in {bids}; {_next_step(plan, bids)}")


def _next_step(plan: ImportPlan, bids: Path) -> str:
    """Return what to do now: field maps alone are nothing that `run` measures."""
    if any("/anat/" in file.stem for file in plan.files):
        return f"next: qsmcmb run {bids} OUT participant"
    return f"field maps alone, which `run` does not measure as they are; qsmcmb run {bids} OUT says how they can be"
