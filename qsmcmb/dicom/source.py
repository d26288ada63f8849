"""The study that results belong to: the series of a DICOM folder that has the map's voxels."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.dicom.dates import date_time_of
from qsmcmb.dicom.headers import read_dataset, read_folder
from qsmcmb.dicom.images import DicomImage, sort_into_images
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import is_shifted
from qsmcmb.model import Grid

__all__: tuple[str, ...] = ()

SAME_CORNERS_MM = 0.1
"""Largest distance of the outermost voxels of the map and of a series that are one grid, mm."""
SAME_TIME = timedelta(seconds=2)
"""Largest difference of a scan's time in header and table: some converters round."""
COPIED = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
    "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "PatientPosition", "BodyPartExamined",
)  # fmt: skip
"""Attributes of patient, study and frame that a viewer files and aligns series by."""


class Source(NamedTuple):
    """Header of the series that a map was made from, and the orientation of its slices."""

    header: Any
    orientation: np.ndarray


def read_source_images(folder: Path) -> list[DicomImage]:
    """Return the volumes of a DICOM folder that have a position."""
    images = sort_into_images(read_folder(folder).frames)
    needed = {"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"}
    return [i for i in images if not i.reason and needed <= set(i.values)]


class Visit(NamedTuple):
    """When a scan was acquired by its results, and the participant's other visits: ISO 8601, empty where unknown."""

    acquired: str
    others: tuple[str, ...]
    is_chosen: bool
    """Whether the user chose this visit alone."""


def source_of(images: list[DicomImage], grid: Grid, where: Path, visit: Visit) -> Source:
    """Return the series that has the voxels of a grid, and was acquired when the scan was.

    Visits of one protocol share voxels, so that the time must tell them apart. Imported dates may be shifted by whole
    days, the same for all visits of a participant: the time of day decides, then the intervals.

    Raises
    ------
    InvalidInputError
        SOURCE: none has them, or those of several patients or studies have, or nothing tells the visit.
    """
    matching = [i for i in images if _same_grid(i, grid)]
    found, expected = "no series has its voxels", "the DICOM files that the map was made from"
    fix = "name the folder of this visit's study, and choose the scan with --participant-label and --session-label"
    is_proven = visit.is_chosen
    if visit.acquired:
        found += f" and its time, {visit.acquired} (of a shifted date the time of day)"
        of_time, is_proven = _studies_of(images, visit)
        matching = [i for i in matching if i.values.get("StudyInstanceUID") in of_time]
    studies = {(str(i.values.get("PatientID")), str(i.values.get("StudyInstanceUID"))) for i in matching}
    if len(studies) > 1:
        dates = sorted({date_time_of(i.values) for i in matching})
        found = f"series of {len(studies)} studies have its voxels: {', '.join(dates)}"
    elif studies and not is_proven:
        found = "the results hold several visits, and their times do not say which this study is"
        expected, studies = "one visit, or times that tell visits apart", set()
        fix = (
            "name a folder that holds all visits"
            if visit.acquired
            else "choose the visit with --session-label"
        )
    if len(studies) != 1:
        raise InvalidInputError("SOURCE", where, field="--source", found=found, expected=expected, fix=fix)
    first = matching[0]
    header = read_dataset(first.frames[0].path, pixels=False)
    return Source(header, np.array(first.values["ImageOrientationPatient"]))


def _same_grid(image: DicomImage, grid: Grid) -> bool:
    """Say whether the outermost voxels of a series are those of a grid."""
    if sorted(image.shape) != sorted(grid.shape):
        return False
    bits = np.array(list(np.ndindex(2, 2, 2)))
    affine = np.asarray(grid.affine)
    corners = (bits * (np.array(grid.shape) - 1)) @ affine[:3, :3].T + affine[:3, 3]
    distance = np.linalg.norm(corners[:, None] - image.corners_mm()[None], axis=-1).min(axis=1).max()
    return bool(distance < SAME_CORNERS_MM)


def _studies_of(images: list[DicomImage], visit: Visit) -> tuple[set[str], bool]:
    """Return the studies that were acquired when a scan was, and whether no other visit can be meant.

    Of the shifts by whole days that bring the scan to a study, the right one brings most other visits to theirs.
    """
    stated = [(str(i.values.get("StudyInstanceUID")), date_time_of(i.values)) for i in images]
    times = {(study, datetime.fromisoformat(time)) for study, time in stated if time}
    acquired, *others = (
        datetime.fromisoformat(t).replace(tzinfo=None) for t in (visit.acquired, *visit.others) if t
    )
    if not is_shifted(acquired):
        return {study for study, time in times if abs(time - acquired) <= SAME_TIME}, True
    agreeing: dict[str, int] = {}
    for study, time in times:
        shift = _whole_days(time - acquired)
        if shift is not None:
            hits = sum(any(abs(t - other - shift) <= SAME_TIME for _, t in times) for other in others)
            agreeing[study] = max(hits, agreeing.get(study, 0))
    most = max(agreeing.values(), default=0)
    alike = sum(_whole_days(other - acquired) is not None for other in others)
    return {study for study, hits in agreeing.items() if hits == most}, most >= alike


def _whole_days(interval: timedelta) -> timedelta | None:
    """Return an interval as whole days; None where it is not of whole days."""
    days = timedelta(days=round(interval / timedelta(days=1)))
    return days if abs(interval - days) <= SAME_TIME else None
