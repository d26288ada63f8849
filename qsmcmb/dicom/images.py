"""Frames sorted into images: one part of one echo, channel and repetition, its slices in order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qsmcmb.dicom.headers import Frame
from qsmcmb.dicom.parts import coil_of, is_gradient_echo, part_of, processed_kind
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

POSITION_DIGITS = 2
"""Digits of positions, mm, by which two slices are one: 0.01 mm is far below any slice."""
MAX_GAP_DIFFERENCE = 0.02
"""Largest difference of slice distances within a volume, as a fraction of the distance: rounding of headers, no gap."""


GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
"""Attributes without which a slice has no place."""


@dataclass(frozen=True)
class DicomImage:
    """One volume: its frames from the first slice to the last, and why it cannot be used (empty where it can)."""

    frames: tuple[Frame, ...] = field(repr=False)
    part: str | None
    te_s: float
    coil: str
    reason: str = ""

    @property
    def values(self) -> Mapping[str, Any]:
        """Header of the first slice."""
        return self.frames[0].values

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        return int(self.values["Columns"]), int(self.values["Rows"]), len(self.frames)

    @property
    def start_s(self) -> float | None:
        """Start of the acquisition, seconds of the day; None where it is not stated."""
        times = [t for t in (acquisition_second(f.values) for f in self.frames) if t is not None]
        return min(times) if times else None

    def corners_mm(self) -> FloatArray:
        """Return the eight outermost voxel centres in RAS+ mm, in no particular order."""
        nx, ny, _ = self.shape
        rows, columns = np.array(self.values["PixelSpacing"])
        along_x = np.array(self.values["ImageOrientationPatient"][:3]) * columns * (nx - 1)
        along_y = np.array(self.values["ImageOrientationPatient"][3:]) * rows * (ny - 1)
        ends = [np.array(f.values["ImagePositionPatient"]) for f in (self.frames[0], self.frames[-1])]
        lps = [e + i * along_x + j * along_y for e in ends for i in (0, 1) for j in (0, 1)]
        return np.array(lps) * [-1, -1, 1]


def sort_into_images(frames: Iterable[Frame]) -> list[DicomImage]:
    """Return the images of a folder, by series number, echo time and part."""
    groups: dict[tuple[Any, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[(frame.n_frames > 1, *_image_key(frame.values))].append(frame)
    images = [image for group in groups.values() for image in _repetitions(group)]
    return sorted(
        images, key=lambda i: (_number(i.values, "SeriesNumber"), i.te_s, str(i.part), i.coil, i.start_s or 0)
    )


def _image_key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the frames of one volume (and of its repetitions) share."""
    orientation = tuple(round(float(v), 3) for v in values.get("ImageOrientationPatient", ()))
    return (
        values.get("StudyInstanceUID"), values.get("SeriesInstanceUID"), part_of(values), processed_kind(values),
        round(echo_time_ms(values), 3), coil_of(values), orientation, values.get("Rows"), values.get("Columns"),
        values.get("PixelSpacing"),
        tuple(name for name in GEOMETRY if name not in values),
    )  # fmt: skip


def _repetitions(group: Sequence[Frame]) -> list[DicomImage]:
    """Return one image per repetition of a group of frames that share everything but slice and time."""
    at: dict[tuple[float, ...], list[Frame]] = defaultdict(list)
    for frame in group:
        position = frame.values.get("ImagePositionPatient", ())
        at[tuple(round(float(p), POSITION_DIGITS) for p in position)].append(frame)
    first = group[0].values
    made: dict[str, Any] = {
        "part": part_of(first),
        "te_s": echo_time_ms(first) / 1000,
        "coil": coil_of(first),
    }
    reason = _unusable(first)
    counts = {len(frames) for frames in at.values()}
    if not reason and (len(counts) > 1 or not _are_distinct(at.values())):
        reason = "several images at one position, which nothing tells apart"
    if reason:
        return [DicomImage(frames=tuple(group), reason=reason, **made)]
    repeats = zip(*(sorted(frames, key=lambda f: _order(f.values)) for frames in at.values()), strict=True)
    return [_one_volume(frames, made) for frames in repeats]


def _one_volume(frames: Sequence[Frame], made: Mapping[str, Any]) -> DicomImage:
    """Return the frames of one volume in order along its normal; a gap makes it unusable."""
    orientation = np.array(frames[0].values["ImageOrientationPatient"])
    normal = np.cross(orientation[:3], orientation[3:])
    offsets = np.array([np.dot(normal, f.values["ImagePositionPatient"]) for f in frames])
    order = np.argsort(offsets)
    gaps = np.diff(offsets[order])
    reason = ""
    if gaps.size and (gaps.max() - gaps.min()) > MAX_GAP_DIFFERENCE * np.median(gaps):
        reason = f"slices are missing: distances of {gaps.min():.2f} to {gaps.max():.2f} mm"
    return DicomImage(frames=tuple(frames[i] for i in order), reason=reason, **made)


def _unusable(values: Mapping[str, Any]) -> str:
    """Return why a group cannot be an input, by its header; empty where it can."""
    if not is_gradient_echo(values):
        return "not a plain gradient echo"
    if kind := processed_kind(values):
        return kind
    if part_of(values) is None:
        return "the header does not say whether it is magnitude or phase"
    missing = [n for n in GEOMETRY if n not in values]
    if missing:
        return f"the header lacks {', '.join(missing)}"
    return "" if echo_time_ms(values) > 0 else "the header lacks EchoTime"


def _are_distinct(positions: Iterable[Sequence[Frame]]) -> bool:
    """Say whether the frames at each position have times or numbers of their own."""
    return all(len({_order(f.values)[:-1] for f in frames}) == len(frames) for frames in positions)


def _order(values: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the order of repetitions; the instance number is no evidence, it only settles what is equal."""
    numbers = [
        _number(values, n)
        for n in ("AcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex")
    ]
    return (*numbers, acquisition_second(values) or 0.0, _number(values, "InstanceNumber"))


def _number(values: Mapping[str, Any], name: str) -> float:
    """Return a number of the header, 0 where there is none."""
    value = values.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0


def echo_time_ms(values: Mapping[str, Any]) -> float:
    """Return the echo time, ms; 0 where it is not stated."""
    return _number(values, "EffectiveEchoTime") or _number(values, "EchoTime")


def acquisition_second(values: Mapping[str, Any]) -> float | None:
    """Return the time of acquisition, seconds of the day."""
    stamp = values.get("FrameAcquisitionDateTime") or values.get("AcquisitionDateTime")
    text = str(stamp)[8:] if stamp else str(values.get("AcquisitionTime", ""))
    digits = re.match(r"(\d\d)(\d\d)(\d\d(?:\.\d+)?)", text)
    if digits is None:
        return None
    hours, minutes, seconds = (float(g) for g in digits.groups())
    return 3600 * hours + 60 * minutes + seconds
