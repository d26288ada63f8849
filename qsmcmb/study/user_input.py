"""Points, label images and masks that a user gives for the scans of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.io.entities import agreement
from qsmcmb.io.place import Place
from qsmcmb.io.points import Points
from qsmcmb.microbleeds.detection.point_frame import lie_in_head
from qsmcmb.model import GreScan

__all__ = [
    "check_common_points",
    "check_labels_apply",
    "check_reference_applies",
    "find_labels",
    "find_mask",
    "find_reference",
]

MAX_NAMED = 3
"""Scans that a message names: more are counted."""


def check_common_points(points: Points, scan: GreScan, path: Path) -> Points:
    """Return points that name no session with a note, where the participant has several sessions.

    Parameters
    ----------
    points : Points
        Points of the scan.
    scan : GreScan
        The scan.
    path : Path
        Their list.

    Returns
    -------
    Points
        The same, with the note.

    Raises
    ------
    InvalidInputError
        POINTS where none of them lies in this session's head.

    Examples
    --------
    >>> import numpy as np
    >>> from qsmcmb.model import Grid
    >>> ones = np.ones((1, 20, 20, 20), np.float32)
    >>> scan = GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=Grid.isotropic((20, 20, 20), 1.0))
    >>> points = Points(np.zeros((1, 3)), (None,), of_every_session=True)
    >>> check_common_points(points, scan, Path("a.tsv")).notes[-1].partition(":")[0]
    'a.tsv'
    """
    if not lie_in_head(scan, points.points_mm).any():
        raise InvalidInputError(
            "POINTS", path, field="session_id", found=f"nothing, and no point lies in the head of {scan.name}",
            expected="the session of each point",
            fix="add the column session_id: each session has positions of its own",
        )  # fmt: skip
    note = (
        f"{path.name}: points without session_id are measured in every session, at the same mm; where the head has "
        "moved, add the column session_id"
    )
    return points._replace(notes=(*points.notes, note))


def check_labels_apply(labels: Path, scans: Sequence[SessionFiles]) -> None:
    """Raise for one label image where the run has several scans: the lesions of one lie elsewhere in another.

    Parameters
    ----------
    labels : Path
        Label image, or a derivatives folder with one of each scan.
    scans : sequence of SessionFiles
        Scans of the run.

    Raises
    ------
    InvalidInputError
        LABELS, with the scans.

    Examples
    --------
    >>> check_labels_apply(Path("labels.nii.gz"), [SessionFiles(Path("bids"), "01", None, ())])
    """
    _check_one_scan(
        "LABELS", labels, scans, option="--labels", ending="dseg", expected="whose lesions the image shows"
    )


def check_reference_applies(reference: Path, scans: Sequence[SessionFiles]) -> None:
    """Raise for one reference mask where the run has several scans: the region of one lies elsewhere in another.

    Parameters
    ----------
    reference : Path
        Mask, or a derivatives folder with one of each scan.
    scans : sequence of SessionFiles
        Scans of the run.

    Raises
    ------
    InvalidInputError
        REFERENCE, with the scans.

    Examples
    --------
    >>> check_reference_applies(Path("csf.nii.gz"), [SessionFiles(Path("bids"), "01", None, ())])
    """
    _check_one_scan(
        "REFERENCE", reference, scans, option="--reference", ending="desc-reference_mask",
        expected="on which the mask was drawn",
    )  # fmt: skip


def _check_one_scan(
    code: str, image: Path, scans: Sequence[SessionFiles], *, option: str, ending: str, expected: str
) -> None:
    """Raise for one image where the run has several scans."""
    if image.is_dir() or len(scans) == 1:
        return
    name = _whole(Path(), scans[0]).folder / f"{scans[0].prefix}_{ending}.nii.gz"
    more = f" and {len(scans) - MAX_NAMED} more" if len(scans) > MAX_NAMED else ""
    raise InvalidInputError(
        code, image, field="scans of the run", found=", ".join(s.name for s in scans[:MAX_NAMED]) + more,
        expected=f"the one scan {expected}",
        fix=f"choose it by --participant-label, --session-label or --bids-filter-file; for several scans give {option} "
        f"a folder with an image of each, such as {name.as_posix()}",
    )  # fmt: skip


def find_labels(labels: Path, scan: SessionFiles) -> Path:
    """Return the label image of a scan: the image itself, or the one of a derivatives folder.

    Parameters
    ----------
    labels : Path
        Label image, or a derivatives folder.
    scan : SessionFiles
        The scan.

    Returns
    -------
    Path
        An image `*_dseg.nii.gz` where `labels` is a folder: that of the description cmb where there are several.

    Raises
    ------
    InvalidInputError
        LABELS where a folder has none or more than one.

    Examples
    --------
    >>> find_labels(Path("labels.nii.gz"), SessionFiles(Path("bids"), "01", None, ())).name
    'labels.nii.gz'
    """
    return _find_image(labels, scan, suffix="dseg", description="cmb") if labels.is_dir() else labels


def find_mask(root: Path, scan: SessionFiles) -> Path:
    """Return the one mask of a scan in a derivatives folder.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    scan : SessionFiles
        The scan.

    Returns
    -------
    Path
        An image `*_mask.nii.gz`: that of the description brain where there are several.

    Raises
    ------
    InvalidInputError
        MASK where there is none or more than one.

    Examples
    --------
    >>> find_mask(Path("derivatives/masks"), scan)  # doctest: +SKIP
    """
    return _find_image(root, scan, suffix="mask", description="brain")


def find_reference(reference: Path, scan: SessionFiles) -> Path:
    """Return the reference mask of a scan: the mask itself, or the one of a derivatives folder.

    Parameters
    ----------
    reference : Path
        Mask, or a derivatives folder.
    scan : SessionFiles
        The scan.

    Returns
    -------
    Path
        An image `*_mask.nii.gz` where `reference` is a folder: that of the description reference where there are
        several.

    Raises
    ------
    InvalidInputError
        MASK where a folder has none or more than one.

    Examples
    --------
    >>> find_reference(Path("csf.nii.gz"), SessionFiles(Path("bids"), "01", None, ())).name
    'csf.nii.gz'
    """
    if not reference.is_dir():
        return reference
    return _find_image(reference, scan, suffix="mask", description="reference")


def _find_image(root: Path, scan: SessionFiles, *, suffix: str, description: str) -> Path:
    """Return the image of a scan whose name has the suffix; that of the description where there are several."""
    whole = _whole(root, scan)
    there = sorted(whole.folder.glob(f"{whole.prefix}_*{suffix}.nii*"))
    fitting = {p: agreement(p.name, scan.entities) for p in there}
    best = max((n for n in fitting.values() if n is not None), default=None)
    found = [p for p, n in fitting.items() if n is not None and n == best]
    chosen = [p for p in found if f"_desc-{description}_" in p.name] or found
    if len(chosen) == 1:
        return chosen[0]
    name = f"{scan.prefix}_{suffix}.nii.gz"
    code = "MASK" if suffix == "mask" else "LABELS"
    raise InvalidInputError(
        code, whole.folder, field=f"files *_{suffix}.nii.gz",
        found=", ".join(p.name for p in chosen or there) or "none",
        expected=f"one {name} (or one {scan.prefix}_desc-{description}_{suffix}.nii.gz)",
        fix=f"name the image {name}" if not there else "remove the others, or give them a folder of their own",
    )  # fmt: skip


def _whole(root: Path, scan: SessionFiles) -> Place:
    """Return the folder of a scan's session in a derivatives folder, and the prefix of its files."""
    return Place.of_session(root, scan.participant, scan.session)
