"""Reference patches: tissue around a lesion that holds no lesion, in boxes of the lesion's own shape.

A fit of the lesion's model leaves in them what tissue alone does: it tells how heterogeneous the tissue is, and how
much of it a lesion's estimate would have taken for its own. They are looked for in 26 directions around the lesion, in
each at the smallest of a few distances where the patch lies in the mask and clear of all lesions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.model import GreScan
from qsmcmb.typing import FloatArray, IntArray

__all__ = ("MIN_REFERENCE_PATCHES", "find_reference_patches")

REFERENCE_DISTANCES_MM = (9.0, 13.0, 17.0, 22.0)
"""Distances from the lesion at which a reference patch is tried, mm, nearest first: tissue nearby is most like that at
the lesion. From 9 mm on the lesion lies outside a ball of 8 mm."""
MIN_REFERENCE_CLEARANCE_MM = 8.5
"""Smallest distance of a reference patch's centre from any lesion, mm: no lesion's middle lies in its ball of 8 mm."""
MIN_REFERENCE_IN_MASK = 0.98
"""Smallest fraction of the voxels inside that must lie in the mask and have signal: the residual is weighted voxel by
voxel as the lesion's, and a patch that is cut off would say too little."""
MAX_REFERENCE_PATCHES = 16
"""Largest number of reference patches: the SD from 16 is known to 18 %, and more of them cost time."""
MIN_REFERENCE_PATCHES = 5
"""Smallest number of reference patches from which an SD is taken: from fewer it is known to no better than a third."""
_DIRECTIONS = sorted(
    (np.array(d) - 1 for d in np.ndindex(3, 3, 3) if d != (1, 1, 1)), key=lambda d: (abs(d).sum() + 1) % 3
)
"""The 26 directions from a cube's middle to its 12 edges, 8 corners and 6 faces; their order decides which are left out
beyond MAX_REFERENCE_PATCHES."""


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
        Total field, receive phase offset and mask on `scan.grid`.
    lesion_voxels : ndarray of shape (n, 3)
        All lesions, this one included, fractional voxel indices.

    Returns
    -------
    list of Patch
        At most MAX_REFERENCE_PATCHES, one for each direction, at the smallest distance that is free.
    """
    size, scale = np.array(patch.grid.voxel_size_mm), patch.length_scale
    found: list[Patch] = []
    for direction in _DIRECTIONS:
        for distance_mm in REFERENCE_DISTANCES_MM:
            # Whole voxels, so that the voxels inside keep their places in the box.
            shift = np.rint(scale * distance_mm * direction / np.linalg.norm(direction) / size).astype(int)
            away_mm = np.linalg.norm((lesion_voxels - patch.centre_voxel - shift) * size, axis=1)
            if away_mm.min() < scale * MIN_REFERENCE_CLEARANCE_MM:
                continue
            reference = _shifted(patch, shift, scan, fields)
            if reference is not None:
                found.append(reference)
                break
        if len(found) == MAX_REFERENCE_PATCHES:
            break
    return found


def _shifted(patch: Patch, shift: IntArray, scan: GreScan, fields: ScanFields) -> Patch | None:
    """Return the patch moved by whole voxels; None where it leaves the volume or the mask."""
    start = np.array([s.start for s in patch.box]) + shift
    stop = np.array([s.stop for s in patch.box]) + shift
    if (start < 0).any() or (stop > scan.grid.shape).any():
        return None
    box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    magnitude = scan.magnitude[(slice(None), *box)]
    usable = fields.mask[box] & (magnitude[0] > 0)
    if np.mean(usable[patch.inside]) < MIN_REFERENCE_IN_MASK:
        return None
    phase = scan.phase_rad[(slice(None), *box)] - fields.offset_rad[box]
    signal = np.empty(phase.shape, np.complex64)
    # Sine and cosine of single precision use vector instructions, the complex exponential does not.
    signal.real, signal.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
    return replace(patch, signal=signal, field_hz=fields.field_hz[box], box=box)
