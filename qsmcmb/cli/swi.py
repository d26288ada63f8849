"""`qsmcmb swi`: susceptibility-weighted image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import FILE, EchoTimes, Magnitude, MaybeMask, Method, Output, Phase, Set
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes
from qsmcmb.susceptibility_weighting import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="swi --phase ph.nii.gz --mag mag.nii.gz --te 4,8,12ms -o swi.nii.gz")
    def swi(
        phase: Phase,
        magnitude: Magnitude,
        te: EchoTimes,
        out: Output,
        mask: MaybeMask = None,
        out_mip: Annotated[
            Path | None,
            typer.Option("--out-mip", metavar=FILE, help="Where the minimum projection goes."),
            Writes("image"),
        ] = None,
        method: Method = DEFAULT,
        settings: Set = None,
    ) -> None:
        """Make the susceptibility-weighted image and its projection.

        The longest echo is weighted; with --set echoes=all the mean over all echoes.
        """
        from qsmcmb.cli.stage import bind_stage, load_magnitude, load_signal, mask_or_made, write_stage
        from qsmcmb.core.methods import call_method
        from qsmcmb.errors import InvalidInputError
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.susceptibility_weighting import METHODS
        from qsmcmb.susceptibility_weighting.swi import project_minimum

        for path in filter(None, (out, out_mip)):
            check_image_name(path)
        stage = bind_stage("swi", method, settings)
        te_s = parse_te(te)
        phase_rad, grid = load_signal(phase, radians=True)
        mag, _ = load_magnitude(magnitude)
        if len(te_s) != len(phase_rad) or len(te_s) != len(mag):
            raise InvalidInputError(
                "TE-MISMATCH", "--te", field="echo times", found=len(te_s),
                expected=f"{len(phase_rad)}, one for each phase and magnitude volume", fix="give one time per echo",
            )  # fmt: skip
        brain = mask_or_made(mask, mag, phase_rad, grid)
        data = (phase_rad, mag, brain, grid)
        image = call_method(METHODS, stage.method, stage.options, *data, context={})
        write_stage(out, image, grid, units="arbitrary", stage=stage)
        if out_mip:
            write_stage(out_mip, project_minimum(image, grid), grid, units="arbitrary", stage=stage)
