"""DICOM files made by pydicom: the headers that Siemens, Philips and GE write, with small volumes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

ROOT = "1.2.826.0.1.3680043.8.498."
"""Beginning of the identifiers made here: the one that pydicom gives to its users."""
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Image orientation of a transverse slice: columns to the left, rows to the back."""


def base_dataset(**values: Any) -> Any:
    """Return one magnitude slice of a 3 T GRE, with what is given in place of it."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.SOPClassUID = MRImageStorage
    standard: dict[str, Any] = {
        "Modality": "MR", "Manufacturer": "SIEMENS", "PatientName": "Doe^Jane", "PatientID": "H123456",
        "PatientBirthDate": "19500102", "StudyDate": "20260105", "StudyTime": "101500", "AcquisitionDate": "20260105",
        "StudyInstanceUID": ROOT + "1", "SeriesInstanceUID": ROOT + "2", "FrameOfReferenceUID": ROOT + "3",
        "SeriesNumber": 2, "AcquisitionNumber": 1, "AcquisitionTime": "101600.000000", "ProtocolName": "gre_qsm",
        "SeriesDescription": "gre_qsm", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "ScanningSequence": "GR",
        "SequenceVariant": "SP", "ScanOptions": "", "MRAcquisitionType": "3D", "SequenceName": "*fl3d2",
        "RepetitionTime": 30.0, "EchoTime": 5.0, "EchoNumbers": 1, "MagneticFieldStrength": 3.0,
        "ImagingFrequency": 123.25, "FlipAngle": 15.0, "SliceThickness": 2.0, "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [1.5, 1.5], "PatientPosition": "HFS",
    }  # fmt: skip
    for name, value in {**standard, **values}.items():
        if value is not None:
            setattr(ds, name, value)
    return ds


def write_volume(
    folder: Path, stored: FloatArray, *, name: str = "im", first_instance: int = 1, one_instance: bool = False,
    private: dict[tuple[int, int, str], tuple[int, str, Any]] | None = None, **values: Any,
) -> list[Path]:  # fmt: skip
    """Write a volume of stored values (slices, rows, columns) as one file per slice, from foot to head.

    `private` is (group, offset, creator): (0, VR, value).
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, slice_ in enumerate(stored):
        ds = base_dataset(**values)
        ds.InstanceNumber = 1 if one_instance else first_instance + k
        ds.ImagePositionPatient = slice_position(k, ds.ImageOrientationPatient).tolist()
        te, number, kind = ds.EchoTime, int(ds.SeriesNumber), "".join(ds.ImageType)
        ds.SOPInstanceUID = f"{ROOT}9.{number}.{int(te * 1000)}.{zlib.crc32(f'{kind} {name} {k}'.encode())}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        for (group, offset, creator), (_, vr, value) in (private or {}).items():
            ds.private_block(group, creator, create=True).add_new(offset, vr, value)
        add_pixels(ds, slice_)
        path = folder / f"{name}_{k:03d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def slice_position(k: int, orientation: Sequence[float] = AXIAL) -> FloatArray:
    """Return the position of the first voxel of slice `k`, LPS mm: slices are 2 mm apart along their normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array([-30.0, -40.0, -20.0]) + 2.0 * k * normal


def add_pixels(ds: Any, stored: FloatArray) -> None:
    """Give a data set its pixels: 16 bits, signed where there are negative values."""
    values = np.asarray(stored)
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    signed = int(values.min()) < 0
    ds.BitsAllocated, ds.PixelRepresentation = 16, int(signed)
    ds.BitsStored = 16 if signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = values.astype("<i2" if signed else "<u2").tobytes()


def write_enhanced(
    path: Path, volumes: dict[tuple[str, float], FloatArray], *, packed: bool = False, **values: Any
) -> None:
    """Write volumes (part, TE in ms) -> stored (slices, rows, columns) as one enhanced file, slices interleaved.

    `packed` compresses the pixels, run-length encoded.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import EnhancedMRImageStorage, RLELossless

    ds = base_dataset(
        ImageType=["ORIGINAL", "PRIMARY", "T1", "MIXED"], EchoTime=None, EchoNumbers=None, **values
    )
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}7.{zlib.crc32(path.name.encode())}"
    ds.ComplexImageComponent, ds.InstanceNumber = "MIXED", 1
    ds.EchoPulseSequence = "GRADIENT"
    for name in ("ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[name]
    first = next(iter(volumes.values()))
    frames, groups = [], []
    for k in range(first.shape[0]):
        for (part, te_ms), stored in volumes.items():
            frames.append(stored[k])
            groups.append(
                _functional_group(part, te_ms, k, [1.0, 0.0] if part == "MAGNITUDE" else [2.0, -4096.0])
            )
    ds.SharedFunctionalGroupsSequence = [Dataset()]
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.NumberOfFrames = len(frames)
    add_pixels(ds, np.array(frames))
    if packed:
        ds.compress(RLELossless, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def _functional_group(part: str, te_ms: float, k: int, scale: list[float]) -> Any:
    """Return the functional group of one frame."""
    from pydicom.dataset import Dataset

    def item(**values: Any) -> list[Any]:
        ds = Dataset()
        for name, value in values.items():
            setattr(ds, name, value)
        return [ds]

    group = Dataset()
    group.MREchoSequence = item(EffectiveEchoTime=te_ms)
    group.MRImageFrameTypeSequence = item(
        FrameType=["ORIGINAL", "PRIMARY", "T1", part[0]], ComplexImageComponent=part
    )
    group.FrameContentSequence = item(
        FrameAcquisitionDateTime="20260105101600.00", InStackPositionNumber=k + 1
    )
    group.PlanePositionSequence = item(ImagePositionPatient=slice_position(k).tolist())
    group.PlaneOrientationSequence = item(ImageOrientationPatient=list(AXIAL))
    group.PixelMeasuresSequence = item(PixelSpacing=[1.5, 1.5], SliceThickness=2.0, SpacingBetweenSlices=2.0)
    group.PixelValueTransformationSequence = item(
        RescaleSlope=scale[0], RescaleIntercept=scale[1], RescaleType="US"
    )
    return group
