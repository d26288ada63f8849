"""Templates to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from qsmcmb.io.atomic import atomic_write

__all__ = ["show", "write_page"]


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill a template, all values escaped, and write it as one self-contained file.

    Parameters
    ----------
    path : path
        File to write.
    template : str
        Name of a file in `qsmcmb/reporting/templates`.
    **values
        Values of the template, all that it names.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    jinja2.UndefinedError
        The template names a value that is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(Path(folder) / "page.html", "base.html", title="A page")
    ...     "<title>A page</title>" in page.read_text(encoding="utf-8")
    True
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qsmcmb.reporting"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    atomic_write(path, environment.get_template(template).render(**values).encode())
    return path


def show(value: Any, digits: int = 3) -> str:
    """Return a value as a cell of a table.

    Parameters
    ----------
    value : object
        None or NaN where unknown.
    digits : int, optional
        Significant digits of a float.

    Returns
    -------
    str
        ``"n/a"`` where unknown.

    Examples
    --------
    >>> show(0.123456), show(None), show(7)
    ('0.123', 'n/a', '7')
    """
    if value is None or value != value:
        return "n/a"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
