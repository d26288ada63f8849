"""`qsmcmb demo`: the embedded phantom at three field strengths through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import ReportDetail
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

if TYPE_CHECKING:
    from qsmcmb.validation.demo import DemoResult

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="demo demo-out")
    def demo(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Folder for data, results and report."),
            Writes("folder", made_by="demo"),
        ] = Path("qsmcmb-demo"),
        report: ReportDetail = "full",
    ) -> None:
        """Simulate a head at 1.5, 3 and 7 T and measure its microbleeds.

        Truth and estimates are printed side by side; the report shows maps and lesions.
        """
        from qsmcmb.cli.console import progress, say, say_lines
        from qsmcmb.io.atomic import make_folder
        from qsmcmb.pipeline.clock import Clock
        from qsmcmb.pipeline.config import make_config
        from qsmcmb.reporting.budget import read_detail
        from qsmcmb.reporting.demo_page import write_demo_page
        from qsmcmb.reporting.subject_page import write_subject_page
        from qsmcmb.validation.demo import run_demo

        detail = read_detail(report)
        make_folder(out)
        stages = ["simulate"] * 3 + list(make_config().scan_stages(detect=False)) * 3 + ["report"]
        say("The first run compiles the loops once; later runs start at once.")
        with progress(stages) as bar:
            result = run_demo(out, report=bar.report)
            failed = [o for o in result.outcomes if o.exit_code]
            for outcome in failed:
                say_lines(outcome.error)
            if failed:
                raise typer.Exit(failed[0].exit_code)
            with Clock("demo", bar.report).stage("report"):
                write_subject_page(result.derivatives, "demo", detail=detail)
                page = write_demo_page(out)
        _print(result, page)


def _print(result: DemoResult, page: Path) -> None:
    import numpy as np

    from qsmcmb.cli.console import print_table
    from qsmcmb.validation.visible import EQUAL_TE_S

    sessions = list(result.detected)
    header = ["lesion", "kind", "true", *(f"{s} (95 %)" for s in sessions), "CV", "CV of volume"]
    rows = []
    for row in result.rows:
        cells = [
            f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in (row.estimates[s] for s in sessions)
        ]
        rows.append(
            [str(row.lesion), row.kind, f"{row.truth_ppm_mm3:.2f}", *cells, f"{100 * row.cv:.1f} %",
             f"{100 * row.cv_volume:.0f} %"]
        )  # fmt: skip
    found = ", ".join(f"{a} of {b} at {s}" for s, (a, b) in result.detected.items())
    cv = 100 * float(np.median([r.cv for r in result.rows]))
    cv_volume = 100 * float(np.nanmedian([r.cv_volume for r in result.rows]))
    print_table(
        "Total susceptibility, ppm mm3, positions given", header, rows,
        notes=(
            f"Median coefficient of variation over field strengths: total susceptibility {cv:.1f} %, "
            f"visible volume (TE {1000 * EQUAL_TE_S:.0f} ms) {cv_volume:.0f} %.",
            f"The detector alone finds {found}.",
            f"Report: {page}",
        ),
    )  # fmt: skip
