"""A browser without a screen, cut off from the network, that hears of every error of a page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

__all__: tuple[str, ...] = ()

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
"""WebGL 2 without a graphics card; a browser that root may start."""


@dataclass
class OpenPage:
    """A page in the browser, what it said, and what it asked the network for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def wait(self, expression: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true: the page's policy forbids what waits inside it."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {expression}")
            self.page.wait_for_timeout(50)


def skip_without_browser() -> None:
    """Skip a test where no browser is installed."""
    pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: no page is opened in a browser"
    )
    if CHROMIUM is None:
        pytest.skip("no chromium is installed: no page is opened in a browser")


@contextmanager
def browser() -> Iterator[Any]:
    """Start a browser; skip where there is none."""
    skip_without_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


@contextmanager
def open_page(
    started: Any, address: str, *, width: int = 1280, height: int = 800, script: str = ""
) -> Iterator[OpenPage]:
    """Open a page, after a script of the test; requests beyond its own address are noted and refused."""
    context = started.new_context(
        viewport={"width": width, "height": height}, offline=not address.startswith("http")
    )
    page = context.new_page()
    opened = OpenPage(page)
    page.on(
        "console",
        lambda m: opened.errors.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on(
        "request",
        lambda r: (
            opened.requests.append(r.url) if not r.url.startswith(("data:", "blob:", address)) else None
        ),
    )
    page.add_init_script(
        "window.violations = []; addEventListener('securitypolicyviolation', "
        "(e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI));" + script
    )
    page.goto(address)
    try:
        yield opened
    finally:
        context.close()
