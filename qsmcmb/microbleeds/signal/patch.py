"""The scan around one point: signal, field and coordinates in a ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qsmcmb.core.polynomials import monomials, polynomials
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindows
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

BLOCK_MM = 3.5
POINT_SD_MM = 1.0
"""Of a reader's or a detector's point, beside half a voxel."""
MAX_VOXELS = 5000
PATCH_RADIUS_MM = 8.0
"""Radius of the ball that is fitted, mm: beyond it the dipole's field is below that of the tissue."""


class ScanFields(NamedTuple):
    """Results of the earlier stages that a measurement needs, on the scan's grid."""

    field_hz: FloatArray
    """Total field, unwrapped, Hz."""
    offset_rad: FloatArray
    """Receive phase at echo time 0, rad."""
    mask: BoolArray
    """Brain mask."""
    r2star_hz: FloatArray | None = None
    """R2*, 1/s; None for a single echo."""


@dataclass(frozen=True)
class Patch:
    """Box around a point; `inside` marks the voxels of the ball that lie in the mask and are fitted."""

    acquisition: Acquisition
    grid: Grid
    signal: ComplexArray
    """(echo, x, y, z), the receive phase offset taken off."""
    field_hz: FloatArray
    inside: BoolArray
    axes_mm: tuple[FloatArray, FloatArray, FloatArray]
    """Coordinates of the voxels along each axis, mm from the point."""
    radius_mm: float
    fraction_in_mask: float
    """Fraction of the ball that lies in the mask and the volume."""
    box: tuple[slice, slice, slice]
    """Box in the scan's volume."""
    background: FloatArray | None = None
    """Coefficients of a cubic (`polynomials` of coordinates over `radius_mm`): the background field, Hz; None for 0."""

    def with_acquisition(self, acquisition: Acquisition) -> Patch:
        """Return the same voxels as another acquisition sees them."""
        return replace(self, acquisition=acquisition)

    @property
    def centre_voxel(self) -> FloatArray:
        """Fractional voxel indices of the point in the scan's volume."""
        start = np.array([s.start for s in self.box])
        return np.asarray(start - np.array([a[0] for a in self.axes_mm]) / self.grid.voxel_size_mm)

    @cached_property
    def independent_per_voxel(self) -> float:
        """Independent values per voxel inside: fewer than one where k-space is not filled, or was filtered."""
        ball_mm3 = 4 / 3 * np.pi * self.radius_mm**3 * self.fraction_in_mask
        used = float(self.inside.sum()) * self.grid.voxel_volume_mm3 / ball_mm3
        return min(1.0, float(np.prod([w.power for w in self.acquisition.windows])) / used)

    @property
    def point_sd_mm(self) -> FloatArray:
        """How well a given point is known to lie at the lesion's centre, along each axis."""
        return np.hypot(POINT_SD_MM, 0.5 * np.array(self.grid.voxel_size_mm))

    @cached_property
    def coordinates_mm(self) -> FloatArray:
        """Coordinates (3, x, y, z) in voxel axes, mm from the point."""
        return np.stack(np.meshgrid(*self.axes_mm, indexing="ij"))

    def restricted_to(self, radius_mm: float) -> Patch:
        """Return the same with the voxels of a smaller ball."""
        inside = self.inside & ((self.coordinates_mm**2).sum(axis=0) < radius_mm**2)
        kept = inside.sum() / max(int(self.inside.sum()), 1)
        fraction_in_mask = self.fraction_in_mask * kept * (self.radius_mm / radius_mm) ** 3
        background = self.background
        if background is not None:
            background = background * polynomials(np.full((3, 1), radius_mm / self.radius_mm), 3)[0]
        return replace(
            self,
            inside=inside,
            radius_mm=radius_mm,
            fraction_in_mask=float(fraction_in_mask),
            background=background,
        )

    def values_from_wider(self, wider: Patch, values: ComplexArray) -> ComplexArray:
        """Return what of a wider neighbourhood's (echo and voxel inside) values lies inside this one."""
        kept = self.inside[wider.inside]
        return values.reshape(len(self.acquisition.te_s), -1)[:, kept].reshape(-1)

    def background_hz(self, xyz_mm: FloatArray) -> FloatArray:
        """Return the background field at (3, n) places, Hz."""
        if self.background is None:
            return np.zeros(xyz_mm.shape[1])
        return np.asarray(polynomials(xyz_mm / self.radius_mm, 3) @ self.background)

    def background_on_grid_hz(self, x_mm: FloatArray, y_mm: FloatArray, z_mm: FloatArray) -> FloatArray:
        """Return the background field at all points of a grid, Hz, the last axis' neighbours side by side."""
        coefficients = np.zeros((4, 4, 4))
        if self.background is not None:
            coefficients[tuple(np.transpose(monomials(3)))] = self.background
        powers = (np.vander(axis / self.radius_mm, 4, increasing=True) for axis in (x_mm, y_mm, z_mm))
        return np.asarray(np.einsum("abc,xa,yb,zc->xyz", coefficients, *powers, optimize=True)).ravel()

    @cached_property
    def background_phase_step(self) -> FloatArray:
        """Turn of the background's phase from voxel to voxel, over half a turn, (axis, echo, voxel inside)."""
        xyz = self.coordinates_mm[:, self.inside]
        half = 0.5 * np.diag(self.grid.voxel_size_mm)[:, :, None]
        step = np.stack([self.background_hz(xyz + h) - self.background_hz(xyz - h) for h in half])
        return np.asarray(2 * np.array(self.acquisition.te_s)[:, None] * step[:, None])

    @cached_property
    def phase_steepness(self) -> FloatArray:
        """Largest turn of the background's phase over what k-space holds, (echo, voxel inside)."""
        edges = np.array([w.edge for w in self.acquisition.windows])[:, None, None]
        return np.asarray(np.abs(self.background_phase_step / edges).max(axis=0))

    def block_labels(self) -> np.ndarray:
        """Return for each voxel inside the number of its block of BLOCK_MM."""
        blocks = np.floor(self.coordinates_mm[:, self.inside] / BLOCK_MM).astype(int)
        _, labels = np.unique(blocks, axis=1, return_inverse=True)
        return np.asarray(labels).ravel()

    def background_phase_guide(self, cost_weight: FloatArray) -> FloatArray:
        """Return (echo, voxel) phase of a plane through the unwrapped field, weighted by `cost_weight`."""
        inside = self.inside
        weight = cost_weight.reshape(len(self.acquisition.te_s), -1).min(axis=0) ** 2
        basis = polynomials(self.coordinates_mm[:, inside] / self.radius_mm, 1)
        weighted = basis * weight[:, None]
        normal = basis.T @ weighted + 1e-9 * np.eye(4) * max(float(weight.sum()), 1e-30)
        field = basis @ np.linalg.solve(normal, weighted.T @ self.field_hz[inside])
        return np.asarray(2 * np.pi * np.outer(self.acquisition.te_s, field))


def cut_patch(
    scan: GreScan,
    voxel: FloatArray,
    fields: ScanFields,
    acquisition: Acquisition,
    *,
    radius_mm: float = PATCH_RADIUS_MM,
) -> Patch:
    """Cut the box that holds a ball around a point, and one voxel more on each side.

    Parameters
    ----------
    scan : GreScan
        Magnitude and wrapped phase.
    voxel : ndarray of shape (3,)
        The point, fractional voxel indices.
    fields : ScanFields
        Field map, phase offset and mask on `scan.grid`.
    acquisition : Acquisition
        How the scan sees; its windows decide which voxels are left out as dependent.
    radius_mm : float, optional
        Radius of the ball, mm, > 0.

    Returns
    -------
    Patch
    """
    grid = scan.grid
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
    """Leave out dependent voxels (between acquired ones), and half of them where there are more than MAX_VOXELS."""
    index = np.indices(inside.shape)
    for axis, window in enumerate(windows):
        inside = inside & (index[axis] % max(1, round(0.9 / window.edge)) == 0)
    return inside & (index.sum(axis=0) % 2 == 0) if inside.sum() > MAX_VOXELS else inside
