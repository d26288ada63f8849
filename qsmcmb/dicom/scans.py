"""Images that belong to one acquisition, and what it is in BIDS: echoes with phase, or a phase difference."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qsmcmb.dicom.images import DicomImage
from qsmcmb.dicom.parts import WEIGHTED_NAMES, image_types

__all__: tuple[str, ...] = ()

SAME_START_S = 2.0
"""Largest difference of the starts of images of one acquisition, s: echoes start within one repetition time."""
DIFFERENCE_NAMES = re.compile(r"(?i)fm2d|field.?map|phase.?diff")
"""Names of sequences and protocols whose single phase image is the difference of two echoes (Siemens)."""
DISTORTION = {"DIS2D", "DIS3D"}
"""Values of ImageType after correction of the gradients' distortion, which interpolates across wraps of phase."""


@dataclass(frozen=True)
class DicomScan:
    """The images of one acquisition that are imported."""

    kind: Literal["echoes", "difference"]
    images: tuple[DicomImage, ...]

    @property
    def values(self) -> Mapping[str, Any]:
        """Header of one image of phase, or of the first one."""
        return next((i for i in self.images if i.part == "phase"), self.images[0]).values

    @property
    def te_s(self) -> list[float]:
        """Echo times, s, ascending."""
        return sorted({i.te_s for i in self.images})

    @property
    def coils(self) -> list[str]:
        """Channels in natural order; one where they are combined."""
        return sorted({i.coil for i in self.images if i.part != "mag" or i.coil}, key=_natural)

    @property
    def start_s(self) -> float:
        """Start of the acquisition, seconds of the day; 0 where it is not stated."""
        return min((i.start_s for i in self.images if i.start_s is not None), default=0.0)


@dataclass(frozen=True)
class LeftOut:
    """An image that is not imported, and why."""

    image: DicomImage
    reason: str


def sort_into_scans(images: Iterable[DicomImage]) -> tuple[list[DicomScan], list[LeftOut]]:
    """Return the scans with phase, by start, and what is left out."""
    scans: list[DicomScan] = []
    left_out: list[LeftOut] = []
    groups_on_grid: dict[tuple[Any, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        if image.reason:
            left_out.append(LeftOut(image, image.reason))
        else:
            groups_on_grid[_grid_key(image)].append(image)
    for candidates in groups_on_grid.values():
        for group in _by_start(candidates):
            chosen, doubles = _one_per_slot(group)
            scan, rest = _make_scan(chosen)
            left_out += [*doubles, *rest]
            scans += [scan] if scan else []
    return sorted(scans, key=lambda s: (str(s.values.get("StudyInstanceUID")), s.start_s)), left_out


def _grid_key(image: DicomImage) -> tuple[Any, ...]:
    """Return what images of one acquisition share: patient, study, voxels and timing."""
    values = image.values
    corners = tuple(np.round(image.corners_mm(), 1).ravel() + 0.0)
    timing = tuple(round(float(values.get(n, 0.0)), 2) for n in ("RepetitionTime", "FlipAngle"))
    return (values.get("PatientID"), values.get("StudyInstanceUID"), image.shape, corners, timing)


def _by_start(images: Sequence[DicomImage]) -> list[list[DicomImage]]:
    """Return the images of each acquisition on one grid, separated by their start."""
    timed = sorted((i for i in images if i.start_s is not None), key=lambda i: i.start_s or 0.0)
    groups: list[list[DicomImage]] = []
    for image in timed:
        if groups and (image.start_s or 0.0) - (groups[-1][0].start_s or 0.0) <= SAME_START_S:
            groups[-1].append(image)
        else:
            groups.append([image])
    untimed = [i for i in images if i.start_s is None]
    return groups + ([untimed] if untimed else [])


def _one_per_slot(group: Sequence[DicomImage]) -> tuple[list[DicomImage], list[LeftOut]]:
    """Return one image per part, echo and channel: the least processed one, or none where two are alike."""
    slots: dict[tuple[Any, ...], list[DicomImage]] = defaultdict(list)
    for image in group:
        slots[(image.part, round(image.te_s, 6), image.coil)].append(image)
    series = {i.values.get("SeriesInstanceUID") for i in group if i.part == "phase"}
    chosen, left_out = [], []
    for images in slots.values():
        ranked = sorted(images, key=lambda i: _processing(i, series))
        if len(ranked) > 1 and _processing(ranked[0], series) == _processing(ranked[1], series):
            left_out += [LeftOut(i, "two images for one echo, which nothing tells apart") for i in ranked]
            continue
        chosen.append(ranked[0])
        left_out += [
            LeftOut(i, "another image of the same echo is less processed, or the same in classic form")
            for i in ranked[1:]
        ]
    return chosen, left_out


def _processing(image: DicomImage, series_with_phase: set[Any]) -> tuple[bool, ...]:
    """Return how processed an image is; the least comes first."""
    types = set(image_types(image.values))
    return (
        bool(types & DISTORTION),
        WEIGHTED_NAMES.search(str(image.values.get("SeriesDescription", ""))) is not None,
        "NORM" in types,
        image.values.get("SeriesInstanceUID") not in series_with_phase,
        image.frames[0].n_frames > 1,
    )


def _make_scan(images: Sequence[DicomImage]) -> tuple[DicomScan | None, list[LeftOut]]:
    """Return the scan that images of one acquisition make, and what does not belong to it."""
    by_part: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        by_part[str(image.part)].append(image)
    if is_difference(by_part["mag"], by_part["phase"]):
        return DicomScan("difference", tuple(images)), []
    slots = {(i.part, round(i.te_s, 6)) for i in images}
    pairs = {"mag": "phase", "phase": "mag", "real": "imag", "imag": "real"}
    paired = [i for i in images if (pairs[str(i.part)], round(i.te_s, 6)) in slots]
    words = {"mag": "phase", "phase": "magnitude", "real": "imaginary part", "imag": "real part"}
    left_out = [
        LeftOut(i, f"no {words[str(i.part)]} with its voxels and start belongs to it")
        for i in images
        if i not in paired
    ]
    return (DicomScan("echoes", tuple(paired)) if paired else None), left_out


def is_difference(magnitude: Sequence[DicomImage], phase: Sequence[DicomImage]) -> bool:
    """Say whether one phase image is the difference of two echoes: one phase, two magnitudes, a field map's name."""
    if len(phase) != 1 or len({i.te_s for i in magnitude}) != 2:
        return False
    names = ("SequenceName", "PulseSequenceName", "ProtocolName", "SeriesDescription")
    named = any(DIFFERENCE_NAMES.search(str(phase[0].values.get(n, ""))) for n in names)
    return named and abs(phase[0].te_s - max(i.te_s for i in magnitude)) < 1e-6


def _natural(text: str) -> list[Any]:
    """Return a key by which H2 comes before H10."""
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", text)]
