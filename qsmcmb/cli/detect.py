"""`qsmcmb detect`: candidates on map and magnitude."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import Magnitude, Mask, Output


def add(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog="Example: qsmcmb detect --chi chi.nii.gz --mag mag.nii.gz --mask mask.nii.gz -o candidates.tsv"
    )
    def detect(
        chi: Annotated[Path, typer.Option("--chi", help="Susceptibility map, ppm.")],
        magnitude: Magnitude,
        mask: Mask,
        out: Output,
        min_score: Annotated[
            float, typer.Option("--min-score", min=0, max=1, help="Least score, 0 to 1.")
        ] = 0.3,
    ) -> None:
        """Find candidates; the table's x_mm, y_mm, z_mm are scanner RAS+ and serve as --points of other commands."""
        import numpy as np

        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.masks import load_mask, load_on_grid
        from qsmcmb.io.plain import load_stack
        from qsmcmb.io.tables import write_tsv
        from qsmcmb.microbleeds.detection.candidates import find_candidates

        make_folder(out.parent)
        mag, grid = load_stack(magnitude)
        found = find_candidates(
            load_on_grid(chi, grid), mag, load_mask(mask, grid), grid, min_score=min_score
        )
        where = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
        rows = [
            {"x_mm": p[0], "y_mm": p[1], "z_mm": p[2], "kind": c.kind, "score": c.score}
            for c, p in zip(found, where, strict=True)
        ]
        write_tsv(out, rows, ("x_mm", "y_mm", "z_mm", "kind", "score"))
