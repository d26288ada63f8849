"""Pages of the reference that are written from the code when the site is built, under reference/generated/."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

__all__ = ("setup",)


def write_pages(app: Sphinx) -> None:
    """Write every generated page whose text has changed."""
    from _extensions.reference_pages import PAGES

    folder = Path(app.srcdir) / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        page, text = folder / name, render()
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the writing, before Sphinx looks for pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
