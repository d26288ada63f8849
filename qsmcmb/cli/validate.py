"""`qsmcmb validate`: every claim against its limit, on simulated heads or on a real phantom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmcmb.cli.arguments import FOLDER, TABLE
from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes

if TYPE_CHECKING:
    from qsmcmb.validation.acceptance_criteria import Claim

__all__ = ("print_claims",)


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="validate validation-out --quick")
    def validate(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Folder for tables and page; a stopped run goes on."),
            Writes("folder", made_by="validate"),
        ],
        quick: Annotated[
            bool, typer.Option("--quick", help="Few, small heads: minutes instead of hours.")
        ] = False,
        only: Annotated[
            list[str] | None, typer.Option(metavar="NAME", help="Only this experiment; may be repeated.")
        ] = None,
        shapes: Annotated[
            str, typer.Option(metavar="NAME", help="Shapes of the microbleeds: all, regular or irregular.")
        ] = "all",
        into: Annotated[
            Path | None,
            typer.Option(
                metavar=FOLDER, help="BIDS data set of real scans: put lesions into them, measure them."
            ),
            Reads("bids"),
        ] = None,
        masks: Annotated[
            Path | None,
            typer.Option(
                metavar=FOLDER, help="With --into: derivatives with a brain mask of each scan; else our own."
            ),
            Reads("folder"),
        ] = None,
        bids: Annotated[
            Path | None, typer.Option(metavar=FOLDER, help="Scans of a real phantom."), Reads("bids")
        ] = None,
        truth: Annotated[
            Path | None,
            typer.Option(metavar=TABLE, help="Its truth: TSV with x_mm, y_mm, z_mm, S_ppm_mm3."),
            Reads("file"),
        ] = None,
    ) -> None:
        """Compare the measurement with published results and goals.

        The exit code is 1 when a limit is missed.
        """
        from qsmcmb.cli.console import progress
        from qsmcmb.errors import ConfigError
        from qsmcmb.reporting.validation_page import write_validation_page
        from qsmcmb.validation.real_phantom import validate_phantom
        from qsmcmb.validation.report import choose
        from qsmcmb.validation.report import validate as run_validation
        from qsmcmb.validation.run_experiments import planned_steps

        if (bids is None) != (truth is None):
            raise ConfigError("validate; expected both --bids and --truth, or neither")
        if masks is not None and into is None:
            raise ConfigError("--masks; expected --into BIDS beside it")
        if into is not None:
            claims, page = _validate_into(out, into, masks, rounds=1 if quick else 5)
        elif bids is not None and truth is not None:
            claims, _ = validate_phantom(out, bids, truth)
            page = write_validation_page(out, title="qsmcmb: phantom", lead=f"Scans: {bids}; truth: {truth}.")
        else:
            experiments = choose(only or (), quick=quick, shapes=shapes)
            with progress(planned_steps(experiments)) as bar:
                claims = run_validation(out, experiments, report=bar.report).claims
            lead = "; ".join(f"{e.name}: {e.title}" for e in experiments)
            page = write_validation_page(
                out, lead=f"All figures are from simulation. Shapes: {shapes}. {lead}."
            )
        print_claims("Validation", claims, f"Page: {page}")
        if not all(c.passed for c in claims):
            raise typer.Exit(1)


def _validate_into(out: Path, into: Path, masks: Path | None, *, rounds: int) -> tuple[list[Claim], Path]:
    """Put lesions into real scans and measure them; return the claims and the page."""
    from qsmcmb.cli.console import progress, say
    from qsmcmb.reporting.validation_page import write_validation_page
    from qsmcmb.validation.real_background import planned_background_steps, validate_background

    with progress(planned_background_steps(into, rounds=rounds)) as bar:
        found = validate_background(out, into, masks=masks, rounds=rounds, report=bar.report)
    for name, reason in found.skipped.items():
        say(f"{name} skipped: {reason}")
    lead = f"Simulated lesions put into the real scans of {into}."
    page = write_validation_page(out, title="qsmcmb: real background", lead=lead, pictures=found.pictures)
    return found.claims, page


def print_claims(title: str, claims: list[Claim], note: str) -> None:
    """Print claims as a table.

    Parameters
    ----------
    title : str
        Title of the table.
    claims : list of Claim
        Claims with their results.
    note : str
        Line below the table.

    Examples
    --------
    >>> from qsmcmb.validation.acceptance_criteria import Claim
    >>> claim = Claim(source="goal", quantity="error (%)", published="2", here=1.5, low=0.0, high=2.0)
    >>> print_claims("Validation", [claim], "Page: index.html")  # doctest: +NORMALIZE_WHITESPACE
    source  quantity   published  here  limit   pass
    goal    error (%)  2          1.5   0 to 2  yes
    """
    from qsmcmb.cli.console import print_table

    header = ["source", "quantity", "published", "here", "limit", "pass"]
    rows = [
        [c.source, c.quantity, c.published, f"{c.here:.3g}", c.limit, "yes" if c.passed else "NO"]
        for c in claims
    ]
    met = sum(c.passed for c in claims)
    print_table(title, header, rows, notes=(f"{met} of {len(claims)} limits met.", note))
