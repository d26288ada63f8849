"""`qsmcmb background`: total to local field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.background_removal import DEFAULT
from qsmcmb.cli.arguments import FILE, Direction, Mask, MaybeMagnitude, Method, Output, Set
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app, example="background field.nii.gz --mask mask.nii.gz -o local.nii.gz --out-mask inner.nii.gz"
    )
    def background(
        field: Annotated[
            Path,
            typer.Argument(metavar="FIELD", help="Total field; the local field has its unit."),
            Reads("image"),
        ],
        mask: Mask,
        out: Output,
        out_mask: Annotated[
            Path,
            typer.Option("--out-mask", metavar=FILE, help="Where the mask of the local field goes."),
            Writes("image"),
        ],
        method: Method = DEFAULT,
        magnitude: MaybeMagnitude = None,
        noise: Annotated[
            Path | None,
            typer.Option("--noise", metavar=FILE, help="SD of the field, same unit."),
            Reads("image"),
        ] = None,
        b0_dir: Direction = None,
        settings: Set = None,
    ) -> None:
        """Remove the field of sources outside the mask.

        Data are weighted by --noise, or by --mag where no SD is given.
        """
        from qsmcmb.background_removal.head import remove_background
        from qsmcmb.cli.field_units import check_total_field
        from qsmcmb.cli.stage import bind_stage, given_mask, load_magnitude, relative_sd, write_stage
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.io.masks import load_sd
        from qsmcmb.io.plain import load_stack

        check_image_name(out)
        check_image_name(out_mask)
        stage = bind_stage("background", method, settings)
        stack, grid = load_stack([field], b0_dir=b0_dir)
        sd = load_sd(noise, grid) if noise else None
        if magnitude and sd is None:
            sd = relative_sd(load_magnitude(magnitude)[0])
        inside = given_mask(mask, grid)
        units = check_total_field(stack[0], inside, field) or "as the input"
        local = remove_background(
            stack[0], inside, grid, method=stage.method, field_sd_hz=sd, options=stage.options
        )
        write_stage(out, local.local_field_hz, grid, units=units, stage=stage)
        write_stage(out_mask, local.mask, grid, units="", stage=stage)
