"""Templates to files: self-contained pages whose policy lets nothing run or load but what the package itself ships."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from qsmcmb.core.packaged import read_packaged
from qsmcmb.io.atomic import atomic_write

__all__ = ["content_policy", "counted", "interval_words", "show", "unit_words", "write_page"]

MAX_DECIMALS = 6
"""Decimals of the smallest values: no table holds more digits."""
STYLE = "page.css"
"""Style sheet of all pages; one named after the template, where there is one, follows it."""


def write_page(path: Path, template: str, *, scripts: Sequence[str] = (), **values: Any) -> Path:
    """Fill a template, all values escaped, and write it as one self-contained file.

    The page carries its content security policy: style sheet and scripts run by their checksums alone, pictures lie
    within it, and it connects to nothing.

    Parameters
    ----------
    path : path
        File to write.
    template : str
        Name of a file in `qsmcmb/reporting/templates`.
    scripts : sequence of str, optional
        Sources of the scripts that the page runs at its end, in their order: files of the package, never data.
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
    style = _style(template)
    html = environment.get_template(template).render(
        **values, policy=content_policy(scripts=scripts, styles=[style]), style=style, scripts=list(scripts)
    )
    atomic_write(path, html.encode())
    return path


def content_policy(*, scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a content security policy that lets some scripts and style sheets through, and pictures in the page.

    Parameters
    ----------
    scripts, styles : sequence of str
        Text of each inline element.

    Returns
    -------
    str
        Content of the policy: nothing is allowed but these by their SHA-256, and ``data:`` pictures.

    Examples
    --------
    >>> content_policy(scripts=[], styles=["p {}"])[:43]
    "default-src 'none'; style-src 'sha256-SNJDl"
    """
    allowed = {"script-src": scripts, "style-src": styles}
    parts = [f"{name} {' '.join(map(_checksum, texts))}" for name, texts in allowed.items() if texts]
    return "; ".join(["default-src 'none'", *parts, "img-src data:", "base-uri 'none'", "form-action 'none'"])


def _checksum(text: str) -> str:
    """Return the source expression of an inline element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _style(template: str) -> str:
    """Return the style sheet of a page: that of all, and its template's own where there is one."""
    own = template.replace(".html", ".css")
    has_own = (files("qsmcmb.reporting") / "templates" / own).is_file()
    sheets = (read_packaged("qsmcmb.reporting", "templates", name) for name in (STYLE, *[own] * has_own))
    return "\n".join(sheet.decode() for sheet in sheets)


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


def counted(number: float, noun: str) -> str:
    """Return a number with its noun, in the plural but for one.

    Parameters
    ----------
    number : float
        The number.
    noun : str
        Its noun in the singular; the plural has an s.

    Returns
    -------
    str
        Number and noun.

    Examples
    --------
    >>> counted(1, "scan"), counted(0, "scan"), counted(1.0, "year"), counted(1.25, "year")
    ('1 scan', '0 scans', '1 year', '1.25 years')
    """
    words = show(number)
    return f"{words} {noun}" if words == "1" else f"{words} {noun}s"


def interval_words(value: float | None, low: float | None, high: float | None) -> str:
    """Return a value with its interval, all with the same number of decimals.

    Parameters
    ----------
    value, low, high : float or None
        Value and ends of its interval; None or NaN where unknown.

    Returns
    -------
    str
        Three significant digits of the value, or of half its interval where that is larger.

    Examples
    --------
    >>> interval_words(48.0, 45.12, 51.0), interval_words(0.04, -0.5, 0.6), interval_words(0.0, 0.0, 0.0)
    ('48.0 (45.1 to 51.0)', '0.040 (-0.500 to 0.600)', '0 (0 to 0)')
    >>> interval_words(48.0, None, None), interval_words(None, None, None)
    ('48 (no interval)', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    if low is None or high is None or not math.isfinite(low + high):
        return f"{show(value)} (no interval)"
    size = max(abs(value), (high - low) / 2)
    decimals = min(max(2 - math.floor(math.log10(size)), 0), MAX_DECIMALS) if size > 0 else 0
    return f"{value:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"


def unit_words(unit: str) -> str:
    """Return a unit as a page shows it.

    Parameters
    ----------
    unit : str
        Unit as in tables and records.

    Returns
    -------
    str
        The same, with raised powers of mm.

    Examples
    --------
    >>> unit_words("ppm mm3")
    'ppm mm³'
    """
    return unit.replace("mm3", "mm³").replace("mm2", "mm²")
