"""Optional packages: the error that names how to install them, and imports that do without."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import cast

from qsmcmb.errors import MissingPackageError

__all__ = ("hidden", "require")


def require(*names: str, extra: str) -> None:
    """Raise unless all of these packages can be imported.

    Parameters
    ----------
    *names : str
        Names by which they are imported.
    extra : str
        Name of the optional dependencies that hold them.

    Raises
    ------
    MissingPackageError
        PACKAGE: the message names the extra to install.

    Examples
    --------
    >>> require("numpy", extra="cohort")
    >>> require("no_such_package", extra="cohort")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    qsmcmb.errors.MissingPackageError: ERROR PACKAGE no_such_package: installed = no; ...
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            "PACKAGE", ", ".join(missing), field="installed", found="no", expected="yes",
            fix=f'pip install "qsmcmb[{extra}]", or in the source folder: pip install ".[{extra}]"',
        )  # fmt: skip


@contextlib.contextmanager
def hidden(name: str) -> Iterator[None]:
    """Make a package that is not yet imported look as if it were not installed.

    Parameters
    ----------
    name : str
        Name by which it is imported.

    Yields
    ------
    None
        For the `with` block.

    Examples
    --------
    >>> with hidden("tomllib_of_nobody"):
    ...     import tomllib_of_nobody
    Traceback (most recent call last):
    ModuleNotFoundError: import of tomllib_of_nobody halted; None in sys.modules
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = cast("ModuleType", None)
    try:
        yield
    finally:
        del sys.modules[name]
