"""The pages of columns, keys and flags, from the registries that the writers of the files use."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

from _extensions.documented import constants, fields_of, table
from qsmcmb.change.flags import CHANGE_FLAGS
from qsmcmb.change.records import STATUSES
from qsmcmb.lesion import Column
from qsmcmb.microbleeds.results.burden import BurdenRecord, DetectionLimitRecord, GroupBurden
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.pattern import PatternRecord

__all__ = ("column_tables", "render_columns", "render_flags")

COLUMNS_OPENING = """# Columns of tables, keys of the burden

What each file is for stands in [outputs](../outputs.md); here is what stands in it. `n/a` in a table is a value
that is not known.
"""
FIRST = ("*_desc-cmb_lesions.tsv", "*_desc-cmb_longitudinal.tsv")
"""Tables that stand before the others."""
KEYS = {
    "The session": BurdenRecord,
    "The pattern": PatternRecord,
    "Each group": GroupBurden,
    "`below_detection_limit`": DetectionLimitRecord,
}
"""Records of the burden, by heading."""


def column_tables() -> dict[str, Mapping[str, Any]]:
    """Return the columns of each table by the file's name, which the docstring of the registry holds."""
    found = {}
    for constant in constants(lambda name: name.endswith("COLUMNS")):
        named = re.search(r"`([^`]*\.tsv)`", constant.docstring)
        if named:
            found[named[1]] = getattr(importlib.import_module(constant.module), constant.name)
    return {name: found[name] for name in (*FIRST, *(n for n in found if n not in FIRST))}


def _column(name: str, about: Any) -> tuple[str, str, str]:
    """Return the row of one column, described in either of the two forms that there are."""
    if isinstance(about, Column):
        words, meaning, unit = about.levels, about.description, about.unit
    else:
        words, meaning, unit = about.get("Levels", ()), about["Description"], about.get("Units", "")
    said = f"{meaning}: {', '.join(f'`{w}`' for w in words)}" if words else meaning
    return f"`{name}`", unit, said


def render_columns() -> str:
    """Return the page: a section for each table, then the keys of the burden."""
    parts = [COLUMNS_OPENING]
    for name, columns in column_tables().items():
        rows = (_column(column, about) for column, about in columns.items())
        parts.append(f"## {name}\n\n{table(('column', 'unit', 'meaning'), rows)}".replace("## *", r"## \*"))
    parts.append("## \\*_desc-cmb_burden.json\n")
    for heading, record in KEYS.items():
        rows = ((f"`{k}`", v) for k, v in fields_of(record).items())
        parts.append(f"### {heading}\n\n{table(('key', 'meaning'), rows)}")
    return "\n".join(parts)


def render_flags() -> str:
    """Return the page of the flags and of the statuses of a change."""
    flags = table(("flag", "meaning"), ((f"`{flag}`", flag.meaning) for flag in Flag))
    of_change = table(("flag", "meaning"), ((f"`{k}`", v) for k, v in CHANGE_FLAGS.items()))
    statuses = table(("status", "meaning"), ((f"`{k}`", v) for k, v in STATUSES.items()))
    return "\n".join(
        [
            "# Flags and statuses\n",
            "A flag warns the reader of a row. `qsmcmb explain FLAG` prints its meaning.\n",
            f"## Flags of the lesion table\n\n{flags}",
            f"## Flags of the longitudinal table\n\n{of_change}",
            f"## Statuses of the longitudinal table\n\n{statuses}",
        ]
    )
