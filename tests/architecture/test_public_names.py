"""Names of pipeline, reporting, study and what they share are public on purpose, documented, and in plain words."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import qsmcmb
from qsmcmb import cli, pipeline, reporting, study

SINGLE = ("qsmcmb.stages", "qsmcmb.core.methods", "qsmcmb.microbleeds.results.references")
COINED = re.compile(r"\b(textures?|told|kept|doubt|price|bumps?)\b|\bplaces\b", re.IGNORECASE)
NO_SENTENCE = re.compile(r"(Of|What|Where)\b")


def modules_of(*packages: object) -> list[str]:
    return [m.name for p in packages for m in pkgutil.walk_packages(p.__path__, f"{p.__name__}.")]  # type: ignore[attr-defined]


DECLARED = [*modules_of(pipeline, reporting, study), *SINGLE]
WRITTEN = [*DECLARED, *modules_of(cli)]


def public_objects() -> Iterator[tuple[str, object]]:
    for module in DECLARED:
        loaded = importlib.import_module(module)
        for name in getattr(loaded, "__all__", ()):
            value = getattr(loaded, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{module}.{name}", value


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("module", DECLARED)
def test_module_says_what_is_public(module: str) -> None:
    """Every function and class that is defined here is in `__all__` or begins with an underscore."""
    loaded = importlib.import_module(module)
    defined = {
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module
    }
    assert all(hasattr(loaded, name) for name in loaded.__all__)
    assert defined <= set(loaded.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_documents_its_parameters(name: str) -> None:
    value = PUBLIC[name]
    doc = FunctionDoc(value) if inspect.isfunction(value) else ClassDoc(value)
    documented = [n.strip() for p in doc["Parameters"] for n in p.name.split(",")]
    signature = inspect.signature(value)  # type: ignore[arg-type]
    given = [f"**{n}" if p.kind is p.VAR_KEYWORD else f"*{n}" if p.kind is p.VAR_POSITIONAL else n
             for n, p in signature.parameters.items()]  # fmt: skip
    if inspect.isfunction(value):
        assert documented == given
        assert doc["Returns"] or doc["Yields"] or signature.return_annotation in ("None", None)
    elif not getattr(value, "_is_protocol", False):
        # A subclass documents what it adds.
        assert set(documented) <= set(given)
        assert documented or not given
        assert set(given) - set(documented) <= inherited(value)
    assert doc["Summary"], name


def inherited(value: object) -> set[str]:
    bases = getattr(value, "__mro__", ())[1:]
    return {name for base in bases for name in getattr(base, "__annotations__", {})}


@pytest.mark.parametrize("module", WRITTEN)
def test_docstrings_are_sentences_in_plain_words(module: str) -> None:
    source = Path(qsmcmb.__file__).parent.parent.joinpath(*module.split("."))
    path = source.with_suffix(".py") if source.with_suffix(".py").exists() else source / "__init__.py"
    text = path.read_text()
    assert not COINED.search(text), COINED.search(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            doc = ast.get_docstring(node)
            assert doc is None or not NO_SENTENCE.match(doc), doc
