"""What is visible of a lesion on the magnitude of the longest echo."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.microbleeds.neighbourhood import Neighbourhood
from qsmcmb.typing import BoolArray

VOID = 0.7


class Void(NamedTuple):
    """Visible lesion on the magnitude of the longest echo."""

    volume_mm3: float
    diameter_mm: float
    mask: BoolArray


def measure_void(near: Neighbourhood) -> Void:
    """Return the dark region around the point: below VOID of the local tissue on the longest echo.

    The diameter is that of the ball of equal volume, mm.
    """
    magnitude = np.abs(near.signal[-1])
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    shell = near.inside & (radius > 4.0)
    level = float(np.median(magnitude[shell])) if shell.any() else 0.0
    dark = near.inside & (magnitude < VOID * level) & (radius < near.radius_mm - 1)
    labels, count = ndimage.label(dark)
    if not count:
        return Void(0.0, 0.0, np.zeros_like(dark))
    distance = np.where(labels > 0, radius, np.inf)
    nearest = np.unravel_index(np.argmin(distance), distance.shape)
    if distance[nearest] > 3.0:
        return Void(0.0, 0.0, np.zeros_like(dark))
    void = labels == labels[nearest]
    volume = float(void.sum() * near.grid.voxel_volume_mm3)
    return Void(volume, float((6 * volume / np.pi) ** (1 / 3)), void)
