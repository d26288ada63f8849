"""TSV and JSON: atomic, in UTF-8, `n/a` where unknown, numbers with a fixed number of digits."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import atomic_write
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.reading import read_regular
from qsmcmb.io.records import Software
from qsmcmb.version import version

__all__ = (
    "generated_by",
    "read_filter",
    "read_tsv",
    "tsv_text",
    "write_json",
    "write_tsv",
)

UNKNOWN = "n/a"
"""Cell of a table for a value that is not known, as BIDS wants it."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a text that a spreadsheet would run: an apostrophe before them keeps it a text."""
DIGITS = 6
"""Significant digits of numbers in tables and records: about what float32 holds."""


def write_tsv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as TSV; None and values that are not finite become `n/a`, texts that look like formulas stay texts.

    Parameters
    ----------
    path : Path
        The file.
    rows : sequence of mapping
        Column to value, for each row.
    columns : sequence of str
        Columns, in order; what else a row holds is left out.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tsv(Path(folder) / "a.tsv", [{"x_mm": 0.1234567, "kind": None}], ["x_mm", "kind"])
    ...     (Path(folder) / "a.tsv").read_text().split()
    ['x_mm', 'kind', '0.123457', 'n/a']
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tsv(Path(folder) / "a.tsv", [{"x_mm": -1.5, "name": "=1+1"}], ["x_mm", "name"])
    ...     (Path(folder) / "a.tsv").read_text().split()
    ['x_mm', 'name', '-1.5', "'=1+1"]
    """
    atomic_write(path, tsv_text(rows, columns).encode())


def tsv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as TSV, as `write_tsv` writes them.

    Parameters
    ----------
    rows : sequence of mapping
        Column to value, for each row.
    columns : sequence of str
        Columns, in order; what else a row holds is left out.

    Returns
    -------
    str
        Header and rows, each line with its end.

    Examples
    --------
    >>> tsv_text([{"x_mm": 0.1234567, "kind": None}], ["x_mm", "kind"]).split()
    ['x_mm', 'kind', '0.123457', 'n/a']
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return UNKNOWN
    if isinstance(value, float | np.floating):
        return f"{float(value):.{DIGITS}g}"
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_tsv(path: Path) -> list[dict[str, str | None]]:
    """Read a TSV with a header; `n/a` and empty cells become None.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of dict
        Column to cell, for each row.

    Raises
    ------
    InvalidInputError
        TSV for a file that cannot be read, is not UTF-8 or has rows of another length than the header.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tsv(Path(folder) / "a.tsv", [{"x_mm": 1.5, "kind": None}], ["x_mm", "kind"])
    ...     read_tsv(Path(folder) / "a.tsv")
    [{'x_mm': '1.5', 'kind': None}]
    """
    expected, fix = "a tab-separated table with one header line, UTF-8", "correct the table"
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found: object = error
        if isinstance(error, FileNotFoundError):
            found, fix = "there is none", "correct its name"
        raise InvalidInputError("TSV", path, field="file", found=found, expected=expected, fix=fix) from error
    lines = [line for line in csv.reader(io.StringIO(text), delimiter="\t") if line]
    if not lines:
        raise InvalidInputError("TSV", path, field="file", found="no line", expected=expected, fix=fix)
    header, rows = lines[0], lines[1:]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InvalidInputError(
            "TSV", path, field="columns", found=f"{twice!r} twice", expected=expected, fix=fix
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InvalidInputError(
                "TSV", path, field=f"line {number}", found=f"{len(row)} cells",
                expected=f"{len(header)} as in the header", fix=fix,
            )  # fmt: skip
    clean = [[None if c.strip() in ("", UNKNOWN) else c.strip() for c in row] for row in rows]
    return [dict(zip(header, row, strict=True)) for row in clean]


def generated_by(qsmcmb_version: str) -> list[Software]:
    """Return the `GeneratedBy` of BIDS.

    Parameters
    ----------
    qsmcmb_version : str
        Version of qsmcmb.

    Returns
    -------
    list of Software
        One entry.

    Examples
    --------
    >>> generated_by("0.2.0")
    [{'Name': 'qsmcmb', 'Version': '0.2.0'}]
    """
    return [Software(Name="qsmcmb", Version=qsmcmb_version)]


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write one JSON object, keys as given, numbers rounded to the table's digits, NaN as null.

    A record that does not tell what made it gets `GeneratedBy` with this version: no JSON leaves without one.

    Parameters
    ----------
    path : Path
        The file.
    record : mapping
        Keys and values; NumPy's scalars become Python's.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a.json", {"Value": np.float32(0.1), "Limit": math.nan})
    ...     written = json.loads((Path(folder) / "a.json").read_text())
    >>> written["Value"], written["Limit"], written["GeneratedBy"][0]["Name"]
    (0.1, None, 'qsmcmb')
    """
    if "GeneratedBy" not in record:
        record = {**record, "GeneratedBy": generated_by(version())}
    text = json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, (text + "\n").encode())


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def read_filter(path: Path) -> dict[str, str]:
    """Read entities that must match, from one JSON object of strings.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        BIDS entity to its value; "" (null in the file) where a name must lack it.

    Raises
    ------
    InvalidInputError
        JSON for a file that is none; FILTER for a value that is no string.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "filter.json").write_text('{"run": "1"}')
    ...     read_filter(Path(folder) / "filter.json")
    {'run': '1'}
    """
    record = read_sidecar(path)
    wrong = [k for k, v in record.items() if not isinstance(v, str | int | None) or isinstance(v, bool)]
    if wrong:
        raise InvalidInputError(
            "FILTER", path, field=wrong[0], found=record[wrong[0]], expected="a string such as \"1\"",
            fix="write entities with their values, e.g. {\"run\": \"1\"}",
        )  # fmt: skip
    return {k: "" if v is None else str(v) for k, v in record.items()}
