"""Sidecars of imported images: the physics of the scan, and nothing that tells who lay in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qsmcmb.dicom.images import DicomImage
from qsmcmb.dicom.labels import is_personal
from qsmcmb.dicom.phase_range import TWO_PI, PhaseRange

__all__: tuple[str, ...] = ()

COPIED_KEYS = (
    "Modality", "Manufacturer", "ManufacturersModelName", "SoftwareVersions", "MagneticFieldStrength",
    "ImagingFrequency", "BodyPart", "PatientPosition", "MRAcquisitionType", "SeriesDescription", "ProtocolName",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName", "PulseSequenceName", "PulseSequenceType",
    "PulseSequenceDetails", "ImageType", "NonlinearGradientCorrection", "SliceThickness", "SpacingBetweenSlices",
    "RepetitionTime", "FlipAngle", "SpoilingState", "SpoilingType", "MTState", "PartialFourier", "BaseResolution",
    "PhaseResolution", "SliceResolution", "ReceiveCoilName", "ReceiveCoilActiveElements", "CoilString",
    "CoilCombinationMethod", "MatrixCoilMode", "PercentPhaseFOV", "PercentSampling", "EchoTrainLength",
    "PhaseEncodingSteps", "AcquisitionMatrixPE", "ReconMatrixPE", "ParallelReductionFactorInPlane",
    "ParallelReductionFactorOutOfPlane", "ParallelAcquisitionTechnique", "PixelBandwidth", "DwellTime",
    "PhaseEncodingDirection", "PhaseEncodingAxis", "ImageOrientationPatientDICOM", "ConversionSoftware",
    "ConversionSoftwareVersion",
)  # fmt: skip
"""Keys of the converter's sidecar that are kept; all others are left out, the scanner's serial number among them."""
FROM_HEADER = {
    "MagneticFieldStrength": ("MagneticFieldStrength", 1.0), "Manufacturer": ("Manufacturer", None),
    "RepetitionTime": ("RepetitionTime", 1e-3), "FlipAngle": ("FlipAngle", 1.0),
}  # fmt: skip
"""Key -> attribute and factor, for what the converter did not find."""


def sidecar_of(image: DicomImage, converted: Mapping[str, Any], *, echo: int) -> dict[str, Any]:
    """Return the sidecar of an image, without what its part adds."""
    values = image.values
    record = {k: converted[k] for k in COPIED_KEYS if k in converted and not _tells(converted[k], values)}
    for key, (name, factor) in FROM_HEADER.items():
        if key not in record and name in values:
            record[key] = values[name] if factor is None else float(values[name]) * factor
    frequency = values.get("ImagingFrequency") or values.get("TransmitterFrequency")
    if frequency:
        record["ImagingFrequency"] = float(frequency)
    return {**record, "EchoNumber": echo, "EchoTime": round(image.te_s, 8)}


def _tells(value: Any, values: Mapping[str, Any]) -> bool:
    """Say whether a value holds a word of the patient's."""
    return isinstance(value, str) and is_personal(value, values)


def phase_record(
    stated: PhaseRange | None, stored: tuple[float, float], *, contradiction: str
) -> dict[str, Any]:
    """Return the unit of phase, and what it rests on: the scanner's statement and the file's own values."""
    record: dict[str, Any] = {"StoredMinimum": stored[0], "StoredMaximum": stored[1]}
    if stated is None or contradiction:
        return {"Units": "arbitrary", "PhaseScaling": {**record, "NotProven": contradiction}}
    ends = {
        "StoredAtMinusPi": round((-np.pi - stated.offset) / stated.factor, 3),
        "StoredValuesOfATurn": round(TWO_PI / stated.factor, 3),
        "Statement": stated.statement,
    }
    return {"Units": "rad", "PhaseScaling": {**ends, **record}}
