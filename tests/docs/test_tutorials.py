"""The tutorials run as they stand, print what they say, and draw the figures that they show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.tutorials import FIGURES, PAGES, Workshop, figures_of, workshop


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Return the folder in which all pages run, and its commands."""
    with workshop(tmp_path_factory.mktemp("tutorials")) as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page_runs_and_prints_what_it_says(page: Path, made: Workshop) -> None:
    for said, printed in made.run(page):
        assert printed == said, "run python -m tests.docs.tutorials, and read what has changed"
    shown = figures_of(page)
    assert shown
    for name in shown:
        assert (made.folder / name).stat().st_size > 5000
        assert 5000 < (FIGURES / name).stat().st_size < 150_000


def test_every_figure_is_shown() -> None:
    assert {p.name for p in FIGURES.glob("*.png")} == {name for page in PAGES for name in figures_of(page)}
