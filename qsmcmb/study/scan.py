"""One scan of a study from files to files, and the keys of its steps."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from qsmcmb.anatomy.segmentation import Segmentation, read_segmentation
from qsmcmb.errors import EXIT_BUG, EXIT_MEMORY, InvalidInputError, QsmcmbError
from qsmcmb.io.atomic import write_failure
from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.dataset_description import raw_sources
from qsmcmb.io.echoes import sidecar_of
from qsmcmb.io.labels import read_lesion_labels
from qsmcmb.io.mask_values import Membership
from qsmcmb.io.masks import read_mask
from qsmcmb.io.place import Place
from qsmcmb.io.points import Points, read_points
from qsmcmb.io.results import SessionResults
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.load import load_scan, with_user_input
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.regions import with_segmentation
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study.intermediates import IntermediateFiles
from qsmcmb.study.manifest import Manifest, checksum, checksums, manifest_path
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.segmentations import find_segmentation
from qsmcmb.study.source import digest_of
from qsmcmb.study.steps import StepKey, scan_keys
from qsmcmb.study.superseded import result_files
from qsmcmb.study.user_input import check_common_points, find_labels, find_mask, find_reference
from qsmcmb.typing import Report

__all__ = [
    "REPORT", "ScanJob", "describe_bug", "enter_verdicts", "keys_of_scan", "place_of_scan", "run_job", "sessions_of",
]  # fmt: skip

REPORT = "report it with the crash file; other sessions are not concerned"
"""Fix of an error that nobody foresaw."""

SCANNER_FIELDS = (
    "Manufacturer", "ManufacturersModelName", "DeviceSerialNumber", "SoftwareVersions", "ProtocolName",
    "RepetitionTime", "FlipAngle", "ReceiveCoilName",
)  # fmt: skip
"""Fields of the sidecar that the burden record keeps: change between sessions that differ in them says so."""


@dataclass(frozen=True)
class ScanJob:
    """One scan to run: everything that a process of its own needs.

    Parameters
    ----------
    session : SessionFiles
        Its images.
    out : Path
        Derivatives folder.
    options : StudyOptions
        Methods, points, masks.
    keys : dict of str to StepKey
        Keys of its steps.
    work : Path
        Folder for its intermediate results.
    fresh : frozenset of str, optional
        Steps that are done again whatever is held.
    hold : bool, optional
        Whether intermediate results stay when the scan is done.

    Examples
    --------
    >>> ScanJob(session, out, options, keys, work)  # doctest: +SKIP
    """

    session: SessionFiles
    out: Path
    options: StudyOptions
    keys: dict[str, StepKey]
    work: Path
    fresh: frozenset[str] = frozenset()
    hold: bool = False


def place_of_scan(out: Path, session: SessionFiles) -> Place:
    """Return folder and prefix of a scan's results.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    session : SessionFiles
        The scan.

    Returns
    -------
    Place
        Where they lie.

    Examples
    --------
    >>> place_of_scan(Path("out"), SessionFiles(Path("bids"), "01", "1", ())).prefix
    'sub-01_ses-1'
    """
    return Place.of_session(out, session.participant, session.session, session.entities)


def keys_of_scan(session: SessionFiles, options: StudyOptions) -> dict[str, StepKey]:
    """Return the keys of a scan's steps from the files as they lie on disk.

    Parameters
    ----------
    session : SessionFiles
        The scan.
    options : StudyOptions
        Methods, points, masks.

    Returns
    -------
    dict of str to StepKey
        Key by step.

    Raises
    ------
    QsmcmbError, OSError
        A file cannot be read.

    Examples
    --------
    >>> keys_of_scan(session, options)  # doctest: +SKIP
    """
    images: dict[str, str] = {}
    for image in session.images:
        name = image.path.relative_to(session.root).as_posix()
        images[name] = checksum(image.path)
        images[f"sidecar of {name}"] = _digest(sidecar_of(image, session.root))
    for image in session.other_runs:
        # Runs of one echo each are distinguished from echoes by the echo times of the others.
        name = f"sidecar of {image.path.relative_to(session.root).as_posix()}"
        images[name] = _digest(sidecar_of(image, session.root).get("EchoTime"))
    inputs: dict[str, dict[str, str]] = {"load": images}
    if options.mask_root:
        inputs["mask"] = _file(find_mask(options.mask_root, session))
    if isinstance(options.reference, Path):
        inputs["invert"] = _file(find_reference(options.reference, session))
    if options.labels:
        inputs["quantify"] = _file(find_labels(options.labels, session))
    elif options.points:
        found = read_points(options.points, participant=session.participant, session=session.session)
        inputs["quantify"] = {
            f"points of {options.points.name}": _digest([found.points_mm.tolist(), *found[1:]])
        }
    if options.segmentation_root:
        inputs["anatomy"] = _file(_segmentation_file(session, options.segmentation_root))
    acquired = acquisition_times(session.root, session.participant).get(session.session or "")
    given: Mapping[str, Mapping[str, Any]] = {
        "load": {"input": options.config.input.record(), "notes": list(session.notes)},
        "invert": {"reference": str(options.reference)},
        "detect": {"detect": options.detect},
        "anatomy": {"acquired": acquired.isoformat() if acquired else None},
    }
    return scan_keys(options.config, inputs=inputs, given=given)


def _file(path: Path) -> dict[str, str]:
    """Return name and checksum of a file that the user gave."""
    return {path.as_posix(): checksum(path)}


def _digest(value: object) -> str:
    """Return the hash of values, in whatever order and layout a file holds them."""
    return digest_of(json.dumps(value, sort_keys=True, default=str).encode())


def run_job(job: ScanJob, report: Report | None = None) -> Outcome:
    """Run one scan from files to files; errors become part of the outcome.

    Parameters
    ----------
    job : ScanJob
        The scan with its options.
    report : callable, optional
        Progress.

    Returns
    -------
    Outcome
        Done, or why not. The manifest of a scan that is done is written.

    Examples
    --------
    >>> run_job(job)  # doctest: +SKIP
    """
    name, participant = job.session.name, job.session.participant
    try:
        return _run(job, report)
    except QsmcmbError as error:
        return Outcome(name, participant, error.exit_code, str(error))
    except MemoryError as error:
        memory = InvalidInputError(
            "MEM", name, field="memory", found=error or "exhausted", expected="enough for this scan",
            fix="fewer processes (--nprocs), or a machine with more memory",
        )  # fmt: skip
        return Outcome(name, participant, EXIT_MEMORY, str(memory), details=traceback.format_exc())
    except OSError as error:
        failure = write_failure(error, Path(error.filename or job.out))
        return Outcome(name, participant, failure.exit_code, str(failure), details=traceback.format_exc())
    except Exception as error:
        return Outcome(name, participant, EXIT_BUG, describe_bug(error, name), details=traceback.format_exc())


def describe_bug(error: Exception, name: str) -> str:
    """Return the message of an error that nobody foresaw.

    Parameters
    ----------
    error : Exception
        The error.
    name : str
        Scan or subject.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> describe_bug(ZeroDivisionError("division by zero"), "sub-01")[:52]
    'ERROR BUG sub-01: exception = ZeroDivisionError: div'
    """
    found = f"{type(error).__name__}: {error}"
    return str(InvalidInputError("BUG", name, field="exception", found=found, expected="none", fix=REPORT))


def _run(job: ScanJob, report: Report | None) -> Outcome:
    session, options = job.session, job.options
    intermediates = IntermediateFiles(job.work, {n: key.key for n, key in job.keys.items()}, job.fresh)
    scan = load_scan(session, **asdict(options.config.input))
    scan = replace(scan, sources=raw_sources(scan.sources))
    points = _lesions_of(session, options, scan)
    mask = read_mask(find_mask(options.mask_root, session), scan.grid) if options.mask_root else None
    reference = _reference_of(session, options, scan.grid)
    scan = with_user_input(
        scan, points=points, point_list=options.points, mask=mask,
        reference=reference if isinstance(reference, Membership) else None,
    )  # fmt: skip
    segmentation = _segmentation_of(session, options, scan.grid)
    scan = with_segmentation(scan, segmentation)
    result = run_scan(
        scan, options.config, mask=mask.inside if mask else None, points_mm=points.points_mm if points else None,
        kinds=points.kinds if points else None, detect=options.detect, segmentation=segmentation,
        reference=reference.inside if isinstance(reference, Membership) else reference, report=report,
        intermediates=intermediates,
    )  # fmt: skip
    acquired = acquisition_times(session.root, session.participant).get(session.session or "")
    place = place_of_scan(job.out, session)
    written = write_scan(place, result, acquired=acquired, scanner=_scanner_of(session))
    for left in set(result_files(place)) - set(written):
        left.unlink()
    found = Manifest(session.name, job.keys, checksums(job.out, written), warnings=result.warnings)
    found.write(job.out, manifest_path(job.out, place.prefix))
    warnings = (*result.warnings, *enter_verdicts(job, place))
    if not job.hold:
        intermediates.remove()
    return Outcome(
        name=session.name, participant=session.participant, warnings=warnings, seconds=dict(result.seconds),
        recalled=tuple(intermediates.recalled), peak_bytes=_peak_bytes(),
    )  # fmt: skip


def enter_verdicts(job: ScanJob, place: Place) -> tuple[str, ...]:
    """Enter readers' verdicts that were applied before into results that do not hold them.

    Parameters
    ----------
    job : ScanJob
        The session; its results are there.
    place : Place
        Folder and prefix of its results.

    Returns
    -------
    tuple of str
        Warnings.

    Examples
    --------
    >>> enter_verdicts(job, place)  # doctest: +SKIP
    """
    # It looks for the scan by this module.
    from qsmcmb.study.reviewed_results import reapply

    session = job.session
    scan = SessionResults(place, session.participant, session.session or "", session.entities)
    try:
        return tuple(reapply(job.out, scan))
    except QsmcmbError as error:
        return (f"readers' verdicts are not applied: {error}",)


def _scanner_of(session: SessionFiles) -> dict[str, Any]:
    """Return what the sidecar of a scan's first image says of scanner, software and protocol."""
    sidecar = sidecar_of(session.images[0], session.root)
    return {name: sidecar[name] for name in SCANNER_FIELDS if sidecar.get(name) is not None}


def _peak_bytes() -> int:
    """Return the most memory that this process has held."""
    with contextlib.suppress(ImportError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return 0


def _reference_of(session: SessionFiles, options: StudyOptions, grid: Grid) -> str | Membership:
    """Return the region whose mean becomes 0: one to find, or the user's mask."""
    if isinstance(options.reference, str):
        return options.reference
    return read_mask(find_reference(options.reference, session), grid, min_volume_mm3=0)


def _segmentation_of(session: SessionFiles, options: StudyOptions, grid: Grid) -> Segmentation | None:
    """Return the user's segmentation of a scan's head."""
    if options.segmentation_root is None:
        return None
    return read_segmentation(_segmentation_file(session, options.segmentation_root), grid)


def _segmentation_file(session: SessionFiles, root: Path) -> Path:
    """Return the file of a scan's segmentation."""
    return find_segmentation(root, session.participant, session.session, session.entities)


def _lesions_of(session: SessionFiles, options: StudyOptions, scan: GreScan) -> Points | None:
    """Return the lesions that a reader has named in a scan; None without a list or an image."""
    if options.labels is not None:
        return read_lesion_labels(find_labels(options.labels, session), scan.grid)
    if options.points is None:
        return None
    points = read_points(options.points, participant=session.participant, session=session.session)
    if points.of_every_session and len(sessions_of(session.root, session.participant)) > 1:
        return check_common_points(points, scan, options.points)
    return points


def sessions_of(bids: Path, participant: str = "*") -> list[tuple[str, str | None]]:
    """Return participant and session of each folder of a data set, also of those without a scan that is read.

    Parameters
    ----------
    bids : Path
        Data set.
    participant : str, optional
        Label of the one whose folder is looked at; all by default.

    Returns
    -------
    list of (str, str or None)
        Labels without `sub-` and `ses-`.

    Examples
    --------
    >>> sessions_of(Path("nowhere"))
    []
    """
    labels: list[tuple[str, str | None]] = []
    for subject in sorted(p for p in bids.glob(f"sub-{participant}") if p.is_dir()):
        label = subject.name.removeprefix("sub-")
        sessions = sorted(p.name.removeprefix("ses-") for p in subject.glob("ses-*") if p.is_dir())
        labels += [(label, session) for session in sessions] or [(label, None)]
    return labels
