"""The project's words: the glossary holds what the code says, and the code says nothing that a reader must be told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "qsmcmb"
GLOSSARY = ROOT / "docs" / "glossary.md"

PENDING_NAMES: set[str] = set()
"""Names of the glossary that the measurement of microbleeds takes on next. It shrinks: what is there leaves it."""
UNITS = ("hz", "mm", "mm2", "mm3", "ppm", "ppm_mm3", "rad", "s", "tesla")


class Banned(NamedTuple):
    """A coined word: parts of identifiers that are never used, the docstrings where it is coined, what to write."""

    parts: frozenset[str]
    docstring: str
    instead: str


BANNED = (
    Banned(
        frozenset({"places"}), r"\blesion-free places?\b", "reference patches; points, positions, indices"
    ),
    Banned(frozenset({"texture", "textures"}), r"\btextures?\b", "tissue heterogeneity"),
    Banned(frozenset({"told"}), r"\btold\b", "the subject and its verb"),
    Banned(
        frozenset({"kept"}),
        r"\bkept cores?\b|\bsignal (?:is )?kept\b",
        "signal-retaining; held, stored, MAX_",
    ),
    Banned(frozenset({"doubt"}), r"\bin doubt\b", "systematic SD, model-selection SD"),
    Banned(frozenset({"price"}), r"(?<!for the )\bprice\b", "BIC penalty"),
    Banned(frozenset({"bump", "bumps"}), r"\bbumps?\b", "Gaussian process, basis function"),
    Banned(
        frozenset({"telling"}), r"\btelling (?:lesions?|ones?)\b", "the lesions that the calibration uses"
    ),
    Banned(frozenset({"likes"}), r"\blikes\b", "likelihoods"),
)
OPENINGS = ("Of", "What", "Where")
"""No docstring begins so: it is a sentence."""
PENDING_IDENTIFIERS: set[str] = set()
"""Packages in whose identifiers coined words are left. It shrinks: what is clean leaves it."""
PENDING_DOCSTRINGS: set[str] = set()
"""The same of docstrings."""
PENDING_OPENINGS: set[str] = set()
"""Packages with docstrings that begin as none should. It shrinks, too."""


class Entry(NamedTuple):
    """One row of the glossary."""

    theme: str
    term: str
    names: tuple[str, ...]
    unit: str
    definition: str


def entries() -> list[Entry]:
    """Return the rows of the glossary's tables."""
    found, theme = [], ""
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            theme = line[3:]
        elif line.startswith("| ") and not line.startswith("| term |"):
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 5, f"five cells expected: {line}"
            term, _, names, unit, definition = cells
            found.append(Entry(theme, term, tuple(re.findall(r"`([^`]+)`", names)), unit, definition))
    return found


ENTRIES = entries()


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Yield package, path and syntax tree of each source file."""
    for path in sorted(SOURCE.rglob("*.py")):
        package = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        yield package, path, ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())


def defined(path: Path, tree: ast.Module) -> Iterator[str]:
    """Yield the names that a file gives to something: itself, its folder, functions, classes, arguments, variables."""
    yield from (path.stem, path.parent.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words_of(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a file that are one word: columns, keys, kinds, suffixes."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[\w-]+", node.value)
        ):
            yield node.value


NAMES = {name for _, path, tree in MODULES for name in defined(path, tree)}
WORDS = NAMES | {word for _, _, tree in MODULES for word in words_of(tree)}


def known(name: str) -> bool:
    """Whether the source holds a name, or the name with its unit."""
    return name in WORDS or any(f"{name}_{unit}" in NAMES for unit in UNITS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.term)
def test_names_of_the_glossary_are_in_the_source(entry: Entry) -> None:
    assert [n for n in entry.names if n not in PENDING_NAMES and not known(n)] == []


def test_pending_names_are_of_the_glossary_and_not_in_the_source_yet() -> None:
    assert PENDING_NAMES - {n for e in ENTRIES for n in e.names} == set()
    assert sorted(n for n in PENDING_NAMES if known(n)) == [], "there now: take them off PENDING_NAMES"


def test_the_glossary_is_complete_and_in_order() -> None:
    assert len(ENTRIES) >= 100
    for theme in dict.fromkeys(e.theme for e in ENTRIES):
        terms = [e.term.lower() for e in ENTRIES if e.theme == theme]
        assert terms == sorted(terms), theme


def test_each_term_stands_once_with_one_sentence_and_one_name() -> None:
    terms = [e.term for e in ENTRIES]
    assert sorted({t for t in terms if terms.count(t) > 1}) == []
    for entry in ENTRIES:
        assert entry.unit, entry.term
        assert entry.definition.endswith("."), entry.term
        assert len(entry.names) <= 1, entry.term
        assert not re.search(r"[a-z]\. [A-Z]", entry.definition), f"one sentence: {entry.term}"


def parts(name: str) -> set[str]:
    """Return the words of an identifier, in lower case."""
    return {p.lower() for p in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield name and docstring of a module, its classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text


def coined_names(path: Path, tree: ast.Module) -> list[str]:
    """Return the identifiers that hold a banned word, with what to write."""
    return [
        f"{path.name}: {name} ({rule.instead})"
        for name in sorted(set(defined(path, tree)))
        for rule in BANNED
        if parts(name) & rule.parts
    ]


def coined_docstrings(path: Path, tree: ast.Module) -> list[str]:
    """Return the docstrings that use a word as none does, with what to write."""
    return [
        f"{path.name}, {name}: {rule.docstring} ({rule.instead})"
        for name, text in docstrings(tree)
        for rule in BANNED
        if re.search(rule.docstring, text, re.IGNORECASE)
    ]


def bad_openings(path: Path, tree: ast.Module) -> list[str]:
    """Return the docstrings that begin with a word that makes no sentence."""
    return [
        f"{path.name}, {name}: {text[:60]}" for name, text in docstrings(tree) if text.split()[0] in OPENINGS
    ]


@pytest.mark.parametrize(
    ("check", "pending"),
    [
        (coined_names, PENDING_IDENTIFIERS),
        (coined_docstrings, PENDING_DOCSTRINGS),
        (bad_openings, PENDING_OPENINGS),
    ],
    ids=["identifiers", "docstrings", "openings"],
)
def test_no_coined_word_but_where_it_is_pending(check, pending: set[str]) -> None:
    found: dict[str, list[str]] = {}
    for package, path, tree in MODULES:
        found.setdefault(package, []).extend(check(path, tree))
    assert {package: found[package] for package in found if package not in pending and found[package]} == {}
    assert sorted(p for p in pending if not found.get(p)) == [], (
        "clean now: take them off the pending packages"
    )


def test_the_checks_find_what_they_look_for() -> None:
    source = (
        'def lesion_free_places(likesMore):\n    """What is told of a bump."""\n    KEPT_SD = likesMore\n'
    )
    tree, path = ast.parse(source), Path("made.py")
    assert len(coined_names(path, tree)) == 3
    assert len(coined_docstrings(path, tree)) == 2
    assert len(bad_openings(path, tree)) == 1
    plain = 'def placed(replaced):\n    """Whether the noise is kept beyond doubt, for the price of one transform."""\n'
    assert not coined_names(path, ast.parse(plain))
    assert not coined_docstrings(path, ast.parse(plain))
