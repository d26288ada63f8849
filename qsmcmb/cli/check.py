"""`qsmcmb check`: every problem of a data set at once, before any long work."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import (
    BidsFilter,
    ConfigFile,
    Participants,
    PhaseRange,
    PhaseSign,
    PhaseUnits,
    Sessions,
)
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsmcmb.study.preflight import Problem

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="check bids --deep")
    def check(
        bids: Annotated[Path, typer.Argument(metavar="BIDS", help="Data set."), Reads("bids")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON: each file on its own.")] = False,
        deep: Annotated[
            bool, typer.Option("--deep", help="Read the images, too: damaged files, phase and its unit.")
        ] = False,
        participant_label: Participants = None,
        session_label: Sessions = None,
        bids_filter_file: BidsFilter = None,
        phase_units: PhaseUnits = None,
        phase_range: PhaseRange = None,
        phase_sign: PhaseSign = None,
        config_file: ConfigFile = None,
    ) -> None:
        """List every problem of a data set, by the checks of a run.

        Exit code 65 for any error, 0 with warnings only. `qsmcmb explain CODE` says more about a code.
        """
        from rich.console import Console
        from rich.progress import track

        from qsmcmb.cli.stage import stated_input
        from qsmcmb.errors import EXIT_BAD_INPUT, EXIT_OK
        from qsmcmb.io.bids_index import list_sessions
        from qsmcmb.io.tables import read_filter
        from qsmcmb.pipeline.config import read_config
        from qsmcmb.study.preflight import check_scans

        scans = list_sessions(
            bids,
            participants=tuple(participant_label or ()),
            sessions=tuple(session_label or ()),
            filters=read_filter(bids_filter_file) if bids_filter_file else {},
        )
        options = read_config(config_file).input.updated(stated_input(phase_units, phase_range, phase_sign))
        checked = track(
            check_scans(scans, options, deep=deep), description="check", total=len(scans),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        problems = [problem for found in checked for problem in found] + _of_data_set(bids)
        _print(problems, len(scans), as_json=as_json)
        raise typer.Exit(EXIT_BAD_INPUT if any(p.level == "error" for p in problems) else EXIT_OK)


def _of_data_set(bids: Path) -> list[Problem]:
    """Return the problems of the data set itself."""
    from qsmcmb.study.preflight import Problem

    if (bids / "dataset_description.json").exists():
        return []
    return [Problem(level="warning", scan=str(bids), found="dataset_description.json is missing")]


def _print(problems: Sequence[Problem], n_scans: int, *, as_json: bool) -> None:
    from qsmcmb.cli.console import show
    from qsmcmb.study.preflight import merge_problems

    n_errors = sum(p.level == "error" for p in problems)
    if as_json:
        counts = {"scans": n_scans, "errors": n_errors, "warnings": len(problems) - n_errors}
        print(json.dumps({**counts, "problems": [p._asdict() for p in problems]}, indent=2))
        return
    for line in merge_problems(problems):
        show(line)
    print(f"{n_scans} scans: {n_errors} errors, {len(problems) - n_errors} warnings")
