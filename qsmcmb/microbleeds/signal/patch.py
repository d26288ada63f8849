"""Patch: the scan around one point, cut out of the volume, with coordinates in millimetres.

The patch is a box of voxels; a lesion is fitted to those within a ball around the point that lie in the brain mask.
Its background field is a cubic polynomial of the coordinates over the ball's radius,

    f(x, y, z) = sum over a + b + c <= 3 of q_abc (x / R)^a (y / R)^b (z / R)^c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qsmcmb.core.length_scale import length_scale
from qsmcmb.core.polynomials import monomials, polynomials
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindows
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

__all__ = (
    "BLOCK_MM",
    "PATCH_RADIUS_MM",
    "Patch",
    "ScanFields",
    "cut_patch",
)

BLOCK_MM = 3.5
"""Edge of the blocks within which errors count as one, mm: longer than the 2 mm over which tissue is correlated, and a
ball of 8 mm has some 50 of them."""
POINT_SD_MM = 1.0
"""SD of a reader's or a detector's point along each axis, mm, beside half a voxel: points are expected to
lie within 2 mm of the lesion (two SDs)."""
MAX_VOXELS = 5000
"""Largest number of voxels that are fitted, above which every second is left out: a ball of 8 mm has more where
voxels are smaller than 0.75 mm, and voxels so close to each other say the same of the tissue."""
PATCH_RADIUS_MM = 8.0
"""Radius of the ball that is fitted, mm, times the length scale: beyond it the dipole's field is below that of the
tissue."""
BACKGROUND_ORDER = 3
"""Order of the background field's polynomial: what sources outside the patch make varies no faster than a cubic."""
RELATIVE_LOADING = 1e-9
"""Fraction of the total weight that is added to the diagonal of a plane fit's normal matrix: it stays regular where all
voxels lie in one slice, and no digit that matters changes."""
MIN_WEIGHT = 1e-30
"""Smallest total weight that RELATIVE_LOADING multiplies: the matrix stays regular without any weight, too."""


class ScanFields(NamedTuple):
    """Results of the earlier stages that a measurement needs, on the scan's grid."""

    field_hz: FloatArray
    """Total field, unwrapped, Hz."""
    offset_rad: FloatArray
    """Receive phase offset, at echo time 0, rad."""
    mask: BoolArray
    """Brain mask."""
    r2star_hz: FloatArray | None = None
    """R2*, 1/s; None for a single echo."""
    chi_ppm: FloatArray | None = None
    """Susceptibility map, ppm, 0 outside the mask; None where none was made."""


@dataclass(frozen=True)
class Patch:
    """Signal and field of a scan in a box around a point."""

    acquisition: Acquisition
    """Properties of the scan."""
    grid: Grid
    """Grid of the box."""
    signal: ComplexArray
    """Complex signal, (echo, x, y, z), arbitrary unit, without the receive phase offset."""
    field_hz: FloatArray
    """Total field, (x, y, z), Hz."""
    inside: BoolArray
    """Voxels that are fitted, (x, y, z): those of the ball that lie in the mask, without those that zero filling
    interpolated, and half of them where there are more than MAX_VOXELS."""
    axes_mm: tuple[FloatArray, FloatArray, FloatArray]
    """Coordinates of the voxels along each axis of the image, mm from the point."""
    radius_mm: float
    """Radius of the ball, mm."""
    fraction_in_mask: float
    """Fraction of the ball that lies in the mask and in the volume: 0 to about 1, by counting voxels."""
    box: tuple[slice, slice, slice]
    """Slices of the box in the scan's volume."""
    background: FloatArray | None = None
    """Coefficients of the background field's cubic, Hz, in the order of `core.polynomials`; None for a field of 0."""

    def with_acquisition(self, acquisition: Acquisition) -> Patch:
        """Return the same voxels with other properties of the scan.

        Parameters
        ----------
        acquisition : Acquisition
            The other properties; echo times as before.

        Returns
        -------
        Patch
            The same arrays, not copied.
        """
        return replace(self, acquisition=acquisition)

    @property
    def length_scale(self) -> float:
        """Factor of all lengths of the fit, >= 1: above 1 for voxels of more than FINE_VOXEL_MM."""
        return length_scale(self.grid)

    @property
    def centre_voxel(self) -> FloatArray:
        """Voxel indices of the point in the scan's volume, fractional, (3,)."""
        start = np.array([s.start for s in self.box])
        return np.asarray(start - np.array([a[0] for a in self.axes_mm]) / self.grid.voxel_size_mm)

    @cached_property
    def independent_per_voxel(self) -> float:
        """Independent values per voxel inside, 0 to 1: below 1 where the image is zero-filled or filtered."""
        ball_mm3 = 4 / 3 * np.pi * self.radius_mm**3 * self.fraction_in_mask
        # Leaving out voxels has already taken some of the dependence away.
        used = float(self.inside.sum()) * self.grid.voxel_volume_mm3 / ball_mm3
        return min(1.0, float(np.prod([w.power for w in self.acquisition.windows])) / used)

    @property
    def point_sd_mm(self) -> FloatArray:
        """SD of the distance between the point and a lesion's centre along each axis, mm, (3,)."""
        return np.hypot(POINT_SD_MM, 0.5 * np.array(self.grid.voxel_size_mm))

    @cached_property
    def coordinates_mm(self) -> FloatArray:
        """Coordinates of the voxels along the axes of the image, mm from the point, (3, x, y, z)."""
        return np.stack(np.meshgrid(*self.axes_mm, indexing="ij"))

    def restricted_to(self, radius_mm: float) -> Patch:
        """Return the patch with the voxels of a smaller ball.

        Parameters
        ----------
        radius_mm : float
            Radius of the smaller ball, mm, > 0 and at most the present one.

        Returns
        -------
        Patch
            The same box; `inside`, the fraction in the mask and the background's coefficients fit the new radius.
        """
        inside = self.inside & ((self.coordinates_mm**2).sum(axis=0) < radius_mm**2)
        remaining = inside.sum() / max(int(self.inside.sum()), 1)
        fraction_in_mask = self.fraction_in_mask * remaining * (self.radius_mm / radius_mm) ** 3
        background = self.background
        if background is not None:
            # The same field over another unit of length: a monomial of order n gains the n-th power of the ratio.
            ratio = np.full((3, 1), radius_mm / self.radius_mm)
            background = background * polynomials(ratio, BACKGROUND_ORDER)[0]
        return replace(
            self,
            inside=inside,
            radius_mm=radius_mm,
            fraction_in_mask=float(fraction_in_mask),
            background=background,
        )

    def values_from_wider(self, wider: Patch, values: ComplexArray) -> ComplexArray:
        """Return those values of a wider patch that lie inside this one.

        Parameters
        ----------
        wider : Patch
            A patch with the same box, whose voxels inside include those of this one.
        values : ndarray of shape (n_echoes * n_inside_wider,)
            Values at its voxels inside, echo after echo.

        Returns
        -------
        ndarray of shape (n_echoes * n_inside,)
            Values at the voxels inside this patch.
        """
        common = self.inside[wider.inside]
        return values.reshape(len(self.acquisition.te_s), -1)[:, common].reshape(-1)

    def background_hz(self, xyz_mm: FloatArray) -> FloatArray:
        """Return the background field at some points.

        Parameters
        ----------
        xyz_mm : ndarray of shape (3, n)
            Points, mm from the patch's point.

        Returns
        -------
        ndarray of shape (n,)
            Field, Hz.
        """
        if self.background is None:
            return np.zeros(xyz_mm.shape[1])
        return np.asarray(polynomials(xyz_mm / self.radius_mm, BACKGROUND_ORDER) @ self.background)

    def background_on_grid_hz(self, x_mm: FloatArray, y_mm: FloatArray, z_mm: FloatArray) -> FloatArray:
        """Return the background field at all points of a grid, much faster than point by point.

        Parameters
        ----------
        x_mm, y_mm, z_mm : ndarray of shape (nx,), (ny,), (nz,)
            Coordinates of the grid along each axis, mm from the patch's point.

        Returns
        -------
        ndarray of shape (nx * ny * nz,)
            Field, Hz; z varies fastest.
        """
        n_powers = BACKGROUND_ORDER + 1
        coefficients = np.zeros((n_powers, n_powers, n_powers))
        if self.background is not None:
            coefficients[tuple(np.transpose(monomials(BACKGROUND_ORDER)))] = self.background
        # The powers of a monomial separate: one small matrix for each axis.
        powers = (np.vander(axis / self.radius_mm, n_powers, increasing=True) for axis in (x_mm, y_mm, z_mm))
        return np.asarray(np.einsum("abc,xa,yb,zc->xyz", coefficients, *powers, optimize=True)).ravel()

    @cached_property
    def background_phase_step(self) -> FloatArray:
        """Step of the background's phase from voxel to voxel, in half turns, (axis, echo formed, voxel inside)."""
        xyz = self.coordinates_mm[:, self.inside]
        half = 0.5 * np.diag(self.grid.voxel_size_mm)[:, :, None]
        step = np.stack([self.background_hz(xyz + h) - self.background_hz(xyz - h) for h in half])
        return np.asarray(2 * np.array(self.acquisition.formed_te_s)[:, None] * step[:, None])

    @cached_property
    def phase_steepness(self) -> FloatArray:
        """Largest phase step over the axes as a fraction of what the acquired k-space holds, (echo, voxel inside).

        At 1 the tissue's signal lies at the edge of k-space, and is lost beyond.
        """
        edges = np.array([w.edge for w in self.acquisition.windows])[:, None, None]
        steepness = np.abs(self.background_phase_step / edges).max(axis=0)
        # The later echo decides what a phase difference holds.
        return np.asarray(steepness[-len(self.acquisition.te_s) :])

    def block_labels(self) -> np.ndarray:
        """Return the number of the block in which each voxel inside lies.

        Returns
        -------
        ndarray of shape (n_inside,), int
            Numbers from 0 on; blocks are cubes of BLOCK_MM.
        """
        blocks = np.floor(self.coordinates_mm[:, self.inside] / (BLOCK_MM * self.length_scale)).astype(int)
        _, labels = np.unique(blocks, axis=1, return_inverse=True)
        return np.asarray(labels).ravel()

    def linear_field_phase(self, voxel_weight: FloatArray) -> FloatArray:
        """Return the phase that a linear fit to the total field predicts, by which the signal's phase is unwrapped.

        Parameters
        ----------
        voxel_weight : ndarray of shape (n_echoes * n_inside,)
            Weight of each voxel inside at each echo, >= 0; a voxel counts by its least.

        Returns
        -------
        ndarray of shape (n_echoes, n_inside)
            Phase of the linear fit, rad, not wrapped.
        """
        inside = self.inside
        weight = voxel_weight.reshape(len(self.acquisition.te_s), -1).min(axis=0) ** 2
        plane = polynomials(self.coordinates_mm[:, inside] / self.radius_mm, 1)
        weighted = plane * weight[:, None]
        loading = RELATIVE_LOADING * np.eye(4) * max(float(weight.sum()), MIN_WEIGHT)
        normal = plane.T @ weighted + loading
        field = plane @ np.linalg.solve(normal, weighted.T @ self.field_hz[inside])
        return np.asarray(2 * np.pi * np.outer(self.acquisition.te_s, field))


def cut_patch(
    scan: GreScan,
    voxel: FloatArray,
    fields: ScanFields,
    acquisition: Acquisition,
    *,
    radius_mm: float | None = None,
) -> Patch:
    """Cut a patch out of a scan: the box that holds a ball around a point, and one voxel more on each side.

    Parameters
    ----------
    scan : GreScan
        Magnitude and wrapped phase.
    voxel : ndarray of shape (3,)
        The point, fractional voxel indices.
    fields : ScanFields
        Total field, receive phase offset and mask on `scan.grid`.
    acquisition : Acquisition
        Properties of the scan; its windows decide which voxels are left out as interpolated.
    radius_mm : float, optional
        Radius of the ball, mm, > 0; PATCH_RADIUS_MM times the length scale by default.

    Returns
    -------
    Patch
        Voxels count as inside where the ball and the mask are, and the first echo has signal. Near the volume's edge
        the box is smaller.

    Examples
    --------
    >>> grid = Grid(shape=(20, 20, 20), voxel_size_mm=(1.0, 1.0, 1.0), b0_dir=(0.0, 0.0, 1.0))
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(magnitude=ones[None], phase_rad=0 * ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> fields = ScanFields(field_hz=0 * ones, offset_rad=0 * ones, mask=ones > 0)
    >>> acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=0.01)
    >>> patch = cut_patch(scan, np.array([9.5, 9.5, 9.5]), fields, acquisition, radius_mm=4.0)
    >>> patch.signal.shape, int(patch.inside.sum()), round(patch.fraction_in_mask, 2)
    ((1, 12, 12, 12), 280, 1.04)
    """
    grid = scan.grid
    radius_mm = radius_mm or PATCH_RADIUS_MM * length_scale(grid)
    slices, axes = [], []
    for v, size, n in zip(voxel, grid.voxel_size_mm, grid.shape, strict=True):
        reach = radius_mm / size + 1
        first, last = max(0, int(np.floor(v - reach))), min(n, int(np.ceil(v + reach)) + 1)
        slices.append(slice(first, last))
        axes.append((np.arange(first, last) - v) * size)
    box = (slices[0], slices[1], slices[2])
    x, y, z = np.meshgrid(*axes, indexing="ij")
    ball = x**2 + y**2 + z**2 <= radius_mm**2
    magnitude = scan.magnitude[(slice(None), *box)]
    in_mask = ball & fields.mask[box] & (magnitude[0] > 0)
    inside = _thinned(in_mask, acquisition.windows)
    phase = scan.phase_rad[(slice(None), *box)] - fields.offset_rad[box]
    start = (box[0].start, box[1].start, box[2].start)
    shape = (inside.shape[0], inside.shape[1], inside.shape[2])
    n_ball = 4 / 3 * np.pi * radius_mm**3 / grid.voxel_volume_mm3
    return Patch(
        acquisition=acquisition,
        grid=grid.cropped(start, shape),
        signal=magnitude * np.exp(1j * phase),
        field_hz=fields.field_hz[box],
        inside=inside,
        axes_mm=(axes[0], axes[1], axes[2]),
        radius_mm=radius_mm,
        fraction_in_mask=float(in_mask.sum() / n_ball),
        box=box,
    )


def _thinned(inside: BoolArray, windows: KSpaceWindows) -> BoolArray:
    """Leave out voxels between acquired ones, and half of the rest where there are more than MAX_VOXELS."""
    index = np.indices(inside.shape)
    for axis, window in enumerate(windows):
        # An image zero-filled to twice its matrix has an edge of 0.5: every second voxel is interpolated.
        inside = inside & (index[axis] % max(1, round(0.9 / window.edge)) == 0)
    # A checkerboard: it leaves all three axes sampled alike.
    return inside & (index.sum(axis=0) % 2 == 0) if inside.sum() > MAX_VOXELS else inside
