"""Figures as they are drawn, before they become a picture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html.parser import HTMLParser
from types import ModuleType
from typing import Any

import pytest


class Page(HTMLParser):
    """What a browser would make of a page: text by element, attributes, rows of tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def parse() -> Callable[[str], Page]:
    """Return what reads a page."""
    return Page


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return what draws with a function of a module and hands the figure itself out."""

    def draw(module: ModuleType, name: str, *args: Any, **keywords: Any) -> Any:
        kept: list[Any] = []
        original = module.to_png

        def keep(figure: Any) -> str:
            kept.append(figure)
            return str(original(figure))

        monkeypatch.setattr(module, "to_png", keep)
        picture = getattr(module, name)(*args, **keywords)
        monkeypatch.setattr(module, "to_png", original)
        assert base64.b64decode(picture).startswith(b"\x89PNG")
        assert len(kept) == 1
        return kept[0]

    return draw
