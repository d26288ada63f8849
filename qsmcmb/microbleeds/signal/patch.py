"""The scan around one point: signal, field and coordinates in a ball."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qsmcmb.core.polynomials import monomials, polynomials
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, KSpaceWindows, SliceProfile
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import dipole_phase_constant

BLOCK_MM = 3.5
POINT_SD_MM = 1.0
"""Of a reader's or a detector's point, beside half a voxel."""
MAX_VOXELS = 5000
RADIUS_MM = 8.0
"""Of the ball around a lesion that is looked at."""


@dataclass(frozen=True)
class Patch:
    """Box around a lesion; `inside` marks the voxels of the ball that lie in the mask."""

    grid: Grid
    te_s: tuple[float, ...]
    b0_tesla: float
    signal: ComplexArray
    field_hz: FloatArray
    inside: BoolArray
    axes_mm: tuple[FloatArray, FloatArray, FloatArray]
    radius_mm: float
    noise: float
    fraction_in_mask: float
    """Part of the ball that lies in the mask and the volume."""
    box: tuple[slice, slice, slice]
    windows: KSpaceWindows = FULL_K_SPACE
    """What the reconstruction left of k-space along each axis."""
    heterogeneity: float = 1.0
    """How much the tissue of the scan differs from place to place, over a brain's: 0 in a liquid."""
    slices: SliceProfile | None = None
    """How the scan was made of slices; None where k-space was sampled along all axes."""
    background: FloatArray | None = None
    """Coefficients of a cubic (`polynomials` of places over `radius_mm`): the background field, Hz; None for none."""

    @property
    def axis_profiles(self) -> list[KSpaceWindow | SliceProfile]:
        """How a voxel sees its surroundings along each axis."""
        out: list[KSpaceWindow | SliceProfile] = list(self.windows)
        if self.slices is not None:
            out[self.slices.axis] = self.slices
        return out

    @property
    def dipole_constants(self) -> FloatArray:
        """Phase (rad) per echo of 1 ppm mm3 at 1 mm, times 1 / (3 cos^2 - 1)."""
        return np.array([dipole_phase_constant(self.b0_tesla, t) for t in self.te_s])

    @cached_property
    def independent_per_voxel(self) -> float:
        """Independent values per voxel inside: fewer than one where k-space is not filled, or was filtered."""
        ball_mm3 = 4 / 3 * np.pi * self.radius_mm**3 * self.fraction_in_mask
        used = float(self.inside.sum()) * self.grid.voxel_volume_mm3 / ball_mm3
        return min(1.0, float(np.prod([w.power for w in self.windows])) / used)

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
        return values.reshape(len(self.te_s), -1)[:, kept].reshape(-1)

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
        return np.asarray(2 * np.array(self.te_s)[:, None] * step[:, None])

    @cached_property
    def phase_steepness(self) -> FloatArray:
        """Largest turn of the background's phase over what k-space holds, (echo, voxel inside)."""
        edges = np.array([w.edge for w in self.windows])[:, None, None]
        return np.asarray(np.abs(self.background_phase_step / edges).max(axis=0))

    def block_labels(self) -> np.ndarray:
        """Return for each voxel inside the number of its block of BLOCK_MM."""
        blocks = np.floor(self.coordinates_mm[:, self.inside] / BLOCK_MM).astype(int)
        _, labels = np.unique(blocks, axis=1, return_inverse=True)
        return np.asarray(labels).ravel()

    def background_phase_guide(self, cost_weight: FloatArray) -> FloatArray:
        """Return (echo, voxel) phase of a plane through the unwrapped field, weighted by `cost_weight`."""
        inside = self.inside
        weight = cost_weight.reshape(len(self.te_s), -1).min(axis=0) ** 2
        basis = polynomials(self.coordinates_mm[:, inside] / self.radius_mm, 1)
        weighted = basis * weight[:, None]
        normal = basis.T @ weighted + 1e-9 * np.eye(4) * max(float(weight.sum()), 1e-30)
        field = basis @ np.linalg.solve(normal, weighted.T @ self.field_hz[inside])
        return np.asarray(2 * np.pi * np.outer(self.te_s, field))


def cut_patch(
    scan: GreScan,
    voxel: FloatArray,
    *,
    field_hz: FloatArray,
    offset_rad: FloatArray,
    mask: BoolArray,
    noise: float,
    windows: KSpaceWindows = FULL_K_SPACE,
    radius_mm: float = RADIUS_MM,
) -> Patch:
    """Cut the box around a point (fractional voxel indices) that holds a ball of `radius_mm` and one voxel more."""
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
    whole = ball & mask[box] & (magnitude[0] > 0)
    inside = _thinned(whole, windows)
    phase = scan.phase_rad[(slice(None), *box)] - offset_rad[box]
    start = (box[0].start, box[1].start, box[2].start)
    shape = (inside.shape[0], inside.shape[1], inside.shape[2])
    full = 4 / 3 * np.pi * radius_mm**3 / grid.voxel_volume_mm3
    return Patch(
        grid.cropped(start, shape), scan.te_s, scan.b0_tesla, magnitude * np.exp(1j * phase), field_hz[box],
        inside, (axes[0], axes[1], axes[2]), radius_mm, noise, float(whole.sum() / full), box, windows,
    )  # fmt: skip


def _thinned(inside: BoolArray, windows: KSpaceWindows) -> BoolArray:
    """Leave out voxels that say little: those between acquired ones, and half of very many."""
    index = np.indices(inside.shape)
    for axis, window in enumerate(windows):
        inside = inside & (index[axis] % max(1, round(0.9 / window.edge)) == 0)
    return inside & (index.sum(axis=0) % 2 == 0) if inside.sum() > MAX_VOXELS else inside
