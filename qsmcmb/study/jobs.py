"""Sessions and subjects as plain text, in and out, so that another machine can do them: paths, labels, options.

What a session needs is planned where it runs, by the functions that plan it here: its files are read there anyway.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import QsmcmbError
from qsmcmb.io.bids import faulty_times
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.reporting.budget import Detail
from qsmcmb.study.acquisition_time import enter_time
from qsmcmb.study.assess import StepState, assess, describe
from qsmcmb.study.cluster import Cluster, TextTask, failure_of
from qsmcmb.study.failures import record_failure
from qsmcmb.study.intermediates import IntermediateFiles
from qsmcmb.study.manifest import FOLDER, manifest_path, read_manifest
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.pages import Failures, SubjectOutcome, messages_of, plan_subject, run_subject, subject_died
from qsmcmb.study.request import Request, record_of_request, request_of_record
from qsmcmb.study.resources import estimate_session
from qsmcmb.study.scan_plan import ScanJob, enter_verdicts, keys_of_scan, place_of_scan
from qsmcmb.study.steps import following
from qsmcmb.study.workers import Died
from qsmcmb.typing import Report

__all__ = [
    "Done", "compare_elsewhere", "estimate_need", "is_current", "plan_session", "read_done", "run_session_text",
    "run_subject_text", "session_task", "settle", "subject_task",
]  # fmt: skip


class Done(NamedTuple):
    """Result of a task: messages for the user, and the outcome of a session.

    Parameters
    ----------
    messages : list of str
        Lines.
    outcome : Outcome or None
        Of a session; None for a subject.
    failed : bool
        Whether something went wrong.

    Examples
    --------
    >>> Done(["sub-01: page is current"], None, False).failed
    False
    """

    messages: list[str]
    outcome: Outcome | None
    failed: bool


def plan_session(
    session: SessionFiles,
    out: Path,
    options: StudyOptions,
    *,
    work: Path | None = None,
    force: Sequence[str] = (),
) -> tuple[ScanJob, dict[str, StepState]]:
    """Return the work on a session, and the state of each of its steps.

    Parameters
    ----------
    session : SessionFiles
        Its images.
    out : Path
        Derivatives folder.
    options : StudyOptions
        Methods, points, masks.
    work : Path, optional
        Folder where intermediate results stay.
    force : sequence of str, optional
        Steps that are done again.

    Returns
    -------
    tuple of (ScanJob, dict of str to StepState)
        Job, and state by step; none where the inputs of the session cannot be read.

    Examples
    --------
    >>> job, states = plan_session(session, out, options)  # doctest: +SKIP
    """
    prefix = place_of_scan(out, session).prefix
    try:
        keys = keys_of_scan(session, options)
    except (QsmcmbError, OSError):
        # The run of the session says what is wrong.
        keys = {}
    states = assess(out, read_manifest(manifest_path(out, prefix)), keys, forced=force)
    job = ScanJob(
        session, out, options, keys, work=(work or out / FOLDER) / "intermediates" / prefix,
        fresh=following([name for name in force if name in keys]), hold=work is not None,
    )  # fmt: skip
    return job, states


def is_current(states: dict[str, StepState]) -> bool:
    """Return whether there is nothing to do.

    Parameters
    ----------
    states : dict of str to StepState
        State of each step of a session.

    Returns
    -------
    bool
        False also where nothing is known.

    Examples
    --------
    >>> is_current({})
    False
    """
    return bool(states) and all(state.is_current for state in states.values())


def settle(job: ScanJob, states: dict[str, StepState]) -> Outcome | None:
    """Return the outcome of a session of which nothing is to be computed; None where something is.

    What is left to do is done: a time that a table states since is entered, as are readers' verdicts, and what a
    killed run has left is removed.

    Parameters
    ----------
    job : ScanJob
        The session.
    states : dict of str to StepState
        State of each of its steps.

    Returns
    -------
    Outcome or None
        Unchanged.

    Examples
    --------
    >>> settle(job, states).unchanged  # doctest: +SKIP
    True
    """
    place = place_of_scan(job.out, job.session)
    late = {name: state.state for name, state in states.items() if not state.is_current}
    if late == {"anatomy": "stale"}:
        # What fails here fails in the run of the session, too, which says so.
        with contextlib.suppress(QsmcmbError, OSError):
            if enter_time(job):
                states = assess(job.out, read_manifest(manifest_path(job.out, place.prefix)), job.keys)
    if not is_current(states):
        return None
    if not job.hold:
        IntermediateFiles(job.work, {}).remove()
    session = job.session
    no_times = faulty_times(session.root, session.participant, session.session)
    warnings = (*enter_verdicts(job, place), *no_times)
    return Outcome(session.name, session.participant, warnings=warnings, unchanged=True)


def estimate_need(session: SessionFiles, options: StudyOptions) -> int:
    """Return the most memory that a session will hold, where its image can be read.

    Parameters
    ----------
    session : SessionFiles
        Its images.
    options : StudyOptions
        Methods, masks.

    Returns
    -------
    int
        Bytes; 0 where the run of the session will say what is wrong with its image.

    Examples
    --------
    >>> estimate_need(session, options)  # doctest: +SKIP
    """
    try:
        return estimate_session(session, mask_method=options.mask_method)
    except (QsmcmbError, OSError):
        return 0


def session_task(
    request: Request, out: Path, session: SessionFiles, *, force: Sequence[str] = ()
) -> TextTask:
    """Return the task of a session.

    Parameters
    ----------
    request : Request
        Data set and options of the study.
    out : Path
        Derivatives folder.
    session : SessionFiles
        The session.
    force : sequence of str, optional
        Steps that are done again.

    Returns
    -------
    TextTask
        Paths as the user gave them, with the folder that they start from.

    Examples
    --------
    >>> session_task(request, Path("out"), session).name  # doctest: +SKIP
    'sub-01/ses-1'
    """
    record = {
        "folder": os.getcwd(), "request": record_of_request(request, absolute=False), "out": str(out),
        "name": session.name, "participant": session.participant, "session": session.session, "force": list(force),
    }  # fmt: skip
    need = estimate_need(session, request.options)
    return TextTask(session.name, run_session_text, json.dumps(record), need)


def run_session_text(text: str, report: Report | None = None) -> str:
    """Plan a session and run it where it is not current.

    Parameters
    ----------
    text : str
        Text of `session_task`.
    report : callable, optional
        Progress.

    Returns
    -------
    str
        For `read_done`.

    Examples
    --------
    >>> run_session_text(task.text)  # doctest: +SKIP
    """
    record = _read(text)
    request = request_of_record(record["request"])
    options, out = request.options, Path(record["out"])
    name, participant = record["name"], record["participant"]
    try:
        found = list_sessions(
            request.bids, participants=(participant,), sessions=(record["session"],) if record["session"] else (),
            filters=options.filters,
        )  # fmt: skip
        (session,) = (s for s in found if s.name == name)
    except QsmcmbError as error:
        return _write(Done([], Outcome(name, participant, error.exit_code, str(error)), True))
    job, states = plan_session(session, out, options, work=request.work, force=record["force"])
    settled = settle(job, states)
    if settled:
        return _write(Done([], settled, False))
    from qsmcmb.study.scan import run_job

    known = any(state.state != "new" for state in states.values())
    outcome = run_job(job, report)
    if outcome.exit_code:
        outcome = record_failure(job, outcome)
    return _write(Done([f"{name}: {describe(states)}"] if known else [], outcome, bool(outcome.exit_code)))


def subject_task(
    out: Path,
    participant: str,
    failures: Failures,
    *,
    force: Sequence[str] = (),
    detail: Detail = "full",
    repeatability: Path | None = None,
) -> TextTask:
    """Return the task of a subject's comparison and page.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    participant : str
        Label without `sub-`.
    failures : mapping of str to str
        Error by the name of each session that has failed.
    force : sequence of str, optional
        Steps that are done again.
    detail : {"full", "light"}, optional
        How much the page holds.
    repeatability : Path, optional
        The study's own errors of change.

    Returns
    -------
    TextTask
        The task.

    Examples
    --------
    >>> subject_task(Path("out"), "01", {}).name
    'sub-01'
    """
    record = {
        "folder": os.getcwd(), "out": str(out), "participant": participant, "failures": dict(failures),
        "force": list(force), "detail": detail, "repeatability": repeatability and str(repeatability),
    }  # fmt: skip
    return TextTask(f"sub-{participant}", run_subject_text, json.dumps(record))


def run_subject_text(text: str, report: Report | None = None) -> str:
    """Compare the sessions of a subject and write its page, where they are not current.

    Parameters
    ----------
    text : str
        Text of `subject_task`.
    report : callable, optional
        Progress.

    Returns
    -------
    str
        For `read_done`.

    Examples
    --------
    >>> run_subject_text(task.text)  # doctest: +SKIP
    """
    record = _read(text)
    job, late = plan_subject(
        Path(record["out"]),
        record["participant"],
        record["failures"],
        only_stale=True,
        force=record["force"],
        detail=record["detail"],
        repeatability=Path(record["repeatability"]) if record["repeatability"] else None,
    )
    done = run_subject(job, report) if job else SubjectOutcome(f"sub-{record['participant']}")
    return _write(Done([*([late] if late else []), *messages_of(done)], None, bool(done.errors)))


def _read(text: str) -> dict[str, Any]:
    """Return the record of a task, and go to the folder that its paths start from, where this machine has it."""
    record: dict[str, Any] = json.loads(text)
    with contextlib.suppress(OSError):
        os.chdir(record["folder"])
    return record


def _write(done: Done) -> str:
    outcome = asdict(done.outcome) if done.outcome else None
    return json.dumps({**done._asdict(), "outcome": outcome})


def read_done(text: str) -> Done:
    """Return the result of a task from its text.

    Parameters
    ----------
    text : str
        What `run_session_text` or `run_subject_text` has returned.

    Returns
    -------
    Done
        Messages and outcome.

    Examples
    --------
    >>> read_done('{"messages": ["sub-01: page is current"], "outcome": null, "failed": false}').messages
    ['sub-01: page is current']
    """
    record = json.loads(text)
    given = record["outcome"]
    if given:
        lists = {name: tuple(given[name]) for name in ("warnings", "recalled")}
        record["outcome"] = Outcome(**{**given, **lists})
    return Done(**record)


def compare_elsewhere(
    cluster: Cluster, out: Path, participants: Sequence[str], *, failures: Mapping[str, Failures], force: Sequence[str],
    say: Callable[[str], None], report: Report | None = None, detail: Detail = "full",
    repeatability: Path | None = None,
) -> bool:  # fmt: skip
    """Compare the sessions of each subject and write its page, on a cluster.

    Parameters
    ----------
    cluster : Cluster
        Workers.
    out : Path
        Derivatives folder with finished sessions.
    participants : sequence of str
        Labels without `sub-`.
    failures : mapping
        Errors of each participant's sessions, by the session's name.
    force : sequence of str
        Steps that are done again.
    say : callable
        Takes each message for the user.
    report : callable, optional
        Progress.
    detail : {"full", "light"}, optional
        How much a page holds.
    repeatability : Path, optional
        The study's own errors of change.

    Returns
    -------
    bool
        Whether a comparison or a page failed.

    Examples
    --------
    >>> compare_elsewhere(cluster, out, ["01"], failures={}, force=(), say=print)  # doctest: +SKIP
    """
    tasks = [
        subject_task(out, p, failures.get(p, {}), force=force, detail=detail, repeatability=repeatability)
        for p in participants
    ]
    any_failed = False
    with contextlib.closing(cluster.run(tasks, report)) as found:
        for number, answer in found:
            if isinstance(answer, str):
                done = read_done(answer)
            elif isinstance(answer, Died):
                done = Done(messages_of(subject_died(tasks[number].name, answer)), None, True)
            else:
                done = Done([failure_of(tasks[number].name, answer)[1]], None, True)
            any_failed |= done.failed
            for text in done.messages:
                say(text)
    return any_failed
