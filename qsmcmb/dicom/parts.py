"""Recognition of a frame by its header: magnitude, phase, real or imaginary part, or an image made from these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__: tuple[str, ...] = ()

WORDS = {
    "mag": {"M", "MAGNITUDE", "M_FFE", "M_IR", "M_SE"},
    "phase": {"P", "PHASE", "PHASE MAP", "PHASE_MAP", "P_FFE"},
    "real": {"R", "REAL", "R_FFE"},
    "imag": {"I", "IMAGINARY", "I_FFE"},
}
"""Part -> values of ImageType, FrameType and ComplexImageComponent that state it."""
GE_PARTS = ("mag", "phase", "real", "imag")
"""Part by GE's private raw data type, 0 to 3."""
PROCESSED = {
    "SWI": "susceptibility-weighted image", "MNIP": "minimum-intensity projection", "MINIP": "minimum-intensity "
    "projection", "MIN IP": "minimum-intensity projection", "MIP": "projection", "PROJECTION IMAGE": "projection",
    "MPR": "reformatted image", "RESAMPLED": "resampled image", "B0": "field map in Hz", "B0 MAP": "field map in Hz",
    "FIELD_MAP": "field map in Hz", "T2_STAR MAP": "T2* map", "T2_STAR_UNI": "T2* map", "R2_STAR MAP": "R2* map",
    "R2_STAR_UNI": "R2* map", "WATER": "water image", "FAT": "fat image", "QSM": "susceptibility map",
}  # fmt: skip
"""Values of ImageType that mark an image made from a scan -> what it is."""
WEIGHTED_NAMES = re.compile(r"(?i)(?<![a-z])(swi|swip|swan|minip|mip|venobold)(?![a-z])")
"""Names of series that hold weighted images; they count where the type does not tell two magnitudes apart."""


def image_types(values: Mapping[str, Any]) -> list[str]:
    """Return what follows ORIGINAL and PRIMARY in the image's and the frame's type, and in Siemens' own copy."""
    found: list[str] = []
    for name in ("ImageType", "FrameType", "SiemensImageType"):
        value = values.get(name, ())
        parts = value if isinstance(value, tuple) else str(value).split("\\")
        found += [str(p).strip().upper() for p in parts if str(p).strip().upper() not in found]
    return [p for p in found if p not in ("ORIGINAL", "PRIMARY", "DERIVED", "SECONDARY")]


def part_of(values: Mapping[str, Any]) -> str | None:
    """Return the part that a header states; None where it states none, or two."""
    types = image_types(values)
    component = str(values.get("ComplexImageComponent", "")).upper()
    frame = values.get("FrameType")
    if component and component != "MIXED":
        stated = {part for part, words in WORDS.items() if component in words}
    else:
        # The frame's own type goes before the file's, which may name the parts of all frames.
        types = [str(v).upper() for v in frame] if isinstance(frame, tuple) else types
        stated = {part for part, words in WORDS.items() if words & set(types)}
    raw = _integer(values.get("GeRawDataType"))
    if str(values.get("Manufacturer", "")).upper().startswith("GE") and raw in range(4):
        stated = {GE_PARTS[raw]}
    return stated.pop() if len(stated) == 1 else None


def processed_kind(values: Mapping[str, Any]) -> str:
    """Return what an image is that was made from others; empty for one that the scan itself gave.

    A phase image of a susceptibility-weighted scan is phase: its type stays in the sidecar.
    """
    types = image_types(values)
    for word, kind in PROCESSED.items():
        if word in types and not (word == "SWI" and part_of(values) == "phase"):
            return kind
    stated = values.get("ImageType", ())
    return "derived image" if isinstance(stated, tuple) and stated[:2] == ("DERIVED", "SECONDARY") else ""


def is_gradient_echo(values: Mapping[str, Any]) -> bool:
    """Say whether a header states a gradient echo that is neither inversion-prepared nor echo-planar."""
    words = _words(values.get("ScanningSequence"))
    pulse = str(values.get("EchoPulseSequence", "")).upper()
    if str(values.get("EchoPlanarPulseSequence", "")).upper() == "YES":
        return False
    if words:
        return bool(words & {"GR", "RM"}) and not words & {"EP", "IR", "SE"}
    return pulse in ("", "GRADIENT")


def coil_of(values: Mapping[str, Any]) -> str:
    """Return the name of the receive coil or channel; empty where it is not stated."""
    for name in ("SiemensCoil", "SiemensCoilXa", "ReceiveCoilName"):
        if values.get(name):
            return str(values[name])
    return ""


def _words(value: Any) -> set[str]:
    """Return the words of a value that may be one text or several."""
    parts = value if isinstance(value, tuple) else str(value or "").split("\\")
    return {str(p).strip().upper() for p in parts} - {""}


def _integer(value: Any) -> int:
    """Return a small integer that may come as bytes; -1 where it is none."""
    if isinstance(value, bytes) and len(value) >= 2:
        return int.from_bytes(value[:2], "little", signed=True)
    return value if isinstance(value, int) else -1
