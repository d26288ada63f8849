"""`qsmcmb invert`: field or wrapped phase to susceptibility."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import (
    Direction,
    EchoTimes,
    Mask,
    MaybeFieldStrength,
    MaybeMagnitude,
    MaybeNoise,
    Method,
    Output,
    Set,
)
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads
from qsmcmb.dipole_inversion import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        example="invert local.nii.gz --mask mask.nii.gz -o chi.nii.gz --method medi --te 4,8ms --b0 3",
    )
    def invert(
        field: Annotated[
            Path,
            typer.Argument(
                metavar="INPUT",
                help="What the method starts from: local or total field, or wrapped phase.",
            ),
            Reads("image"),
        ],
        mask: Mask,
        out: Output,
        method: Method = DEFAULT,
        magnitude: MaybeMagnitude = None,
        noise: MaybeNoise = None,
        te: EchoTimes = "",
        b0: MaybeFieldStrength = None,
        field_units: Annotated[
            str | None,
            typer.Option("--field-units", metavar="UNIT", help="Unit of the field: ppm (default), Hz, rad."),
        ] = None,
        b0_dir: Direction = None,
        settings: Set = None,
    ) -> None:
        """Invert a field or wrapped phase into susceptibility.

        The map is in ppm, against the mean over the mask. Some methods use the edges of --mag.
        A field in Hz needs --b0, one in rad --te besides; one that cannot be in its unit is refused.
        Nonlinear methods take the phase of 1 ppm from --te and --b0, else from 3 T and 20 ms.
        """
        from qsmcmb.cli.console import say
        from qsmcmb.cli.field_units import check_local_or_total, ppm_per_unit
        from qsmcmb.cli.stage import bind_stage, given_mask, load_magnitude, load_signal, write_stage
        from qsmcmb.dipole_inversion.head import invert as invert_field
        from qsmcmb.dipole_inversion.head import is_nonlinear, starting_point
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.io.field_strength import check_tesla
        from qsmcmb.io.masks import load_sd
        from qsmcmb.io.plain import load_stack

        check_image_name(out)
        stage = bind_stage("invert", method, settings)
        te_s = parse_te(te) if te else None
        if b0 is not None:
            check_tesla(b0, "--b0", field="b0")
        wrapped = starting_point(stage.method) == "wrapped phase"
        if is_nonlinear(stage.method) and (te_s is None or b0 is None):
            say(
                f"WARNING {stage.method} is nonlinear in the phase: it takes that of 3 T and 20 ms; give --te and --b0"
            )
        scale = ppm_per_unit(field_units, te_s, b0)
        load = load_signal if wrapped else load_stack
        stack, grid = load([field], radians=wrapped, b0_dir=b0_dir)
        sd = load_sd(noise, grid) if noise else None
        inside = given_mask(mask, grid)
        if not wrapped:
            stack *= scale
            sd = None if sd is None else sd * scale
            check_local_or_total(
                stack[0], inside, field, start=starting_point(stage.method), units=field_units
            )
        chi_ppm = invert_field(
            stack if wrapped else stack[0],
            inside,
            grid,
            method=stage.method,
            field_sd_ppm=sd,
            magnitude=load_magnitude(magnitude)[0] if magnitude else None,
            te_s=te_s,
            b0_tesla=b0,
            options=stage.options,
        )
        write_stage(out, chi_ppm, grid, units="ppm", stage=stage)
