"""Pages of the reference that come from the code: each is a function that returns its text."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ("PAGES",)

PAGES: dict[str, Callable[[], str]] = {}
