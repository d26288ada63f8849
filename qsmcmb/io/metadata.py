"""Sidecars and their echo times in seconds, through their gates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError, MissingMetadataError

__all__: tuple[str, ...] = ()

MAX_TE_S = 0.3
"""Longest echo time that is believed, s: more than four times T2* of tissue at 1.5 T, when hardly any signal is
left.
"""
CONVENTIONAL_TE_S = 1.0
"""Echo time from which milliseconds are suspected, s: nobody waits a second for a gradient echo."""


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


def echo_time_s(meta: Mapping[str, Any], where: Path) -> float:
    """Return `EchoTime` in s.

    Raises
    ------
    InvalidInputError
        SIDECAR (missing), TE-TYPE, TUNITS or TE-TR.
    """
    if "EchoTime" not in meta:
        raise MissingMetadataError(
            "SIDECAR", where, field="EchoTime", found="nothing in any sidecar that applies",
            expected="the echo time in seconds", fix="add EchoTime to the JSON beside the image",
        )  # fmt: skip
    te = meta["EchoTime"]
    if isinstance(te, bool) or not isinstance(te, int | float) or not math.isfinite(te) or te <= 0:
        raise InvalidInputError(
            "TE-TYPE", where, field="EchoTime", found=repr(te), expected="a positive number of seconds",
            fix="correct EchoTime in the sidecar",
        )  # fmt: skip
    if te >= CONVENTIONAL_TE_S:
        raise InvalidInputError(
            "TUNITS", where, field="EchoTime", found=f"{te} s", expected="seconds, below 1",
            fix=f"did you mean {te / 1000:g}? write EchoTime in seconds",
        )  # fmt: skip
    tr = meta.get("RepetitionTime")
    if isinstance(tr, int | float) and not isinstance(tr, bool) and te >= tr > 0:
        raise InvalidInputError(
            "TE-TR", where, field="EchoTime", found=f"{te} s with RepetitionTime {tr} s",
            expected="an echo time below the repetition time", fix="correct both in the sidecar (seconds)",
        )  # fmt: skip
    return float(te)


def check_echo_times(te_s: Sequence[float], where: Sequence[Path]) -> None:
    """Raise TE-EQUAL for equal echo times and TE-ORDER for one out of all proportion to the others."""
    for i in range(1, len(te_s)):
        if math.isclose(te_s[i], te_s[i - 1], rel_tol=1e-4):
            raise InvalidInputError(
                "TE-EQUAL", where[i], field="EchoTime", found=f"{te_s[i]} s, as in {where[i - 1].name}",
                expected="a different echo time for each echo", fix="correct EchoTime, or remove the duplicate",
            )  # fmt: skip
    for te, path in zip(te_s, where, strict=True):
        if te > MAX_TE_S:
            raise InvalidInputError(
                "TE-ORDER", path, field="EchoTime", found=f"{te} s among {[round(t, 5) for t in te_s]}",
                expected=f"gradient-echo times below {MAX_TE_S} s", fix="correct EchoTime (seconds)",
            )  # fmt: skip
