"""`qsmcmb explain-point`: why a point was not found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import Participants, Sessions
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        name="explain-point",
        example="explain-point derivatives/qsmcmb -12.5 40 22 --participant-label 01",
        takes_negative_numbers=True,
    )
    def explain_point(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Folder of `qsmcmb run` or `qsmcmb recon`."),
            Reads("results"),
        ],
        x_mm: Annotated[float, typer.Argument(metavar="X", help="Position in scanner RAS+, mm.")],
        y_mm: Annotated[float, typer.Argument(metavar="Y", help="As X.")],
        z_mm: Annotated[float, typer.Argument(metavar="Z", help="As X.")],
        participant_label: Participants = None,
        session_label: Sessions = None,
    ) -> None:
        """Say why the detector found nothing at a point.

        The points nearest to it that the detector looked at, each with the gate that it failed, the value found
        and the value needed.
        """
        import numpy as np

        from qsmcmb.study.point_explanation import explain_point as explain
        from qsmcmb.study.selection import sessions_of

        where = np.array([x_mm, y_mm, z_mm])
        lines = [
            line for s in sessions_of(out, participant_label, session_label) for line in explain(s, where)
        ]
        print("\n".join(lines))
