"""`qsmcmb why`: inputs, parameters and source behind a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="why derivatives/qsmcmb/sub-01/anat/sub-01_Chimap.nii.gz")
    def why(
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="A result of `qsmcmb run`."), Reads("file")
        ],
    ) -> None:
        """Show inputs, parameters and source behind a result.

        Each of them makes the result stale when it changes; so does another version of a library.
        """
        from qsmcmb.study.status import explain_file

        found = explain_file(file)
        print(f"{file.name}: made by the step {found.step} of {found.name}; {found.written}")
        if found.state is None:
            print("state: unknown, the data set of the last run cannot be read")
        else:
            reason = f": {found.state.reason}" if found.state.reason else ""
            print(f"state: {'current' if found.state.is_current else found.state.state}{reason}")
        for step, key in found.keys.items():
            print(f"\n{step} (key {key.key})")
            for name, digest in key.inputs.items():
                print(f"  input {name}  {digest}")
            for name, value in key.parameters.items():
                print(f"  parameter {name}  {value}")
            print(f"  source {key.source}, {found.sources[step]} files")
        print("\nlibraries")
        for name, version in found.software.items():
            print(f"  {name}  {version}")
