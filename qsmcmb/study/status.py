"""State of a whole study, and what stands behind one of its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError, QsmcmbError
from qsmcmb.io.reading import read_failure
from qsmcmb.pipeline.intermediates import HELD_STEPS
from qsmcmb.study.assess import StepState, assess
from qsmcmb.study.intermediates import IntermediateFiles
from qsmcmb.study.last_page import page_of
from qsmcmb.study.manifest import FOLDER, Manifest, checksum, manifest_path, read_manifest, read_source
from qsmcmb.study.pages import keys_of_subject
from qsmcmb.study.request import read_request
from qsmcmb.study.scan_plan import keys_of_scan, place_of_scan
from qsmcmb.study.sessions import plan_study
from qsmcmb.study.steps import SCAN_STEPS, STEPS, StepKey, step_of

__all__ = ["Entry", "Explained", "explain_file", "find_output", "study_status"]


class Entry(NamedTuple):
    """State of one scan or subject.

    Parameters
    ----------
    name : str
        Name in messages.
    states : mapping of str to StepState
        State by step; empty where its inputs cannot be read.
    held : tuple of str
        Steps whose intermediate results are held, so that they are not done again.
    error : str
        Why nothing can be said; empty where it can.

    Examples
    --------
    >>> Entry("sub-01", {}, (), "ERROR DUP").error
    'ERROR DUP'
    """

    name: str
    states: Mapping[str, StepState]
    held: tuple[str, ...] = ()
    error: str = ""


def study_status(out: Path) -> list[Entry]:
    """Return the state of each scan and subject, as the command of the last run would find it.

    Parameters
    ----------
    out : Path
        Derivatives folder.

    Returns
    -------
    list of Entry
        Scans, then subjects.

    Raises
    ------
    QsmcmbError
        The folder has no request, or its data set is gone.

    Examples
    --------
    >>> study_status(Path("derivatives/qsmcmb"))  # doctest: +SKIP
    """
    bids, options, work = read_request(out)
    entries: list[Entry] = []
    participants: dict[str, None] = {}
    for session in plan_study(bids, out, options):
        participants[session.participant] = None
        prefix = place_of_scan(out, session).prefix
        try:
            keys = keys_of_scan(session, options)
        except (QsmcmbError, OSError) as error:
            entries.append(Entry(session.name, {}, error=_reason(error, session.root)))
            continue
        files = IntermediateFiles(
            (work or out / FOLDER) / "intermediates" / prefix, {name: key.key for name, key in keys.items()}
        )
        states = assess(out, read_manifest(manifest_path(out, prefix)), keys)
        held = tuple(step for step in HELD_STEPS if not states[step].is_current and files.has(step))
        entries.append(Entry(session.name, states, held))
    for participant in participants:
        name = f"sub-{participant}"
        known = read_manifest(manifest_path(out, name, subject=True))
        page = page_of(known)
        try:
            keys = keys_of_subject(
                out, participant, page.failures, page.detail, repeatability=page.repeatability
            )
        except (QsmcmbError, OSError) as error:
            entries.append(Entry(name, {}, error=_reason(error, out)))
            continue
        entries.append(Entry(name, assess(out, known, keys)))
    return entries


def _reason(error: QsmcmbError | OSError, root: Path) -> str:
    """Return why inputs cannot be read: file, what was found, and the fix."""
    return str(read_failure(error, Path(error.filename or root)) if isinstance(error, OSError) else error)


def find_output(file: Path) -> Path:
    """Return the derivatives folder that a file lies in.

    Parameters
    ----------
    file : Path
        A result.

    Returns
    -------
    Path
        The folder above it that holds a manifest.

    Raises
    ------
    InvalidInputError
        RESULT: there is none.

    Examples
    --------
    >>> find_output(Path("/nowhere/a.nii.gz"))
    Traceback (most recent call last):
    qsmcmb.errors.InvalidInputError: ERROR RESULT /nowhere/a.nii.gz: folder = no manifest above it; expected ...
    """
    for folder in file.absolute().parents:
        if (folder / FOLDER / "manifest").is_dir():
            return folder
    raise InvalidInputError(
        "RESULT", file, field="folder", found="no manifest above it", expected="a result of `qsmcmb run`",
        fix="name a file in the derivatives folder of a run",
    )  # fmt: skip


class Explained(NamedTuple):
    """Step, inputs, parameters and source behind a result.

    Parameters
    ----------
    name : str
        Scan or subject.
    step : str
        Step that has made it.
    keys : dict of str to StepKey
        That step and those that it follows, the first ones first, with inputs and parameters.
    sources : dict of str to int
        Number of source files by step.
    software : dict of str to str
        Version by library.
    written : str
        Whether the file is as it was written.
    state : StepState or None
        Whether it is current; None where the data set of the last run cannot be read.

    Examples
    --------
    >>> Explained("sub-01", "mask", {}, {}, {}, "as it was written", None).step
    'mask'
    """

    name: str
    step: str
    keys: dict[str, StepKey]
    sources: dict[str, int]
    software: dict[str, str]
    written: str
    state: StepState | None


def explain_file(file: Path) -> Explained:
    """Return what stands behind a result.

    Parameters
    ----------
    file : Path
        A result of a run.

    Returns
    -------
    Explained
        Step, inputs, parameters, source and state.

    Raises
    ------
    InvalidInputError
        RESULT: no run has written it.

    Examples
    --------
    >>> explain_file(Path("derivatives/qsmcmb/sub-01/anat/sub-01_Chimap.nii.gz"))  # doctest: +SKIP
    """
    out = find_output(file)
    # The folder may be reached by a link; its own names are not followed.
    name = file.absolute().relative_to(out).as_posix()
    known = next((m for m in _manifests(out) if name in m.results), None)
    if known is None:
        raise InvalidInputError(
            "RESULT", file, field="manifest", found="does not name it", expected="a result of a session that is done",
            fix="`qsmcmb status` shows what is done",
        )  # fmt: skip
    step = step_of(name)
    chain = _with_those_before(step, known.steps)
    found = checksum(file)
    written = (
        "as it was written"
        if found == known.results[name]
        else "not as it was written"
        if found
        else "missing"
    )
    return Explained(
        known.name, step, chain, {n: len(read_source(out, key.source)) for n, key in chain.items()}, known.software,
        written, _current_state(out, known, step),
    )  # fmt: skip


def _manifests(out: Path) -> list[Manifest]:
    """Return all manifests that can be read."""
    found = (read_manifest(path) for path in sorted((out / FOLDER / "manifest").rglob("*.json")))
    return [manifest for manifest in found if manifest is not None]


def _with_those_before(step: str, keys: Mapping[str, StepKey]) -> dict[str, StepKey]:
    """Return the keys of a step and of all that it follows, in the order in which they run."""
    wanted, waiting = set(), [step]
    while waiting:
        name = waiting.pop()
        if name in keys and name not in wanted:
            wanted.add(name)
            waiting += keys[name].after
    return {s.name: keys[s.name] for s in STEPS if s.name in wanted}


def _current_state(out: Path, known: Manifest, step: str) -> StepState | None:
    """Return the state of a step now; None where the inputs of the last run cannot be read."""
    try:
        if step not in [s.name for s in SCAN_STEPS]:
            participant = known.name.removeprefix("sub-")
            page = page_of(known)
            keys = keys_of_subject(
                out, participant, page.failures, page.detail, repeatability=page.repeatability
            )
            return assess(out, known, keys)[step]
        bids, options, _ = read_request(out)
        (session,) = (s for s in plan_study(bids, out, options) if s.name == known.name)
        return assess(out, known, keys_of_scan(session, options))[step]
    except (QsmcmbError, OSError, ValueError):
        return None
