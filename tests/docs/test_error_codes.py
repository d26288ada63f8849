"""Every error code that the source raises is explained, tested, and in docs/reference/errors.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.error_codes import ERROR_CODES
from tests.docs.error_page import PAGE, render_page

ROOT = Path(__file__).parents[2]
FIELDS = {"field", "found", "expected", "fix"}
OWN = Path(__file__).name


def raised_codes() -> Iterator[str]:
    """Yield the codes of the source: literals that a call has beside `expected` and `fix`, or gives to `code`."""
    for path in sorted((ROOT / "qsmcmb").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and {k.arg for k in node.keywords} & FIELDS:
                yield from (literal for argument in node.args[:1] for literal in literals(argument))
            elif isinstance(node, ast.Call):
                found = (literal for argument in node.args for literal in literals(argument))
                yield from (literal for literal in found if re.fullmatch("[A-Z]+(-[A-Z]+)+", literal))
            elif isinstance(node, ast.Assign) and "code" in [
                getattr(t, "id", "") for target in node.targets for t in ast.walk(target)
            ]:
                yield from literals(node.value)


def literals(node: ast.expr) -> Iterator[str]:
    """Yield the words of an expression that look like a code."""
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value.isupper():
            yield child.value


def test_every_code_is_explained_and_none_is_left_over() -> None:
    assert set(raised_codes()) == set(ERROR_CODES)
    assert list(ERROR_CODES) == sorted(ERROR_CODES)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_every_code_has_a_test(code: str) -> None:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != OWN)
    assert any(re.search(rf"(?<![\w-]){code}(?![\w-])", text) for text in sources)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_the_entry_is_whole(code: str) -> None:
    entry = ERROR_CODES[code]
    assert not entry.title.endswith(".")
    for text in (entry.meaning, entry.cure):
        assert text.endswith(".") and "  " not in text  # noqa: PT018


def test_the_page_is_that_of_the_list() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run python -m tests.docs.error_page"


def test_explain_prints_a_code_a_flag_or_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["explain", "te-equal"]) == 0
    assert capsys.readouterr().out.startswith("TE-EQUAL: Two echoes with one echo time.\n\n")
    assert run_command(["explain", "too-large"]) == 0
    assert "too large for the patch" in capsys.readouterr().out
    assert run_command(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ERROR_CODES)
    assert run_command(["explain", "session-order-unknown"]) == 0
    assert "flag of the table of change" in capsys.readouterr().out
    assert run_command(["explain", "TE-EQUALS"]) == 2
    assert "such as te-equal" in capsys.readouterr().err
