"""All sessions of a data set: one bad session never stops the others."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from qsmcmb.errors import (
    EXIT_BUG,
    EXIT_MEMORY,
    EXIT_OK,
    EXIT_SOME_FAILED,
    ConfigError,
    QsmcmbError,
)  # fmt: skip
from qsmcmb.io.atomic import make_folder, write_failure
from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.dataset_description import raw_sources, write_dataset_description
from qsmcmb.io.labels import read_lesion_labels
from qsmcmb.io.mask_values import Membership
from qsmcmb.io.masks import read_mask
from qsmcmb.io.own_folder import check_ours, check_within
from qsmcmb.io.place import Place
from qsmcmb.io.point_list import read_point_list
from qsmcmb.io.points import Points, check_points_known, read_points
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import Config
from qsmcmb.pipeline.load import load_scan, with_user_input
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study.user_input import (
    check_common_points,
    check_labels_apply,
    check_reference_applies,
    find_labels,
    find_mask,
    find_reference,
)
from qsmcmb.typing import Report

__all__ = ["Finished", "Outcome", "StudyOptions", "exit_code", "plan_study", "run_study"]


@dataclass(frozen=True)
class StudyOptions:
    """Selection and options that apply to every session of a run.

    Parameters
    ----------
    config : Config
        Methods and options of the stages.
    participants, sessions : tuple of str, optional
        Labels; all by default.
    filters : dict, optional
        BIDS entities that must match exactly.
    points : path, optional
        TSV of a reader's points.
    labels : path, optional
        A reader's label image, where the run has one scan; or a derivatives folder whose `*_dseg` files are the
        label images of the scans.
    detect : bool, optional
        Whether the detector runs.
    mask_root : path, optional
        Derivatives folder whose `*_desc-brain_mask` or `*_mask` files are the masks.
    reference : str or path, optional
        Region whose mean is 0 on the maps: "brain", "csf", a mask where the run has one scan, or a derivatives folder
        whose `*_desc-reference_mask` files are the masks of the scans.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> StudyOptions(config=make_config(), participants=("01",)).detect
    False
    """

    config: Config
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    filters: dict[str, str] = field(default_factory=dict)
    points: Path | None = None
    labels: Path | None = None
    detect: bool = False
    mask_root: Path | None = None
    reference: str | Path = "brain"


@dataclass(frozen=True)
class Outcome:
    """Result of one session: done, or why not.

    Parameters
    ----------
    name, participant : str
        Name of the session in messages; label of its participant.
    exit_code : int, optional
        0 when it is done.
    error : str, optional
        Message; empty when it is done.
    warnings : tuple of str, optional
        Messages to the user.
    seconds : dict, optional
        Duration by stage, s.

    Examples
    --------
    >>> Outcome(name="sub-01/ses-1", participant="01").exit_code
    0
    """

    name: str
    participant: str
    exit_code: int = EXIT_OK
    error: str = ""
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


Finished = Callable[[Outcome], None]
"""Called with each outcome as it comes."""


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
        check_points_known(read_point_list(options.points), _labels(bids), measured)
    if options.labels is not None:
        check_labels_apply(options.labels, found)
    if isinstance(options.reference, Path):
        check_reference_applies(options.reference, found)
    return found


def _labels(bids: Path) -> list[tuple[str, str | None]]:
    """Return participant and session of each folder of a data set, also of those without a scan that is read."""
    labels: list[tuple[str, str | None]] = []
    for subject in sorted(p for p in bids.glob("sub-*") if p.is_dir()):
        label = subject.name.removeprefix("sub-")
        sessions = sorted(p.name.removeprefix("ses-") for p in subject.glob("ses-*") if p.is_dir())
        labels += [(label, session) for session in sessions] or [(label, None)]
    return labels


def run_study(
    bids: Path,
    out: Path,
    options: StudyOptions,
    *,
    n_processes: int = 1,
    report: Report | None = None,
    finished: Finished | None = None,
) -> list[Outcome]:
    """Run every session; results are on disk, the outcomes are returned in the order of the sessions.

    Parameters
    ----------
    bids, out : path
        Data set and derivatives folder.
    options : StudyOptions
        Selection, methods, points.
    n_processes : int, optional
        Sessions at the same time, >= 1.
    report : callable, optional
        Progress of stages (one process only).
    finished : callable, optional
        Called with each Outcome as it comes.

    Returns
    -------
    list of Outcome
        Outcomes in the order of the sessions.

    Raises
    ------
    ConfigError, NothingMatchedError, OutputError, OverwriteError
        Before any computation.

    Examples
    --------
    >>> outcomes = run_study(Path("bids"), Path("derivatives/qsmcmb"), options)  # doctest: +SKIP
    """
    from qsmcmb import __version__

    sessions = plan_study(bids, out, options)
    check_ours(out, "run")
    check_within(out, (_place(out, session).folder for session in sessions))
    make_folder(out)
    write_dataset_description(
        out, name="qsmcmb: susceptibility maps and microbleeds", version=__version__, raw=bids
    )
    by_name = {}
    for outcome in _outcomes(sessions, out, options, n_processes=n_processes, report=report):
        by_name[outcome.name] = outcome
        if finished:
            finished(outcome)
    return [by_name[s.name] for s in sessions]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of a run.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all sessions.

    Returns
    -------
    int
        0 when all are done, 1 when some are, else the code of the first failure.

    Examples
    --------
    >>> exit_code([Outcome("a", "01"), Outcome("b", "02", exit_code=65)])
    1
    """
    failed = [o.exit_code for o in outcomes if o.exit_code != EXIT_OK]
    if not failed:
        return EXIT_OK
    return EXIT_SOME_FAILED if len(failed) < len(outcomes) else failed[0]


def _outcomes(
    sessions: Sequence[SessionFiles],
    out: Path,
    options: StudyOptions,
    *,
    n_processes: int,
    report: Report | None,
) -> Iterator[Outcome]:
    if n_processes <= 1 or len(sessions) == 1:
        for session in sessions:
            yield _run_session(session, out, options, report)
        return
    # Spawn, never fork: OpenMP's and FFTW's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(n_processes, len(sessions)), mp_context=context) as pool:
        jobs = [pool.submit(_run_session, session, out, options, None) for session in sessions]
        for job in as_completed(jobs):
            yield job.result()


def _run_session(
    session: SessionFiles, out: Path, options: StudyOptions, report: Report | None = None
) -> Outcome:
    """Run one session from files to files; errors become part of the outcome."""
    try:
        scan = load_scan(session, **asdict(options.config.input))
        scan = replace(scan, sources=raw_sources(scan.sources))
        points = _lesions_of(session, options, scan)
        mask = read_mask(find_mask(options.mask_root, session), scan.grid) if options.mask_root else None
        reference = _reference_of(session, options, scan.grid)
        scan = with_user_input(
            scan, points=points, point_list=options.points, mask=mask,
            reference=reference if isinstance(reference, Membership) else None,
        )  # fmt: skip
        result = run_scan(
            scan, options.config, mask=mask.inside if mask else None, points_mm=points.points_mm if points else None,
            kinds=points.kinds if points else None, detect=options.detect,
            reference=reference.inside if isinstance(reference, Membership) else reference, report=report,
        )  # fmt: skip
        acquired = acquisition_times(session.root, session.participant).get(session.session or "")
        write_scan(_place(out, session), result, acquired=acquired)
    except QsmcmbError as error:
        return _failed(session, error.exit_code, str(error))
    except OSError as error:
        failure = write_failure(error, Path(error.filename or out))
        return _failed(session, failure.exit_code, str(failure))
    except MemoryError as error:
        return _failed(session, EXIT_MEMORY, f"ERROR MEM {session.name}: {error}")
    except Exception:
        return _failed(session, EXIT_BUG, traceback.format_exc())
    return Outcome(
        name=session.name,
        participant=session.participant,
        warnings=result.warnings,
        seconds=dict(result.seconds),
    )


def _place(out: Path, session: SessionFiles) -> Place:
    """Return folder and prefix of a session's results."""
    return Place.of_session(out, session.participant, session.session, session.entities)


def _failed(session: SessionFiles, code: int, error: str) -> Outcome:
    return Outcome(name=session.name, participant=session.participant, exit_code=code, error=error)


def _reference_of(session: SessionFiles, options: StudyOptions, grid: Grid) -> str | Membership:
    """Return the region whose mean becomes 0: one to find, or the user's mask."""
    if isinstance(options.reference, str):
        return options.reference
    return read_mask(find_reference(options.reference, session), grid, min_volume_mm3=0)


def _lesions_of(session: SessionFiles, options: StudyOptions, scan: GreScan) -> Points | None:
    """Return the lesions that a reader has named in a scan; None without a list or an image."""
    if options.labels is not None:
        return read_lesion_labels(find_labels(options.labels, session), scan.grid)
    if options.points is None:
        return None
    points = read_points(options.points, participant=session.participant, session=session.session)
    sessions = {label for participant, label in _labels(session.root) if participant == session.participant}
    if points.of_every_session and len(sessions) > 1:
        return check_common_points(points, scan, options.points)
    return points
