"""Echo times of a scan, in seconds, from the sidecars of its images."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError, MissingMetadataError

__all__: tuple[str, ...] = ()

MAX_TE_S = 0.3
"""Longest echo time that is believed, s: more than four times T2* of tissue at 1.5 T, when hardly any signal is
left.
"""
CONVENTIONAL_TE_S = 1.0
"""Echo time from which milliseconds are suspected, s: nobody waits a second for a gradient echo."""
SAME_TE_S = 1e-6
"""Largest difference of two echo times that count as one, s."""
PAIR = ("EchoTime1", "EchoTime2")
"""Keys of a phase difference: the echo times of its two echoes."""


class EchoTime(NamedTuple):
    """Echo time that the field's phase has grown for, and what the user must know of it."""

    te_s: float
    note: str = ""
    pair_s: tuple[float, float] | None = None
    """Echo times of the two echoes of a phase difference."""


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
    return _seconds(meta, "EchoTime", where)


def phase_echo_times(metas: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> list[EchoTime]:
    """Return the echo times of the phase images of a scan; that of a phase difference is the difference.

    Raises
    ------
    InvalidInputError
        TE-DIFF where the keys of a phase difference and EchoTime contradict each other; TE-TYPE and others for one.
    """
    is_pair = [all(key in meta for key in PAIR) for meta in metas]
    if len(metas) == 1 and is_pair[0]:
        return [_difference(metas[0], paths[0])]
    for meta, path, pair in zip(metas, paths, is_pair, strict=True):
        if pair and "EchoTime" not in meta:
            raise InvalidInputError(
                "TE-DIFF", path, field="EchoTime1, EchoTime2", found=f"both, in one of {len(metas)} phase images",
                expected="EchoTime for each echo, or one phase difference alone",
                fix="write the EchoTime of each echo; or choose the phase difference with --bids-filter-file",
            )  # fmt: skip
    return [EchoTime(echo_time_s(meta, path)) for meta, path in zip(metas, paths, strict=True)]


def check_parts(
    phase: EchoTime, meta: Mapping[str, Any], where: Path, phase_path: Path, pair: Mapping[str, Any]
) -> None:
    """Raise TE-MISMATCH where the other image of an echo states another echo time than its phase.

    The magnitude of a phase difference is that of one of its two echoes.
    """
    if phase.note and "EchoTime" not in meta:
        return
    te_s = echo_time_s(meta, where)
    allowed = [phase.te_s, *(pair[key] for key in PAIR if phase.note)]
    if all(abs(te_s - t) > SAME_TE_S for t in allowed):
        raise InvalidInputError(
            "TE-MISMATCH", phase_path, field="EchoTime", found=f"{phase.te_s:.6g} s, {te_s} s in {where.name}",
            expected="one echo time for both parts", fix="correct the sidecars",
        )  # fmt: skip


def check_echo_times(te_s: Sequence[float], where: Sequence[Path]) -> None:
    """Raise TE-EQUAL for equal echo times and TE-ORDER for one out of all proportion to the others."""
    equal = [i for i in range(1, len(te_s)) if math.isclose(te_s[i], te_s[i - 1], rel_tol=1e-4)]
    if equal and len(equal) == len(te_s) - 1 > 1:
        raise InvalidInputError(
            "TE-EQUAL", where[0], field="EchoTime", found=f"{te_s[0]} s, as in all {len(te_s)} echoes",
            expected="a different echo time for each echo",
            fix="write each echo's own EchoTime into its JSON; the scanner's protocol has them",
        )  # fmt: skip
    for i in equal:
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


def _difference(meta: Mapping[str, Any], where: Path) -> EchoTime:
    """Return the echo time of a phase difference."""
    first, second = (_seconds(meta, key, where) for key in PAIR)
    if second <= first:
        raise InvalidInputError(
            "TE-DIFF", where, field="EchoTime1, EchoTime2", found=f"{first} s, {second} s",
            expected="EchoTime2 above EchoTime1", fix="correct both in the sidecar",
        )  # fmt: skip
    found = round(second - first, 9)
    if "EchoTime" in meta:
        te_s = _seconds(meta, "EchoTime", where)
        if all(abs(te_s - t) > SAME_TE_S for t in (second, found)):
            raise InvalidInputError(
                "TE-DIFF", where, field="EchoTime, EchoTime1, EchoTime2", found=f"{te_s} s, {first} s, {second} s",
                expected="EchoTime2 in EchoTime, as converters write it for a phase difference",
                fix="remove EchoTime1 and EchoTime2 if this is the phase of one echo, or EchoTime if it is a phase "
                "difference",
            )  # fmt: skip
    return EchoTime(
        found,
        f"{where.name} is a phase difference (EchoTime1 {first} s, EchoTime2 {second} s): its echo time is {found} s",
        (first, second),
    )


def _seconds(meta: Mapping[str, Any], key: str, where: Path) -> float:
    """Return a time of a sidecar, s."""
    te = meta[key]
    if isinstance(te, bool) or not isinstance(te, int | float) or not math.isfinite(te) or te <= 0:
        raise InvalidInputError(
            "TE-TYPE", where, field=key, found=repr(te), expected="a positive number of seconds, without quotes",
            fix=_number_fix(key, te),
        )  # fmt: skip
    if te >= CONVENTIONAL_TE_S:
        raise InvalidInputError(
            "TUNITS", where, field=key, found=f"{te} s", expected="seconds, below 1",
            fix=f"did you mean {te / 1000:g}? write {key} in seconds",
        )  # fmt: skip
    tr = meta.get("RepetitionTime")
    if isinstance(tr, int | float) and not isinstance(tr, bool) and te >= tr > 0:
        raise InvalidInputError(
            "TE-TR", where, field=key, found=f"{te} s with RepetitionTime {tr} s",
            expected="an echo time below the repetition time", fix="correct both in the sidecar (seconds)",
        )  # fmt: skip
    return float(te)


def _number_fix(key: str, found: Any) -> str:
    """Return what to write in place of a value that is no number of seconds: what its text means, where it is clear."""
    text = str(found[0]) if isinstance(found, list) and len(found) == 1 else found
    match = re.fullmatch(r"\s*(\d+(?:[.,]\d+)?(?:e-?\d+)?)\s*(ms|msec|s|sec)?\s*", str(text), re.IGNORECASE)
    if isinstance(found, bool) or match is None:
        return f"correct {key} in the sidecar"
    value, unit = float(match[1].replace(",", ".")), (match[2] or "").lower()
    # Without a unit milliseconds are meant where seconds cannot be.
    seconds = value / 1000 if unit.startswith("ms") or (not unit and value >= CONVENTIONAL_TE_S) else value
    return f'write "{key}": {seconds:.6g} in the sidecar (seconds, a number without quotes)'
