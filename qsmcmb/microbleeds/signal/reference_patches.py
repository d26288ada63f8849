"""TODO."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.model import GreScan
from qsmcmb.typing import FloatArray

REFERENCE_DISTANCES_MM = (9.0, 13.0, 17.0, 22.0)


MIN_REFERENCE_CLEARANCE_MM = 8.5


MIN_REFERENCE_IN_MASK = 0.98


MAX_REFERENCE_PATCHES = 16


MIN_REFERENCE_PATCHES = 5
"""Fewer tell nothing."""


# The 26 directions of a cube in an order that spreads: faces, corners, edges.
_DIRECTIONS = sorted(
    (np.array(d) - 1 for d in np.ndindex(3, 3, 3) if d != (1, 1, 1)), key=lambda d: (abs(d).sum() + 1) % 3
)


def find_reference_patches(
    patch: Patch, scan: GreScan, fields: ScanFields, *, lesion_voxels: FloatArray
) -> list[Patch]:
    """Return patches of the same shape around a lesion, in the mask and away from all lesions.

    Parameters
    ----------
    patch : Patch
        The lesion's own patch.
    scan : GreScan
        Magnitude and wrapped phase.
    fields : ScanFields
        Field map, phase offset and mask on `scan.grid`.
    lesion_voxels : ndarray of shape (n, 3)
        All lesions, this one included, fractional voxel indices.

    Returns
    -------
    list of Patch
        At most MAX_REFERENCE_PATCHES, nearest first in each direction.
    """
    grid = scan.grid
    size = np.array(grid.voxel_size_mm)
    middle = patch.centre_voxel
    found: list[Patch] = []
    for direction in _DIRECTIONS:
        for distance_mm in REFERENCE_DISTANCES_MM:
            shift = np.rint(distance_mm * direction / np.linalg.norm(direction) / size).astype(int)
            start = np.array([s.start for s in patch.box]) + shift
            stop = np.array([s.stop for s in patch.box]) + shift
            away = np.linalg.norm((lesion_voxels - middle - shift) * size, axis=1)
            if (start < 0).any() or (stop > grid.shape).any() or away.min() < MIN_REFERENCE_CLEARANCE_MM:
                continue
            box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
            magnitude = scan.magnitude[(slice(None), *box)]
            usable = fields.mask[box] & (magnitude[0] > 0)
            if np.mean(usable[patch.inside]) < MIN_REFERENCE_IN_MASK:
                continue
            phase = scan.phase_rad[(slice(None), *box)] - fields.offset_rad[box]
            signal = np.empty(phase.shape, np.complex64)
            # Where single precision has a fast sine, the complex exponential has not.
            signal.real, signal.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
            found.append(replace(patch, signal=signal, field_hz=fields.field_hz[box], box=box))
            break
        if len(found) == MAX_REFERENCE_PATCHES:
            break
    return found
