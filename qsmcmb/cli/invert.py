"""`qsmcmb invert`: local field to susceptibility."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import Direction, Mask, Method, Output, Set


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog="Example: qsmcmb invert local_ppm.nii.gz --mask inner.nii.gz -o chi.nii.gz --method tv"
    )
    def invert(
        field: Annotated[
            Path, typer.Argument(metavar="INPUT", help="What the method starts from: local field, ppm.")
        ],
        mask: Mask,
        out: Output,
        method: Method = "tv",
        noise: Annotated[Path | None, typer.Option("--noise", help="SD of the field, ppm.")] = None,
        b0_dir: Direction = None,
        settings: Set = None,
    ) -> None:
        """Invert a local field in ppm into susceptibility in ppm, against the mean over the mask."""
        from qsmcmb.cli.stage import bind_stage, write_stage
        from qsmcmb.dipole_inversion.head import invert as invert_field
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.io.masks import load_mask, load_sd
        from qsmcmb.io.plain import load_stack

        check_image_name(out)
        stage = bind_stage("invert", method, settings)
        stack, grid = load_stack([field], signal=False, b0_dir=b0_dir)
        sd = load_sd(noise, grid) if noise else None
        chi_ppm = invert_field(
            stack[0],
            load_mask(mask, grid),
            grid,
            method=stage.method,
            field_sd_ppm=sd,
            options=stage.options,
        )
        write_stage(out, chi_ppm, grid, units="ppm", stage=stage)
