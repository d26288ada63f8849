"""Loops that give a head's tissue its structure: folds of the cortex, shares of tissues, random parts."""

import math
from typing import Any

from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.phantoms._anatomy_loops import _interpolate

__all__: tuple[str, ...] = ()


@compiled
def _interpolate_all(volume: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the four trilinear values at a fractional index of a volume (x, y, z, 4); beyond the edge the edge's."""
    nx, ny, nz, _ = volume.shape
    x = min(max(x, 0.0), nx - 1.0)
    y = min(max(y, 0.0), ny - 1.0)
    z = min(max(z, 0.0), nz - 1.0)
    i, j, k = min(int(x), nx - 2), min(int(y), ny - 2), min(int(z), nz - 2)
    x, y, z = x - i, y - j, z - k
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for corner in range(8):
        p, q, r = corner >> 2, corner >> 1 & 1, corner & 1
        weight = (x if p else 1 - x) * (y if q else 1 - y) * (z if r else 1 - z)
        row = volume[i + p, j + q, k + r]
        a, b, c, d = a + weight * row[0], b + weight * row[1], c + weight * row[2], d + weight * row[3]
    return a, b, c, d


@compiled(parallel=True)
def carry_folds(depth: Any, slow: Any, folds: Any, geometry: Any, out: Any) -> None:
    """Fill `out` (4, x, y, z) with the folds, carried inwards from the surface, the depth (mm) and two slow fields.

    `depth` is the template's (mm), `slow` (3, ...) the slow fields, `folds` the field on the surface; the rows of
    `geometry` are, along each axis, the grid's first offset from the middle and its step (template mm), the template's
    first offset and its step, steps of the slow grid per step, the folds' first offset and step (mm), the size and the
    shift (mm) by which a slow field bends the folds.
    """
    first, step, origin, spacing, slower, start, spread, size, bend = geometry
    for i in prange(out.shape[1]):
        x = first[0] + step[0] * i
        for j in range(out.shape[2]):
            y = first[1] + step[1] * j
            for k in range(out.shape[3]):
                z = first[2] + step[2] * k
                at = (x - origin[0]) / spacing[0], (y - origin[1]) / spacing[1], (z - origin[2]) / spacing[2]
                below = size[0] * _interpolate(depth, at[0], at[1], at[2])
                u, v, w = slower[0] * i, slower[1] * j, slower[2] * k
                a, b, c = (
                    _interpolate(slow[0], u, v, w),
                    _interpolate(slow[1], u, v, w),
                    _interpolate(slow[2], u, v, w),
                )
                out[1, i, j, k], out[2, i, j, k], out[3, i, j, k] = below, a, b
                far = math.sqrt(x * x + y * y + z * z) * size[0] + 1e-3
                stretch = size[0] * (1 + below / far)
                out[0, i, j, k] = _interpolate(
                    folds,
                    (stretch * x + bend[0] * a - start[0]) / spread[0],
                    (stretch * y + bend[0] * b - start[1]) / spread[1],
                    (stretch * z + bend[0] * c - start[2]) / spread[2],
                )


@compiled
def _slope(volume: Any, i: Any, j: Any, k: Any) -> Any:
    """Return the size of the gradient per step at a voxel, from its neighbours; 0 at the border."""
    nx, ny, nz = volume.shape
    if i < 1 or j < 1 or k < 1 or i > nx - 2 or j > ny - 2 or k > nz - 2:
        return 0.0
    gx = volume[i + 1, j, k] - volume[i - 1, j, k]
    gy = volume[i, j + 1, k] - volume[i, j - 1, k]
    gz = volume[i, j, k + 1] - volume[i, j, k - 1]
    return 0.5 * math.sqrt(gx * gx + gy * gy + gz * gz)


@compiled(parallel=True)
def pial_distance(carried: Any, fissure: Any, numbers: Any, out: Any) -> None:
    """Fill `out` (x, y, z) with the distance below the pial surface (mm): of the hull, the sulci and a fissure.

    `carried` is from `carry_folds`; `fissure` (y, z) the distance of the fissure's plane, at each, to where the fissure
    is (mm); `numbers` are the grid's step (mm), the sulci's depth and its SD, the CSF's depth, its SD and its least
    (mm), and the x of the midline as an index.
    """
    step, bottom, bottom_sd, csf, csf_sd, csf_least, midline = numbers
    folds, depth = carried[0], carried[1]
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                below, a, b = depth[i, j, k], carried[2, i, j, k], carried[3, i, j, k]
                sheet = step * abs(folds[i, j, k]) / max(_slope(folds, i, j, k), 0.02 * step)
                beyond = max(below - bottom - bottom_sd * b, 0.0)
                distance = min(below, math.sqrt(sheet * sheet + beyond * beyond))
                aside = step * (i - midline) + a
                distance = min(distance, math.sqrt(aside * aside + fissure[j, k] * fissure[j, k]))
                out[i, j, k] = distance - max(csf + csf_sd * a, csf_least)


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

    `maps` (x, y, z, 4) holds grey matter, white matter, depth (mm) and heterogeneity (ppm); `structure` distance below
    the pial surface (mm), two random fields and a slow one; `axes` their origins and spacings (4, 3); `nuclei` rows are
    centre, radii, ppm, 1/s, and the change of susceptibility from middle to surface along x, y and z (relative);
    `limits` as in `_cerebral`; `constants` the head's size, then the tissues' numbers in the order in which they are
    read.
    """
    size, gm_ppm, wm_ppm, layer_ppm, thickness, spread, random_ppm, slow_ppm = constants[:8]
    random_signal, random_hz, shared_hz, random_nuclei, rough, iron_hz = constants[8:14]
    for n in prange(where.shape[1]):
        if out[3, n] == 0:
            continue
        x, y, z = where[0, n], where[1, n], where[2, n]
        i, j, k = (x - axes[0, 0]) / axes[1, 0], (y - axes[0, 1]) / axes[1, 1], (z - axes[0, 2]) / axes[1, 2]
        u, v, w = (x - axes[2, 0]) / axes[3, 0], (y - axes[2, 1]) / axes[3, 1], (z - axes[2, 2]) / axes[3, 2]
        pial, first, second, slow = _interpolate_all(structure, u, v, w)
        gm, wm, depth, extra = _interpolate_all(maps, i, j, k)
        local = min(max(thickness + spread * slow, thickness - 2 * spread), thickness + 2 * spread)
        folds = (pial, local, 0.6, _cerebral(x, y, z, limits))
        gm, wm = _shares(gm, wm, size * depth, folds)
        csf = 1 - gm - wm
        layer = math.exp(-(((pial - 0.65 * local) / 0.6) ** 2)) * folds[3]
        chi = gm * (gm_ppm + layer_ppm * layer) + wm * (wm_ppm + slow_ppm * slow)
        chi += (gm + wm) * (random_ppm * first + extra)
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
