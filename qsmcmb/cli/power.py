"""`qsmcmb power`: subjects that a trial needs, by each endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import FOLDER
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

if TYPE_CHECKING:
    from qsmcmb.cohorts.power import EndpointPower
    from qsmcmb.cohorts.trial_config import TrialConfig

__all__: tuple[str, ...] = ()

EXAMPLES = ("published", "published_high_risk")
HEADER = ("endpoint", "subjects per arm", "closed form", "saves against the first")


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="power --example published")
    def power(
        config_file: Annotated[
            Path | None,
            typer.Option(
                "--config-file", metavar="TOML", help="Assumptions; those that it lacks have their defaults."
            ),
            Reads("file"),
        ] = None,
        example: Annotated[
            str, typer.Option(metavar="NAME", help=f"Shipped assumptions: {', '.join(EXAMPLES)}.")
        ] = "",
        output: Annotated[
            Path | None,
            typer.Option("-o", "--output", metavar=FOLDER, help="Where table and page with the plot go."),
            Writes("folder", made_by="power"),
        ] = None,
    ) -> None:
        """Simulate a trial of two arms: power and sample size.

        The measurement errs as validation has measured, by size, protocol and shape. Intervals are of the simulation.
        """
        from qsmcmb.cli.console import print_table
        from qsmcmb.core.packages import require
        from qsmcmb.errors import ConfigError

        if example and (example not in EXAMPLES or config_file):
            raise ConfigError(f"--example {example}; expected {' or '.join(EXAMPLES)}, and no --config-file")
        require("statsmodels", extra="cohort")
        from qsmcmb.cohorts.data_folder import data_folder
        from qsmcmb.cohorts.measured_errors import read_measured_errors
        from qsmcmb.cohorts.power import find_power
        from qsmcmb.cohorts.trial_config import TrialConfig, read_trial_config

        path = data_folder() / f"{example}.toml" if example else config_file
        config = read_trial_config(path) if path else TrialConfig()
        found = find_power(config, read_measured_errors())
        rows = [_cells(e, config) for e in found]
        notes = [_verdict(e) for e in found[1:]]
        if output:
            notes.append(f"Page: {_write(output, found, config, rows)}")
        print_table(f"Subjects in each arm for a power of {config.power:g}", list(HEADER), rows, notes=notes)


def _cells(e: EndpointPower, config: TrialConfig) -> list[str]:
    """Return the row of an endpoint."""
    if e.subjects != e.subjects:
        return [e.name, f"not reached with {config.max_subjects}", "n/a", "n/a"]
    closed = f"{e.closed_form:.0f}" if e.closed_form == e.closed_form else "n/a"
    saves = f"{e.saves:.2f} ({e.saves_low:.2f} to {e.saves_high:.2f})" if e.saves == e.saves else "n/a"
    return [e.name, f"{e.subjects:.0f} ({e.low:.0f} to {e.high:.0f})", closed, saves]


def _verdict(e: EndpointPower) -> str:
    """Return in words what an endpoint saves."""
    if e.subjects != e.subjects or e.saves != e.saves:
        return f"{e.name}: nothing can be said of what it saves"
    if e.saves_low > 1:
        return f"{e.name}: needs {e.saves:.2f} times fewer subjects than yes or no"
    if e.saves_high < 1:
        return f"{e.name}: saves nothing; it needs {1 / e.saves:.2f} times as many subjects as yes or no"
    return f"{e.name}: no difference to yes or no that the simulation shows"


def _write(output: Path, found: list[EndpointPower], config: TrialConfig, rows: list[list[str]]) -> Path:
    """Write the table of the curves and the page; return the page."""
    import dataclasses

    from qsmcmb.io.atomic import make_folder
    from qsmcmb.io.tables import write_json, write_tsv
    from qsmcmb.reporting.cohort_page import write_power_page

    make_folder(output)
    points = [{"endpoint": e.name, **point._asdict()} for e in found for point in e.curve]
    write_tsv(output / "power.tsv", points, ["endpoint", "n", "power", "low", "high"])
    assumptions = dataclasses.asdict(config)
    write_json(output / "power.json", {"Assumptions": assumptions})
    return write_power_page(
        output / "power.html", curves={e.name: e.curve for e in found}, target=config.power, header=HEADER,
        rows=rows, assumptions=assumptions,
    )  # fmt: skip
