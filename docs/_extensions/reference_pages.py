"""Pages that come from the code, by their place in docs/: each is a function that returns its text."""

from __future__ import annotations

from collections.abc import Callable

from _extensions.api_page import render_api
from _extensions.command_page import render_commands
from _extensions.method_page import cited, render_configuration, render_methods
from _extensions.table_page import render_columns, render_flags
from qsmcmb.core import references

__all__ = ("PAGES", "render_bibliography")


def render_bibliography() -> str:
    """Return every publication that a method or a part of the fit rests on, by author and year."""
    entries = [r for r in vars(references).values() if isinstance(r, references.Reference)]
    return "\n".join(f"- {cited(r)}" for r in sorted(entries, key=lambda r: (r.key, r.year))) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": render_commands,
    "methods.md": render_methods,
    "configuration.md": render_configuration,
    "columns.md": render_columns,
    "flags.md": render_flags,
    "python.md": render_api,
    "_bibliography.md": render_bibliography,
}
"""Function that renders each page, by its name in reference/generated/; one with an underscore is part of another."""
