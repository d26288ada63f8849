"""Superficial siderosis of a phantom: iron in the outer cortex of a sulcus, along the pial surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse.csgraph import dijkstra

from qsmcmb.core.voxel_graph import join_voxels, longest_way_mm
from qsmcmb.errors import ConfigError
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("SiderosisArea", "SiderosisRecipe", "SiderosisRow")

DECAY_HZ = 323.0
"""R2* at 3 T per susceptibility of scattered iron, 1/s/ppm: 2 pi / (9 sqrt(3)) gamma B0 (Yablonskiy 1994,
doi:10.1002/mrm.1910320610).
"""
WALL_MM = (-0.4, 0.8)
"""Distance below the pial surface, mm, of the voxels along which an area spreads: of one wall of a sulcus."""
POOL_MM = -2.0
"""Distance below the pial surface, mm, of CSF so wide that no area spreads across it."""
MIDLINE_MM = 5.0
"""Distance from the midline, mm of the head, within which no area lies: the fissure joins all sulci beside it."""
EDGE_MM = 0.4
"""Width of an area's edges, mm."""
SEED_DEPTH_MM = (3.0, 10.0)
"""Depth below the brain's surface, mm, of an area's middle: in a sulcus, not on the crown of a gyrus."""
CROWN_MM = 2.5
"""Depth below the brain's surface, mm, above which no area lies."""
APART_MM = 8.0
"""Least distance of two areas, mm."""
SHORTEST = 0.75
"""Least ratio of an area's length to the length that was drawn: sulci end."""
TRIES = 100
"""Middles that are tried for an area before the recipe is refused."""


@dataclass(frozen=True)
class SiderosisRecipe:
    """The superficial siderosis of a phantom.

    Parameters
    ----------
    areas : int, optional
        Number of areas.
    length_mm : tuple of float, optional
        Range of the length along the fold, mm.
    depth_mm : tuple of float, optional
        Range of the extent into the sulcus, mm.
    thickness_mm : tuple of float, optional
        Range of the thickness of the iron's layer, mm.
    chi_ppm : tuple of float, optional
        Range of the layer's susceptibility above the cortex, ppm.
    both_walls : float, optional
        Fraction of the areas that lie on both walls of the sulcus, 0 to 1.

    Examples
    --------
    >>> SiderosisRecipe(areas=2).length_mm
    (15.0, 50.0)
    """

    areas: int = 0
    length_mm: tuple[float, float] = (15.0, 50.0)
    depth_mm: tuple[float, float] = (4.0, 12.0)
    thickness_mm: tuple[float, float] = (0.8, 1.6)
    chi_ppm: tuple[float, float] = (0.3, 1.0)
    both_walls: float = 0.5


NO_SIDEROSIS = SiderosisRecipe()
"""What phantoms hold unless their recipe asks for areas."""


class SiderosisArea(NamedTuple):
    """One area of siderosis in a head.

    Parameters
    ----------
    length_mm : float
        Longest way along the wall, mm.
    depth_mm : float
        Extent into the sulcus, mm.
    thickness_mm : float
        Thickness of the iron's layer, mm.
    chi_ppm : float
        Susceptibility above the cortex, ppm.
    both_walls : bool
        Whether it lies on both walls.
    first : tuple of int
        Index of the first voxel of `inside` on the maps of the structure.
    inside : ndarray of shape (x, y, z), float32
        1 where the area lies, on the maps of the structure.
    head_mm : ndarray of shape (n, 3)
        Points of the pial surface in it, head mm.

    Examples
    --------
    >>> empty = np.zeros((1, 1, 1), np.float32)
    >>> SiderosisArea(20.0, 8.0, 1.0, 0.5, False, (0, 0, 0), empty, np.zeros((1, 3))).length_mm
    20.0
    """

    length_mm: float
    depth_mm: float
    thickness_mm: float
    chi_ppm: float
    both_walls: bool
    first: tuple[int, int, int]
    inside: FloatArray
    head_mm: FloatArray


class SiderosisRow(NamedTuple):
    """The truth of one area in one session: a row of the truth table.

    Parameters
    ----------
    id : int
        Number of the area, from 1.
    length_mm : float
        Longest way along the wall, mm.
    depth_mm : float
        Extent into the sulcus, mm.
    thickness_mm : float
        Thickness of the iron's layer, mm.
    chi_ppm : float
        Susceptibility above the cortex, ppm.
    both_walls : bool
        Whether it lies on both walls.
    side : str
        Side: left or right.
    x_mm : float
        Mean over the area, scanner RAS+, mm.
    y_mm : float
        Mean over the area, scanner RAS+, mm.
    z_mm : float
        Mean over the area, scanner RAS+, mm.

    Examples
    --------
    >>> SiderosisRow(1, 20.0, 8.0, 1.0, 0.5, False, "left", -20.0, 0.0, 30.0).side
    'left'
    """

    id: int
    length_mm: float
    depth_mm: float
    thickness_mm: float
    chi_ppm: float
    both_walls: bool
    side: str
    x_mm: float
    y_mm: float
    z_mm: float


class Cortex(NamedTuple):
    """Maps on which areas are drawn, all on one grid.

    Parameters
    ----------
    pial_mm : ndarray of shape (x, y, z), float32
        Distance below the pial surface, mm; negative in CSF.
    depth_mm : ndarray of shape (x, y, z), float32
        Depth below the brain's surface, mm.
    convex : ndarray of shape (x, y, z), bool
        Whether a lobe's outer sulci may lie there: folds make the tissue, the midline is not near.
    spacing_mm : float
        Edge of the voxel, mm of the head.
    """

    pial_mm: FloatArray
    depth_mm: FloatArray
    convex: BoolArray
    spacing_mm: float


def draw_areas(recipe: SiderosisRecipe, cortex: Cortex, rng: np.random.Generator) -> list[SiderosisArea]:
    """Return the areas of a head, their points (`head_mm`) still as indices of the maps."""
    pial, depth = cortex.pial_mm, cortex.depth_mm
    free = cortex.convex & (pial < WALL_MM[1]) & (depth > CROWN_MM)
    areas: list[SiderosisArea] = []
    for _ in range(recipe.areas):
        near = (
            free & (np.abs(pial) < WALL_MM[1] / 2) & (depth > SEED_DEPTH_MM[0]) & (depth < SEED_DEPTH_MM[1])
        )
        seeds = np.argwhere(near)
        for _ in range(TRIES if len(seeds) else 0):
            area = _grow(recipe, cortex, free, seeds[rng.integers(len(seeds))], rng)
            if area is not None:
                break
        else:
            raise ConfigError(
                f"siderosis.areas = {recipe.areas}: no sulcus of this head holds area {len(areas) + 1}; expected fewer "
                "or shorter ones"
            )
        areas.append(area)
        taken = np.zeros(pial.shape, bool)
        taken[tuple(np.rint(area.head_mm).astype(int).T)] = True
        free &= ndimage.distance_transform_edt(~taken) * cortex.spacing_mm > APART_MM
    return areas


def _grow(
    recipe: SiderosisRecipe, cortex: Cortex, free: BoolArray, seed: IntArray, rng: np.random.Generator
) -> SiderosisArea | None:
    """Return an area that spreads from a voxel of the pial surface; None where the sulcus is too short."""
    length, extent, thickness = (
        float(rng.uniform(*r)) for r in (recipe.length_mm, recipe.depth_mm, recipe.thickness_mm)
    )
    both_walls = bool(rng.random() < recipe.both_walls)
    reach = int((length / 2 + 3) / cortex.spacing_mm)
    first = np.maximum(seed - reach, 0)
    box = tuple(slice(a, b) for a, b in zip(first, np.minimum(seed + reach + 1, free.shape), strict=True))
    pial, depth = cortex.pial_mm[box], cortex.depth_mm[box]
    start = tuple(seed - first)
    top = max(float(depth[start]) - extent / 2, CROWN_MM)
    band = free[box] & (depth > top) & (depth < top + extent)
    band &= pial > (POOL_MM if both_walls else WALL_MM[0])
    wall = np.argwhere(band).astype(np.int32)
    if not band[start]:
        return None
    middle = int(np.flatnonzero((wall == start).all(axis=1))[0])
    ways = join_voxels(wall, (cortex.spacing_mm,) * 3)
    inside = np.flatnonzero(dijkstra(ways, indices=middle, limit=length / 2) < np.inf)
    ways = ways[inside][:, inside]
    longest = longest_way_mm(ways)
    if longest < max(SHORTEST * length, recipe.length_mm[0]):
        return None
    area = np.zeros(band.shape, bool)
    area[tuple(wall[inside].T)] = True
    layer = (pial > WALL_MM[0] - EDGE_MM) & (pial < thickness + 2 * EDGE_MM) & (depth > top - 1)
    grown = ndimage.binary_dilation(area, ndimage.generate_binary_structure(3, 2), 2, mask=layer | area)
    on_surface = (wall[inside] + first).astype(float)
    chi_ppm = float(rng.uniform(*recipe.chi_ppm))
    corner = (int(first[0]), int(first[1]), int(first[2]))
    return SiderosisArea(
        longest, extent, thickness, chi_ppm, both_walls, corner, grown.astype(np.float32), on_surface
    )


def paint_areas(
    areas: Sequence[SiderosisArea], index: FloatArray, pial_mm: FloatArray, out: FloatArray
) -> None:
    """Add the iron of areas to susceptibility and R2* of painted points.

    `index` (3, n) are the points on the maps of the structure, `pial_mm` its distance below the pial surface, `out`
    (4, n) susceptibility, signal, R2* and brain.
    """
    for area in areas:
        local = index - np.array(area.first)[:, None]
        last = np.array(area.inside.shape)[:, None] - 1
        points = np.flatnonzero(((local >= 0) & (local <= last)).all(axis=0) & (out[3] > 0))
        if not len(points):
            continue
        inside = ndimage.map_coordinates(area.inside, local[:, points], order=1, mode="constant")
        points, inside = points[inside > 0], inside[inside > 0]
        below = ndimage.map_coordinates(pial_mm, index[:, points], order=1, mode="nearest")
        layer = np.clip(0.5 + below / EDGE_MM, 0, 1) * np.clip(
            0.5 + (area.thickness_mm - below) / EDGE_MM, 0, 1
        )
        iron = (area.chi_ppm * inside * layer).astype(np.float32)
        out[0, points] += iron
        out[2, points] += np.float32(DECAY_HZ) * iron
