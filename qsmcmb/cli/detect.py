"""`qsmcmb detect`: candidates on map and magnitude."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qsmcmb.cli.arguments import FILE, Magnitude, Mask, TableOutput
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
        min_score: Annotated[
            float | None,
            typer.Option("--min-score", metavar="SCORE", min=0, max=1, help="Least score of a candidate."),
        ] = None,
    ) -> None:
        """Find candidates on map and magnitude.

        The table's x_mm, y_mm, z_mm are scanner RAS+: it serves as --points of other commands.
        """
        import numpy as np

        from qsmcmb.cli.stage import given_mask, load_magnitude
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.masks import load_on_grid
        from qsmcmb.io.tables import write_tsv
        from qsmcmb.microbleeds.detection.candidates import find_candidates

        make_folder(out.parent)
        mag, grid = load_magnitude(magnitude)
        least: dict[str, Any] = {} if min_score is None else {"min_score": min_score}
        found = find_candidates(load_on_grid(chi, grid), mag, given_mask(mask, grid), grid, **least)
        where = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
        rows = [
            {"x_mm": p[0], "y_mm": p[1], "z_mm": p[2], "kind": c.kind, "score": c.score}
            for c, p in zip(found, where, strict=True)
        ]
        write_tsv(out, rows, ("x_mm", "y_mm", "z_mm", "kind", "score"))
