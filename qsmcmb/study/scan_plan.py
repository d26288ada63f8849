"""The plan of a scan: its job, its place, and the keys of its steps.

Nothing that computes is imported here: a rerun that finds every scan current takes no time to load it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmcmb.errors import QsmcmbError
from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.echoes import sidecar_of
from qsmcmb.io.place import Place
from qsmcmb.io.points import read_points
from qsmcmb.io.results import SessionResults
from qsmcmb.study.manifest import checksum
from qsmcmb.study.options import StudyOptions
from qsmcmb.study.review_decisions import read_review
from qsmcmb.study.segmentations import find_segmentation
from qsmcmb.study.source import digest_of
from qsmcmb.study.steps import StepKey, scan_keys
from qsmcmb.study.user_input import find_labels, find_mask, find_reference

__all__ = ["ScanJob", "enter_verdicts", "keys_of_scan", "place_of_scan", "segmentation_file", "sessions_of"]


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
        inputs["anatomy"] = _file(segmentation_file(session, options.segmentation_root))
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
    session = job.session
    scan = SessionResults(place, session.participant, session.session or "", session.entities)
    try:
        if read_review(place) is None:
            return ()
        from qsmcmb.study.reviewed_results import reapply

        return tuple(reapply(job.out, scan))
    except (QsmcmbError, OSError) as error:
        return (f"readers' verdicts are not applied: {error}",)


def segmentation_file(session: SessionFiles, root: Path) -> Path:
    """Return the file of a scan's segmentation.

    Parameters
    ----------
    session : SessionFiles
        The scan.
    root : Path
        Folder of the segmentations.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInputError
        There is none, or more than one.

    Examples
    --------
    >>> segmentation_file(session, Path("segmentations"))  # doctest: +SKIP
    """
    return find_segmentation(root, session.participant, session.session, session.entities)


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
