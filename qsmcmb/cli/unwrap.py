"""`qsmcmb unwrap`: wrapped to unwrapped phase, radians in and out."""

from __future__ import annotations

from typing import Annotated

import typer

from qsmcmb.cli.arguments import EchoTimes, Files, MaybeMagnitude, MaybeMask, Method, Output, Set
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads
from qsmcmb.unwrapping import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="unwrap ph1.nii.gz ph2.nii.gz --mag m1.nii.gz m2.nii.gz --te 4,8ms -o unw.nii.gz")
    def unwrap(
        phase: Annotated[
            Files,
            typer.Argument(metavar="PHASE", help="Wrapped phase, rad; one file per echo."),
            Reads("image"),
        ],
        out: Output,
        magnitude: MaybeMagnitude = None,
        mask: MaybeMask = None,
        te: EchoTimes = "",
        method: Method = DEFAULT,
        settings: Set = None,
    ) -> None:
        """Unwrap the phase of one or more echoes.

        Several echoes are made consistent in time where echo times are given.
        """
        import numpy as np

        from qsmcmb.cli.stage import (
            bind_stage,
            given_mask,
            load_magnitude,
            load_signal,
            mask_or_made,
            write_stage,
        )
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.unwrapping.head import unwrap as unwrap_phase

        check_image_name(out)
        stage = bind_stage("unwrap", method, settings)
        te_s = parse_te(te) if te else None
        phase_rad, grid = load_signal(phase, radians=True)
        mag = load_magnitude(magnitude)[0] if magnitude else None
        if mag is not None:
            inside = mask_or_made(mask, mag, phase_rad, grid)
        else:
            inside = given_mask(mask, grid) if mask else np.ones(grid.shape, bool)
        unwrapped = unwrap_phase(
            phase_rad, inside, grid, method=stage.method, magnitude=mag, te_s=te_s, options=stage.options
        )
        data = unwrapped[0] if len(unwrapped) == 1 else np.moveaxis(unwrapped, 0, -1)
        write_stage(out, data, grid, units="rad", stage=stage)
