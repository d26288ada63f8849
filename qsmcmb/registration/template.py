"""Registration of a scan to a template of tissue maps: affine, then deformable; deterministic.

The template has no contrast of its own. Mutual information finds the affine part. Then that mixture of the template's
tissues is taken which explains the scan best (a linear fit), so that scan and template have one contrast, and demons
find the rest: a smooth displacement.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.model import Grid
from qsmcmb.registration.rigid import Image
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("TemplateTransform", "TissueTemplate", "register_template")

AFFINE_MM = 4.0
"""Spacing of the grid of the affine part, template mm."""
DEMONS = ((6.0, 40, 2.0), (3.0, 20, 2.0))
"""Spacing, template mm, iterations, and smoothing of the displacement in voxels, of each level. Set by trial on phantom
heads.
"""
BIAS_MM = 25.0
"""Width of the Gaussian by which slow changes of the scan are estimated, template mm: wide beside a gyrus."""
SMOOTH_MM = 1.5
"""Width of the Gaussian over scan and tissues, template mm: an average of many heads is that smooth."""
T1_LIKE = (0.7, 1.0, 0.3)
"""Intensity of grey matter, white matter and fluid of the template for mutual information."""
BACKGROUND = 2.5
"""How far the background lies below the brain's mean, SDs within the brain: its surface counts, but not alone."""
AFFINE_STEPS = 80
"""Largest number of steps of the affine registration."""
MIN_PLANES = 4
"""Least number of voxels along each axis of a brain that can be registered."""
MIN_VOXELS = 100
"""Least number of voxels, and MIN_TISSUE of each tissue, that the mixtures are found from."""
MIN_TISSUE = 10.0
"""Least amount of a tissue, voxels, that takes part."""


class TissueTemplate(NamedTuple):
    """Hold the tissue maps of a template.

    Parameters
    ----------
    tissues : ndarray of shape (n, *grid.shape), float32
        Fraction of each tissue, 0 to 1: grey matter, white matter, fluid, then others; their sum is the brain.
    grid : Grid
        Geometry, template mm, RAS+, axes along those of the template.

    Examples
    --------
    >>> grid = Grid.isotropic((4, 4, 4), 2.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> TissueTemplate(np.stack([0.4 * ones, 0.5 * ones, 0.1 * ones]), grid).grid.shape
    (4, 4, 4)
    """

    tissues: FloatArray
    grid: Grid


class TemplateTransform(NamedTuple):
    """Hold the way from a scan into the template, and how well both agree.

    Parameters
    ----------
    matrix : ndarray of shape (4, 4)
        Affine part, from scanner coordinates, RAS+ mm, to template mm.
    displacement_mm : ndarray of shape (x, y, z, 3)
        What is added after the affine part, template mm.
    grid : Grid
        Geometry of the displacement, template mm.
    dice : float
        Dice overlap of the brains after the transform, 0 to 1.
    correlation : float
        Correlation of the scan with the mixture of the template's tissues that explains it best, 0 to 1.

    Examples
    --------
    >>> grid = Grid.isotropic((4, 4, 4), 2.0)
    >>> none = np.zeros((*grid.shape, 3), np.float32)
    >>> TemplateTransform(np.eye(4), none, grid, 1.0, 1.0).apply(np.array([[1.0, 0.0, 2.0]])).tolist()
    [[1.0, 0.0, 2.0]]
    """

    matrix: FloatArray
    displacement_mm: FloatArray
    grid: Grid
    dice: float
    correlation: float

    @property
    def scale(self) -> float:
        """Ratio of lengths in the template to those in the scan, mean over directions."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])) ** (1 / 3))

    @property
    def stretch(self) -> float:
        """Ratio of the largest to the smallest scale over directions: a head that is cut off is stretched."""
        scales = np.linalg.svd(self.matrix[:3, :3], compute_uv=False)
        return float(scales[0] / scales[-1])

    def apply(self, points_mm: FloatArray) -> FloatArray:
        """Map points of the scan into the template.

        Parameters
        ----------
        points_mm : ndarray of shape (n, 3)
            Scanner coordinates, RAS+, mm.

        Returns
        -------
        ndarray of shape (n, 3)
            Template coordinates, mm.

        Examples
        --------
        >>> grid = Grid.isotropic((4, 4, 4), 2.0)
        >>> shift = np.full((*grid.shape, 3), 0.5, np.float32)
        >>> TemplateTransform(np.eye(4), shift, grid, 1.0, 1.0).apply(np.zeros((1, 3))).tolist()
        [[0.5, 0.5, 0.5]]
        """
        points = (
            np.asarray(points_mm, dtype=float).reshape(-1, 3) @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        )
        voxels = self.grid.to_voxel(points).T
        moved = [
            ndimage.map_coordinates(self.displacement_mm[..., axis], voxels, order=1, mode="nearest")
            for axis in range(3)
        ]
        return np.asarray(points + np.stack(moved, axis=-1))


def register_template(scan: Image, template: TissueTemplate) -> TemplateTransform | None:
    """Register a scan to a template.

    Parameters
    ----------
    scan : Image
        R2* (1/s) or magnitude with brain mask; the whole brain, its axes within some 30 degrees of the template's.
    template : TissueTemplate
        Tissue maps.

    Returns
    -------
    TemplateTransform or None
        From scanner coordinates to the template; None where the mask is too thin to be registered. Whether the result
        is good enough is for the caller to decide.

    Notes
    -----
    Starts where centroid and extent of both brains agree. One thread: the result doesn't depend on their number.

    References
    ----------
    Mattes et al. 2003. PET-CT image registration in the chest using free-form deformations. doi:10.1109/TMI.2003.809072
    Vercauteren et al. 2009. Diffeomorphic demons: efficient non-parametric image registration.
    doi:10.1016/j.neuroimage.2008.10.040

    Examples
    --------
    >>> grid = Grid.isotropic((20, 24, 20), 6.0)
    >>> x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in grid.shape], indexing="ij")
    >>> brain = (((x / 8) ** 2 + (y / 10) ** 2 + (z / 8) ** 2) < 1).astype(np.float32)
    >>> wm = brain * ((x**2 + y**2 + z**2) < 30)
    >>> template = TissueTemplate(np.stack([brain - wm, wm, 0 * wm]), grid)
    >>> found = register_template(Image(2 * brain + wm, brain > 0.5, grid, "scan"), template)
    >>> found.dice > 0.9
    True
    """
    import SimpleITK as sitk

    # With several threads sums come in another order each time.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    where = np.argwhere(scan.mask)
    if not len(where) or np.ptp(where, axis=0).min() < MIN_PLANES:
        return None
    start = _start(scan, where, template)
    matrix = _affine(_Level(scan, start, template, AFFINE_MM)) @ start
    level = _Level(scan, matrix, template, DEMONS[0][0])
    displacement = _demons(level, level.still, *DEMONS[0][1:])
    for spacing_mm, iterations, smoothing in DEMONS[1:]:
        finer = _Level(scan, matrix, template, spacing_mm)
        displacement = _demons(finer, finer.on_grid(displacement, level.grid), iterations, smoothing)
        level = finer
    _, correlation = _explain(level, displacement)
    return TemplateTransform(matrix, displacement, level.grid, _dice(level, displacement), correlation)


class _Level:
    """Scan and tissues on one grid of the template."""

    def __init__(self, scan: Image, matrix: FloatArray, template: TissueTemplate, spacing_mm: float) -> None:
        extent = np.array(template.grid.shape) * np.array(template.grid.voxel_size_mm)
        shape = [int(np.ceil(e / spacing_mm)) for e in extent]
        affine = np.diag([spacing_mm] * 3 + [1.0])
        affine[:3, 3] = template.grid.affine[:3, 3]
        self.grid = Grid.from_affine((shape[0], shape[1], shape[2]), affine)
        sigma = max(SMOOTH_MM, 0.4 * spacing_mm)
        # From voxels of this grid to voxels of the scan and of the template.
        to_scan = np.linalg.inv(scan.grid.affine) @ np.linalg.inv(matrix) @ affine
        to_template = np.linalg.inv(template.grid.affine) @ affine
        own = sigma * abs(np.linalg.det(matrix[:3, :3])) ** (-1 / 3) / np.array(scan.grid.voxel_size_mm)
        inside = scan.mask.astype(np.float32)
        weight = _resample(ndimage.gaussian_filter(inside, own), to_scan, self.grid)
        self.mask: BoolArray = weight > 0.5
        total = _resample(ndimage.gaussian_filter(scan.data * inside, own), to_scan, self.grid)
        self.scan = _without_bias(total / np.maximum(weight, 0.1), self.mask, BIAS_MM / spacing_mm)
        tissue = sigma / np.array(template.grid.voxel_size_mm)
        self.tissues = np.stack([
            _resample(ndimage.gaussian_filter(t, tissue), to_template, self.grid) for t in template.tissues
        ])  # fmt: skip

    @property
    def still(self) -> FloatArray:
        """No displacement."""
        return np.zeros((*self.grid.shape, 3), np.float32)

    def on_grid(self, displacement: FloatArray, grid: Grid) -> FloatArray:
        """Return a displacement on another grid on this one."""
        matrix = np.linalg.inv(grid.affine) @ self.grid.affine
        return np.stack([_resample(displacement[..., a], matrix, self.grid) for a in range(3)], axis=-1)


def _start(scan: Image, where: Any, template: TissueTemplate) -> FloatArray:
    """Return the affine map that brings centroid and extent along the scanner's axes to the template's."""
    own = scan.grid.to_world(where[:: max(1, len(where) // 50000)].astype(np.float64))
    voxels = np.argwhere(template.tissues.sum(axis=0) > 0.5)
    theirs = template.grid.to_world(voxels[:: max(1, len(voxels) // 50000)].astype(np.float64))
    matrix = np.diag([*(theirs.std(axis=0) / own.std(axis=0)), 1.0])
    matrix[:3, 3] = theirs.mean(axis=0) - matrix[:3, :3] @ own.mean(axis=0)
    return matrix


def _resample(volume: FloatArray, matrix: FloatArray, grid: Grid) -> FloatArray:
    """Return a volume at the voxels of a grid; 0 outside."""
    out = ndimage.affine_transform(
        np.asarray(volume, np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=grid.shape, order=1
    )
    return np.asarray(out)


def _without_bias(values: FloatArray, mask: BoolArray, sigma: float) -> FloatArray:
    """Return values less those of the surroundings, SD 1, without outliers; 0 outside the mask."""
    weight = np.maximum(ndimage.gaussian_filter(mask.astype(np.float32), sigma), 1e-3)
    mean = ndimage.gaussian_filter(np.where(mask, values, 0).astype(np.float32), sigma) / weight
    rest = values - mean
    if not mask.any():
        return np.zeros_like(values)
    # Single bright or dark places, as lesions and vessels are, count no more than tissue.
    low, high = np.percentile(rest[mask], (1, 99))
    rest = np.where(mask, np.clip(rest, low, high), 0)
    return np.asarray(rest / max(float(rest[mask].std()), 1e-12), np.float32)


def _affine(level: _Level) -> FloatArray:
    """Return the affine map, template mm, that brings the scan to the template."""
    import SimpleITK as sitk

    # Outside the brain both are far below any tissue: the brain's surface counts most.
    contrast = np.tensordot(_t1_like(level), level.tissues, axes=1)
    values = np.where(level.mask, level.scan + BACKGROUND, 0)
    fixed, moving = _to_sitk(values, level.grid), _to_sitk(contrast, level.grid)
    transform = sitk.AffineTransform(3)
    middle = level.grid.to_world((np.array(level.grid.shape) - 1) / 2)
    transform.SetCenter(middle.tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, AFFINE_STEPS, gradientMagnitudeTolerance=1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = middle + np.array(transform.GetTranslation()) - matrix[:3, :3] @ middle
    return matrix


def _t1_like(level: _Level) -> FloatArray:
    """Return the weights of the tissues in a T1-like contrast; grey matter's for all but white matter and fluid."""
    weights = np.full(len(level.tissues), T1_LIKE[0], np.float32)
    weights[: len(T1_LIKE)] = T1_LIKE
    return weights


def _demons(level: _Level, start: FloatArray, iterations: int, smoothing: float) -> FloatArray:
    """Return the displacement (x, y, z, 3), mm, that brings the scan to the template, from a start on."""
    import SimpleITK as sitk

    weights, _ = _explain(level, start)
    fixed = np.where(level.mask, level.scan + BACKGROUND, 0)
    moving = np.tensordot(weights + BACKGROUND, level.tissues, axes=1)
    method = sitk.DiffeomorphicDemonsRegistrationFilter()
    method.SetNumberOfIterations(iterations)
    method.SetStandardDeviations(smoothing)
    method.SetSmoothUpdateField(True)
    method.SetUpdateFieldStandardDeviations(1.0)
    field = sitk.GetImageFromArray(start.transpose(2, 1, 0, 3).astype(np.float64), isVector=True)
    image = _to_sitk(fixed, level.grid)
    field.CopyInformation(image)
    found = sitk.GetArrayFromImage(method.Execute(image, _to_sitk(moving, level.grid), field))
    return np.ascontiguousarray(found.transpose(2, 1, 0, 3).astype(np.float32))


def _explain(level: _Level, displacement: FloatArray) -> tuple[FloatArray, float]:
    """Return the weights of the tissues that explain the scan best, and the correlation."""
    tissues = _moved(level, displacement)
    both = level.mask & (tissues.sum(axis=0) > 0.9)
    part = tissues[:, both].sum(axis=1) >= MIN_TISSUE
    if both.sum() < MIN_VOXELS or part.sum() < 2:
        return _t1_like(level), 0.0
    values, explaining = level.scan[both], tissues[part][:, both].T
    found, *_ = np.linalg.lstsq(explaining, values, rcond=None)
    weights = np.zeros(len(tissues), np.float32)
    weights[part] = found
    fitted = explaining @ found
    spread = float(values.std() * fitted.std())
    return weights, float(
        np.mean((values - values.mean()) * (fitted - fitted.mean()))
    ) / spread if spread else 0.0


def _moved(level: _Level, displacement: FloatArray) -> FloatArray:
    """Return the tissues where the displacement takes each voxel."""
    index = np.indices(level.grid.shape, dtype=np.float32)
    index += (
        np.moveaxis(displacement, -1, 0) / np.array(level.grid.voxel_size_mm, np.float32)[:, None, None, None]
    )
    return np.stack([ndimage.map_coordinates(t, index, order=1) for t in level.tissues])


def _dice(level: _Level, displacement: FloatArray) -> float:
    """Return the Dice overlap of the brains."""
    brain = _moved(level, displacement).sum(axis=0) > 0.5
    return float(2 * (brain & level.mask).sum() / max(brain.sum() + level.mask.sum(), 1))


def _to_sitk(volume: FloatArray, grid: Grid) -> Any:
    """Return a volume as an image of SimpleITK; its axes are those of the template, RAS+."""
    import SimpleITK as sitk

    out = sitk.GetImageFromArray(np.ascontiguousarray(np.asarray(volume, np.float32).transpose(2, 1, 0)))
    out.SetSpacing(list(grid.voxel_size_mm))
    out.SetOrigin(np.asarray(grid.affine[:3, 3]).tolist())
    return out
