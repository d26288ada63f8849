"""Links that leave docs/: where the site includes the page they lead there, so that both work, site and repository."""

from __future__ import annotations

import posixpath
import re

from sphinx.application import Sphinx

__all__ = ("setup",)

INCLUDED = {
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../README.md": "index.md",
    "../THIRD_PARTY.md": "THIRD_PARTY.md",
}
"""Page of the repository, from docs/, and the page of the site that shows it."""


def lead_inside(_: Sphinx, page: str, source: list[str]) -> None:
    """Rewrite the links of a page to what the site includes."""
    folder = posixpath.dirname(page)

    def inside(link: re.Match[str]) -> str:
        place = INCLUDED.get(posixpath.normpath(posixpath.join(folder, link[1])))
        return f"]({posixpath.relpath(place, folder or '.')}{link[2] or ''})" if place else link[0]

    source[0] = re.sub(r"\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)", inside, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the rewriting."""
    app.connect("source-read", lead_inside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
