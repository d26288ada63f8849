"""Headers of DICOM files, one record per frame; classic and enhanced files alike."""

from __future__ import annotations

import gzip
import io
import math
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.reading import open_regular

__all__: tuple[str, ...] = ()

MAX_FILE_BYTES = 2**31
"""Largest DICOM file that is read, bytes: a packed file that grows beyond it is refused."""
MAX_FILES = 200_000
"""Largest number of files in a folder that is read: some ten thousand times what one scan needs is a wrong folder."""
NEEDED = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID",
    "PatientName", "PatientBirthDate", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "Modality",
    "SeriesNumber", "InstanceNumber", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime",
    "AcquisitionDateTime", "FrameAcquisitionDateTime", "StudyDate", "StudyTime", "TemporalPositionIdentifier",
    "TemporalPositionIndex", "ProtocolName", "SeriesDescription", "SequenceName", "PulseSequenceName",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "EchoPulseSequence", "EchoPlanarPulseSequence",
    "MRAcquisitionType", "ImageType", "FrameType", "ComplexImageComponent", "EchoTime", "EffectiveEchoTime",
    "RepetitionTime", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency", "TransmitterFrequency",
    "PixelBandwidth", "SliceThickness", "SpacingBetweenSlices", "ReceiveCoilName", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "BitsStored", "PixelRepresentation",
    "RescaleSlope", "RescaleIntercept", "RescaleType",
)  # fmt: skip
"""Attributes that are read of each frame."""
LENGTHS = {
    "ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2,
    **dict.fromkeys((
        "SeriesNumber", "InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex",
        "EchoTime", "EffectiveEchoTime", "RepetitionTime", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency",
        "TransmitterFrequency", "Rows", "Columns", "BitsStored", "RescaleSlope", "RescaleIntercept", "SliceThickness",
        "SpacingBetweenSlices", "PhilipsScaleSlope",
    ), 1),
}  # fmt: skip
"""Attributes that are computed with -> how many numbers each has; what is none of that counts as missing."""
POSITIVE = {"PixelSpacing", "Rows", "Columns", "BitsStored"}
"""Attributes whose numbers are above 0."""
PRIVATE = {
    "GeRawDataType": (0x0043, "GEMS_PARM_01", 0x2F),
    "SiemensCoil": (0x0051, "SIEMENS MR HEADER", 0x0F),
    "SiemensCoilXa": (0x0021, "SIEMENS MR SDI 02", 0x4F),
    "SiemensImageType": (0x0021, "SIEMENS MR SDI 02", 0x75),
    "PhilipsScaleSlope": (0x2005, "Philips MR Imaging DD 001", 0x0E),
}
"""Name of a vendor's attribute here -> group, creator and offset."""


@dataclass(frozen=True)
class Frame:
    """One frame: its file, its place in it, and the values of its header."""

    path: Path
    index: int
    n_frames: int
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Found:
    """All frames of a folder, and how many files were left out, by reason."""

    frames: tuple[Frame, ...]
    left_out: Mapping[str, int]


def read_folder(folder: Path) -> Found:
    """Read the headers of all DICOM images under a folder.

    Raises
    ------
    InvalidInputError
        DICOM for a folder that is none, PATH for links and devices in it, EMPTY.
    NothingMatchedError
        NO-DICOM: no file is a DICOM image.
    """
    frames: list[Frame] = []
    left_out: dict[str, int] = {}
    seen: set[str] = set()
    for path in list_files(folder):
        reason, found = _read_file(path)
        if found and str(found[0].values.get("SOPInstanceUID")) in seen:
            reason, found = "copy of another file", []
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        seen.update(str(frame.values.get("SOPInstanceUID")) for frame in found[:1])
        frames += found
    if not frames:
        counts = ", ".join(f"{n} x {reason}" for reason, n in left_out.items()) or "no files"
        raise NothingMatchedError(
            "NO-DICOM", folder, field="files", found=counts, expected="DICOM images of an MR scan",
            fix="name the folder that holds the scanner's DICOM files",
        )  # fmt: skip
    return Found(tuple(frames), left_out)


def list_files(folder: Path) -> list[Path]:
    """Return the regular files under a folder, sorted; links and devices are refused."""
    if not folder.is_dir():
        raise InvalidInputError(
            "DICOM", folder, field="folder", found="nothing" if not folder.exists() else "a file",
            expected="a folder of DICOM files", fix="check the path",
        )  # fmt: skip
    files = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "a device or pipe"
            raise InvalidInputError(
                "PATH", path, field="file", found=kind, expected="regular files and folders alone",
                fix=f"copy the files themselves: cp -rL {folder} NEW_FOLDER",
            )  # fmt: skip
        files.append(path)
        if len(files) > MAX_FILES:
            raise InvalidInputError(
                "DICOM", folder, field="files", found=f"more than {MAX_FILES}", expected="the scans of a session",
                fix="name the folder of one study",
            )  # fmt: skip
    return files


def read_bytes(path: Path) -> bytes:
    """Return the content of a DICOM file, unpacked where it is gzipped, up to `MAX_FILE_BYTES`."""
    with open_regular(path) as packed:
        stream = gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed
        content: bytes = stream.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInputError(
            "DICOM", path, field="size", found=f"more than {MAX_FILE_BYTES} bytes", expected="one DICOM file",
            fix="leave the file out",
        )  # fmt: skip
    return content


def read_dataset(path: Path, *, pixels: bool) -> Any:
    """Return a file as pydicom reads it; None where it is no DICOM file."""
    import pydicom

    try:
        source: Any = io.BytesIO(read_bytes(path)) if path.suffix == ".gz" else path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(source, stop_before_pixels=not pixels)
    except InvalidInputError:
        raise
    except Exception:
        # Damage shows as errors of any kind in pydicom: such a file is none that can be read.
        return None


def _read_file(path: Path) -> tuple[str, list[Frame]]:
    """Return why a file is left out (empty where it is not) and its frames."""
    dataset = read_dataset(path, pixels=False)
    if dataset is None:
        return "not DICOM", []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if "Rows" not in dataset or str(dataset.get("Modality", "MR")) != "MR":
                return "not an MR image", []
            every = list(_frame_values(dataset))
        except Exception:
            # A header that pydicom cannot decode is one file less, not the end of the folder.
            return "damaged header", []
    return "", [Frame(path, index, len(every), values) for index, values in enumerate(every)]


def _frame_values(dataset: Any) -> Iterator[dict[str, Any]]:
    """Yield the values of each frame: its own group, then the shared one, then the file's."""
    common = _values_of(dataset)
    for item in dataset.get("SharedFunctionalGroupsSequence", []) or []:
        common |= _nested(item)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        yield common
        return
    for item in groups:
        # A vendor's copy of the classic header names the file that it would have been.
        yield common | _nested(item) | {"SOPInstanceUID": common.get("SOPInstanceUID")}


def _nested(item: Any) -> dict[str, Any]:
    """Return the values in the sequences of a functional group; public ones go before a vendor's copy."""
    found: dict[str, Any] = _values_of(item)
    public = [e for e in item if e.VR == "SQ" and not e.tag.is_private and e.value]
    vendor = [e for e in item if e.VR == "SQ" and e.tag.is_private and e.value]
    for element in (*public, *vendor):
        found = {**_values_of(element.value[0]), **found}
    return found


def _values_of(dataset: Any) -> dict[str, Any]:
    """Return the needed values of one data set, as plain numbers, texts and tuples."""
    values = {name: _plain(dataset[name].value) for name in NEEDED if name in dataset}
    for name, (group, creator, offset) in PRIVATE.items():
        try:
            values[name] = _plain(dataset.private_block(group, creator)[offset].value)
        except KeyError:
            continue
    return {
        name: value
        for name, value in values.items()
        if value not in (None, "", ()) and _is_sound(name, value)
    }


def _is_sound(name: str, value: Any) -> bool:
    """Say whether a value that is computed with is finite numbers, as many as it has to be."""
    length = LENGTHS.get(name)
    if length is None:
        return True
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) != length or not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
        return False
    if name == "ImageOrientationPatient":
        columns, rows = np.reshape(numbers, (2, 3))
        return bool(np.allclose([columns @ columns, rows @ rows, columns @ rows], [1, 1, 0], atol=0.01))
    return min(numbers) > 0 if name in POSITIVE else True


def _plain(value: Any) -> Any:
    """Return a value of pydicom without its class."""
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue | list | tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, bool | int | bytes | None):
        return value if not isinstance(value, int) else int(value)
    if isinstance(value, float) or type(value).__name__ in ("DSfloat", "DSdecimal"):
        return float(value)
    return str(value).strip()
