"""Comparison over sessions and the page of each subject: what follows once sessions are on disk."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmcmb.errors import EXIT_BUG, InvalidInputError, QsmcmbError
from qsmcmb.io.atomic import write_failure
from qsmcmb.io.results import list_results
from qsmcmb.pipeline.clock import Clock
from qsmcmb.reporting.budget import Detail
from qsmcmb.study.assess import assess, describe
from qsmcmb.study.failures import describe_bug, write_crash_file
from qsmcmb.study.manifest import Manifest, checksum, checksums, manifest_path, read_manifest
from qsmcmb.study.options import Outcome
from qsmcmb.study.steps import SUBJECT_STEPS, StepKey, make_key
from qsmcmb.study.superseded import move_aside, result_files
from qsmcmb.study.workers import Died, Task, run_tasks
from qsmcmb.typing import Report

__all__ = (
    "Failures", "SubjectJob", "SubjectOutcome", "compare_and_report", "keys_of_subject", "messages_of", "plan_subject",
    "run_subject", "subject_died",
)  # fmt: skip

Failures = Mapping[str, str]
"""Error by the name of a session."""


@dataclass(frozen=True)
class SubjectJob:
    """One subject to compare and to show.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    participant : str
        Label without `sub-`.
    keys : dict of str to StepKey
        Keys of the steps.
    failures : dict of str to str, optional
        Error by the name of each session that has failed.
    detail : {"full", "light"}, optional
        Page with the live viewer, or of pictures alone.
    repeatability : Path, optional
        The study's own errors of change.

    Examples
    --------
    >>> SubjectJob(Path("out"), "01", {}).name
    'sub-01'
    """

    out: Path
    participant: str
    keys: dict[str, StepKey]
    failures: dict[str, str] = field(default_factory=dict)
    detail: Detail = "full"
    repeatability: Path | None = None

    @property
    def name(self) -> str:
        """Name in messages and of the manifest."""
        return f"sub-{self.participant}"


@dataclass
class SubjectOutcome:
    """Messages and page of a subject that has run.

    Parameters
    ----------
    name : str
        Name of the subject.
    errors, warnings : list of str, optional
        Messages; a subject with errors is tried again by the next run.
    page : str, optional
        The page; empty where none was written.

    Examples
    --------
    >>> SubjectOutcome("sub-01").errors
    []
    """

    name: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    page: str = ""


def keys_of_subject(
    out: Path,
    participant: str,
    failures: Failures,
    detail: str = "full",
    *,
    repeatability: Path | str | None = None,
) -> dict[str, StepKey]:
    """Return the keys of a subject's steps from the results as they lie on disk.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    participant : str
        Label without `sub-`.
    failures : mapping of str to str
        Error by the name of each session that has failed.
    detail : {"full", "light"}, optional
        Page with the live viewer, or of pictures alone.
    repeatability : Path or str, optional
        File of the study's own errors of change.

    Returns
    -------
    dict of str to StepKey
        Key by step.

    Raises
    ------
    InvalidInputError, OSError
        A result cannot be read.

    Examples
    --------
    >>> list(keys_of_subject(Path("nowhere"), "01", {}))
    ['longitudinal', 'report']
    """
    results = [path for scan in list_results(out, participant) for path in result_files(scan.place)]
    inputs, compared = checksums(out, results), SUBJECT_STEPS[0]
    given: dict[str, str] = {}
    if repeatability:
        file = Path(repeatability).absolute()
        inputs[file.name], given = checksum(file), {"repeatability": str(file)}
    keys = {compared.name: make_key(compared, inputs=inputs, parameters=given, after={})}
    for step in SUBJECT_STEPS[1:]:
        after = {name: keys[name].key for name in step.after if name in keys}
        parameters = {"failures": dict(failures), "detail": detail}
        keys[step.name] = make_key(step, inputs={}, parameters=parameters, after=after)
    return keys


def run_subject(job: SubjectJob, report: Report | None = None) -> SubjectOutcome:
    """Compare the sessions of a subject and write its page.

    Parameters
    ----------
    job : SubjectJob
        The subject.
    report : callable, optional
        Progress, called with (subject, stage, seconds).

    Returns
    -------
    SubjectOutcome
        Messages and the page. An error of one part stops no other.

    Examples
    --------
    >>> run_subject(SubjectJob(Path("derivatives/qsmcmb"), "01", {}))  # doctest: +SKIP
    """
    from qsmcmb.reporting.subject_page import write_subject_page
    from qsmcmb.study.longitudinal import RESULTS, comparable_scans, compare_scans, describe_unmatched
    from qsmcmb.study.repeatability import read_repeatability

    out, participant = job.out, job.participant
    done, clock = SubjectOutcome(job.name), Clock(job.name, report)
    written: list[Path] = []
    folder = out / job.name
    before: set[Path] = set()
    damaged: dict[str, str] = {}
    with _as_error(job, done):
        before = {path for ending in RESULTS for path in folder.glob(f"{job.name}*_{ending}.*")}
        damaged = _damaged_results(out, participant)
    done.errors += damaged.values()
    with clock.stage("longitudinal"):
        groups: list[Any] = []
        with _as_error(job, done):
            done.warnings += describe_unmatched(out, participant)
            errors = read_repeatability(job.repeatability) if job.repeatability else None
            groups = comparable_scans(out, participant, without=damaged)
        for scans in groups:
            with _as_error(job, done):
                compared = compare_scans(out, scans, repeatability=errors)
                done.warnings += compared.warnings
                done.errors += compared.errors
                written += compared.files
    with _as_error(job, done):
        move_aside(out, before - set(written), job.name)
    with clock.stage("report"), _as_error(job, done):
        page = write_subject_page(
            out, participant, notes=[*done.errors, *dict.fromkeys(done.warnings)], failures=job.failures,
            without=damaged, say=done.errors.append, detail=job.detail,
        )  # fmt: skip
        done.page = str(page)
        written += [path for path in (page, page.with_name(f"{job.name}_forms.html")) if path.exists()]
    with _as_error(job, done):
        known = Manifest(
            job.name,
            job.keys,
            checksums(out, written),
            error="\n".join(done.errors),
            warnings=tuple(done.warnings),
        )
        known.write(out, manifest_path(out, job.name, subject=True))
    return done


def _damaged_results(out: Path, participant: str) -> dict[str, str]:
    """Return the errors of scans whose results are not what their run has written, by the prefix of their names.

    A table that is cut short may still be one: the checksum alone tells.
    """
    errors = {}
    for scan in list_results(out, participant):
        known = read_manifest(manifest_path(out, scan.place.prefix))
        for name, digest in known.results.items() if known else ():
            try:
                found = checksum(out / name)
            except OSError as failure:
                errors[scan.place.prefix] = str(write_failure(failure, out / name))
                break
            except InvalidInputError as failure:
                errors[scan.place.prefix] = str(failure)
                break
            if found != digest:
                error = InvalidInputError(
                    "RESULT", out / name, field="sha256", found=found or "no file", expected=digest,
                    fix=f"run {scan.heading} again: it is left out of page and comparison",
                )  # fmt: skip
                errors[scan.place.prefix] = str(error)
                break
    return errors


@contextlib.contextmanager
def _as_error(job: SubjectJob, done: SubjectOutcome) -> Iterator[None]:
    """Make an error of the block one of the subject's, so that the rest goes on."""
    try:
        yield
    except QsmcmbError as error:
        done.errors.append(str(error))
    except OSError as error:
        done.errors.append(str(write_failure(error, Path(error.filename or job.out))))
    except Exception as error:
        said = describe_bug(error, job.name)
        failed = Outcome(job.name, job.participant, EXIT_BUG, said, details=traceback.format_exc())
        done.errors.append(f"{said} (details: {write_crash_file(job.out, job.name, failed)})")


def compare_and_report(
    out: Path,
    participants: Sequence[str],
    *,
    say: Callable[[str], None],
    n_processes: int = 0,
    report: Report | None = None,
    failures: Mapping[str, Failures] | None = None,
    only_stale: bool = False,
    force: Sequence[str] = (),
    detail: Detail = "full",
    repeatability: Path | None = None,
) -> bool:
    """Compare the sessions of each subject and write its page; one subject's failure stops no other.

    Parameters
    ----------
    out : Path
        Derivatives folder with finished sessions.
    participants : sequence of str
        Labels without `sub-`.
    say : callable
        Takes each message for the user.
    n_processes : int, optional
        Subjects at the same time, each in a process of its own; 0 for one after another in this process.
    report : callable, optional
        Progress, called with (subject, stage, seconds).
    failures : mapping, optional
        Errors of each participant's sessions, by the session's name; shown on the page.
    only_stale : bool, optional
        Leave subjects alone whose table and page are current.
    force : sequence of str, optional
        Steps that are done again nevertheless.
    detail : {"full", "light"}, optional
        Pages with the live viewer, or of pictures alone.
    repeatability : Path, optional
        The study's own errors of change, as `qsmcmb repeatability` writes them.

    Returns
    -------
    bool
        Whether a comparison or a page failed.

    Examples
    --------
    >>> compare_and_report(Path("derivatives/qsmcmb"), [], say=print)
    False
    """
    jobs = []
    for participant in participants:
        failed = dict((failures or {}).get(participant, {}))
        job, late = plan_subject(
            out, participant, failed,
            only_stale=only_stale, force=force, detail=detail, repeatability=repeatability,
        )  # fmt: skip
        if late:
            say(late)
        if job:
            jobs.append(job)
    any_failed = False
    with contextlib.closing(_subject_outcomes(jobs, n_processes, report)) as outcomes:
        for done in outcomes:
            any_failed |= bool(done.errors)
            for text in messages_of(done):
                say(text)
    return any_failed


def plan_subject(
    out: Path,
    participant: str,
    failures: Failures,
    *,
    only_stale: bool = False,
    force: Sequence[str] = (),
    detail: Detail = "full",
    repeatability: Path | None = None,
) -> tuple[SubjectJob | None, str]:
    """Return the work on a subject, and what the user hears of it.

    Parameters
    ----------
    out : Path
        Derivatives folder with finished sessions.
    participant : str
        Label without `sub-`.
    failures : mapping of str to str
        Error by the name of each session that has failed.
    only_stale : bool, optional
        Whether there is no work where table and page are current.
    force : sequence of str, optional
        Steps that are done again nevertheless.
    detail : {"full", "light"}, optional
        How much the page holds.
    repeatability : Path, optional
        The study's own errors of change.

    Returns
    -------
    tuple of (SubjectJob or None, str)
        Job, and a message that may be empty.

    Examples
    --------
    >>> plan_subject(Path("nowhere"), "01", {})[0].name
    'sub-01'
    """
    try:
        keys = keys_of_subject(out, participant, failures, detail, repeatability=repeatability)
    except (QsmcmbError, OSError):
        # The run of the subject says what is wrong, and the next one does it again.
        keys = {}
    job = SubjectJob(out, participant, keys, dict(failures), detail, repeatability)
    if not only_stale or not keys:
        return job, ""
    known = read_manifest(manifest_path(out, job.name, subject=True))
    late = describe(assess(out, known, job.keys, forced=force))
    if not late:
        return None, f"{job.name}: page is current"
    return job, f"{job.name}: {late}" if known is not None else ""


def messages_of(done: SubjectOutcome) -> list[str]:
    """Return what the user hears of a subject that has run.

    Parameters
    ----------
    done : SubjectOutcome
        Its outcome.

    Returns
    -------
    list of str
        Errors, warnings and the page.

    Examples
    --------
    >>> messages_of(SubjectOutcome("sub-01", page="out/sub-01.html"))
    ['page: out/sub-01.html']
    """
    page = [f"page: {done.page}"] if done.page else []
    return [*done.errors, *(f"WARNING {w}" for w in dict.fromkeys(done.warnings)), *page]


def _subject_outcomes(
    jobs: Sequence[SubjectJob], n_processes: int, report: Report | None
) -> Generator[SubjectOutcome]:
    """Yield the outcomes of subjects as they come."""
    if n_processes < 1:
        for job in jobs:
            yield run_subject(job, report)
        return
    tasks = [Task(run_subject, job) for job in jobs]
    with contextlib.closing(run_tasks(tasks, n_processes=n_processes, report=report)) as found:
        for number, done in found:
            yield subject_died(jobs[number].name, done) if isinstance(done, Died) else done


def subject_died(name: str, death: Died) -> SubjectOutcome:
    """Return the outcome of a subject whose process has died.

    Parameters
    ----------
    name : str
        The subject.
    death : Died
        How.

    Returns
    -------
    SubjectOutcome
        With an error.

    Examples
    --------
    >>> subject_died("sub-01", Died(-9)).errors[0][:54]
    'ERROR BUG sub-01: process = ended by signal 9 (SIGKILL'
    """
    error = InvalidInputError(
        "BUG", name, field="process", found=f"ended by {death.cause}", expected="a page",
        fix="run the same command again",
    )  # fmt: skip
    return SubjectOutcome(name, [str(error)])
