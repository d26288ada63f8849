"""`qsmcmb mask`: a brain mask."""

from __future__ import annotations

from typing import Annotated

import typer

from qsmcmb.cli.arguments import FILES, Files, Method, Output, Set
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads
from qsmcmb.masking import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="mask mag1.nii.gz mag2.nii.gz --phase ph1.nii.gz ph2.nii.gz -o mask.nii.gz")
    def mask(
        magnitude: Annotated[
            Files, typer.Argument(metavar="MAG", help="Magnitude; one file per echo."), Reads("image")
        ],
        out: Output,
        phase: Annotated[
            Files | None,
            typer.Option("--phase", metavar=FILES, help="Phase, rad; one file per echo."),
            Reads("image"),
        ] = None,
        method: Method = "",
        settings: Set = None,
    ) -> None:
        """Make a brain mask.

        It is made from magnitude and phase, or from magnitude alone where no phase is given.
        """
        import numpy as np

        from qsmcmb.cli.stage import bind_stage, load_magnitude, load_signal, write_stage
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.masking.brain import mask_brain

        check_image_name(out)
        stage = bind_stage("mask", method or (DEFAULT if phase else "magnitude"), settings)
        mag, grid = load_magnitude(magnitude)
        phase_rad = load_signal(phase, radians=True)[0] if phase else np.zeros_like(mag)
        made = mask_brain(mag, phase_rad, grid, method=stage.method, options=stage.options)
        write_stage(out, made, grid, units="", stage=stage)
