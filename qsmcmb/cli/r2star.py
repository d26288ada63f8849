"""`qsmcmb r2star`: R2* from magnitude."""

from __future__ import annotations

from typing import Annotated

import typer

from qsmcmb.cli.arguments import EchoTimes, Files, MaybeMask, Method, Output, Set
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads
from qsmcmb.relaxometry import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="r2star m1.nii.gz m2.nii.gz m3.nii.gz --te 4,8,12ms -o r2star.nii.gz")
    def r2star(
        magnitude: Annotated[
            Files, typer.Argument(metavar="MAG", help="Magnitude; one file per echo."), Reads("image")
        ],
        te: EchoTimes,
        out: Output,
        mask: MaybeMask = None,
        method: Method = DEFAULT,
        settings: Set = None,
    ) -> None:
        """Map R2* from the magnitude.

        The map is in 1/s.
        """
        import numpy as np

        from qsmcmb.cli.stage import bind_stage, given_mask, load_magnitude, write_stage
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.relaxometry.r2star import map_r2star

        check_image_name(out)
        stage = bind_stage("r2star", method, settings)
        te_s = parse_te(te)
        mag, grid = load_magnitude(magnitude)
        inside = given_mask(mask, grid) if mask else np.asarray(mag[0] > 0)
        r2star_hz = map_r2star(mag, inside, te_s=te_s, method=stage.method, options=stage.options)
        write_stage(out, r2star_hz, grid, units="1/s", stage=stage)
