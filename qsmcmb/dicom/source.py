"""The study that results belong to: the series of a DICOM folder that has the map's voxels."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.dicom.dates import date_time_of, is_shifted
from qsmcmb.dicom.headers import read_dataset, read_folder
from qsmcmb.dicom.images import DicomImage, sort_into_images
from qsmcmb.errors import InvalidInputError
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


def source_of(
    images: list[DicomImage], grid: Grid, where: Path, *, acquired: str | None, alone: bool
) -> Source:
    """Return the series that has the voxels of a grid, and was acquired when the scan was.

    Visits of one protocol share voxels, so that the time must tell them apart. Imported dates may be shifted by whole
    days: the time of day decides. `alone` says that the results hold no other visit of the participant.

    Raises
    ------
    InvalidInputError
        SOURCE: none has them, or those of several patients or studies have, or nothing tells the visit.
    """
    matching = [i for i in images if _same_grid(i, grid)]
    expected = "the DICOM files that the map was made from"
    fix = "name the folder of this visit's study, and choose the scan with --participant-label and --session-label"
    found = "no series has its voxels"
    if acquired:
        found += f" and its time, {acquired} (of a shifted date the time of day)"
        time = datetime.fromisoformat(acquired)
        of_time = {i.values.get("StudyInstanceUID") for i in images if _same_time(i, time)}
        matching = [i for i in matching if i.values.get("StudyInstanceUID") in of_time]
    studies = {(str(i.values.get("PatientID")), str(i.values.get("StudyInstanceUID"))) for i in matching}
    if len(studies) > 1:
        found = f"series of {len(studies)} studies have its voxels"
    elif studies and not acquired and not alone:
        found = "the results hold several visits, and no time says which this study is"
        expected, fix = "one visit, or results with times", "choose it with --session-label"
        studies = set()
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


def _same_time(image: DicomImage, acquired: datetime) -> bool:
    """Say whether a series was acquired at a time; where its day is shifted, at that time of day."""
    stated = date_time_of(image.values)
    if not stated:
        return False
    apart = datetime.fromisoformat(stated) - acquired.replace(tzinfo=None)
    if is_shifted(acquired):
        apart = (apart + SAME_TIME) % timedelta(days=1) - SAME_TIME
    return abs(apart) <= SAME_TIME
