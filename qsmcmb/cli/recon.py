"""`qsmcmb recon`: the whole pipeline on plain NIfTI files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import (
    FOLDER,
    AdoptOutput,
    ConfigFile,
    Detect,
    Direction,
    EchoTimes,
    FieldStrength,
    Labels,
    Magnitude,
    MaybeMask,
    MaybeSegmentation,
    Phase,
    PhaseRange,
    PhaseSign,
    PhaseUnits,
    Points,
    Reference,
    ReportDetail,
)  # fmt: skip
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app, example="recon --phase ph1.nii.gz ph2.nii.gz --mag m1.nii.gz m2.nii.gz --te 4,8ms --b0 3 -o out"
    )
    def recon(  # noqa: PLR0913 (one argument for each option)
        context: typer.Context,
        phase: Phase,
        magnitude: Magnitude,
        te: EchoTimes,
        b0: FieldStrength,
        out: Annotated[
            Path,
            typer.Option("-o", "--output", metavar=FOLDER, help="Where the results go."),
            Writes("folder", made_by="recon"),
        ],
        mask: MaybeMask = None,
        segmentation: MaybeSegmentation = None,
        points: Points = None,
        labels: Labels = None,
        detect: Detect = False,
        phase_units: PhaseUnits = None,
        phase_range: PhaseRange = None,
        phase_sign: PhaseSign = None,
        b0_dir: Direction = None,
        reference: Reference = "brain",
        report: ReportDetail = "full",
        config_file: ConfigFile = None,
        adopt_output: AdoptOutput = False,  # noqa: ARG001 (heeded where the folder is held)
    ) -> None:
        """Make maps, lesion table and report from one scan."""
        from qsmcmb import __version__
        from qsmcmb.anatomy.segmentation import read_segmentation
        from qsmcmb.cli.console import progress, say, say_warnings
        from qsmcmb.cli.stage import stated_input, stated_reference
        from qsmcmb.errors import ConfigError
        from qsmcmb.io.assemble import parse_te
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.io.labels import read_lesion_labels
        from qsmcmb.io.masks import read_mask
        from qsmcmb.io.place import Place
        from qsmcmb.io.plain import load_files
        from qsmcmb.io.points import read_points
        from qsmcmb.pipeline.clock import Clock
        from qsmcmb.pipeline.config import read_config
        from qsmcmb.pipeline.load import with_user_input
        from qsmcmb.pipeline.outputs import write_scan
        from qsmcmb.pipeline.regions import with_segmentation
        from qsmcmb.pipeline.subject import run_scan
        from qsmcmb.reporting.budget import read_detail
        from qsmcmb.reporting.subject_page import write_scan_page
        from qsmcmb.study.log import LogFile

        if points is not None and labels is not None:
            raise ConfigError("--points and --labels; expected one of them")
        region, detail = stated_reference(reference), read_detail(report)
        config, te_s = read_config(config_file), parse_te(te)
        stated = config.input.updated(stated_input(phase_units, phase_range, phase_sign))
        given = read_points(points) if points else None
        scan = load_files(
            phase,
            magnitude,
            te_s,
            b0,
            **asdict(stated),
            b0_dir=b0_dir,
            name=out.name,
        )
        if labels is not None:
            given = read_lesion_labels(labels, scan.grid)
        brain = read_mask(mask, scan.grid) if mask else None
        drawn = None if isinstance(region, str) else read_mask(region, scan.grid, min_volume_mm3=0)
        scan = with_user_input(scan, points=given, point_list=points, mask=brain, reference=drawn)
        head = read_segmentation(segmentation, scan.grid) if segmentation else None
        scan = with_segmentation(scan, head)
        make_folder(out)
        stages = config.scan_stages(detect=detect or given is None)
        with progress([*stages, "report"]) as bar:
            result = run_scan(
                scan, config, mask=brain.inside if brain else None, points_mm=given.points_mm if given else None,
                kinds=given.kinds if given else None, detect=detect, segmentation=head,
                reference=drawn.inside if drawn else str(region), report=bar.report,
            )  # fmt: skip
            write_scan(Place(out), result)
            with Clock(scan.name, bar.report).stage("report"):
                page = write_scan_page(out, detail=detail)
        LogFile(out).write("scan", version=__version__, warnings=result.warnings, seconds=result.seconds)
        say_warnings(result.warnings, verbose=bool(context.obj))
        say(f"{len(result.lesions)} candidates; page: {page}")
