"""What the source says of itself: docstrings of parameters, of fields and of constants, and cells of tables."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpydoc.docscrape import NumpyDocString

import qsmcmb

__all__ = ("Constant", "constants", "fields_of", "parameters_of", "table", "text_of")

SOURCE = Path(qsmcmb.__file__).parent


class Constant(NamedTuple):
    """A constant of a module: the module's name, its own, and the docstring below it."""

    module: str
    name: str
    docstring: str


def text_of(value: object) -> str:
    """Return a text as the cell of a table: one line, its bars and angle brackets as they are."""
    plain = " ".join(str(value).split()).replace("|", r"\|")
    return re.sub(r"``([^`]+)``", r"`\1`", plain)


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown; empty without rows."""
    names, body = list(header), [[text_of(cell) for cell in row] for row in rows]
    if not body:
        return ""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, ["---"] * len(names), *body)) + "\n"


def parameters_of(documented: Any) -> dict[str, str]:
    """Return the meaning of each parameter, from a docstring in numpydoc's form."""
    found = NumpyDocString(inspect.getdoc(documented) or "")["Parameters"]
    return {name: " ".join(p.desc) for p in found for name in p.name.split(", ")}


def fields_of(record: type) -> dict[str, str]:
    """Return the docstring below each field of a class, without those of its bases."""
    source = Path(inspect.getfile(record)).read_text(encoding="utf-8")
    classes = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef))
    (body,) = (n.body for n in classes if n.name == record.__name__)
    return dict(_documented(body))


def constants(wanted: Callable[[str], bool]) -> list[Constant]:
    """Return the constants of the package whose name is wanted and which have a docstring."""
    return [
        Constant(".".join(path.relative_to(SOURCE.parent).with_suffix("").parts), name, text)
        for path in sorted(SOURCE.rglob("*.py"))
        for name, text in _documented(ast.parse(path.read_text(encoding="utf-8")).body)
        if wanted(name)
    ]


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of each assignment that a docstring follows."""
    for node, after in itertools.pairwise(body):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(target, ast.Name) and is_text and isinstance(after.value.value, str):  # type: ignore[attr-defined]
            yield target.id, inspect.cleandoc(after.value.value)  # type: ignore[attr-defined]
