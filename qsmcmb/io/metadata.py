"""Sidecars and their echo times in seconds, through their gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError

__all__: tuple[str, ...] = ()


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
        JSON, with line and column.
    """

    def refuse(found: object, at: str = "content") -> InvalidInputError:
        return InvalidInputError(
            "JSON", path, field=at, found=found, expected="one JSON object in UTF-8", fix="correct the file"
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [k for k, _ in pairs]
        twice = {k for k in keys if keys.count(k) > 1}
        if twice:
            raise refuse(f"the key {sorted(twice)[0]!r} twice")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise refuse(name)

    try:
        text = path.read_bytes().decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise refuse("bytes that are not UTF-8") from error
    except json.JSONDecodeError as error:
        raise refuse(error.msg, f"line {error.lineno}:{error.colno}") from error
    except RecursionError as error:
        raise refuse("nesting too deep") from error
    if not isinstance(value, dict):
        raise refuse(type(value).__name__)
    return value
