"""Registration of a command: its summary in the list, its example, and its help."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

__all__ = ("command",)

Function = TypeVar("Function", bound=Callable[..., Any])


class _Command(TyperCommand):
    """A command whose help shows arguments by their names alone, and whose outputs are held against its inputs."""

    def invoke(self, ctx: Any) -> Any:
        """Run the function once its outputs are known to replace no input and to be nobody else's."""
        from qsmcmb.cli.files import paths_in_use

        with paths_in_use(self, ctx.params):
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            name = re.sub(r" <.*>$", "", record[0]) if is_argument else record[0]
            rows["Arguments" if is_argument else "Options"].append((name, record[1]))
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def command(
    app: typer.Typer, *, example: str, name: str | None = None, takes_negative_numbers: bool = False
) -> Callable[[Function], Function]:
    """Register a function as a command under its own name, or another where that is a word of Python.

    Parameters
    ----------
    app : Typer
        Application that gets the command.
    example : str
        Arguments of a call that runs once its paths exist, with the command's name first.
    name : str, optional
        Name of the command; the function's by default.
    takes_negative_numbers : bool, optional
        Whether arguments such as -12.5 are values and no options.

    Returns
    -------
    callable
        Decorator; the first line of the docstring becomes the summary, whole at any width of the terminal.

    Examples
    --------
    >>> app = typer.Typer()
    >>> @command(app, example="greet")
    ... def greet() -> None:
    ...     \"\"\"Greet the user.\"\"\"
    >>> app.registered_commands[0].short_help
    'Greet the user.'
    """

    def register(function: Function) -> Function:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        # The first character keeps the example on one line, so that it can be copied.
        epilog = f"\b\nExample: qsmcmb {example}"
        settings = {"ignore_unknown_options": True} if takes_negative_numbers else None
        registered = app.command(
            name, cls=_Command, short_help=summary, epilog=epilog, context_settings=settings
        )
        return registered(function)

    return register
