"""Sidecars and their echo times in seconds, through their gates."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.reading import read_failure, read_regular

__all__: tuple[str, ...] = ()

MAX_DIGITS = 24
"""Most digits of a whole number: an identifier has up to 20; a number of thousands is none."""


def sidecar_path(image: Path) -> Path:
    """Return the path of the JSON file of an image's name, whatever the case of its ending."""
    name = image.name
    for ending in (".gz", ".nii"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return image.with_name(f"{name}.json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read one JSON object; a byte-order mark is fine, NaN, duplicate keys and other encodings are not.

    Raises
    ------
    InvalidInputError
        JSON, with line and column; FILE where it cannot be read.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
        value = json.loads(text, **_gates(path))
    except OSError as error:
        raise read_failure(error, path) from error
    except UnicodeDecodeError as error:
        raise _refuse(path, "bytes that are not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _refuse(path, error.msg, f"line {error.lineno}:{error.colno}") from error
    except RecursionError as error:
        raise _refuse(path, "nesting too deep") from error
    if not isinstance(value, dict):
        raise _refuse(path, type(value).__name__)
    return value


def _gates(path: Path) -> dict[str, Any]:
    """Return what reads the parts of a JSON text and refuses those that json lets pass."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = {k for k, count in Counter(k for k, _ in pairs).items() if count > 1}
        if twice:
            raise _refuse(path, f"the key {sorted(twice)[0]!r} twice")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise _refuse(path, name)

    def whole(digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            raise _refuse(path, f"a whole number of {len(digits)} digits")
        return int(digits)

    def number(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise _refuse(path, f"the number {digits[:20]}, which is beyond any")
        return value

    return {
        "object_pairs_hook": unique, "parse_constant": no_constant, "parse_int": whole, "parse_float": number,
    }  # fmt: skip


def _refuse(path: Path, found: object, at: str = "content") -> InvalidInputError:
    return InvalidInputError(
        "JSON", path, field=at, found=found, expected="one JSON object in UTF-8", fix="correct the file"
    )
