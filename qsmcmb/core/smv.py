"""Spherical mean value kernels: a ball of unit sum, in mm.

Schweser et al. 2011, doi 10.1016/j.neuroimage.2010.10.070.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.fft import Shape
from qsmcmb.core.validate import check_radius
from qsmcmb.typing import FloatArray

SUBSAMPLES = 4


def smv_ball(voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return the ball of `radius_mm` on its own small odd grid, edge voxels by their covered part, sum 1.

    Examples
    --------
    >>> smv_ball((1.0, 1.0, 1.0), 2.0).shape
    (7, 7, 7)
    """
    octant = _octant(voxel_size_mm, radius_mm)
    for axis in range(3):
        part = np.moveaxis(octant, axis, 0)
        octant = np.moveaxis(np.concatenate([part[:0:-1], part]), 0, axis)
    return octant


def _octant(voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return the ball's voxels at and beyond the middle along each axis; the others mirror them."""
    check_radius("radius_mm", radius_mm, voxel_size_mm)
    half = [int(np.ceil(radius_mm / v)) + (0 if radius_mm / v % 1 else 1) for v in voxel_size_mm]
    offsets = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    axes = [
        (((np.arange(h + 1)[:, None] + offsets).ravel()) * v) ** 2
        for h, v in zip(half, voxel_size_mm, strict=True)
    ]
    inside = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= radius_mm**2
    sizes = [h + 1 for h in half]
    split = inside.reshape(sizes[0], SUBSAMPLES, sizes[1], SUBSAMPLES, sizes[2], SUBSAMPLES)
    octant = split.mean(axis=(1, 3, 5), dtype=np.float64)
    twice = [np.where(np.arange(n) > 0, 2.0, 1.0) for n in sizes]
    return (octant / np.einsum("xyz,x,y,z", octant, *twice)).astype(np.float32)


def smv_kernel_k(shape: Shape, voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return the half spectrum (real, float32) of the spherical mean over `radius_mm`.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume; a ball larger than it wraps around.
    voxel_size_mm : tuple of float
        mm.
    radius_mm : float
        Radius in mm, at least the largest voxel edge.

    Returns
    -------
    ndarray of shape (x, y, z // 2 + 1), float32
        1 at k = 0.

    Examples
    --------
    >>> float(smv_kernel_k((16, 16, 16), (1.0, 1.0, 1.0), 3.0)[0, 0, 0].round(4))
    1.0
    """
    across, planes = smv_factors(shape, voxel_size_mm, radius_mm)
    return np.asarray(across @ planes.reshape(len(planes), -1)).reshape(len(across), *planes.shape[1:])


def smv_factors(
    shape: Shape, voxel_size_mm: tuple[float, float, float], radius_mm: float
) -> tuple[FloatArray, FloatArray]:
    """Return what `smv_kernel_k` is the product of: a matrix across planes, and planes; small enough to stay in cache.

    Parameters
    ----------
    shape, voxel_size_mm, radius_mm
        As for `smv_kernel_k`.

    Returns
    -------
    tuple of ndarray
        (x, n) and (n, y, z // 2 + 1), float32, with n planes of the ball's octant.
    """
    # The ball is even along each axis: its transform is a cosine sum over one octant, an axis at a time.
    octant = _octant(voxel_size_mm, radius_mm)
    lengths = (shape[0], shape[1], shape[2] // 2 + 1)
    bases = []
    for n, reach, length in zip(shape, octant.shape, lengths, strict=True):
        basis = np.cos(2 * np.pi / n * np.outer(np.arange(length), np.arange(reach)))
        basis[:, 1:] *= 2
        bases.append(basis.astype(np.float32))
    return bases[0], np.ascontiguousarray(bases[1] @ (octant @ bases[2].T))
