"""The pages that come from the code: each command, method, option, column, flag and publication is on its page."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import qsmcmb
from qsmcmb.change.records import COLUMNS, STATUSES
from qsmcmb.cli.main import app
from qsmcmb.core import references
from qsmcmb.lesion import LESION_COLUMNS
from qsmcmb.microbleeds.results.evidence_table import EVIDENCE_TABLE_COLUMNS
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.pipeline.config import STAGES, make_config

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
METHODS = [(stage, method) for stage, listed in STAGES.items() for method in listed.methods]


@pytest.fixture(scope="module")
def pages() -> dict[str, Callable[[], str]]:
    """Return the functions that render the pages."""
    sys.path.insert(0, str(DOCS))
    try:
        from _extensions.reference_pages import PAGES
    finally:
        sys.path.remove(str(DOCS))
    return PAGES


@pytest.fixture(scope="module")
def text(pages: dict[str, Callable[[], str]]) -> dict[str, str]:
    """Return each page's text."""
    return {name: render() for name, render in pages.items()}


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next of any level."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_there_with_all_its_options(command: str, text: dict[str, str]) -> None:
    found = section(text["commands.md"], f"qsmcmb {command}")
    for parameter in COMMANDS[command].params:
        shown = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
        assert getattr(parameter, "hidden", False) or shown in found, shown
    assert f"qsmcmb {command}" in found


@pytest.mark.parametrize(("stage", "method"), METHODS)
def test_each_method_is_there_with_all_its_options(stage: str, method: str, text: dict[str, str]) -> None:
    found = section(text["methods.md"], f"{stage}: {method}")
    options = [k for k in make_config({stage: {"method": method}}).bound(stage) if k != "method"]
    for option in options:
        assert re.search(rf"^\| `{option}` \| `.+` \| \S.+ \|$", found, re.MULTILINE), (
            f"{option} has no meaning"
        )


def test_each_column_flag_status_and_publication_is_there(text: dict[str, str]) -> None:
    for columns in (LESION_COLUMNS, COLUMNS, EVIDENCE_TABLE_COLUMNS):
        assert all(f"| `{name}` |" in text["columns.md"] for name in columns)
    assert all(f"| `{word}` |" in text["flags.md"] for word in (*FLAGS, *STATUSES))
    dois = {r.doi for r in vars(references).values() if isinstance(r, references.Reference)}
    assert all(f"https://doi.org/{doi}" in text["_bibliography.md"] for doi in dois)


def test_each_public_name_is_there(text: dict[str, str]) -> None:
    assert all(f":: qsmcmb.{name}\n" in text["python.md"] for name in qsmcmb.__all__ if name != "__version__")


def test_each_stage_has_its_table_in_the_configuration(text: dict[str, str]) -> None:
    assert all(f"| `[{stage}]` |" in text["configuration.md"] for stage in STAGES)
    assert "phase_sign" in section(text["configuration.md"], "The table [input]")
