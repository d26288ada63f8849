"""`qsmcmb fieldmap`: phase of several echoes to a field map with its SD."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import (
    FILE,
    EchoTimes,
    FieldStrength,
    Files,
    Magnitude,
    MaybeMask,
    Method,
    Output,
    Set,
)
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes
from qsmcmb.field_mapping import DEFAULT

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="fieldmap unwrapped.nii.gz --mag mag.nii.gz --te 4,8,12ms --b0 3 -o field.nii.gz")
    def fieldmap(
        phase: Annotated[
            Files,
            typer.Argument(metavar="PHASE", help="Phase, rad, wrapped or not; one file per echo."),
            Reads("image"),
        ],
        magnitude: Magnitude,
        te: EchoTimes,
        b0: FieldStrength,
        out: Output,
        mask: MaybeMask = None,
        out_sd: Annotated[
            Path | None,
            typer.Option("--out-sd", metavar=FILE, help="Where the SD of the field goes."),
            Writes("image"),
        ] = None,
        ppm: Annotated[bool, typer.Option("--ppm", help="Write ppm of B0 instead of Hz.")] = False,
        method: Method = DEFAULT,
        settings: Set = None,
    ) -> None:
        """Fit the field to the phase of all echoes.

        Phase that stays within -pi and pi is taken for wrapped and unwrapped first.
        """
        import numpy as np

        from qsmcmb.cli.stage import bind_stage, load_magnitude, load_signal, mask_or_made, write_stage
        from qsmcmb.field_mapping.head import map_field
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.derivatives import check_image_name
        from qsmcmb.io.field_strength import check_tesla
        from qsmcmb.units import hz_to_ppm
        from qsmcmb.unwrapping.head import unwrap

        for path in filter(None, (out, out_sd)):
            check_image_name(path)
        stage = bind_stage("fieldmap", method, settings)
        te_s = parse_te(te)
        check_tesla(b0, "--b0", field="b0")
        phase_rad, grid = load_signal(phase, radians=True)
        mag, _ = load_magnitude(magnitude)
        inside = mask_or_made(mask, mag, phase_rad, grid)
        if np.abs(phase_rad[:, inside]).max() <= np.pi * 1.001:
            phase_rad = unwrap(phase_rad, inside, grid, magnitude=mag, te_s=te_s)
        found = map_field(phase_rad, mag, inside, grid, te_s=te_s, method=stage.method, options=stage.options)
        units = "ppm" if ppm else "Hz"
        for target, values in ((out, found.total_field_hz), (out_sd, found.field_sd_hz)):
            if target:
                scaled = hz_to_ppm(values, b0) if ppm else values
                write_stage(
                    target, np.where(np.isfinite(scaled), scaled, np.nan), grid, units=units, stage=stage
                )
