"""`qsmcmb regions`: mean susceptibility and R2* of structures, from finished results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from qsmcmb.cli.arguments import TABLE, Participants, Sessions
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="regions out --labels aparc+aseg_in_gre.nii.gz")
    def regions(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Folder of `qsmcmb run` or `qsmcmb recon`."),
            Reads("results"),
        ],
        labels: Annotated[
            Path,
            typer.Option(
                "--labels",
                metavar="FILE",
                help="FreeSurfer, FastSurfer or SynthSeg labels, registered to the scan; or a folder of derivatives.",
            ),
            Reads("image"),
        ],
        table: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option("-o", "--output", metavar=TABLE, help="Where the table goes; printed by default."),
            Writes("table"),
        ] = None,
        participant_label: Participants = None,
        session_label: Sessions = None,
    ) -> None:
        """Measure susceptibility and R2* of structures on finished maps.

        Mean, SD and volume of each structure of a segmentation, left and right; lesions are left out.
        """
        from qsmcmb.core.software import software_versions
        from qsmcmb.errors import ConfigError
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.derivatives import write_table
        from qsmcmb.io.nifti import sha256_of
        from qsmcmb.io.place import Place
        from qsmcmb.io.tables import tsv_text
        from qsmcmb.model import Provenance
        from qsmcmb.study.region_tables import measure_scan_regions, region_columns
        from qsmcmb.study.selection import sessions_of

        if table is not None and table.suffix != ".tsv":
            raise ConfigError(f"-o {table}; expected a name ending in .tsv")
        scans = sessions_of(out, participant_label, session_label)
        rows, columns = measure_scan_regions(scans, labels), region_columns(scans)
        if table is None:
            print(tsv_text(rows, list(columns)), end="")
            return
        make_folder(table.parent)
        write_table(
            Place(table.parent), table.stem, rows, columns=columns,
            provenance=Provenance(
                sources=((labels.name, sha256_of(labels)),) if labels.is_file() else (), software=software_versions()
            ),
        )  # fmt: skip
