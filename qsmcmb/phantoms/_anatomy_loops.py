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


@compiled
def _step(value: Any, width: Any) -> Any:
    """Return a soft step from 0 to 1 around 0 over a width."""
    return min(max(0.5 + value / width, 0.0), 1.0)


@compiled
def _sharper(share: Any) -> Any:
    """Return a tissue's share of the smooth template with steeper edges."""
    return min(max(2.5 * (share - 0.5) + 0.5, 0.0), 1.0)


@compiled
def _cerebral(x: Any, y: Any, z: Any, limits: Any) -> Any:
    """Return 1 where folds make the tissue, 0 in deep tissue, cerebellum and brainstem, with soft borders (mm).

    `limits` holds centre and radii of the deep ellipsoid, then the tentorium's height at its back end, y below which
    it lies, y of its back end, and its rise.
    """
    dx, dy, dz = (x - limits[0]) / limits[3], (y - limits[1]) / limits[4], (z - limits[2]) / limits[5]
    deep = (1 - math.sqrt(dx * dx + dy * dy + dz * dz)) * limits[5]
    low = min(limits[7] - y, limits[6] + limits[9] * (y - limits[8]) - z)
    low = min(low, max(50 - abs(x), -45 - y))
    return (1 - _step(deep, 6.0)) * (1 - _step(low, 4.0))


@compiled
def _shares(gm: Any, wm: Any, depth: Any, folds: Any) -> Any:
    """Return the shares of grey and white matter at a point.

    `gm` and `wm` are the template's, `folds` the distance below the pial surface, the cortex's thickness, the width of
    its edges (mm), and how far the folds make the tissue (0 to 1).
    """
    pial, thickness, edge, cerebral = folds
    csf = 1 - min(gm + wm, 1.0)
    matter = max(gm + wm, 1.0)
    gm, wm, csf = _sharper(gm / matter), _sharper(wm / matter), _sharper(csf)
    total = max(gm + wm + csf, 1e-3)
    gm, wm, csf = gm / total, wm / total, csf / total
    tissue = _step(pial, edge)
    ribbon = _step(thickness - pial, edge)
    inner = 1 - csf * min(max((depth - 14) / 4, 0.0), 1.0)
    own_gm = tissue * ribbon
    own_wm = tissue * (1 - ribbon) * inner
    return gm + cerebral * (own_gm - gm), wm + cerebral * (own_wm - wm)


@compiled(parallel=True)
def paint_tissue(
    where: Any, maps: Any, structure: Any, axes: Any, nuclei: Any, limits: Any, constants: Any, out: Any
) -> None:
    """Give the brain painted in `out` (4, n) its structure: susceptibility, signal and R2* at template points (3, n).

    `maps` holds grey matter, white matter and depth (mm); `structure` distance below the pial surface (mm), two random
    fields and a slow one; `axes` their origins and spacings (4, 3); `nuclei` rows are centre, radii, ppm, 1/s, and the
    change of susceptibility from middle to surface along x, y and z (relative); `limits` as in `_cerebral`;
    `constants` the head's size, then the tissues' numbers in the order in which they are read.
    """
    size, gm_ppm, wm_ppm, layer_ppm, thickness, spread, random_ppm, slow_ppm = constants[:8]
    random_signal, random_hz, shared_hz, random_nuclei, rough, iron_hz = constants[8:14]
    for n in prange(where.shape[1]):
        if out[3, n] == 0:
            continue
        x, y, z = where[0, n], where[1, n], where[2, n]
        i, j, k = (x - axes[0, 0]) / axes[1, 0], (y - axes[0, 1]) / axes[1, 1], (z - axes[0, 2]) / axes[1, 2]
        u, v, w = (x - axes[2, 0]) / axes[3, 0], (y - axes[2, 1]) / axes[3, 1], (z - axes[2, 2]) / axes[3, 2]
        pial, slow = _interpolate(structure[0], u, v, w), _interpolate(structure[3], u, v, w)
        first, second = _interpolate(structure[1], u, v, w), _interpolate(structure[2], u, v, w)
        local = min(max(thickness + spread * slow, thickness - 2 * spread), thickness + 2 * spread)
        folds = (pial, local, 0.6, _cerebral(x, y, z, limits))
        gm, wm = _shares(
            _interpolate(maps[0], i, j, k),
            _interpolate(maps[1], i, j, k),
            size * _interpolate(maps[2], i, j, k),
            folds,
        )
        csf = 1 - gm - wm
        layer = math.exp(-(((pial - 0.65 * local) / 0.6) ** 2)) * folds[3]
        chi = gm * (gm_ppm + layer_ppm * layer) + wm * (wm_ppm + slow_ppm * slow)
        chi += (gm + wm) * random_ppm * first
        decay = 18.0 * gm + 22.0 * wm + 3.0 * csf
        for row in nuclei:
            px, py, pz = (abs(x) - row[0]) / row[3], (y - row[1]) / row[4], (z - row[2]) / row[5]
            radius = math.sqrt(px * px + py * py + pz * pz)
            weight = _step((1 + rough * (slow + 0.5 * first) - radius) * min(row[3], row[4], row[5]), 1.0)
            if weight > 0:
                change = 1 + row[8] * px + row[9] * py + row[10] * pz + random_nuclei * first
                chi += weight * (row[6] * change + random_ppm * first - chi)
                decay += weight * (row[7] + iron_hz * row[6] * (change - 1) - decay)
        matter = gm + wm
        out[0, n] = chi
        out[1, n] = (gm + 0.85 * wm + 0.7 * csf) * (1 + matter * random_signal * second)
        out[2, n] = max(decay + matter * (random_hz * second + shared_hz * first), 1.0)
