"""The page of the lesion fit is short, has equations and a figure a section, and its figures can be drawn again."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = (FOLDER / "lesion-fit.md").read_text(encoding="utf-8")
WITHOUT_FIGURE = ("What it cannot do", "Sources")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lesion_fit_figures", FOLDER / "lesion-fit" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_short() -> None:
    assert len(PAGE.split()) <= 1500


@pytest.mark.parametrize("section", [s for s in SECTIONS if s not in WITHOUT_FIGURE])
def test_each_section_has_a_figure_with_a_caption(section: str) -> None:
    assert len(re.findall(r"^!\[.+\]\(lesion-fit/\w+\.png\)$", SECTIONS[section], re.MULTILINE)) == 1
    assert re.search(r"^\*[A-Z].+\*$", SECTIONS[section], re.MULTILINE)


def test_each_source_has_an_address() -> None:
    found = re.findall(r"\[doi:(\S+)\]\(https://doi\.org/(\S+)\)", SECTIONS["Sources"])
    assert len(found) >= 10
    assert all(name == address for name, address in found)


@pytest.mark.parametrize("name", ["sources", "objective", "alternatives"])
def test_figures_are_drawn(figures: ModuleType, name: str) -> None:
    figure = getattr(figures, f"draw_{name}")()
    assert all(axis.has_data() for axis in figure.axes)
    assert (FOLDER / "lesion-fit" / f"{name}.png").is_file()


def test_every_figure_of_the_page_is_made(figures: ModuleType) -> None:
    named = set(re.findall(r"lesion-fit/(\w+)\.png", PAGE))
    assert {f"draw_{name}" for name in named} <= set(vars(figures))
