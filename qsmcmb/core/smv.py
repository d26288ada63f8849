"""Spherical mean value kernels: a ball of unit sum, in mm.

The mean of a harmonic field over a ball is its value at the centre: the field of sources outside the ball is left as it
is, that of sources inside is not.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _smv_loops as loops
from qsmcmb.core.fft import Shape
from qsmcmb.core.validate import check_radius
from qsmcmb.typing import FloatArray

__all__ = (
    "smv_ball",
    "smv_kernel_k",
    "smv_octant_k",
)

SUBSAMPLES = 4
"""Points of a voxel along each axis that say which fraction of it the ball covers: 64 points, steps of 1.6 %."""


def smv_ball(voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return the ball of a radius on its own small odd grid, with sum 1.

    Parameters
    ----------
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    radius_mm : float
        Radius, mm, at least the largest voxel edge.

    Returns
    -------
    ndarray of float32
        Weights, >= 0, with sum 1; a voxel at the edge counts by its covered fraction.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a radius below the largest voxel edge.

    References
    ----------
    Schweser F, Deistung A, Lehr BW, Reichenbach JR. Quantitative imaging of intrinsic magnetic tissue properties using
    MRI signal phase. NeuroImage 2011;54:2789-2807. doi:10.1016/j.neuroimage.2010.10.070

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
    counts = inside.astype(np.int16)
    for axis in (2, 1, 0):
        # Slices are added many times faster than short axes are summed.
        along = np.moveaxis(counts, axis, 0)
        counts = np.moveaxis(np.add.reduce([along[s::SUBSAMPLES] for s in range(SUBSAMPLES)]), 0, axis)
    octant = counts / np.float64(SUBSAMPLES**3)
    twice = [np.where(np.arange(n) > 0, 2.0, 1.0) for n in sizes]
    return (octant / np.einsum("xyz,x,y,z", octant, *twice)).astype(np.float32)


def smv_kernel_k(shape: Shape, voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return the half spectrum of the spherical mean over a radius.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume; a ball larger than it wraps around.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    radius_mm : float
        Radius, mm, at least the largest voxel edge.

    Returns
    -------
    ndarray of shape (x, y, z // 2 + 1), float32
        Real and dimensionless; 1 at k = 0.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a radius below the largest voxel edge.

    References
    ----------
    Schweser F, Deistung A, Lehr BW, Reichenbach JR. Quantitative imaging of intrinsic magnetic tissue properties using
    MRI signal phase. NeuroImage 2011;54:2789-2807. doi:10.1016/j.neuroimage.2010.10.070

    Examples
    --------
    >>> float(smv_kernel_k((16, 16, 16), (1.0, 1.0, 1.0), 3.0)[0, 0, 0].round(4))
    1.0
    """
    octant = smv_octant_k(shape, voxel_size_mm, radius_mm)
    mirrored = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape[:2]]
    return octant[mirrored[0]][:, mirrored[1]]


def smv_octant_k(shape: Shape, voxel_size_mm: tuple[float, float, float], radius_mm: float) -> FloatArray:
    """Return an octant of the spectrum of the spherical mean, which is even along each axis.

    Parameters
    ----------
    shape : tuple of int
        Shape of the real volume; a ball larger than it wraps around.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    radius_mm : float
        Radius, mm, at least the largest voxel edge.

    Returns
    -------
    ndarray of shape (x // 2 + 1, y // 2 + 1, z // 2 + 1), float32
        Real and dimensionless; 1 at k = 0.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a radius below the largest voxel edge.

    References
    ----------
    Schweser F, Deistung A, Lehr BW, Reichenbach JR. Quantitative imaging of intrinsic magnetic tissue properties using
    MRI signal phase. NeuroImage 2011;54:2789-2807. doi:10.1016/j.neuroimage.2010.10.070

    Examples
    --------
    >>> smv_octant_k((16, 16, 16), (1.0, 1.0, 1.0), 3.0).shape
    (9, 9, 9)
    """
    # The ball is even too: its transform is a cosine sum over one octant, an axis at a time.
    octant = _octant(voxel_size_mm, radius_mm)
    bases = []
    for n, reach in zip(shape, octant.shape, strict=True):
        basis = np.cos(2 * np.pi / n * np.outer(np.arange(n // 2 + 1), np.arange(reach)))
        basis[:, 1:] *= 2
        bases.append(basis.astype(np.float32))
    # Last along the first axis, so that the result lies as a volume does.
    partly = _expanded(bases[2], np.moveaxis(octant, 2, 0))
    partly = _expanded(bases[1], np.moveaxis(partly, (2, 1), (0, 1)))
    return _expanded(bases[0], np.moveaxis(partly, 1, 0))


def _expanded(basis: FloatArray, array: FloatArray) -> FloatArray:
    """Return the product of a matrix and an array's first axis."""
    rows = np.ascontiguousarray(array).reshape(len(array), -1)
    out = np.empty((len(basis), rows.shape[1]), np.float32)
    loops.combine_planes(basis, rows, out)
    return out.reshape(-1, *array.shape[1:])
