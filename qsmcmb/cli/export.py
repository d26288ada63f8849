"""`qsmcmb export`: results as DICOM series."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import FOLDER, Participants, Sessions
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

__all__: tuple[str, ...] = ()


class Unit(StrEnum):
    """Units of the map."""

    PPM = "ppm"
    PPB = "ppb"


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="export derivatives/qsmcmb dicom-out --source dicom")
    def export(
        out: Annotated[Path, typer.Argument(metavar="OUT", help="Results of `run` or `recon`."), Reads("results")],
        dicom: Annotated[
            Path, typer.Argument(metavar="DICOM_DIR", help="Where the DICOM files go."), Writes("folder", adds=True),
        ],
        source: Annotated[
            Path | None,
            typer.Option(
                "--source", metavar=FOLDER,
                help="DICOM files of the scan: patient, study and frame of reference are theirs.",
            ),
            Reads("folder"),
        ] = None,
        participant_label: Participants = None,
        session_label: Sessions = None,
        unit: Annotated[
            Unit,
            typer.Option(
                "--unit", metavar="UNIT", help="Unit of the map: ppm, or ppb for viewers with whole-number windows.",
            ),
        ] = Unit.PPM,
    ) -> None:  # fmt: skip
        """Write susceptibility map and lesions as DICOM.

        Two series for each scan: the map, and an image with a ring around each microbleed.
        """
        from qsmcmb.cli.console import say
        from qsmcmb.dicom.export import export_scans
        from qsmcmb.study.selection import sessions_of

        scans = sessions_of(out, participant_label, session_label)
        for done in export_scans(scans, dicom, source=source, unit=unit.value):
            say(f"{done.folder}: map and lesions, {done.n_slices} slices each, {done.n_lesions} microbleeds")
