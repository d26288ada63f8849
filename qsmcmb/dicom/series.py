"""A series of single-frame MR images: the form that every viewer and archive takes."""

from __future__ import annotations

import io
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.dicom.slices import SliceOrder
from qsmcmb.dicom.source import COPIED, Source
from qsmcmb.io.atomic import atomic_write
from qsmcmb.typing import AnyArray

__all__: tuple[str, ...] = ()

STEPS = 30_000
"""Steps of stored values on either side of 0: what 16 bits hold, and some."""


@dataclass(frozen=True)
class Series:
    """The slices of a series, stored values (slice, row, column), and what they share."""

    stored: AnyArray = field(repr=False)
    order: SliceOrder
    description: str
    number: int
    types: tuple[str, ...]
    shared: Mapping[str, Any]
    comments: Sequence[str] = ()


class Filing(NamedTuple):
    """Study and identity of a scan's series: its name and checksum make the identifiers, its source gives the study."""

    name: str
    digest: str
    source: Source | None


def identifier(*words: object) -> str:
    """Return a DICOM identifier that the same words give again."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '|'.join(str(w) for w in words)).int}"


def round_step(largest: float) -> float:
    """Return the smallest step 1, 2 or 5 times a power of ten with which `largest` is within `STEPS` steps."""
    least = max(largest, 1e-12) / STEPS
    power = 10.0 ** math.floor(math.log10(least))
    return next(round(m * power, 15) for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-12))


def write_series(series: Series, folder: Path, study: Filing) -> None:
    """Write one file per slice."""
    folder.mkdir(parents=True)
    for k in range(len(series.stored)):
        dataset = _slice(series, k, study)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        atomic_write(folder / f"IM{k + 1:04d}.dcm", stream.getvalue())


def _slice(series: Series, k: int, study: Filing) -> Any:
    """Return one slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    for keyword, value in {**_own_study(study), **_copied(study.source), **_series(series, study)}.items():
        setattr(ds, keyword, value)
    if series.comments:
        ds.ImageComments = series.comments[k] or None
    ds.SOPInstanceUID = identifier(ds.SeriesInstanceUID, k)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.InstanceNumber = k + 1
    position = series.order.position_mm(k)
    ds.ImagePositionPatient = _decimals(position)
    normal = np.cross(series.order.orientation[:3], series.order.orientation[3:])
    ds.SliceLocation = _decimals([normal @ position])[0]
    stored = series.stored[k]
    ds.Rows, ds.Columns = stored.shape
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if stored.dtype.kind == "i" else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    return ds


def _decimals(values: Any) -> list[str]:
    """Return numbers as decimal strings of DICOM, at most 16 characters."""
    return [f"{v + 0.0:.9g}"[:16] for v in np.asarray(values, dtype=float).ravel()]


def _own_study(study: Filing) -> dict[str, Any]:
    """Return patient and study of results without a source: the labels, and identifiers of their own."""
    label = study.name.split("_")[0]
    return {
        "PatientName": label, "PatientID": label, "PatientBirthDate": "", "PatientSex": "", "StudyDate": "",
        "StudyTime": "", "StudyID": "", "AccessionNumber": "", "ReferringPhysicianName": "",
        "StudyInstanceUID": identifier("study", study.name, study.digest),
        "FrameOfReferenceUID": identifier("frame", study.name, study.digest),
        "PositionReferenceIndicator": "", "PatientPosition": "",
    }  # fmt: skip


def _copied(source: Source | None) -> dict[str, Any]:
    """Return what is copied from the source."""
    if source is None:
        return {}
    return {keyword: source.header[keyword].value for keyword in COPIED if keyword in source.header}


def _series(series: Series, study: Filing) -> dict[str, Any]:
    """Return what the slices of a series share."""
    from qsmcmb.version import version

    slices_mm, rows_mm, columns_mm = series.order.voxel_size_mm
    return {
        "Modality": "MR", "Manufacturer": "qsmcmb", "ManufacturerModelName": "qsmcmb", "SoftwareVersions": version(),
        "SeriesInstanceUID": identifier("series", series.description, series.number, study.digest, version()),
        "SeriesNumber": series.number, "SeriesDescription": series.description, "ProtocolName": series.description,
        "ImageType": ["DERIVED", "SECONDARY", *series.types], "AcquisitionNumber": 1, "ContentDate": "",
        "ContentTime": "", "ScanningSequence": "GR", "SequenceVariant": "NONE", "ScanOptions": "",
        "MRAcquisitionType": "3D", "EchoTime": "", "EchoTrainLength": "", "RepetitionTime": "",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BurnedInAnnotation": "NO",
        "PixelSpacing": _decimals([rows_mm, columns_mm]), "SliceThickness": _decimals([slices_mm])[0],
        "SpacingBetweenSlices": _decimals([slices_mm])[0],
        "ImageOrientationPatient": _decimals(series.order.orientation), **series.shared,
    }  # fmt: skip
