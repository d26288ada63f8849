"""TODO."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray

PLACE_DISTANCES_MM = (9.0, 13.0, 17.0, 22.0)


PLACE_CLEAR_MM = 8.5


PLACE_COVERED = 0.98


MAX_PLACES = 16


MIN_PLACES = 5
"""Fewer tell nothing."""


# The 26 directions of a cube in an order that spreads: faces, corners, edges.
_DIRECTIONS = sorted(
    (np.array(d) - 1 for d in np.ndindex(3, 3, 3) if d != (1, 1, 1)), key=lambda d: (abs(d).sum() + 1) % 3
)


def lesion_free_places(
    near: Neighbourhood,
    scan: GreScan,
    *,
    field_hz: FloatArray,
    offset_rad: FloatArray,
    mask: BoolArray,
    lesion_voxels: FloatArray,
) -> list[Neighbourhood]:
    """Return neighbourhoods of the same shape around, in the mask and away from all lesions.

    Parameters
    ----------
    near : Neighbourhood
        Around the lesion.
    scan, field_hz, offset_rad, mask
        As for `cut_neighbourhood`.
    lesion_voxels : ndarray of shape (n, 3)
        All lesions, this one included, fractional voxel indices.
    """
    grid = scan.grid
    size = np.array(grid.voxel_size_mm)
    middle = np.array([s.start for s in near.box]) - np.array([a[0] for a in near.axes_mm]) / size
    found: list[Neighbourhood] = []
    for direction in _DIRECTIONS:
        for distance_mm in PLACE_DISTANCES_MM:
            shift = np.rint(distance_mm * direction / np.linalg.norm(direction) / size).astype(int)
            start = np.array([s.start for s in near.box]) + shift
            stop = np.array([s.stop for s in near.box]) + shift
            away = np.linalg.norm((lesion_voxels - middle - shift) * size, axis=1)
            if (start < 0).any() or (stop > grid.shape).any() or away.min() < PLACE_CLEAR_MM:
                continue
            box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
            magnitude = scan.magnitude[(slice(None), *box)]
            usable = mask[box] & (magnitude[0] > 0)
            if np.mean(usable[near.inside]) < PLACE_COVERED:
                continue
            phase = scan.phase_rad[(slice(None), *box)] - offset_rad[box]
            signal = np.empty(phase.shape, np.complex64)
            # Where single precision has a fast sine, the complex exponential has not.
            signal.real, signal.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
            found.append(replace(near, signal=signal, field_hz=field_hz[box], box=box))
            break
        if len(found) == MAX_PLACES:
            break
    return found
