"""Areas of superficial siderosis: voxels with iron near the brain's surface that join to a sheet.

Voxels count whose susceptibility and R2* exceed the brain's medians, 2 to 20 mm below the mask's surface. Around each,
the excess susceptibility within 4 mm has a centre and a covariance with the eigenvalues l1 >= l2 >= l3 (mm2), and

    sheetness = (l2 - l3) / l1,   width = sqrt(12 l2),   thickness = sqrt(12 l3).

A wide thin sheet has a sheetness near 1, a tube (a vein) and a ball (a microbleed) near 0. Sheet voxels and their
neighbours that join are an area; its length is the longest way through it from voxel to voxel. The ratio is planarity
as it is used for clouds of points (Demantke 2011, doi:10.5194/isprsarchives-XXXVIII-5-W12-97-2011).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import Box, bounding_box
from qsmcmb.core.morphology import capped_distance_inside_mm, close_gaps, dilate
from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.core.robust import deviation_inside, median_inside
from qsmcmb.core.voxel_graph import join_voxels, longest_way_mm
from qsmcmb.microbleeds.siderosis._moment_loops import local_moments
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ["MAX_VOXEL_MM", "SiderosisArea", "find_areas"]

WEAK_PPM, WEAK_HZ = 0.1, 15.0
"""Least excess of susceptibility (ppm) and R2* (1/s at 3 T) of an area's voxels."""
STRONG_PPM, STRONG_HZ = 0.2, 40.0
"""The same of its strong voxels, of which an area has MIN_STRONG_MM3 or more."""
WEAK_SD, STRONG_SD = (3.0, 2.5), (6.0, 6.0)
"""The same in robust SDs of susceptibility and R2* over the brain: in scans of much noise these are more."""
MIN_STRONG_MM3 = 5.0
"""Least volume of an area's strong voxels, mm3."""
DEPTH_MM = (2.0, 20.0)
"""Distance from the mask's surface, mm, within which voxels count: above lie errors of the background's removal, below
the nuclei.
"""
RADIUS_MM = 4.0
"""Radius of the surroundings in which the form is measured, mm: a sulcus is straight over it, a vein is no sheet."""
MOST_PPM = 0.5
"""Excess of susceptibility above which a voxel weighs no more, ppm: no point outweighs its sheet."""
MIN_SHEETNESS, MIN_WIDTH_MM = 0.3, 4.0
"""Least sheetness and width (mm) of a sheet voxel."""
JOIN_MM = 2.0
"""Distance from a sheet voxel within which other voxels belong to its area, mm."""
GAP_MM = 3.0
"""Half the width of gaps that an area bridges, mm: the walls of a sulcus lie that far apart."""
MARGIN_LEVEL = 0.4
"""Ratio to the 90th percentile of an area's excess of susceptibility below which voxels are its margin."""
MIN_LENGTH_MM = 10.0
"""Least length of an area, mm."""
MAX_VOXEL_MM = 2.0
"""Largest edge of a voxel, mm, with which sheets and tubes are told apart."""
MIN_VOLUME_MM3 = 40.0
"""Least volume of an area, mm3: of the least length and width, 1 mm thick."""


class SiderosisArea(NamedTuple):
    """One area that may be superficial siderosis.

    Parameters
    ----------
    position_mm : tuple of float
        Voxel of the area that lies nearest to its centre, scanner RAS+, mm.
    length_mm : float
        Longest way through the area, mm.
    width_mm, thickness_mm : float
        Width and thickness of the sheet within 4 mm of a point, medians, mm.
    volume_mm3 : float
        Volume of the area's voxels, mm3.
    sheetness : float
        Median sheetness, 0 to 1.
    chi_mean_ppm : float
        Mean susceptibility, ppm, as the map has it.
    r2star_mean_hz : float
        Mean R2*, 1/s.
    depth_mm : float
        Median distance from the mask's surface, mm.
    voxels : ndarray of shape (n, 3), int
        Its voxels.
    side : str or None
        Side: left, right or midline; None where unknown.
    lobe : str or None
        Region of MARS; None where unknown.
    flags : tuple of str
        What speaks against it.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> sheet = np.zeros(grid.shape, np.float32)
    >>> sheet[6:26, 9:17, 15:17] = 1
    >>> area, = find_areas(0.4 * sheet, 20 + 90 * sheet, sheet >= 0, grid, b0_tesla=3.0)
    >>> 20 <= area.length_mm <= 25, area.sheetness > 0.4
    (True, True)
    """

    position_mm: tuple[float, float, float]
    length_mm: float
    width_mm: float
    thickness_mm: float
    volume_mm3: float
    sheetness: float
    chi_mean_ppm: float
    r2star_mean_hz: float
    depth_mm: float
    voxels: IntArray
    side: str | None = None
    lobe: str | None = None
    flags: tuple[str, ...] = ()


class _Sheets(NamedTuple):
    """Form around voxels (n, 3): eigenvalues (n, 3) of the covariance, descending, mm2."""

    voxels: IntArray
    spread_mm2: FloatArray

    def of(self, chosen: BoolArray) -> _Sheets:
        """Return those of chosen voxels (n,)."""
        return _Sheets(self.voxels[chosen], self.spread_mm2[chosen])

    @property
    def sheetness(self) -> FloatArray:
        first, second, third = self.spread_mm2.T
        return np.asarray((second - third) / np.maximum(first, 1e-6))

    @property
    def width_mm(self) -> FloatArray:
        return np.sqrt(12 * self.spread_mm2[:, 1])

    @property
    def thickness_mm(self) -> FloatArray:
        return np.sqrt(12 * self.spread_mm2[:, 2])


def find_areas(
    chi_ppm: FloatArray,
    r2star_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    b0_tesla: float,
    excluded: BoolArray | None = None,
) -> list[SiderosisArea]:
    """Find areas that may be superficial siderosis.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    r2star_hz : ndarray of shape grid.shape
        R2*, 1/s.
    mask : ndarray of shape grid.shape, bool
        Voxels where the map is defined.
    grid : Grid
        Geometry.
    b0_tesla : float
        Field strength, T: R2* of iron grows with it.
    excluded : ndarray of shape grid.shape, bool, optional
        Voxels that are no part of any area: deep structures, counted microbleeds.

    Returns
    -------
    list of SiderosisArea
        The longest first; side and lobe unknown.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> nothing = np.zeros(grid.shape, np.float32)
    >>> find_areas(nothing, nothing + 20, nothing == 0, grid, b0_tesla=3.0)
    []
    """
    if not mask.any():
        return []
    box = bounding_box(mask)
    maps = _iron_maps(chi_ppm[box], r2star_hz[box], np.ascontiguousarray(mask[box]), grid, b0_tesla)
    if excluded is not None:
        maps = maps._replace(weak=maps.weak & ~excluded[box])
    weak = _with_strong(maps.weak, maps.strong, grid)
    if not weak.any():
        return []
    form = _forms(np.where(weak, np.minimum(maps.iron_ppm, MOST_PPM), 0).astype(np.float32), weak, grid)
    is_sheet = (form.sheetness > MIN_SHEETNESS) & (form.width_mm > MIN_WIDTH_MM)
    if not is_sheet.any():
        return []
    sheet = np.zeros(weak.shape, bool)
    sheet[tuple(form.voxels[is_sheet].T)] = True
    weak &= dilate(sheet, JOIN_MM, grid.voxel_size_mm)
    weak = _with_strong(_above_own_level(weak, maps.iron_ppm), maps.strong, grid)
    labels, _ = ndimage.label(close_gaps(weak, GAP_MM, grid.voxel_size_mm), np.ones((3, 3, 3)))
    number = (labels * weak)[tuple(form.voxels.T)]
    areas = []
    for label, found in enumerate(ndimage.find_objects(labels), 1):
        ways = join_voxels(np.argwhere(labels[found] == label), grid.voxel_size_mm)
        length_mm = longest_way_mm(ways) + float(np.mean(grid.voxel_size_mm))
        own = number == label
        core = own & is_sheet
        is_large = own.sum() * grid.voxel_volume_mm3 >= MIN_VOLUME_MM3
        if length_mm >= MIN_LENGTH_MM and is_large and core.any():
            areas.append(_measured(length_mm, form.of(own), form.of(core), maps, (box, grid)))
    return sorted(areas, key=lambda a: -a.length_mm)


class _IronMaps(NamedTuple):
    """Maps within the box of the mask: as measured, excess of susceptibility, depth, voxels that count."""

    chi_ppm: FloatArray
    r2star_hz: FloatArray
    iron_ppm: FloatArray
    depth_mm: FloatArray
    weak: BoolArray
    strong: BoolArray


def _iron_maps(
    chi_ppm: FloatArray, r2star_hz: FloatArray, inside: BoolArray, grid: Grid, b0_tesla: float
) -> _IronMaps:
    """Return where susceptibility and R2* exceed the brain's, away from its surface and from its middle."""
    r2star_hz = np.nan_to_num(r2star_hz)
    depth_mm = capped_distance_inside_mm(inside, grid.voxel_size_mm, DEPTH_MM[1] + 1)
    iron, iron_sd = _excess(chi_ppm, inside)
    decay, decay_sd = _excess(r2star_hz, inside)
    fields = b0_tesla / 3.0
    weak = inside & (depth_mm > DEPTH_MM[0]) & (depth_mm < DEPTH_MM[1])
    weak &= iron > max(WEAK_PPM, WEAK_SD[0] * iron_sd)
    weak &= decay > max(WEAK_HZ * fields, WEAK_SD[1] * decay_sd)
    strong = iron > max(STRONG_PPM, STRONG_SD[0] * iron_sd)
    strong &= decay > max(STRONG_HZ * fields, STRONG_SD[1] * decay_sd)
    return _IronMaps(chi_ppm, r2star_hz, iron, depth_mm, weak, strong)


def _measured(
    length_mm: float, whole: _Sheets, core: _Sheets, maps: _IronMaps, place: tuple[Box, Grid]
) -> SiderosisArea:
    """Return an area of all its voxels and those of its sheet."""
    box, grid = place
    at = tuple(whole.voxels.T)
    voxels = whole.voxels + [s.start for s in box]
    world = grid.to_world(voxels.astype(float))
    x, y, z = world[np.argmin(((world - world.mean(axis=0)) ** 2).sum(axis=1))]
    return SiderosisArea(
        position_mm=(float(x), float(y), float(z)), length_mm=length_mm,
        width_mm=float(np.median(core.width_mm)), thickness_mm=float(np.median(core.thickness_mm)),
        volume_mm3=len(voxels) * grid.voxel_volume_mm3, sheetness=float(np.median(core.sheetness)),
        chi_mean_ppm=float(maps.chi_ppm[at].mean()), r2star_mean_hz=float(maps.r2star_hz[at].mean()),
        depth_mm=float(np.median(maps.depth_mm[at])), voxels=voxels,
    )  # fmt: skip


def _excess(values: FloatArray, inside: BoolArray) -> tuple[FloatArray, float]:
    """Return values above their median within a mask, and their robust SD there."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    excess = values - np.float32(median_inside(values, inside))
    return excess, deviation_inside(values, inside) / MAD_OF_NORMAL


def _above_own_level(weak: BoolArray, iron: FloatArray) -> BoolArray:
    """Return the connected parts of a mask without the margin that the map's blur adds to them."""
    labels, count = ndimage.label(weak, np.ones((3, 3, 3)))
    level = np.zeros(count + 1, np.float32)
    for label, found in enumerate(ndimage.find_objects(labels), 1):
        own = labels[found] == label
        level[label] = MARGIN_LEVEL * np.percentile(iron[found][own], 90)
    return weak & (iron > level[labels])


def _with_strong(weak: BoolArray, strong: BoolArray, grid: Grid) -> BoolArray:
    """Return the connected parts of a mask that hold enough strong voxels."""
    labels, count = ndimage.label(weak, np.ones((3, 3, 3)))
    good = np.bincount(labels[strong & weak], minlength=count + 1) * grid.voxel_volume_mm3 >= MIN_STRONG_MM3
    good[0] = False
    return np.asarray(good[labels])


def _forms(weight: FloatArray, chosen: BoolArray, grid: Grid) -> _Sheets:
    """Return the form of a weight's distribution around chosen voxels."""
    voxels = np.argwhere(chosen).astype(np.int32)
    size = np.array(grid.voxel_size_mm)
    reach = np.ceil(RADIUS_MM / size).astype(int)
    axes = np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij")
    offsets = np.stack(axes, axis=-1).reshape(-1, 3)
    offsets = offsets[((offsets * size) ** 2).sum(axis=1) <= RADIUS_MM**2].astype(np.int32)
    moments = np.empty((len(voxels), 6))
    local_moments(weight, voxels, offsets, offsets * size, moments)
    covariance = moments[:, [0, 3, 4, 3, 1, 5, 4, 5, 2]].reshape(-1, 3, 3)
    return _Sheets(voxels, np.maximum(np.linalg.eigvalsh(covariance)[:, ::-1], 0))
