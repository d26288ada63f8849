"""Optional packages, and the error that names how to install them."""

from __future__ import annotations

import importlib.util

from qsmcmb.errors import MissingPackageError

__all__ = ("require",)


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
            fix=f'pip install "qsmcmb[{extra}]"',
        )  # fmt: skip
