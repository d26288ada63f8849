"""All sessions of a data set: one bad session never stops the others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmcmb.errors import EXIT_MEMORY, ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.dataset_description import write_dataset_description
from qsmcmb.io.own_folder import check_ours, check_within
from qsmcmb.io.place import Place
from qsmcmb.io.point_list import read_point_list
from qsmcmb.io.points import check_points_known
from qsmcmb.io.results import list_results
from qsmcmb.study.assess import describe
from qsmcmb.study.cluster import Cluster, failure_of
from qsmcmb.study.failures import died, record_failure
from qsmcmb.study.jobs import estimate_need, plan_session, read_done, session_task, settle
from qsmcmb.study.options import Finished, Outcome, StudyOptions, check_packages
from qsmcmb.study.request import Request, write_request
from qsmcmb.study.resources import Memory, fitting, lacking
from qsmcmb.study.scan_plan import ScanJob, place_of_scan, sessions_of
from qsmcmb.study.steps import check_step_names
from qsmcmb.study.superseded import sweep
from qsmcmb.study.user_input import check_labels_apply, check_reference_applies
from qsmcmb.study.workers import Died, Task, run_tasks
from qsmcmb.typing import Report

__all__ = ["Resources", "plan_study", "run_study"]


def _check_output(bids: Path, out: Path) -> None:
    """Raise before any write unless OUT lies outside the data set, or in BIDS/derivatives/NAME.

    Raises
    ------
    ConfigError
        OUT is the data set or inside its raw part (exit code 2).
    """
    root, target = bids.resolve(), out.resolve()
    if target != root and root not in target.parents:
        if target in root.parents and (target / "dataset_description.json").exists():
            raise ConfigError(f"OUT {out} is itself a data set that holds {bids}; choose another folder")
        return
    parts = target.relative_to(root).parts
    if len(parts) != 2 or parts[0] != "derivatives":
        raise ConfigError(
            f"OUT {out} lies inside the data set {bids}; expected a folder outside, or "
            f"{bids / 'derivatives'}/NAME"
        )


def plan_study(bids: Path, out: Path, options: StudyOptions) -> list[SessionFiles]:
    """Return the sessions of a run; refuse everything that can be refused before computing.

    Parameters
    ----------
    bids, out : path
        Data set and derivatives folder.
    options : StudyOptions
        Selection, methods, points.

    Returns
    -------
    list of SessionFiles
        Sessions in the order in which they will run.

    Raises
    ------
    ConfigError, InvalidInputError, NothingMatchedError
        OUT inside the data set, a faulty data set or table of points, no session that matches.

    Examples
    --------
    >>> plan_study(Path("bids"), Path("derivatives/qsmcmb"), options)  # doctest: +SKIP
    """
    _check_output(bids, out)
    found = list_sessions(
        bids, participants=options.participants, sessions=options.sessions, filters=options.filters
    )
    if options.points is not None:
        measured = {session.participant for session in found}
        check_points_known(read_point_list(options.points), sessions_of(bids), measured)
    if options.labels is not None:
        check_labels_apply(options.labels, found)
    if isinstance(options.reference, Path):
        check_reference_applies(options.reference, found)
    return found


@dataclass(frozen=True)
class Resources:
    """Means of a run, and the steps that it is to do again.

    Parameters
    ----------
    n_processes : int, optional
        Sessions at the same time, each in a process of its own; 0 for one after another in this process.
    work : path, optional
        Folder where intermediate results stay; OUT/.qsmcmb, until a session is done, by default.
    force : tuple of str, optional
        Steps that are done again, with those that follow them.
    memory : Memory, optional
        Memory that the sessions may use together; without it none is held against a limit.
    cluster : Cluster, optional
        Workers that do the sessions in place of this machine; it has its own number of processes and memory.

    Examples
    --------
    >>> Resources(n_processes=2).force
    ()
    """

    n_processes: int = 0
    work: Path | None = None
    force: tuple[str, ...] = ()
    memory: Memory | None = None
    cluster: Cluster | None = None


def run_study(
    bids: Path,
    out: Path,
    options: StudyOptions,
    resources: Resources | None = None,
    *,
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
    finished: Finished | None = None,
) -> list[Outcome]:
    """Run every session that is not done yet, or whose results are stale or damaged.

    Parameters
    ----------
    bids, out : path
        Data set and derivatives folder.
    options : StudyOptions
        Selection, methods, points.
    resources : Resources, optional
        Processes, work folder, steps to do again.
    report : callable, optional
        Progress of stages.
    say : callable, optional
        Takes each message for the user.
    finished : callable, optional
        Called with each Outcome as it comes.

    Returns
    -------
    list of Outcome
        Outcomes in the order of the sessions; results are on disk.

    Raises
    ------
    ConfigError, MissingPackageError, NothingMatchedError, OutputError, OverwriteError
        Before any computation.

    Examples
    --------
    >>> outcomes = run_study(Path("bids"), Path("derivatives/qsmcmb"), options)  # doctest: +SKIP
    """
    from qsmcmb import __version__

    resources, say = resources or Resources(), say or (lambda _: None)
    check_step_names(resources.force)
    check_packages(options)
    sessions = plan_study(bids, out, options)
    check_ours(out, "run")
    check_within(out, (place_of_scan(out, session).folder for session in sessions))
    make_folder(out)
    write_dataset_description(
        out, name="qsmcmb: susceptibility maps and microbleeds", version=__version__, raw=bids
    )
    write_request(out, Request(bids, options, resources.work))
    swept = sweep(out, resources.work)
    if swept:
        say(f"{swept} files that an interrupted run had begun are removed")
    for text in _without_images(bids, out, {session.participant for session in sessions}):
        say(text)
    outcomes: dict[str, Outcome] = {}

    def done(outcome: Outcome) -> None:
        outcomes[outcome.name] = outcome
        if finished:
            finished(outcome)

    request = Request(bids, options, resources.work)
    run = _run_elsewhere if resources.cluster else _run_here
    run(request, out, sessions, resources, report=report, say=say, done=done)
    return [outcomes[s.name] for s in sessions]


def _without_images(bids: Path, out: Path, participants: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each session that has results of an earlier run, and is no longer in the data set."""
    for participant in sorted(participants):
        there = {session or "" for _, session in sessions_of(bids, participant)}
        for session in sorted({scan.session for scan in list_results(out, participant)} - there):
            folder = Place.of_session(out, participant, session or None).folder.parent
            yield (
                f"WARNING sub-{participant}{session and f'/ses-{session}'}: results of an earlier run are here, the "
                f"session is no longer in the data set; page and comparison still show it. Remove {folder} to leave "
                "it out"
            )


def _run_here(
    request: Request, out: Path, sessions: Sequence[SessionFiles], resources: Resources, *, report: Report | None,
    say: Callable[[str], None], done: Finished,
) -> None:  # fmt: skip
    """Run sessions on this machine."""
    jobs = []
    for session in sessions:
        job, states = plan_session(session, out, request.options, work=request.work, force=resources.force)
        settled = settle(job, states)
        if settled:
            done(settled)
            continue
        if any(state.state != "new" for state in states.values()):
            say(f"{session.name}: {describe(states)}")
        jobs.append(job)
    jobs, too_large, n_processes = _fit(jobs, resources, say)
    for job, outcome in too_large:
        done(record_failure(job, outcome))
    # Closed at an interruption, too: the processes end before the folder is given up.
    with contextlib.closing(_outcomes(jobs, n_processes, report)) as found:
        for job, outcome in found:
            done(record_failure(job, outcome) if outcome.exit_code else outcome)


def _run_elsewhere(
    request: Request, out: Path, sessions: Sequence[SessionFiles], resources: Resources, *, report: Report | None,
    say: Callable[[str], None], done: Finished,
) -> None:  # fmt: skip
    """Run sessions on a cluster, whose workers plan them, too."""
    assert resources.cluster is not None
    tasks = [session_task(request, out, session, force=resources.force) for session in sessions]
    with contextlib.closing(resources.cluster.run(tasks, report)) as found:
        for number, answer in found:
            session = sessions[number]
            if isinstance(answer, str):
                read = read_done(answer)
                for text in read.messages:
                    say(text)
                assert read.outcome is not None
                done(read.outcome)
                continue
            if isinstance(answer, Died):
                outcome = died(session, answer)
            else:
                code, error = failure_of(session.name, answer)
                outcome = Outcome(session.name, session.participant, code, error)
            job, _ = plan_session(session, out, request.options, work=request.work, force=resources.force)
            done(record_failure(job, outcome))


def _fit(
    jobs: Sequence[ScanJob], resources: Resources, say: Callable[[str], None]
) -> tuple[list[ScanJob], list[tuple[ScanJob, Outcome]], int]:
    """Return the sessions that fit into memory, the outcomes of the others, and how many run at the same time."""
    memory, needs = resources.memory, []
    if memory is None:
        return list(jobs), [], resources.n_processes
    fit, too_large = [], []
    for job in jobs:
        need = estimate_need(job.session, job.options)
        if need > memory.limit_bytes:
            error = lacking(job.session.name, need, memory)
            too_large.append(
                (job, Outcome(job.session.name, job.session.participant, EXIT_MEMORY, str(error)))
            )
        else:
            fit.append(job)
            needs.append(need)
    count = fitting(needs, resources.n_processes, memory)
    if count < min(resources.n_processes, len(fit)):
        say(
            f"note: {count} at a time, not {resources.n_processes}: more sessions do not fit into {memory.text}"
        )
    return fit, too_large, count


def _outcomes(
    jobs: Sequence[ScanJob], n_processes: int, report: Report | None
) -> Generator[tuple[ScanJob, Outcome]]:
    """Yield jobs with their outcomes, as they come."""
    if not jobs:
        return
    # All that computes: a rerun that finds every session current does without.
    from qsmcmb.study.scan import run_job

    if n_processes < 1:
        for job in jobs:
            yield job, run_job(job, report)
        return
    tasks = [Task(run_job, job) for job in jobs]
    with contextlib.closing(run_tasks(tasks, n_processes=n_processes, report=report)) as found:
        for number, outcome in found:
            job = jobs[number]
            yield job, died(job.session, outcome) if isinstance(outcome, Died) else outcome
