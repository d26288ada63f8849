"""Rigid registration by mutual information, deterministic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "MIN_DICE",
    "Image",
    "RigidTransform",
    "fit_rigid",
    "register_rigid",
)

SEED = 1
"""Seed of the metric's sampling, which is regular: fixed, so that two runs agree to the last bit."""
SHRINK_FACTORS = (4, 2)
"""Factors by which the images are shrunk, level by level: coarse, then fine; the masks' centroids are
a near enough start for two levels.
"""
SMOOTH_MM = (3.0, 1.5)
"""Gaussian width on each level, mm: three quarters of the shrunk voxel at 1 mm."""
MIN_DICE = 0.8
"""Overlap of the brains, 0 to 1, below which the sessions do not belong together. Set by trial."""
CLIP_PERCENTILES = (0.5, 99.5)
"""Percentiles of the brain's values beyond which values are cut off."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Matrix from RAS+ to the LPS+ coordinates of SimpleITK; its own inverse."""


class Image(NamedTuple):
    """Hold volume, mask and geometry of one session.

    Parameters
    ----------
    data : ndarray of shape grid.shape
        Magnitude-like volume, any unit.
    mask : ndarray of shape grid.shape, bool
        Brain mask, not empty.
    grid : Grid
        Shape, voxel size (mm) and affine to scanner coordinates.
    name : str
        Name of the session, for messages.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((2, 2, 2), 1.0)
    >>> Image(np.ones(grid.shape, np.float32), np.ones(grid.shape, bool), grid, "baseline").name
    'baseline'
    """

    data: FloatArray
    mask: BoolArray
    grid: Grid
    name: str


class RigidTransform(NamedTuple):
    """Hold a rigid transform between two sessions, and how well the brains overlap.

    Parameters
    ----------
    matrix : ndarray of shape (4, 4)
        From fixed to moving scanner coordinates, RAS+, mm.
    dice : float
        Dice overlap of the brain masks after the transform, 0 to 1.

    Examples
    --------
    >>> RigidTransform(np.eye(4), 1.0).apply(np.array([[1.0, 2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """

    matrix: FloatArray
    dice: float

    def apply(self, points_mm: FloatArray) -> FloatArray:
        """Map points of the fixed session into the moving one.

        Parameters
        ----------
        points_mm : ndarray of shape (n, 3) or (3,)
            Scanner coordinates of the fixed session, RAS+, mm.

        Returns
        -------
        ndarray of shape (n, 3)
            Scanner coordinates of the moving session, RAS+, mm.

        Examples
        --------
        >>> shift = np.eye(4)
        >>> shift[0, 3] = 5.0
        >>> RigidTransform(shift, 1.0).apply(np.zeros(3)).tolist()
        [[5.0, 0.0, 0.0]]
        """
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def inverse(self) -> RigidTransform:
        """Return the transform from the moving to the fixed session.

        Returns
        -------
        RigidTransform
            With the same overlap.

        Examples
        --------
        >>> shift = np.eye(4)
        >>> shift[0, 3] = 5.0
        >>> float(RigidTransform(shift, 1.0).inverse().matrix[0, 3])
        -5.0
        """
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
        REGISTRATION when the brains do not overlap afterwards (Dice below 0.8): another subject, another field of view.

    Notes
    -----
    Maximises the mutual information of the brains, outside of which both volumes are 0, over three angles and three
    shifts, from the masks' centroids on, by regular-step gradient descent on two levels of resolution.

    References
    ----------
    Mattes et al. 2003. PET-CT image registration in the chest using free-form deformations. doi:10.1109/TMI.2003.809072

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 2.0)
    >>> x, y, z = np.meshgrid(*3 * [np.arange(16) - 7.5], indexing="ij")
    >>> mask = x**2 + (1.2 * y) ** 2 + (1.4 * z) ** 2 < 36
    >>> image = Image((100 + x + y * z).astype(np.float32), mask, grid, "baseline")
    >>> register_rigid(image, image).dice > 0.9
    True
    """
    found = fit_rigid(fixed, moving)
    if found.dice < MIN_DICE:
        raise InvalidInputError(
            "REGISTRATION", moving.name, field="overlap with the baseline's brain (Dice)", found=f"{found.dice:.2f}",
            expected=f"at least {MIN_DICE}", fix="check that both sessions are of one subject and show the whole brain",
        )  # fmt: skip
    return found


def fit_rigid(fixed: Image, moving: Image) -> RigidTransform:
    """Register two sessions, whether they fit or not.

    Parameters
    ----------
    fixed, moving : Image
        Magnitude-like volumes of the same contrast, with brain masks.

    Returns
    -------
    RigidTransform
        From fixed to moving scanner coordinates, with the overlap of the brains.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 2.0)
    >>> x, y, z = np.meshgrid(*3 * [np.arange(16) - 7.5], indexing="ij")
    >>> mask = x**2 + (1.2 * y) ** 2 + (1.4 * z) ** 2 < 36
    >>> image = Image((100 + x + y * z).astype(np.float32), mask, grid, "baseline")
    >>> fit_rigid(image, image).dice > 0.9
    True
    """
    import SimpleITK as sitk

    # With several threads sums come in another order each time.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    first, second = _to_sitk(fixed), _to_sitk(moving)
    # From centroid to centroid: heads may lie centimetres apart.
    start = sitk.Euler3DTransform()
    start.SetCenter(_lps(_centroid(fixed)))
    start.SetTranslation((_lps(_centroid(moving)) - _lps(_centroid(fixed))).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(48)
    # Every second voxel, always the same ones.
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5, SEED)
    # Neck and scalp move against the brain.
    method.SetMetricFixedMask(_to_sitk(fixed._replace(data=fixed.mask.astype(np.float32)), sitk.sitkUInt8))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 200, gradientMagnitudeTolerance=1e-6)
    # A radian and a millimetre count by how far they move voxels.
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(SHRINK_FACTORS)
    method.SetSmoothingSigmasPerLevel(SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(first, second)
    matrix = _matrix(start)
    return RigidTransform(matrix, _dice(fixed, moving, matrix))


def _centroid(image: Image) -> FloatArray:
    """Return the centroid of the brain mask in scanner coordinates, RAS+ mm."""
    return image.grid.to_world(np.argwhere(image.mask).mean(axis=0))


def _lps(point_ras: FloatArray) -> FloatArray:
    """Return a point of RAS+ coordinates in LPS+."""
    return np.asarray(point_ras, dtype=float) * [-1.0, -1.0, 1.0]


def _to_sitk(image: Image, pixel: int | None = None) -> Any:
    """Return the masked volume as an image of SimpleITK, with its geometry."""
    import SimpleITK as sitk

    # A few extreme voxels would leave the histogram's other bins empty.
    low, high = np.percentile(image.data[image.mask], CLIP_PERCENTILES)
    data = np.where(image.mask, np.clip(image.data, low, high), 0).astype(np.float32)
    # SimpleITK has z first.
    out = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    # Its coordinates are left and posterior positive.
    affine = LPS @ image.grid.affine
    size = np.array(image.grid.voxel_size_mm)
    out.SetSpacing(size.tolist())
    out.SetOrigin(affine[:3, 3].tolist())
    out.SetDirection((affine[:3, :3] / size).ravel().tolist())
    return out if pixel is None else sitk.Cast(out, pixel)


def _matrix(transform: Any) -> FloatArray:
    """Return the 4 x 4 matrix of a transform of SimpleITK, in RAS+."""
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    # The rotation is about a centre of its own; a matrix rotates about the origin.
    matrix[:3, 3] = centre + shift - rotation @ centre
    # From RAS+ to LPS+, then the transform, then back.
    return LPS @ matrix @ LPS


def _dice(fixed: Image, moving: Image, matrix: FloatArray) -> float:
    """Return the Dice overlap of the fixed mask, transformed, and the moving one."""
    world = fixed.grid.to_world(np.argwhere(fixed.mask).astype(np.float64)) @ matrix[:3, :3].T + matrix[:3, 3]
    voxels = np.rint(moving.grid.to_voxel(world)).astype(int)
    # The other session may not cover the whole head.
    valid = ((voxels >= 0) & (voxels < moving.grid.shape)).all(axis=1)
    shared = moving.mask[tuple(voxels[valid].T)].sum() * fixed.grid.voxel_volume_mm3
    sizes = [i.mask.sum() * i.grid.voxel_volume_mm3 for i in (fixed, moving)]
    return float(2 * shared / sum(sizes))
