"""Rigid registration by mutual information (Mattes 2003, doi 10.1109/TMI.2003.809072), deterministic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

SEED = 1
SHRINK = (4, 2)
SMOOTH_MM = (3.0, 1.5)
MIN_DICE = 0.8
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Image(NamedTuple):
    """Volume, mask and geometry of one session."""

    data: FloatArray
    mask: BoolArray
    grid: Grid
    name: str


class RigidTransform(NamedTuple):
    """4 x 4 matrix from fixed to moving scanner RAS+ mm, and how well the brains overlap."""

    matrix: FloatArray
    dice: float

    def apply(self, points_mm: FloatArray) -> FloatArray:
        """Map points (n, 3) of the fixed session into the moving one."""
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def inverse(self) -> RigidTransform:
        """Return the transform from the moving to the fixed session."""
        return RigidTransform(np.linalg.inv(self.matrix), self.dice)


def register_rigid(fixed: Image, moving: Image) -> RigidTransform:
    """Register two sessions of one head.

    Parameters
    ----------
    fixed, moving : Image
        Magnitude-like volumes of the same contrast, with brain masks.

    Returns
    -------
    RigidTransform
        From fixed to moving scanner coordinates.

    Raises
    ------
    InvalidInputError
        REGISTRATION when the brains do not overlap afterwards (Dice below 0.8): another subject, another
        field of view.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    first, second = _to_sitk(fixed), _to_sitk(moving)
    start = sitk.Euler3DTransform()
    start.SetCenter(_lps(_centroid(fixed)))
    start.SetTranslation((_lps(_centroid(moving)) - _lps(_centroid(fixed))).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(48)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5, SEED)
    method.SetMetricFixedMask(_to_sitk(fixed._replace(data=fixed.mask.astype(np.float32)), sitk.sitkUInt8))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200, gradientMagnitudeTolerance=1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(SHRINK)
    method.SetSmoothingSigmasPerLevel(SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(first, second)
    matrix = _matrix(start)
    dice = _dice(fixed, moving, matrix)
    if dice < MIN_DICE:
        raise InvalidInputError(
            "REGISTRATION", moving.name, field="overlap with the baseline's brain (Dice)", found=f"{dice:.2f}",
            expected=f"at least {MIN_DICE}", fix="check that both sessions are of one subject and show the whole brain",
        )  # fmt: skip
    return RigidTransform(matrix, dice)


def _centroid(image: Image) -> FloatArray:
    return image.grid.to_world(np.argwhere(image.mask).mean(axis=0))


def _lps(point_ras: FloatArray) -> FloatArray:
    return np.asarray(point_ras, dtype=float) * [-1.0, -1.0, 1.0]


def _to_sitk(image: Image, pixel: int | None = None) -> Any:
    import SimpleITK as sitk

    data = np.where(image.mask, image.data, 0).astype(np.float32)
    out = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    affine = LPS @ image.grid.affine
    size = np.array(image.grid.voxel_size_mm)
    out.SetSpacing(size.tolist())
    out.SetOrigin(affine[:3, 3].tolist())
    out.SetDirection((affine[:3, :3] / size).ravel().tolist())
    return out if pixel is None else sitk.Cast(out, pixel)


def _matrix(transform: Any) -> FloatArray:
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + shift - rotation @ centre
    return LPS @ matrix @ LPS


def _dice(fixed: Image, moving: Image, matrix: FloatArray) -> float:
    world = fixed.grid.to_world(np.argwhere(fixed.mask).astype(np.float64)) @ matrix[:3, :3].T + matrix[:3, 3]
    voxels = np.rint(moving.grid.to_voxel(world)).astype(int)
    valid = ((voxels >= 0) & (voxels < moving.grid.shape)).all(axis=1)
    shared = moving.mask[tuple(voxels[valid].T)].sum() * fixed.grid.voxel_volume_mm3
    sizes = [i.mask.sum() * i.grid.voxel_volume_mm3 for i in (fixed, moving)]
    return float(2 * shared / sum(sizes))
