"""The scanner: pose and slab, sampling of k-space or of slices, filter, zero-filling, receiver, noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from scipy.spatial.transform import Rotation

from qsmcmb.model import Grid
from qsmcmb.phantoms.head_anatomy import HEAD_CENTRE_MM
from qsmcmb.phantoms.recipe import Protocol, Recipe
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

__all__: tuple[str, ...] = ()

MIN_FINE_VOXEL_MM = 0.5
"""Edge of a fine voxel, mm, below which scans are not refined: it is small beside any lesion."""
MAX_FINE_VOXEL_MM = 0.75
"""Largest edge of a fine voxel, mm: thick slices are refined until tissue is still resolved across them."""
TUKEY_FRACTION = 0.5
"""Fraction of the acquired k-space that a Tukey filter tapers, as scanners set it."""
FLANK_FRACTION = 0.2
"""Ratio of the width of a slice profile's flank to its thickness, as of common excitation pulses."""


class Pose(NamedTuple):
    """The head's position in the scanner: rotation (3, 3), centre it turns about and shift, mm."""

    rotation: FloatArray
    centre: FloatArray
    shift: FloatArray

    def to_world(self, head_mm: FloatArray) -> FloatArray:
        """Map head points (n, 3), mm, to scanner mm."""
        return np.asarray((head_mm - self.centre) @ self.rotation.T + self.centre + self.shift)

    def head_affine(self, grid: Grid) -> FloatArray:
        """Return the (3, 4) map from voxels of a grid to head mm."""
        linear = self.rotation.T @ grid.affine[:3, :3]
        origin = self.rotation.T @ (grid.affine[:3, 3] - self.centre - self.shift) + self.centre
        return np.column_stack([linear, origin])


def _centre_of(recipe: Recipe) -> FloatArray:
    """Return the middle of the field of view, mm."""
    return HEAD_CENTRE_MM if recipe.kind == "head" else np.zeros(3)


def pose_of(recipe: Recipe, protocol: Protocol) -> Pose:
    """Return the pose of a session."""
    rotation = Rotation.from_euler("xyz", protocol.rotation_deg, degrees=True).as_matrix()
    return Pose(rotation, _centre_of(recipe), np.array(protocol.shift_mm))


def _voxel_of(recipe: Recipe, protocol: Protocol) -> FloatArray:
    """Return the reconstructed voxel's edges, mm."""
    return np.broadcast_to(np.asarray(protocol.voxel_mm or recipe.voxel_mm, dtype=float), 3)


def grid_of(recipe: Recipe, protocol: Protocol) -> Grid:
    """Return the grid of the reconstructed image."""
    voxel = _voxel_of(recipe, protocol)
    shape = [2 * round(f / v / 2) for f, v in zip(recipe.fov_mm, voxel, strict=True)]
    turn = Rotation.from_euler("xy", (protocol.tilt_deg, protocol.tilt_y_deg), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn * voxel
    affine[:3, 3] = _centre_of(recipe) - affine[:3, :3] @ (np.array(shape) / 2)
    return Grid.from_affine((shape[0], shape[1], shape[2]), affine)


def fine_factors(grid: Grid) -> tuple[int, int, int]:
    """Return the fine voxels per scan voxel along each axis: 2 or more, none larger than MAX_FINE_VOXEL_MM."""
    edge = min(MAX_FINE_VOXEL_MM, max(MIN_FINE_VOXEL_MM, min(grid.voxel_size_mm) / 2))
    x, y, z = (max(2, int(np.ceil(v / edge - 1e-6))) for v in grid.voxel_size_mm)
    return x, y, z


def finer(grid: Grid) -> Grid:
    """Return the fine grid on which the signal is formed; the first voxels' centres are one point."""
    factors = fine_factors(grid)
    affine = np.array(grid.affine)
    affine[:3, :3] /= factors
    x, y, z = (n * f for n, f in zip(grid.shape, factors, strict=True))
    return Grid.from_affine((x, y, z), affine)


def k_space_window(size: int, acquired: float, partial: float, window: str) -> FloatArray:
    """Return the weight of each k-space sample along one axis, in FFT order.

    Parameters
    ----------
    size : int
        Reconstructed matrix.
    acquired : float
        Ratio of acquired to reconstructed matrix.
    partial : float
        Acquired fraction of that, counted from the positive end.
    window : {"none", "hamming", "tukey"}
        Filter over the acquired k-space.

    Examples
    --------
    >>> k_space_window(8, 0.5, 1.0, "none").astype(int).tolist()
    [1, 1, 0, 0, 0, 0, 1, 1]
    """
    k = np.fft.fftfreq(size, 1 / size)
    half = round(acquired * size / 2)
    inside = (k >= -half) & (k < half) & (k >= -(2 * partial - 1) * half)
    position = np.abs(k) / half
    if window == "hamming":
        taper = 0.54 + 0.46 * np.cos(np.pi * position)
    elif window == "tukey":
        taper = 0.5 + 0.5 * np.cos(np.pi * np.clip((position - 1 + TUKEY_FRACTION) / TUKEY_FRACTION, 0, 1))
    else:
        taper = np.ones(size)
    return np.asarray((inside * taper).astype(np.float32))


def slice_matrix(n_slices: int, factor: int, gap: float) -> FloatArray:
    """Return the (slice, fine) weights of a slice profile with soft flanks, sum 1, periodic."""
    position = np.arange(n_slices * factor) / factor
    distance = position[None] - np.arange(n_slices)[:, None]
    distance = np.abs((distance + n_slices / 2) % n_slices - n_slices / 2)
    thickness = 1 - gap
    profile = np.clip(0.5 + (thickness / 2 - distance) / (FLANK_FRACTION * thickness), 0, 1)
    return np.asarray((profile / profile.sum(axis=1, keepdims=True)).astype(np.float32))


class Sampler:
    """The sampling of a fine signal at the scan's voxels, slab by slab along the first axis.

    Parameters
    ----------
    grid : Grid
        Geometry of the scan.
    protocol : Protocol
        How k-space or the slices are sampled.
    """

    def __init__(self, grid: Grid, protocol: Protocol) -> None:
        self._grid, self._fine = grid, finer(grid).shape
        self.windows = [
            k_space_window(n, a, p, protocol.window)
            for n, a, p in zip(grid.shape, protocol.acquired, protocol.partial_fourier, strict=True)
        ]
        self._slices: Any = None
        if protocol.two_d:
            self._slices = slice_matrix(grid.shape[2], fine_factors(grid)[2], protocol.slice_gap).T
            self.windows[2] = np.ones(grid.shape[2], np.float32)
        self._part = np.empty((self._fine[0], *grid.shape[1:]), np.complex64)

    def add_slab(self, start: int, slab: ComplexArray) -> None:
        """Take in fine planes `start` and after: the last two axes are sampled at once."""
        if self._slices is None:
            slab = _crop_axis(slab, self._grid.shape[2], 2, self.windows[2])
        else:
            slab = slab @ self._slices
        self._part[start : start + len(slab)] = _crop_axis(slab, self._grid.shape[1], 1, self.windows[1])

    def image(self) -> ComplexArray:
        """Return the image of what was taken in."""
        return _crop_axis(self._part, self._grid.shape[0], 0, self.windows[0])

    def noise(self, white: ComplexArray) -> ComplexArray:
        """Return white noise of the acquired voxels' SD as the reconstruction makes it."""
        acquired = np.prod([np.count_nonzero(w) / w.size for w in self.windows])
        if all((w == 1).all() for w in self.windows):
            return white
        for axis, window in enumerate(self.windows):
            spectrum = scipy.fft.fft(white, axis=axis, workers=-1)
            spectrum *= window.reshape([-1 if a == axis else 1 for a in range(3)])
            white = scipy.fft.ifft(spectrum, axis=axis, workers=-1)
        return np.asarray(white / np.float32(np.sqrt(acquired)))


def _crop_axis(fine: ComplexArray, size: int, axis: int, window: FloatArray) -> ComplexArray:
    """Take the central samples of one axis of k-space: what a scan of this voxel size acquires."""
    spectrum = scipy.fft.fft(fine, axis=axis, workers=-1)
    low_indices = np.r_[0 : size // 2, fine.shape[axis] - size // 2 : fine.shape[axis]]
    low = np.take(spectrum, low_indices, axis=axis)
    low *= (window * np.float32(size / fine.shape[axis])).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(scipy.fft.ifft(low, axis=axis, overwrite_x=True, workers=-1))


def noise_sd(grid: Grid, protocol: Protocol) -> float:
    """Return the SD of real and imaginary part of the noise for unit signal."""
    if not protocol.snr_per_mm3:
        return 1 / protocol.snr
    acquired_mm3 = grid.voxel_volume_mm3 / float(np.prod(protocol.acquired))
    return 1 / (protocol.snr * acquired_mm3)


def receiver(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return the receive phase (rad) and sensitivity: smooth, the same in all sessions."""
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    offset = 0.6 + 1.1 * x - 0.8 * y + 0.5 * z + 0.7 * x * y - 0.6 * z**2
    gain = 1 + 0.15 * x - 0.1 * y + 0.2 * (x**2 + y**2)
    return offset, gain


def sample_mask(mask: BoolArray, grid: Grid) -> BoolArray:
    """Return a fine mask at the scan's voxel centres."""
    x, y, z = fine_factors(grid)
    return mask[::x, ::y, ::z]


def box_average(volume: FloatArray, grid: Grid) -> FloatArray:
    """Return the mean of a fine volume over each scan voxel."""
    for axis, factor in enumerate(fine_factors(grid)):
        weights = np.ones(factor) if factor % 2 else np.r_[0.5, np.ones(factor - 1), 0.5]
        reach = len(weights) // 2
        n = volume.shape[axis]
        total: Any = 0
        for step, weight in zip(range(-reach, reach + 1), weights / factor, strict=True):
            index = np.clip(np.arange(0, n, factor) + step, 0, n - 1)
            total = total + np.float32(weight) * np.take(volume, index, axis=axis)
        volume = total
    return volume
