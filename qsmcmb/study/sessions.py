"""All sessions of a data set: one bad session never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmcmb.errors import ConfigError, QsmcmbError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.dataset_description import write_dataset_description
from qsmcmb.io.own_folder import check_ours, check_within
from qsmcmb.io.point_list import read_point_list
from qsmcmb.io.points import check_points_known
from qsmcmb.study.assess import StepState, assess, describe
from qsmcmb.study.failures import died, record_failure
from qsmcmb.study.manifest import FOLDER, manifest_path, read_manifest
from qsmcmb.study.options import Finished, Outcome, StudyOptions
from qsmcmb.study.request import Request, write_request
from qsmcmb.study.scan import ScanJob, keys_of_scan, place_of_scan, run_job, sessions_of
from qsmcmb.study.steps import check_step_names, following
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
    """What a run may use, and what it is to do again.

    Parameters
    ----------
    n_processes : int, optional
        Sessions at the same time, each in a process of its own; 0 for one after another in this process.
    work : path, optional
        Folder where intermediate results stay; OUT/.qsmcmb, until a session is done, by default.
    force : tuple of str, optional
        Steps that are done again, with those that follow them.

    Examples
    --------
    >>> Resources(n_processes=2).force
    ()
    """

    n_processes: int = 0
    work: Path | None = None
    force: tuple[str, ...] = ()


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
    ConfigError, NothingMatchedError, OutputError, OverwriteError
        Before any computation.

    Examples
    --------
    >>> outcomes = run_study(Path("bids"), Path("derivatives/qsmcmb"), options)  # doctest: +SKIP
    """
    from qsmcmb import __version__

    resources, say = resources or Resources(), say or (lambda _: None)
    check_step_names(resources.force)
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
    outcomes: dict[str, Outcome] = {}

    def done(outcome: Outcome) -> None:
        outcomes[outcome.name] = outcome
        if finished:
            finished(outcome)

    jobs = []
    for session in sessions:
        job, states = _plan(session, out, options, resources)
        if all(state.is_current for state in states.values()) and states:
            done(Outcome(session.name, session.participant, unchanged=True))
            continue
        if any(state.state != "new" for state in states.values()):
            say(f"{session.name}: {describe(states)}")
        jobs.append(job)
    for job, outcome in _outcomes(jobs, resources.n_processes, report):
        done(record_failure(job, outcome) if outcome.exit_code else outcome)
    return [outcomes[s.name] for s in sessions]


def _plan(
    session: SessionFiles, out: Path, options: StudyOptions, resources: Resources
) -> tuple[ScanJob, dict[str, StepState]]:
    """Return the work on a session, and the state of each of its steps; none where its inputs cannot be read."""
    prefix = place_of_scan(out, session).prefix
    try:
        keys = keys_of_scan(session, options)
    except (QsmcmbError, OSError):
        # The run of the session says what is wrong.
        keys = {}
    states = assess(out, read_manifest(manifest_path(out, prefix)), keys, forced=resources.force)
    job = ScanJob(
        session, out, options, keys, work=(resources.work or out / FOLDER) / "intermediates" / prefix,
        fresh=following([name for name in resources.force if name in keys]), hold=resources.work is not None,
    )  # fmt: skip
    return job, states


def _outcomes(
    jobs: Sequence[ScanJob], n_processes: int, report: Report | None
) -> Iterator[tuple[ScanJob, Outcome]]:
    """Yield jobs with their outcomes, as they come."""
    if n_processes < 1:
        for job in jobs:
            yield job, run_job(job, report)
        return
    tasks = [Task(run_job, job) for job in jobs]
    for number, outcome in run_tasks(tasks, n_processes=n_processes, report=report):
        job = jobs[number]
        yield job, died(job.session, outcome) if isinstance(outcome, Died) else outcome
