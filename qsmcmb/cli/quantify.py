"""`qsmcmb quantify`: total susceptibility at given points, without the map."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import (
    FOLDER,
    Direction,
    EchoTimes,
    FieldStrength,
    Labels,
    Magnitude,
    MaybeMask,
    Phase,
    PhaseRange,
    PhaseSign,
    PhaseUnits,
    Points,
    TableOutput,
)  # fmt: skip
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app, example="quantify --phase ph.nii --mag m.nii --te 4,8,12ms --b0 3 --points cmb.tsv -o out.tsv"
    )
    def quantify(
        phase: Phase,
        magnitude: Magnitude,
        te: EchoTimes,
        b0: FieldStrength,
        out: TableOutput,
        points: Points = None,
        labels: Labels = None,
        mask: MaybeMask = None,
        phase_units: PhaseUnits = None,
        phase_range: PhaseRange = None,
        phase_sign: PhaseSign = None,
        b0_dir: Direction = None,
        explain: Annotated[
            Path | None,
            typer.Option("--explain", metavar=FOLDER, help="A page per lesion: what its number rests on."),
            Writes("folder", made_by="explain"),
        ] = None,
    ) -> None:
        """Measure lesions at given points or labels, without a map.

        Each is fitted on the complex signal; the table gives its total susceptibility with a 95 % interval.
        """
        from qsmcmb.cli.console import progress, say_warnings
        from qsmcmb.cli.stage import stated_input
        from qsmcmb.errors import ConfigError
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.derivatives import write_table
        from qsmcmb.io.labels import read_lesion_labels
        from qsmcmb.io.lesion_table import column_sidecar
        from qsmcmb.io.masks import read_mask
        from qsmcmb.io.place import Place
        from qsmcmb.io.plain import load_files
        from qsmcmb.io.points import read_points
        from qsmcmb.pipeline.load import with_user_input
        from qsmcmb.pipeline.points import measure_points
        from qsmcmb.stages import POINT_STAGES

        if (points is None) == (labels is None):
            raise ConfigError("quantify; expected either --points TSV or --labels NII")
        if out.suffix != ".tsv":
            raise ConfigError(f"-o {out}; expected a name ending in .tsv")
        te_s = parse_te(te)
        stated = stated_input(phase_units, phase_range, phase_sign)
        given = read_points(points) if points else None
        scan = load_files(
            phase,
            magnitude,
            te_s,
            b0,
            **asdict(stated),
            b0_dir=b0_dir,
            name=out.stem,
        )
        if labels is not None:
            given = read_lesion_labels(labels, scan.grid)
        assert given is not None
        make_folder(out.parent)
        brain = read_mask(mask, scan.grid) if mask else None
        scan = with_user_input(scan, points=given, point_list=points, mask=brain)
        with progress(POINT_STAGES) as bar:
            measured = measure_points(
                scan,
                given.points_mm,
                kinds=given.kinds,
                mask=brain.inside if brain else None,
                report=bar.report,
            )
        table, details = measured.table, measured.fits
        write_table(
            Place(out.parent), out.stem, table.rows(), columns=column_sidecar(), provenance=table.provenance,
            warnings=table.warnings,
        )  # fmt: skip
        say_warnings(table.warnings, verbose=True)
        if explain is not None:
            from qsmcmb.microbleeds.results.explanation import explain_lesion
            from qsmcmb.reporting.explain_page import write_explanations

            command = _command(
                phase,
                magnitude,
                {
                    "--te": te,
                    "--b0": f"{b0:g}",
                    "--points": points,
                    "--labels": labels,
                    "--mask": mask,
                    "--phase-units": phase_units,
                    "--phase-range": phase_range,
                    "--phase-sign": phase_sign,
                    "--b0-dir": b0_dir,
                    "-o": out,
                },
            )
            rows = zip(table.lesions, details, table.evidence, strict=True)
            explained = [explain_lesion(m, d, evidence=e, command=command) for m, d, e in rows]
            write_explanations(explain, explained)


def _command(phase: list[Path], magnitude: list[Path], options: dict[str, object]) -> str:
    """Return the command that makes the same table."""
    import shlex

    words = ["qsmcmb", "quantify", "--phase", *map(str, phase), "--mag", *map(str, magnitude)]
    for option, value in options.items():
        if value is not None:
            words += [option, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return shlex.join(words)
