"""Superficial siderosis of one scan: areas on its maps, each with side and lobe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.anatomy.head_regions import RIGHT, HeadRegions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.anatomy.side import side_by_mask
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.burden import rated_microbleeds
from qsmcmb.microbleeds.siderosis.areas import MAX_VOXEL_MM, SiderosisArea, find_areas
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ["find_siderosis"]

NUCLEI = ("red nucleus", "substantia nigra", "dentate nucleus")
"""Structures below the tentorium that hold iron of their own."""
MOSTLY_MICROBLEED = 0.5
"""Fraction of an area in counted microbleeds above which it is these."""


def find_siderosis(
    scan: GreScan,
    chi_ppm: FloatArray,
    r2star_hz: FloatArray | None,
    mask: BoolArray,
    *,
    regions: HeadRegions | None,
    labels: IntArray | None,
    lesions: Sequence[Microbleed],
) -> tuple[SiderosisArea, ...] | None:
    """Find the areas of a scan that may be superficial siderosis.

    Parameters
    ----------
    scan : GreScan
        The scan.
    chi_ppm : ndarray of shape scan.grid.shape
        Susceptibility map, ppm.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s; None where it is not known.
    mask : ndarray of shape scan.grid.shape, bool
        Voxels where the map is defined.
    regions : HeadRegions or None
        Structures of the head; deep ones hold no area.
    labels : ndarray of shape scan.grid.shape, int, or None
        Voxels of each candidate, by its label.
    lesions : sequence of Microbleed
        Rows of the lesion table.

    Returns
    -------
    tuple of SiderosisArea or None
        The longest first; None where the scan cannot show them: without R2*, or with voxels above 2 mm.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> ones = np.ones((8, 8, 8), np.float32)
    >>> scan = GreScan(0 * ones[None], ones[None], te_s=(0.02,), b0_tesla=3.0, grid=Grid.isotropic((8, 8, 8), 1.0))
    >>> find_siderosis(scan, 0 * ones, None, ones > 0, regions=None, labels=None, lesions=()) is None
    True
    """
    grid = scan.grid
    if r2star_hz is None or max(grid.voxel_size_mm) > MAX_VOXEL_MM:
        return None
    deep = [s.label for s in STRUCTURES.values() if s.territory == "deep" or s.name in NUCLEI]
    excluded = None if regions is None else np.isin(regions.labels % RIGHT, deep)
    areas = find_areas(chi_ppm, r2star_hz, mask, grid, b0_tesla=scan.b0_tesla, excluded=excluded)
    counted = [m.label for m in rated_microbleeds(lesions)]
    placed = []
    for area in areas:
        at = tuple(area.voxels.T)
        bled = 0.0 if labels is None else float(np.isin(labels[at], counted).mean())
        if bled <= MOSTLY_MICROBLEED:
            placed.append(_placed(area, bled > 0, mask, regions, scan))
    return tuple(placed)


def _placed(
    area: SiderosisArea, holds_microbleed: bool, mask: BoolArray, regions: HeadRegions | None, scan: GreScan
) -> SiderosisArea:
    """Return an area with side, lobe and flags."""
    if regions is None:
        side: str | None = side_by_mask([area.position_mm], mask, scan.grid)[0]
        lobe = territory = None
    else:
        (place,) = regions.locate(np.array([area.position_mm]))
        side, lobe, territory = place.side, place.mars_region, place.territory
    says = {
        "microbleed": holds_microbleed, "midline": side == "midline", "infratentorial": territory == "infratentorial",
    }  # fmt: skip
    return area._replace(side=side, lobe=lobe, flags=tuple(word for word, true in says.items() if true))
