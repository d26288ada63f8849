"""Templates to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from qsmcmb.io.atomic import atomic_write


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Fill a template, everything escaped, and write it as one self-contained file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qsmcmb.reporting"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    atomic_write(path, environment.get_template(template).render(**values).encode())
    return path


def show(value: Any, digits: int = 3) -> str:
    """Return a cell: `n/a` where unknown, numbers with a few digits."""
    if value is None:
        return "n/a"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
