"""The page of the commands, from the command line itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from _extensions.documented import table
from qsmcmb.cli.main import app

__all__ = ("render_commands",)

OPENING = """# Commands

Every command takes `-v` (`--verbose`) and `--help`. Echo times need a suffix, `ms` or `s`. Results that are asked for
as a table or as JSON go to stdout alone; progress and messages go to stderr. Exit codes are in
[outputs](../outputs.md).
"""


def render_commands() -> str:
    """Return the page: a section for each command, in the order in which a user meets them."""
    group: Any = typer.main.get_command(app)
    listed = table(
        ("command", "what it does"),
        ((f"[`{name}`](#qsmcmb-{name})", c.short_help) for name, c in group.commands.items()),
    )
    return "\n".join([OPENING, listed, *(_section(name, c) for name, c in group.commands.items())])


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            shown = f"`{record[0].partition(' <')[0]}`"
            rows[parameter.param_type_name].append((shown, record[1].replace("[", r"\[")))
    example = command.epilog.replace("\b", "").strip().removeprefix("Example: ")
    return "\n".join(
        [
            f"## qsmcmb {name}\n",
            inspect.cleandoc(command.help) + "\n",
            f"```\n{example}\n```\n",
            table(("argument", "meaning"), rows["argument"]),
            table(("option", "meaning"), rows["option"]),
        ]
    )
