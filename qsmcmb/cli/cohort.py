"""`qsmcmb cohort`: tables and statistics of a study, and odds ratios of published trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.arguments import FOLDER, TABLE
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

__all__: tuple[str, ...] = ()

EXAMPLES = ("trials",)


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        example="cohort derivatives/qsmcmb --participants participants.tsv --arm group --adjust age -o cohort",
    )
    def cohort(
        out: Annotated[
            Path | None,
            typer.Argument(metavar="OUT", help="Derivatives folder of `qsmcmb run`."),
            Reads("results"),
        ] = None,
        participants: Annotated[
            Path | None,
            typer.Option(metavar=TABLE, help="Table with participant_id, the arm and covariates."),
            Reads("file"),
        ] = None,
        arm: Annotated[
            str, typer.Option(metavar="COLUMN", help="Column of that table with the arm; arms are compared.")
        ] = "",
        adjust: Annotated[
            list[str] | None,
            typer.Option(metavar="COLUMN...", help="Columns that regressions are adjusted for."),
        ] = None,
        output: Annotated[
            Path | None,
            typer.Option("-o", "--output", metavar=FOLDER, help="Where tables and page go."),
            Writes("folder", made_by="cohort"),
        ] = None,
        example: Annotated[
            str, typer.Option(metavar="NAME", help="In place of OUT: trials, published counts recomputed.")
        ] = "",
    ) -> None:
        """Write the tables, statistics and page of a study.

        One row per lesion, scan and subject, each with its protocol; field strengths may be mixed.
        """
        from qsmcmb.errors import ConfigError

        if example:
            if example not in EXAMPLES or out:
                raise ConfigError(f"--example {example}; expected trials, and no OUT")
            _print_trials()
            return
        if out is None or output is None:
            raise ConfigError("cohort; expected OUT and -o FOLDER, or --example trials")
        if (arm or adjust) and participants is None:
            raise ConfigError(
                "--arm and --adjust; expected --participants TSV beside them, which has the columns"
            )
        _write(out, output, participants, arm, adjust or [])


def _write(out: Path, output: Path, participants: Path | None, arm: str, adjust: list[str]) -> None:
    """Write the files and print the statistics."""
    from qsmcmb.cli.console import print_table, say
    from qsmcmb.core.packages import require

    require("statsmodels", extra="cohort")
    from qsmcmb.reporting.page import show
    from qsmcmb.study.cohort import write_cohort

    found = write_cohort(out, output, participants=participants, arm=arm, adjust=adjust)
    for message in found.messages:
        say(f"WARNING {message}")
    header = ["quantity", "group", "estimate", "low", "high", "p", "n", "warnings"]
    rows = [
        [s.quantity, s.group, show(s.estimate), show(s.low), show(s.high), show(s.p_value, 2), show(s.n),
         "; ".join(s.warnings)]
        for s in found.statistics
    ]  # fmt: skip
    print_table("Cohort", header, rows, notes=(f"Page: {found.files[-1]}",))


def _print_trials() -> None:
    """Print the odds ratios of the shipped table of trials."""
    from qsmcmb.cli.console import print_table
    from qsmcmb.cohorts.trials import recompute_trials

    header = ["trial", "experimental", "control", "odds ratio", "95 % interval", "p", "printed", "agrees"]
    trials = recompute_trials()
    rows = [
        [
            t.trial, f"{t.arms.events}/{t.arms.n}", f"{t.arms.reference_events}/{t.arms.reference_n}",
            f"{t.odds_ratio:.2f}", f"{t.low:.2f}-{t.high:.2f}", f"{t.p_value:.3f}", t.printed,
            f"no: {t.disagreement}" if t.disagreement else "nothing printed" if t.printed == "nothing" else "yes",
        ]
        for t in trials
    ]  # fmt: skip
    named = [f"{t.trial} does not agree: {t.disagreement}" for t in trials if t.disagreement]
    print_table("New microbleeds in published trials, crude odds ratios (Wald)", header, rows, notes=named)
