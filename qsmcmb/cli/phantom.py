"""`qsmcmb phantom`: a phantom as a BIDS data set with its truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmcmb.cli.command import command
from qsmcmb.cli.files import Reads, Writes, recipe_file, with_truth

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="phantom head phantom-head")
    def phantom(
        recipe: Annotated[
            str,
            typer.Argument(metavar="RECIPE", help="Name of a recipe, or a .toml."),
            Reads("file", paths=recipe_file),
        ] = "",
        out: Annotated[
            Path | None,
            typer.Argument(metavar="OUT", help="Data set; truth goes to OUT-truth."),
            Writes("folder", paths=with_truth, made_by="phantom"),
        ] = None,
        list_all: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    ) -> None:
        """Simulate the scans of a recipe as a BIDS data set.

        The truth lies beside it.
        """
        from qsmcmb.cli.console import progress, say
        from qsmcmb.errors import ConfigError
        from qsmcmb.phantoms.recipe import list_recipes, read_recipe
        from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom

        if list_all:
            for name, title in list_recipes().items():
                print(f"{name}\t{title}")
            return
        if not recipe or out is None:
            raise ConfigError("phantom; expected RECIPE and OUT, or --list")
        read = read_recipe(recipe)
        with progress(["simulate"] * len(read.sessions)) as bar:
            write_phantom(read, out, report=bar.report)
        say(f"data set: {out}; truth: {truth_folder(out)}")
