"""A volume as DICOM slices: turned as a reader expects it, with the position of each slice in LPS mm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import AnyArray, FloatArray

__all__: tuple[str, ...] = ()

LPS = np.array([-1.0, -1.0, 1.0])
"""Signs from RAS+ to LPS+."""
VIEWS = np.array([[[0, 1, 0], [0, 0, -1]], [[1, 0, 0], [0, 0, -1]], [[1, 0, 0], [0, 1, 0]]], dtype=float)
"""Directions of columns and rows, LPS, for slices whose normal is nearest to x, y and z: as films are hung."""
MAX_SKEW = 1e-3
"""Largest cosine between columns and rows: what DICOM takes as a right angle."""


class SliceOrder(NamedTuple):
    """How the axes of a volume become slices, rows and columns; `flips` says which run backwards."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    affine: FloatArray

    @property
    def orientation(self) -> FloatArray:
        """Directions of increasing column and row index, LPS, six numbers."""
        directions = LPS[:, None] * self.affine[:3, :3] / self.voxel_size_mm
        return np.concatenate([directions[:, 2], directions[:, 1]])

    @property
    def voxel_size_mm(self) -> FloatArray:
        """Distance of slices, rows and columns."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def position_mm(self, k: int) -> FloatArray:
        """Return the centre of the first voxel of a slice, LPS."""
        return np.asarray(LPS * (self.affine[:3, 0] * k + self.affine[:3, 3]))

    def arrange(self, volume: AnyArray) -> AnyArray:
        """Return a volume as (slice, row, column)."""
        turned = np.transpose(volume, self.axes)
        return np.ascontiguousarray(np.flip(turned, tuple(i for i, flip in enumerate(self.flips) if flip)))


def slice_order(
    shape: tuple[int, int, int], affine: FloatArray, *, like: FloatArray | None = None
) -> SliceOrder:
    """Return how a volume is cut: along its third axis, or as the slices whose orientation is `like`.

    Raises
    ------
    InvalidInputError
        ORIENT: columns and rows are not at a right angle.
    """
    directions = LPS[:, None] * affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if like is None:
        along = 2
        wanted = VIEWS[int(np.argmax(np.abs(directions[:, along])))]
    else:
        wanted = np.asarray(like, dtype=float).reshape(2, 3)
        along = int(np.argmax(np.abs(np.cross(*wanted) @ directions)))
    first, second = (axis for axis in range(3) if axis != along)
    if abs(wanted[0] @ directions[:, first]) < abs(wanted[0] @ directions[:, second]):
        first, second = second, first
    if abs(directions[:, first] @ directions[:, second]) > MAX_SKEW:
        raise InvalidInputError(
            "ORIENT", "the map", field="affine", found="columns and rows that are not at a right angle",
            expected="slices that DICOM can describe", fix="resample the input to a grid without shear",
        )  # fmt: skip
    across = [
        axis_wanted @ directions[:, axis] < 0
        for axis, axis_wanted in ((second, wanted[1]), (first, wanted[0]))
    ]
    signs = [-1.0 if flip else 1.0 for flip in across]
    normal = np.cross(signs[1] * directions[:, first], signs[0] * directions[:, second])
    flips = (bool(normal @ directions[:, along] < 0), bool(across[0]), bool(across[1]))
    axes = (along, second, first)
    to_voxel = np.zeros((4, 4))
    to_voxel[3, 3] = 1.0
    for column, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        to_voxel[axis, column] = -1.0 if flip else 1.0
        to_voxel[axis, 3] = shape[axis] - 1 if flip else 0.0
    return SliceOrder(axes, flips, np.asarray(affine @ to_voxel))
