"""`qsmcmb selftest`: does this installation measure what it should?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Writes

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="selftest certificate")
    def selftest(
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="Folder for the certificate."),
            Writes("folder", made_by="selftest"),
        ] = Path("qsmcmb-selftest"),
    ) -> None:
        """Check in about a minute that this installation measures right.

        Lesions of known total susceptibility are simulated and measured; the exit code is 1 when a limit is missed.
        """
        from qsmcmb.cli.console import progress
        from qsmcmb.cli.validate import print_claims
        from qsmcmb.reporting.validation_page import write_validation_page
        from qsmcmb.validation.selftest import run_selftest, write_certificate

        with progress(["simulate", "quantify"] * 3) as bar:
            result = run_selftest(report=bar.report)
        certificate = write_certificate(out, result)
        write_validation_page(out, title="qsmcmb: self test", lead="Balls in water at 1.5, 3 and 7 T.")
        print_claims("Self test", result.claims, f"Certificate: {certificate}")
        if not result.passed:
            raise typer.Exit(1)
