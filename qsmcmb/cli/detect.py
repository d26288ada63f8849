"""`qsmcmb detect`: candidates on map and magnitude."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qsmcmb.cli.arguments import (
    FILE,
    Magnitude,
    Mask,
    MaybeFieldStrength,
    MaybeNoise,
    TableOutput,
)
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="detect --chi chi.nii.gz --mag mag.nii.gz --mask mask.nii.gz -o candidates.tsv")
    def detect(
        chi: Annotated[
            Path, typer.Option("--chi", metavar=FILE, help="Susceptibility map, ppm."), Reads("image")
        ],
        magnitude: Magnitude,
        mask: Mask,
        out: TableOutput,
        field: Annotated[
            Path | None,
            typer.Option("--field", metavar=FILE, help="Local field: dipoles in it are candidates, too."),
            Reads("image"),
        ] = None,
        field_units: Annotated[
            str | None,
            typer.Option("--field-units", metavar="UNIT", help="Unit of the field: ppm (default), or Hz."),
        ] = None,
        b0: MaybeFieldStrength = None,
        noise: MaybeNoise = None,
        min_score: Annotated[
            float | None,
            typer.Option("--min-score", metavar="SCORE", min=0, max=1, help="Least score of a candidate."),
        ] = None,
    ) -> None:
        """Find candidates on map and magnitude, and dipoles in the field.

        The table's x_mm, y_mm, z_mm are scanner RAS+: it serves as --points of other commands.
        With --field lesions are found that the map does not show, as in thick slices; the SD of the field is --noise,
        else that of its roughness, larger where the magnitude is low.
        """
        import numpy as np

        from qsmcmb.cli.field_units import read_local_field
        from qsmcmb.cli.stage import given_mask, load_magnitude
        from qsmcmb.errors import ConfigError
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.masks import load_on_grid
        from qsmcmb.io.tables import write_tsv
        from qsmcmb.microbleeds.detection.candidates import find_candidates

        if field is None and (noise is not None or field_units is not None):
            raise ConfigError("--noise, --field-units; expected --field besides")
        if field_units == "rad":
            raise ConfigError("--field-units rad; expected ppm or Hz")
        make_folder(out.parent)
        mag, grid = load_magnitude(magnitude)
        inside = given_mask(mask, grid)
        least: dict[str, Any] = {} if min_score is None else {"min_score": min_score}
        if field is not None:
            local = read_local_field(
                field, inside, grid, noise=noise, magnitude=mag, units=field_units, b0_tesla=b0
            )
            least |= {"local_field_ppm": local.field_ppm, "field_sd_ppm": local.sd_ppm}
        found = find_candidates(load_on_grid(chi, grid), mag, inside, grid, **least)
        where = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
        rows = [
            {"x_mm": p[0], "y_mm": p[1], "z_mm": p[2], "kind": c.kind, "score": c.score, "test": c.test}
            for c, p in zip(found, where, strict=True)
        ]
        write_tsv(out, rows, ("x_mm", "y_mm", "z_mm", "kind", "score", "test"))
