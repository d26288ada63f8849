"""`qsmcmb explain`: what an error code or a flag of a table means, and what to do."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from qsmcmb.cli.command import command

__all__: tuple[str, ...] = ()


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, example="explain UNITS-MISSING")
    def explain(
        code: Annotated[
            str,
            typer.Argument(
                metavar="CODE", help="Code of an error, or flag of a table; all codes by default."
            ),
        ] = "",
    ) -> None:
        """Explain an error code, or a flag of a table.

        Tables of lesions and of change have flags.
        """
        from qsmcmb.change.flags import CHANGE_FLAGS
        from qsmcmb.error_codes import ERROR_CODES
        from qsmcmb.errors import ConfigError
        from qsmcmb.microbleeds.results.flags import Flag

        if not code:
            print("\n".join(f"{name}\t{entry.title}" for name, entry in ERROR_CODES.items()))
            return
        if entry := ERROR_CODES.get(code.upper()):
            print(f"{code.upper()}: {entry.title}.\n\n{entry.meaning}\n\nFix: {entry.cure}")
            return
        tables = {"lesion table": {str(flag): flag.meaning for flag in Flag}, "table of change": CHANGE_FLAGS}
        for table, flags in tables.items():
            if code.lower() in flags:
                print(f"{code.lower()} (flag of the {table})\n\n{flags[code.lower()]}")
                return
        known = [word.lower() for word in (*ERROR_CODES, *(f for flags in tables.values() for f in flags))]
        near = difflib.get_close_matches(code.lower(), known)
        raise ConfigError(
            f"code {code!r}; expected a code or flag as printed"
            + (f", such as {', '.join(near)}" if near else "")
            + "; `qsmcmb explain` lists the codes, docs/reference the flags"
        )
