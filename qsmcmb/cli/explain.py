"""`qsmcmb explain`: what an error code or a flag of the lesion table means, and what to do."""

from __future__ import annotations

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
                metavar="CODE", help="Code of an error, or flag of the lesion table; all codes by default."
            ),
        ] = "",
    ) -> None:
        """Explain an error code, or a flag of the lesion table."""
        from qsmcmb.error_codes import ERROR_CODES
        from qsmcmb.errors import ConfigError
        from qsmcmb.microbleeds.results.flags import Flag

        if not code:
            print("\n".join(f"{name}\t{entry.title}" for name, entry in ERROR_CODES.items()))
            return
        if entry := ERROR_CODES.get(code.upper()):
            print(f"{code.upper()}: {entry.title}.\n\n{entry.meaning}\n\nFix: {entry.cure}")
            return
        flags = {str(flag): flag.meaning for flag in Flag}
        if code.lower() not in flags:
            raise ConfigError(f"code {code!r}; expected one of: {', '.join([*ERROR_CODES, *flags])}")
        print(f"{code.lower()} (flag of the lesion table)\n\n{flags[code.lower()]}")
