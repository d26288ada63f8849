"""`qsmcmb repeatability`: a study's own errors of change from scan-rescan pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="repeatability derivatives/qsmcmb --pairs pairs.tsv -o repeatability.json")
    def repeatability(
        out: Annotated[
            Path, typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."), Reads("folder")
        ],
        pairs: Annotated[
            Path,
            typer.Option(
                metavar="TSV", help="Table with participant_id, session_a, session_b: no change between."
            ),
            Reads("file"),
        ],
        output: Annotated[
            Path,
            typer.Option("-o", "--output", metavar="FILE", help="Where the errors go, JSON."),
            Writes("table"),
        ],
    ) -> None:
        """Measure the study's own errors of change.

        `run --repeatability FILE` and `longitudinal --repeatability FILE` judge changes by them.
        """
        from qsmcmb.cli.console import say
        from qsmcmb.study.repeatability import measure_repeatability

        record = measure_repeatability(out, pairs, output)
        say(
            f"{record['n_lesions']} lesions in {record['n_pairs']} pairs: within-subject CV "
            f"{100 * record['within_subject_cv']:.2g} %, shared by a scan {100 * record['shared_relative_sd']:.2g} %"
        )
