"""One scan of a study from files to files."""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qsmcmb.anatomy.segmentation import Segmentation, read_segmentation
from qsmcmb.errors import EXIT_BUG, EXIT_MEMORY, InvalidInputError, QsmcmbError
from qsmcmb.io.atomic import write_failure
from qsmcmb.io.bids import acquisition_times, faulty_times
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.dataset_description import raw_sources
from qsmcmb.io.echoes import sidecar_of
from qsmcmb.io.labels import read_lesion_labels
from qsmcmb.io.mask_values import Membership
from qsmcmb.io.masks import read_mask
from qsmcmb.io.points import Points, read_points
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.load import load_scan, with_user_input
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.regions import with_segmentation
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study.failures import describe_bug
from qsmcmb.study.intermediates import IntermediateFiles
from qsmcmb.study.manifest import Manifest, checksums, manifest_path
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.scan_plan import ScanJob, enter_verdicts, place_of_scan, segmentation_file, sessions_of
from qsmcmb.study.superseded import result_files
from qsmcmb.study.user_input import check_common_points, find_labels, find_mask, find_reference
from qsmcmb.typing import Report

__all__ = ["run_job", "segmentation_of"]

SCANNER_FIELDS = (
    "Manufacturer", "ManufacturersModelName", "DeviceSerialNumber", "SoftwareVersions", "ProtocolName",
    "RepetitionTime", "FlipAngle", "ReceiveCoilName",
)  # fmt: skip
"""Fields of the sidecar that the burden record keeps: change between sessions that differ in them says so."""


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
    segmentation = segmentation_of(session, options, scan.grid)
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
    no_times = faulty_times(session.root, session.participant, session.session)
    warnings = (*result.warnings, *enter_verdicts(job, place), *no_times)
    if not job.hold:
        intermediates.remove()
    return Outcome(
        name=session.name, participant=session.participant, warnings=warnings, seconds=dict(result.seconds),
        recalled=tuple(intermediates.recalled), peak_bytes=_peak_bytes(),
    )  # fmt: skip


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


def segmentation_of(session: SessionFiles, options: StudyOptions, grid: Grid) -> Segmentation | None:
    """Return the user's segmentation of a scan's head.

    Parameters
    ----------
    session : SessionFiles
        Images of the scan.
    options : StudyOptions
        Options of the run.
    grid : Grid
        Grid of the scan.

    Returns
    -------
    Segmentation or None
        None where the run has none.

    Raises
    ------
    InvalidInputError
        Every gate of `read_segmentation`.

    Examples
    --------
    >>> segmentation_of(session, StudyOptions(), grid)  # doctest: +SKIP
    """
    if options.segmentation_root is None:
        return None
    return read_segmentation(segmentation_file(session, options.segmentation_root), grid)


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
