"""The region table: mean, SD and volume of susceptibility and R2* in each structure, both sides apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsmcmb.anatomy.head_regions import RIGHT, HeadRegions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.lesion import Column, Microbleed
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("REGION_COLUMNS", "measure_regions", "without_lesions")

REGION_COLUMNS = {
    "structure": Column("Structure of the head", is_number=False),
    "side": Column("Side of the head", levels=("left", "right"), is_number=False),
    "mars_region": Column("Region of the Microbleed Anatomical Rating Scale", is_number=False),
    "territory": Column("Territory", levels=("lobar", "deep", "infratentorial"), is_number=False),
    "volume_mm3": Column("Volume of the voxels that count", "mm3"),
    "chi_mean_ppm": Column("Mean susceptibility against the map's reference", "ppm"),
    "chi_sd_ppm": Column("SD of the susceptibility over the voxels", "ppm"),
    "r2star_mean_hz": Column("Mean R2*", "1/s"),
    "r2star_sd_hz": Column("SD of R2* over the voxels", "1/s"),
}
"""Columns of the region table (`*_desc-regions_stats.tsv`), in their order."""


def measure_regions(
    regions: HeadRegions, chi_ppm: FloatArray, r2star_hz: FloatArray | None, mask: BoolArray
) -> list[dict[str, Any]]:
    """Measure susceptibility and R2* of each structure.

    Parameters
    ----------
    regions : HeadRegions
        Structures, on the grid of the maps.
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    r2star_hz : ndarray of shape grid.shape or None
        R2*, 1/s.
    mask : ndarray of shape grid.shape, bool
        Voxels that count: where the map is defined, lesions left out (`without_lesions`).

    Returns
    -------
    list of dict
        One row by `REGION_COLUMNS` for each structure and side that has voxels.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((4, 4, 4), 2.0)
    >>> labels = np.full(grid.shape, STRUCTURES["putamen"].label)
    >>> regions = HeadRegions(labels, labels < 0, grid, None, None)
    >>> row, = measure_regions(regions, np.full(grid.shape, 0.06), None, labels > 0)
    >>> row["structure"], row["volume_mm3"], round(row["chi_mean_ppm"], 3), row["r2star_mean_hz"]
    ('putamen', 512.0, 0.06, None)
    """
    rows = []
    inside = mask & np.isfinite(chi_ppm)
    for structure in STRUCTURES.values():
        for side, raised in (("left", 0), ("right", RIGHT)):
            voxels = (regions.labels == structure.label + raised) & inside
            if not voxels.any():
                continue
            row: dict[str, Any] = {
                "structure": structure.name,
                "side": side,
                "mars_region": structure.mars,
                "territory": structure.territory,
                "volume_mm3": float(voxels.sum()) * regions.grid.voxel_volume_mm3,
                "chi_mean_ppm": float(chi_ppm[voxels].mean(dtype=np.float64)),
                "chi_sd_ppm": float(chi_ppm[voxels].std(dtype=np.float64)),
                "r2star_mean_hz": None,
                "r2star_sd_hz": None,
            }
            if r2star_hz is not None:
                row["r2star_mean_hz"] = float(r2star_hz[voxels].mean(dtype=np.float64))
                row["r2star_sd_hz"] = float(r2star_hz[voxels].std(dtype=np.float64))
            rows.append(row)
    return rows


def without_lesions(
    mask: BoolArray, lesion_labels: IntArray | None, lesions: Sequence[Microbleed]
) -> BoolArray:
    """Return a mask without the voxels of lesions: a lesion is no part of the structure that it lies in.

    Rejected candidates stay: they are the structure's own iron, or its veins.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        Voxels of the map.
    lesion_labels : ndarray of shape (x, y, z), int, or None
        Voxels of each candidate, by its label.
    lesions : sequence of Microbleed
        Rows of the lesion table.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The mask without definite and possible lesions.

    Examples
    --------
    >>> labels = np.array([[[0, 1, 2]]])
    >>> rows = [Microbleed(1, (0, 0, 0), certainty="definite"), Microbleed(2, (1, 0, 0), certainty="rejected")]
    >>> without_lesions(labels >= 0, labels, rows).tolist()
    [[[True, False, True]]]
    """
    if lesion_labels is None:
        return mask
    left_out = [m.label for m in lesions if m.certainty != "rejected"]
    return mask & ~np.isin(lesion_labels, left_out)
