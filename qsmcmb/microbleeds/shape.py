"""What is visible of a lesion, its sum over the map, and the signal it costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.microbleeds.neighbourhood import Neighbourhood
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

VOID = 0.7
SUM_RADIUS_MM = 5.0
SHELL_MM = 3.0
LOSS_PER_PPM_MM3 = 2 * np.pi / (9 * np.sqrt(3))


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


def sum_over_map(near: Neighbourhood, chi_ppm: FloatArray) -> float:
    """Return the sum of the map over a ball of SUM_RADIUS_MM above the median of a shell around it, ppm mm3.

    The shell starts two voxels outside the ball; `chi_ppm` is the map in the neighbourhood's box.
    """
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    first = SUM_RADIUS_MM + 0.5
    shell = near.inside & (radius > first) & (radius < first + SHELL_MM)
    ball = near.inside & (radius <= SUM_RADIUS_MM)
    if not shell.any() or not ball.any():
        return float("nan")
    return float(
        (chi_ppm[ball] - np.median(chi_ppm[shell])).sum(dtype=np.float64) * near.grid.voxel_volume_mm3
    )


def signal_loss(near: Neighbourhood, sign: float) -> float:
    """Return total susceptibility (ppm mm3, signed) from the signal lost at the longest echo.

    V = sum(1 - |S|/tissue) v is (2 pi / 9 sqrt 3) gamma B0 TE |M| for a strong source.
    """
    magnitude = np.abs(near.signal[-1])
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    shell = near.inside & (radius > 5.0)
    if not shell.any():
        return float("nan")
    level = float(np.median(magnitude[shell]))
    ball = near.inside & (radius <= 5.0)
    volume = float((1 - magnitude[ball] / max(level, 1e-12)).sum() * near.grid.voxel_volume_mm3)
    per_ppm_mm3 = LOSS_PER_PPM_MM3 * GAMMA_MHZ_PER_T * near.b0_tesla * near.te_s[-1]
    return float(np.sign(sign) * max(volume, 0.0) / per_ppm_mm3)
