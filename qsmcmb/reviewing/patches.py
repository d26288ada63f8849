"""Images around a candidate as the page draws them: a box of each contrast, and a whole axial slice for orientation.

A patch is one block of bytes: the length of its header (4 bytes, little-endian), the header in JSON, then the volumes
in the header's order, 16 bits each, the last axis fastest. Axes are as close to RAS+ as flips and swaps bring them.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import QsmcmbError
from qsmcmb.io.nifti import read_volume
from qsmcmb.io.results import SessionResults, canonical_axes
from qsmcmb.model import Grid
from qsmcmb.reporting.figures import CHI_WINDOW_PPM, percentile_window
from qsmcmb.study.reader_points import find_session
from qsmcmb.typing import FloatArray, IntArray, Triple

__all__ = ["PatchStore", "cut_patch"]

HALF_MM = 32.0
"""Half edge of a patch, mm."""
LEVELS = 32767
"""Level that the upper end of a contrast's range becomes; values beyond are cut off."""
RANGE = 4.0
"""Width of the range over that of the window."""
MAX_SCANS = 6
"""Scans whose images are held in memory."""


class Contrast(NamedTuple):
    """One contrast of a scan."""

    name: str
    unit: str
    levels: IntArray
    """Values as 16-bit levels."""
    low: float
    """Value of level 0."""
    step: float
    """Difference of value between two levels."""
    window: tuple[float, float]
    """Values that are black and white."""


class ScanImages(NamedTuple):
    """Contrasts of a scan on one grid."""

    contrasts: list[Contrast]
    grid: Grid
    missing: list[str]


class PatchStore:
    """Hold the images of the scans that were read last, and cut patches from them.

    Parameters
    ----------
    out : Path
        Derivatives folder.

    Examples
    --------
    >>> PatchStore(Path("derivatives/qsmcmb"))  # doctest: +SKIP
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._held: OrderedDict[str, ScanImages] = OrderedDict()
        self._lock = threading.Lock()

    def patch(self, scan: SessionResults, position_mm: Triple) -> bytes:
        """Return the patch around a point of a scan.

        Parameters
        ----------
        scan : SessionResults
            Results of the scan.
        position_mm : tuple of float
            Point, scanner RAS+ mm.

        Returns
        -------
        bytes
            Header and volumes.

        Raises
        ------
        InvalidInputError
            An image of the results cannot be read.

        Examples
        --------
        >>> store.patch(scan, (12.0, -30.5, 8.0))  # doctest: +SKIP
        """
        with self._lock:
            images = self._held.get(scan.place.prefix)
            if images is None:
                images = _load(self._out, scan)
                self._held[scan.place.prefix] = images
            self._held.move_to_end(scan.place.prefix)
            while len(self._held) > MAX_SCANS:
                self._held.popitem(last=False)
        return cut_patch(images, position_mm)


def _load(out: Path, scan: SessionResults) -> ScanImages:
    """Return the contrasts of a scan: map, magnitude, susceptibility-weighted image, local field."""
    chi, grid = scan.canonical("Chimap")
    swi, _ = scan.canonical("desc-swi_T2starw")
    field_hz, _ = scan.canonical("desc-local_fieldmap")
    spread = float(np.percentile(np.abs(field_hz[field_hz != 0]), 98)) if field_hz.any() else 1.0
    contrasts = [_levels("map", "ppm", chi, CHI_WINDOW_PPM)]
    missing = []
    try:
        magnitude = _longest_echo(out, scan)
        if magnitude.shape != chi.shape:
            raise ValueError("another grid")
        contrasts.append(_levels("magnitude", "", magnitude, percentile_window(magnitude)))
    except (QsmcmbError, OSError, ValueError) as error:
        missing.append(f"magnitude: {error}")
    contrasts.append(_levels("SWI", "", swi, percentile_window(swi)))
    contrasts.append(_levels("field", "Hz", field_hz, (-spread, spread)))
    return ScanImages(contrasts, grid, missing)


def _longest_echo(out: Path, scan: SessionResults) -> FloatArray:
    """Return the magnitude of the longest echo, its axes close to RAS+."""
    images = [i for i in find_session(out, scan).images if i.part == "mag" and i.channel is None]
    if not images:
        raise ValueError("the scan has no magnitude image of its own")
    volume = read_volume(max(images, key=lambda i: i.echo).path)
    nx, ny, nz = volume.data.shape
    return canonical_axes(volume.values(), Grid.from_affine((nx, ny, nz), volume.affine))[0]


def _levels(name: str, unit: str, values: FloatArray, window: tuple[float, float]) -> Contrast:
    """Return values as 16-bit levels over a range that is wider than the window."""
    black, white = window
    width = max(white - black, 1e-12)
    low = (black + white) / 2 - RANGE * width / 2
    step = RANGE * width / LEVELS
    finite = np.nan_to_num(values, nan=0.0, posinf=low + RANGE * width, neginf=low)
    levels = np.clip(np.rint((finite - low) / step), 0, LEVELS).astype("<i2")
    return Contrast(name, unit, levels, low, step, window)


def cut_patch(images: ScanImages, position_mm: Triple) -> bytes:
    """Return the patch around a point.

    Parameters
    ----------
    images : ScanImages
        Contrasts of the scan.
    position_mm : tuple of float
        Point, scanner RAS+ mm.

    Returns
    -------
    bytes
        Header and volumes.

    Examples
    --------
    >>> levels = np.zeros((8, 8, 8), "<i2")
    >>> images = ScanImages([Contrast("map", "ppm", levels, 0.0, 1.0, (0.0, 1.0))], Grid.isotropic((8, 8, 8), 1.0), [])
    >>> block = cut_patch(images, (0.0, 0.0, 0.0))
    >>> json.loads(block[4 : 4 + int.from_bytes(block[:4], "little")])["point"]
    [4.0, 4.0, 4.0]
    """
    grid = images.grid
    point = grid.to_voxel(np.array(position_mm))
    half = np.array([HALF_MM / v for v in grid.voxel_size_mm])
    first = np.clip(np.floor(point - half), 0, np.array(grid.shape) - 1).astype(int)
    last = np.clip(np.ceil(point + half) + 1, first + 1, grid.shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    slab = int(np.clip(np.rint(point[2]), 0, grid.shape[2] - 1))
    start = (int(first[0]), int(first[1]), int(first[2]))
    shape = (box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start)
    header = {
        "shape": shape,
        "voxel_mm": grid.voxel_size_mm,
        "affine": grid.cropped(start, shape).affine.tolist(),
        "point": [float(p - f) for p, f in zip(point, first, strict=True)],
        "whole": {"shape": grid.shape[:2], "first": start[:2], "slice": slab},
        "contrasts": [
            {"name": c.name, "unit": c.unit, "low": c.low, "step": c.step, "window": c.window} for c in images.contrasts
        ],
        "missing": images.missing,
    }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 4) % 8)
    blocks: list[bytes] = [len(text).to_bytes(4, "little"), text]
    for contrast in images.contrasts:
        for levels in (contrast.levels[box], contrast.levels[:, :, slab]):
            blocks.append(np.ascontiguousarray(levels, "<i2").tobytes())
    return b"".join(blocks)
