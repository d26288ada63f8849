"""Files that lie inside the package: templates, scripts and style sheets of its pages."""

from __future__ import annotations

from importlib.resources import files

__all__ = ("read_packaged",)


def read_packaged(package: str, *names: str) -> bytes:
    """Return the content of a file of the package.

    Parameters
    ----------
    package : str
        Package that holds it, e.g. ``"qsmcmb.reporting"``.
    *names : str
        Folders below it, and the file.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> len(read_packaged("qsmcmb.reporting", "templates", "base.html")) > 0
    True
    """
    return files(package).joinpath(*names).read_bytes()
