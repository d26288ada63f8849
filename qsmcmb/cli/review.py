"""`qsmcmb review`: readers' verdicts on candidates, in a page on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import Participants, Sessions
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

if TYPE_CHECKING:
    from qsmcmb.reviewing.reviewed_scan import ReviewedScan

__all__: tuple[str, ...] = ()


class Order(StrEnum):
    """Orders of the candidates."""

    PROBABILITY = "probability"
    TOTAL = "total"
    POSITION = "position"
    SUBJECT = "subject"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="review derivatives/qsmcmb --reader JD --order probability")
    def review(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."),
            Writes("folder", made_by="run", updates=True),
        ],
        participant_label: Participants = None,
        session_label: Sessions = None,
        reader: Annotated[
            str, typer.Option("--reader", metavar="NAME", help="Who reads: letters and digits.")
        ] = "reader1",
        order: Annotated[
            Order | None,
            typer.Option(
                "--order", metavar="ORDER",
                help="probability (nearest to 0.5 first; the default), total, position, or subject (if blind). "
                "Turned-away candidates come last.",
            ),
        ] = None,
        blind: Annotated[
            bool, typer.Option("--blind", help="Hide the detector's opinion and other readers' verdicts.")
        ] = False,
        adjudicate: Annotated[
            bool, typer.Option("--adjudicate", help="Show the candidates on which readers differ; decide.")
        ] = False,
        apply: Annotated[
            bool, typer.Option("--apply", help="Write the verdicts into the tables; no page.")
        ] = False,
        agreement: Annotated[
            bool, typer.Option("--agreement", help="Print how far readers agree; no page.")
        ] = False,
        port: Annotated[
            int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port; a free one by default.")
        ] = 0,
    ) -> None:  # fmt: skip
        """Read candidates and give verdicts, in a browser.

        The page is served on this machine alone; open the address that is printed. Verdicts enter the tables by
        --apply.
        """
        from qsmcmb.cli.console import say
        from qsmcmb.reviewing.flow_back import apply_verdicts
        from qsmcmb.reviewing.reviewed_scan import read_scan
        from qsmcmb.study.reader_log import check_reader
        from qsmcmb.study.selection import sessions_of

        check_reader(reader)
        readers = () if apply or agreement else (reader,)
        scans = [read_scan(out, s, readers) for s in sessions_of(out, participant_label, session_label)]
        for note in (note for scan in scans for note in scan.notes()):
            say(f"note: {note}")
        if agreement:
            _print_agreement(scans)
        elif apply:
            raise typer.Exit(int(apply_verdicts(out, scans, say=say)))
        else:
            chosen = order or (Order.SUBJECT if blind else Order.PROBABILITY)
            _serve(
                out, scans, reader=reader, order=chosen.value, blind=blind, adjudicate=adjudicate, port=port
            )


def _print_agreement(scans: list[ReviewedScan]) -> None:
    from qsmcmb.cli.console import print_table
    from qsmcmb.core.packages import require

    require("statsmodels", extra="cohort")
    from qsmcmb.reviewing.agreement import AGREEMENT_COLUMNS, agreement_rows

    rows = agreement_rows(scans)
    notes = [
        "categories: definite, possible, rejected, unsure; ICC(2,1) of the number of microbleeds of each scan"
        if rows
        else "fewer than two readers have given verdicts: nothing can be compared yet"
    ]
    print_table("Agreement between readers", AGREEMENT_COLUMNS, rows, notes=notes)


def _serve(
    out: Path, scans: list[ReviewedScan], *, reader: str, order: str, blind: bool, adjudicate: bool, port: int
) -> None:
    from qsmcmb.cli.console import say
    from qsmcmb.core.packages import require
    from qsmcmb.errors import Interrupted
    from qsmcmb.reviewing.flow_back import count_not_applied
    from qsmcmb.reviewing.study_review import StudyReview
    from qsmcmb.study.signals import interruptible
    from qsmcmb.study.twins import find_twins

    require("starlette", "uvicorn", extra="review")
    from qsmcmb.reviewing.serve import serve

    participants = dict.fromkeys(scan.scan.participant for scan in scans)
    twins = [group for participant in participants for group in find_twins(out, participant)]
    found = StudyReview(scans, reader, order=order, blind=blind, adjudicate=adjudicate, twins=twins)
    say(f"{len(found.items)} candidates of {len(scans)} scans; open this address, end with Ctrl-C:")
    try:
        with interruptible():
            serve(out, found, port=port, show=_show_at_once)
    except Interrupted as interrupted:
        if interrupted.exit_code != 130:
            raise
    late = count_not_applied(scans)
    if late:
        say(f"verdicts on {late} scans are not in the tables yet: qsmcmb review {out} --apply")


def _show_at_once(text: str) -> None:
    """Print a line that another program may wait for."""
    import sys

    from qsmcmb.cli.console import show

    show(text)
    sys.stdout.flush()
