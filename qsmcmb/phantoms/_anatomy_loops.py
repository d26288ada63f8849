"""Loops that paint tissue at points of the head: the warp, the template's maps, nuclei, skull and air in one pass."""

import math
from typing import Any

from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _interpolate(volume: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the trilinear value at a fractional index; beyond the edge that of the edge."""
    nx, ny, nz = volume.shape
    x = min(max(x, 0.0), nx - 1.0)
    y = min(max(y, 0.0), ny - 1.0)
    z = min(max(z, 0.0), nz - 1.0)
    i, j, k = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
    x, y, z = x - i, y - j, z - k
    near = (volume[i, j, k] * (1 - z) + volume[i, j, k + 1] * z) * (1 - y)
    near += (volume[i, j + 1, k] * (1 - z) + volume[i, j + 1, k + 1] * z) * y
    far = (volume[i + 1, j, k] * (1 - z) + volume[i + 1, j, k + 1] * z) * (1 - y)
    far += (volume[i + 1, j + 1, k] * (1 - z) + volume[i + 1, j + 1, k + 1] * z) * y
    return near * (1 - x) + far * x


@compiled
def _inside_ellipsoid(x: Any, y: Any, z: Any, row: Any) -> Any:
    """Return 1 inside, 0 outside, with an edge of about 1 mm; `row` is the centre and the radii (mm)."""
    dx, dy, dz = (x - row[0]) / row[3], (y - row[1]) / row[4], (z - row[2]) / row[5]
    edge = (1 - math.sqrt(dx * dx + dy * dy + dz * dz)) * min(row[3], row[4], row[5])
    return min(max(0.5 + edge, 0.0), 1.0)


@compiled(parallel=True)
def to_template(points: Any, scale: Any, warp: Any, grid: Any, out: Any) -> None:
    """Fill `out` (3, n) with template mm of head points (3, n); `grid` is the warp's origin and spacing."""
    for n in prange(points.shape[1]):
        x = (points[0, n] - grid[0]) / grid[1]
        y = (points[1, n] - grid[0]) / grid[1]
        z = (points[2, n] - grid[0]) / grid[1]
        for axis in range(3):
            out[axis, n] = points[axis, n] * scale[axis] + _interpolate(warp[axis], x, y, z)


@compiled(parallel=True)
def paint_head(where: Any, maps: Any, axes: Any, nuclei: Any, sinuses: Any, constants: Any, out: Any) -> None:
    """Fill `out` (4, n) with susceptibility, signal, R2* at 3 T and brain (0 or 1) at template points (3, n).

    `maps` holds grey matter, white matter, depth (mm) and heterogeneity (ppm); `axes` their origin and spacing (2, 3);
    `nuclei` rows are centre, radii, ppm, 1/s; `constants` air and bone (ppm), skull's and scalp's depth (mm).
    """
    air_ppm, bone_ppm, skull_mm, scalp_mm = constants
    for n in prange(where.shape[1]):
        x, y, z = where[0, n], where[1, n], where[2, n]
        i, j, k = (
            (x - axes[0, 0]) / axes[1, 0],
            (y - axes[0, 1]) / axes[1, 1],
            (z - axes[0, 2]) / axes[1, 2],
        )
        depth = _interpolate(maps[2], i, j, k)
        if depth > 0:
            gm, wm = _interpolate(maps[0], i, j, k), _interpolate(maps[1], i, j, k)
            matter = max(gm + wm, 1.0)
            gm, wm = gm / matter, wm / matter
            csf = 1 - gm - wm
            chi = 0.02 * gm - 0.03 * wm + (gm + wm) * _interpolate(maps[3], i, j, k)
            decay = 18.0 * gm + 22.0 * wm + 3.0 * csf
            for row in nuclei:
                weight = _inside_ellipsoid(abs(x), y, z, row)
                chi += weight * (row[6] - chi)
                decay += weight * (row[7] - decay)
            out[0, n], out[1, n], out[2, n], out[3, n] = chi, gm + 0.85 * wm + 0.7 * csf, decay, 1.0
            continue
        skull = depth > -skull_mm
        air = not skull and depth <= -scalp_mm
        for row in sinuses:
            air = air or _inside_ellipsoid(x, y, z, row) > 0.5
        out[0, n] = air_ppm if air else (bone_ppm if skull else 0.0)
        out[1, n] = 0.0 if air else (0.04 if skull else 0.8)
        out[2, n], out[3, n] = 25.0, 0.0
