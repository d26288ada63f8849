"""State of each step of a scan or subject: done, missing, damaged or stale, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.study.manifest import Manifest, checksum, read_source
from qsmcmb.study.steps import STEPS, StepKey, following, libraries, modules_of, step_of

__all__ = ["StepState", "assess", "describe"]

MAX_NAMED = 3
"""Causes that a reason names: more are counted."""


class StepState(NamedTuple):
    """State of one step.

    Parameters
    ----------
    state : {"done", "new", "stale", "missing", "damaged", "failed", "forced"}
        Whether its results are there and current.
    reason : str, optional
        Why it is to be done.

    Examples
    --------
    >>> StepState("done").is_current
    True
    """

    state: str
    reason: str = ""

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.state == "done"


def assess(
    out: Path, manifest: Manifest | None, keys: Mapping[str, StepKey], *, forced: Iterable[str] = ()
) -> dict[str, StepState]:
    """Return the state of each step of a scan or subject.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    manifest : Manifest or None
        What is known of it; None for nothing.
    keys : mapping of str to StepKey
        Keys of its steps as they would run now.
    forced : iterable of str, optional
        Steps that the user wants done again.

    Returns
    -------
    dict of str to StepState
        State by step.

    Examples
    --------
    >>> assess(Path("out"), None, {"mask": StepKey("0")})["mask"]
    StepState(state='new', reason='')
    """
    if manifest is None:
        return dict.fromkeys(keys, StepState("new"))
    if manifest.error:
        return dict.fromkeys(keys, StepState("failed", manifest.error.splitlines()[0]))
    lost = _lost_results(out, manifest)
    again = following([name for name in forced if name in keys])
    return {
        name: StepState("forced", f"--force {name}" if name in forced else "follows a forced step")
        if name in again
        else _state(out, manifest, name, key) or lost.get(name, StepState("done"))
        for name, key in keys.items()
    }


def _lost_results(out: Path, manifest: Manifest) -> dict[str, StepState]:
    """Return the steps whose results are no longer what was written."""
    lost: dict[str, StepState] = {}
    for name, digest in manifest.results.items():
        try:
            found = checksum(out / name)
        except (InvalidInputError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error.found
            lost.setdefault(step_of(name), StepState("damaged", f"{name}: {why}"))
            continue
        if found != digest:
            state = "damaged" if found else "missing"
            lost.setdefault(step_of(name), StepState(state, name))
    return lost


def _state(out: Path, manifest: Manifest, name: str, key: StepKey) -> StepState | None:
    """Return why a step is stale; None where it is not."""
    before = manifest.steps.get(name)
    if before is None:
        return StepState("new")
    if before.key == key.key:
        return None
    reasons = [
        *_changes("input", before.inputs, key.inputs),
        *_changes("parameter", _flat(before.parameters), _flat(key.parameters)),
    ]
    if before.source != key.source:
        (step,) = (s for s in STEPS if s.name == name)
        reasons += _changes("source", read_source(out, before.source), modules_of(step, key.parameters)) or [
            "source"
        ]
    reasons += _changes("library", manifest.software, libraries())
    if not reasons:
        late = [n for n, k in key.after.items() if before.after.get(n) != k]
        reasons = [f"follows {', '.join(late)}"]
    more = f" and {len(reasons) - MAX_NAMED} more" if len(reasons) > MAX_NAMED else ""
    return StepState("stale", "; ".join(reasons[:MAX_NAMED]) + more)


def _flat(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return parameters with the options of each table one by one."""
    flat: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {option}": v for option, v in value.items()}
        else:
            flat[name] = value
    return flat


def _changes(what: str, before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return what differs between two records, by name."""
    shown = what == "parameter"
    changed = []
    for name in sorted({*before, *now}):
        if before.get(name) == now.get(name):
            continue
        values = f": {before.get(name)} before, {now.get(name)} now" if shown else ""
        verb = "is new" if name not in before else "is gone" if name not in now else "changed"
        changed.append(f"{what} {name} {verb}{values if verb == 'changed' else ''}")
    return changed


def describe(states: Mapping[str, StepState]) -> str:
    """Return in one line what is to be done and why.

    Parameters
    ----------
    states : mapping of str to StepState
        State by step.

    Returns
    -------
    str
        The first step that is not current, with its reason; empty where all are.

    Examples
    --------
    >>> describe({"mask": StepState("done"), "swi": StepState("stale", "parameter swi power changed")})
    'swi is stale: parameter swi power changed'
    """
    late = {name: state for name, state in states.items() if not state.is_current}
    if not late:
        return ""
    for name, state in late.items():
        if not state.reason.startswith("follows"):
            return f"{name} is {state.state}{': ' if state.reason else ''}{state.reason}"
    return f"{next(iter(late))} is stale"
