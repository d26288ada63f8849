"""Hash of a step's source: its own modules and every module of qsmcmb that they import, however far down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["digest_of", "digest_of_package", "source_of"]

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of the package."""
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+)?import[ \t]+(?P<names>\([^)]*\)|[^\n#]*)", re.MULTILINE
)
"""An import statement; names in parentheses may fill several lines."""
ALIAS = re.compile(r"\bas\s+\w+")
"""Name that a module gets where it is imported."""
NAME = re.compile(r"[\w.]+")
"""A name in it."""
DIGITS = 16
"""Hexadecimal digits of a hash in the manifest: 64 bits tell files of one project apart."""


def digest_of(content: bytes) -> str:
    """Return the hash of some bytes, as the manifest states it.

    Parameters
    ----------
    content : bytes
        Anything.

    Returns
    -------
    str
        First 16 hexadecimal digits of the sha256.

    Examples
    --------
    >>> digest_of(b"")
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()[:DIGITS]


@cache
def source_of(modules: tuple[str, ...], *, alone: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the hash of each source file that some modules consist of.

    Parameters
    ----------
    modules : tuple of str
        Names of modules of qsmcmb; all that they import counts, too.
    alone : tuple of str, optional
        Modules that count without what they import.

    Returns
    -------
    dict of str to str
        Hash by name of the module, sorted. Templates and data count with the package that they lie in.

    Examples
    --------
    >>> "qsmcmb.core.morphology" in source_of(("qsmcmb.masking.brain",))
    True
    """
    reached, waiting = set(alone), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += _imported_by(module)
    return {module: _digest(module) for module in sorted(reached)}


@cache
def digest_of_package() -> str:
    """Return the hash of all source files of this copy of qsmcmb, and of its data.

    Returns
    -------
    str
        Sixteen hexadecimal digits; equal on two machines only where both have the same code.

    Examples
    --------
    >>> len(digest_of_package())
    16
    """
    parts = [p.relative_to(PACKAGE).with_suffix("").parts for p in PACKAGE.rglob("*.py")]
    names = {".".join(("qsmcmb", *(p[:-1] if p[-1] == "__init__" else p))) for p in parts} - {"qsmcmb"}
    files = [f"{name} {_digest(name)}" for name in sorted(names)]
    return digest_of("\n".join([*files, digest_of((PACKAGE / "__init__.py").read_bytes())]).encode())


@cache
def _digest(module: str) -> str:
    """Return the hash of a module's file; of a package with its data: templates, maps, tables."""
    path = _file(module)
    assert path is not None, module
    data: list[Path] = []
    if path.name == "__init__.py":
        files = (p for folder in (path.parent, *_data_folders(path.parent)) for p in folder.iterdir())
        data = sorted(p for p in files if p.is_file() and p.suffix not in (".py", ".pyc"))
    return digest_of(b"\0".join(p.read_bytes() for p in (path, *data)))


def _data_folders(package: Path) -> list[Path]:
    """Return the folders in a package that are no packages, and its folder of the data that are shipped."""
    inside = [
        p for p in package.iterdir() if p.is_dir() and p.name != "__pycache__" and not any(p.glob("*.py"))
    ]
    # Installed, and in a checkout.
    shipped = (PACKAGE / "_data" / package.name, PACKAGE.parent / "data" / package.name)
    return [*inside, *(p for p in shipped if p.is_dir())]


@cache
def _imported_by(module: str) -> tuple[str, ...]:
    """Return the modules of qsmcmb that a module imports anywhere, and the packages that it lies in."""
    path = _file(module)
    assert path is not None, module
    parts = module.split(".")
    packages = [".".join(parts[:n]) for n in range(2, len(parts))]
    return (*packages, *sorted({name for name in _names(path.read_text("utf-8")) if _file(name)}))


def _names(text: str) -> Iterator[str]:
    """Yield the names that a source's import statements may mean by a module, and perhaps some that are none.

    Statements are found by their first words: to parse all modules would take most of the time of a rerun.
    """
    for found in IMPORT.finditer(text):
        module, names = found["module"], NAME.findall(ALIAS.sub("", found["names"]))
        if module is None:
            yield from names
        else:
            yield module
            yield from (f"{module}.{name}" for name in names)


@cache
def _file(module: str) -> Path | None:
    """Return the file of a module below `qsmcmb`; None for any other name."""
    package, *parts = module.split(".")
    if package != "qsmcmb" or not parts:
        return None
    path = PACKAGE.joinpath(*parts)
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
