"""Balls and tubes in a ball of water, in air: no anatomy."""

from __future__ import annotations

import numpy as np

from qsmcmb.phantoms.anatomy import AIR_PPM, Anatomy, Tissue
from qsmcmb.phantoms.recipe import Recipe, Tube
from qsmcmb.typing import FloatArray, IntArray

__all__: tuple[str, ...] = ()

TUBE_EDGE_MM = 0.5
"""Width of a tube's soft edge, mm: a fine voxel, so that its wall has no steps."""


class WaterAnatomy(Anatomy):
    """Balls and tubes in a ball of water, in air: no anatomy."""

    def __init__(self, recipe: Recipe) -> None:
        self._radius = 0.42 * min(recipe.fov_mm)
        self._tubes = recipe.tubes

    def tissue(self, head_mm: FloatArray) -> Tissue:
        """Return water and what is in its tubes inside a ball, air outside."""
        inside = (head_mm**2).sum(axis=0) < self._radius**2
        chi = np.where(inside, 0.0, AIR_PPM).astype(np.float32)
        signal = inside.astype(np.float32)
        decay = np.full(chi.shape, 5.0, np.float32)
        for tube in self._tubes:
            part = _tube_part(head_mm, tube) * inside
            chi += part * np.float32(tube.chi_ppm)
            signal += part * np.float32(tube.signal - 1)
            decay += part * np.float32(tube.r2star_hz - 5)
        return Tissue(chi, signal, decay, inside)

    def territory(self, head_mm: FloatArray) -> IntArray:
        """Return 0: water has no territories."""
        return np.zeros(head_mm.shape[1:], np.int32)

    def lesion_positions(self) -> FloatArray:
        """Return points well inside."""
        axis = np.arange(-self._radius, self._radius, 3.0)
        points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
        return np.asarray(points[:, (points**2).sum(axis=0) < (self._radius - 9) ** 2].T)

    def veins(self) -> tuple[FloatArray, FloatArray]:
        """Return no vein."""
        return np.zeros((0, 3)), np.zeros(0)


def _tube_part(head_mm: FloatArray, tube: Tube) -> FloatArray:
    """Return 1 in a tube, 0 outside, with an edge of TUBE_EDGE_MM."""
    axis = np.array(tube.direction, np.float32)
    axis /= np.linalg.norm(axis)
    offset = head_mm - np.array(tube.centre_mm, np.float32).reshape(-1, *[1] * (head_mm.ndim - 1))
    along = np.tensordot(axis, offset, axes=1)
    distance = np.sqrt(np.maximum((offset**2).sum(axis=0) - along**2, 0))
    return np.clip(0.5 + (tube.radius_mm - distance) / TUBE_EDGE_MM, 0, 1).astype(np.float32)
