"""Loop that takes the slope out of a phase smoothed by a window which the mask cuts."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

HALF = np.float32(0.5)
"""Number 1/2 in float32, so that no sum becomes float64."""
MIN_SPREAD = np.float32(0.05)
"""Variance of a cut window over that of a whole one, below which its slope is not trusted. Set by trial."""


@compiled
def _slope(f: Any, x: Any, y: Any, z: Any, axis: Any) -> Any:
    """Return half the difference of the neighbours along an axis."""
    if axis == 0:
        return HALF * (f[x + 1, y, z] - f[x - 1, y, z])
    if axis == 1:
        return HALF * (f[x, y + 1, z] - f[x, y - 1, z])
    return HALF * (f[x, y, z + 1] - f[x, y, z - 1])


@compiled
def _bend(f: Any, x: Any, y: Any, z: Any, axis: Any) -> Any:
    """Return the second difference along an axis."""
    two = f[x, y, z] + f[x, y, z]
    if axis == 0:
        return f[x + 1, y, z] + f[x - 1, y, z] - two
    if axis == 1:
        return f[x, y + 1, z] + f[x, y - 1, z] - two
    return f[x, y, z + 1] + f[x, y, z - 1] - two


@compiled
def _twist(f: Any, x: Any, y: Any, z: Any, axis: Any) -> Any:
    """Return the second difference along the other two axes."""
    if axis == 0:
        total = f[x, y + 1, z + 1] - f[x, y + 1, z - 1] - f[x, y - 1, z + 1] + f[x, y - 1, z - 1]
    elif axis == 1:
        total = f[x + 1, y, z + 1] - f[x + 1, y, z - 1] - f[x - 1, y, z + 1] + f[x - 1, y, z - 1]
    else:
        total = f[x + 1, y + 1, z] - f[x + 1, y - 1, z] - f[x - 1, y + 1, z] + f[x - 1, y - 1, z]
    return HALF * HALF * total


@compiled
def _product(spread: Any, away: Any, slope: Any) -> Any:
    """Return away . spread^-1 slope of a symmetric matrix (xx, yy, zz, yz, xz, xy); 0 where it is near singular."""
    xx, yy, zz, yz, xz, xy = spread
    # Cofactors: a 3 x 3 inverse by Cramer's rule, without an array.
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * a + xy * b + xz * c
    if not (determinant > MIN_SPREAD and xx > MIN_SPREAD and yy > MIN_SPREAD and zz > MIN_SPREAD):
        return np.float32(0)
    sx, sy, sz = slope
    first = away[0] * (a * sx + b * sy + c * sz)
    second = away[1] * (b * sx + d * sy + e * sz)
    return (first + second + away[2] * (c * sx + e * sy + f * sz)) / determinant


@compiled
def _excess(real: Any, imag: Any, log_weight: Any, sigma: Any, at: Any, power: Any) -> Any:
    """Return the phase at a window's centre of mass less that at its voxel."""
    x, y, z = at
    re, im, one = real[x, y, z], imag[x, y, z], np.float32(1)
    s0, s1, s2 = sigma
    # Where the mask cuts a Gaussian window, its centre of mass moves by sigma^2 times the slope of the log weight.
    away = (
        s0 * _slope(log_weight, x, y, z, 0),
        s1 * _slope(log_weight, x, y, z, 1),
        s2 * _slope(log_weight, x, y, z, 2),
    )
    # In units of sigma along each axis, so that the slope of the phase is too.
    # The derivative of a phasor's angle: Im(conj(p) dp) / |p|^2.
    slope = (
        s0 * (re * _slope(imag, x, y, z, 0) - im * _slope(real, x, y, z, 0)) / power,
        s1 * (re * _slope(imag, x, y, z, 1) - im * _slope(real, x, y, z, 1)) / power,
        s2 * (re * _slope(imag, x, y, z, 2) - im * _slope(real, x, y, z, 2)) / power,
    )
    # And its variance changes by sigma^4 times the curvature: second moments of the cut window.
    spread = (
        one + s0 * s0 * _bend(log_weight, x, y, z, 0),
        one + s1 * s1 * _bend(log_weight, x, y, z, 1),
        one + s2 * s2 * _bend(log_weight, x, y, z, 2),
        s1 * s2 * _twist(log_weight, x, y, z, 0),
        s0 * s2 * _twist(log_weight, x, y, z, 1),
        s0 * s1 * _twist(log_weight, x, y, z, 2),
    )
    return _product(spread, away, slope)


@compiled(parallel=True)
def level(real: Any, imag: Any, log_weight: Any, sigma: Any, mask: Any, out: Any) -> None:
    """Write the angle of a smoothed phasor at the voxel instead of at its window's centre of mass; rad, inside the
    mask.

    `sigma` is the Gaussian's in voxels. Arrays have one voxel more on each side than `mask` and `out`. The slope of the
    weight that a Gaussian window finds says where the window's centre of mass lies, its curvature how wide the window
    is: so a straight line is fitted to the phase without further sums.
    """
    nx, ny, nz = mask.shape
    for i in prange(nx):
        for j in range(ny):
            for k in range(nz):
                if mask[i, j, k]:
                    x, y, z = i + 1, j + 1, k + 1
                    re, im = real[x, y, z], imag[x, y, z]
                    power = re * re + im * im
                    # No weight in the window: no phase.
                    if power > 0:
                        out[i, j, k] = np.arctan2(im, re) - _excess(
                            real, imag, log_weight, sigma, (x, y, z), power
                        )
