"""Rows of the table of superficial siderosis (`*_desc-siderosis_areas.tsv`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from qsmcmb.lesion import Column
from qsmcmb.microbleeds.siderosis.areas import SiderosisArea

__all__ = [
    "NOTICE",
    "SIDEROSIS_COLUMNS",
    "SIDEROSIS_TABLE",
    "SiderosisRow",
    "describe_area",
    "siderosis_rows",
]

SiderosisRow = dict[str, str | float | None]
"""Value of each column of `SIDEROSIS_COLUMNS`, in their order; None where unknown."""
SIDEROSIS_TABLE = "desc-siderosis_areas"
"""End of the name of the table, without extension."""
NOTICE = (
    "A finding aid for research, measured on simulated heads alone: look at each area on magnitude and map. An area is "
    "never definite, and a table without rows does not rule siderosis out."
)
"""What the JSON of the table says."""
FLAGS = {
    "microbleed": "a counted microbleed lies in it",
    "midline": "it lies at the midline, as the falx and its sinuses do",
    "infratentorial": "it lies at cerebellum or brainstem: not the siderosis of the convexity",
}
"""Flags with their meaning."""
SIDEROSIS_COLUMNS: dict[str, Column] = {
    "area": Column("Number of the area, the longest first"),
    "x_mm": Column("Voxel of the area nearest to its centre, scanner RAS+", "mm"),
    "y_mm": Column("Voxel of the area nearest to its centre, scanner RAS+", "mm"),
    "z_mm": Column("Voxel of the area nearest to its centre, scanner RAS+", "mm"),
    "length_mm": Column("Longest way through the area, from voxel to voxel", "mm"),
    "width_mm": Column("Median width of the sheet within 4 mm of a point", "mm"),
    "thickness_mm": Column("Median thickness of the sheet within 4 mm of a point", "mm"),
    "volume_mm3": Column("Volume of the area's voxels", "mm3"),
    "sheetness": Column("Median sheetness: 0 of a tube or ball, near 1 of a thin wide sheet"),
    "chi_mean_ppm": Column("Mean susceptibility, as on the map", "ppm"),
    "r2star_mean_hz": Column("Mean R2*", "1/s"),
    "depth_mm": Column("Median distance from the surface of the map's mask", "mm"),
    "side": Column("Side of the head", levels=("left", "right", "midline"), is_number=False),
    "lobe": Column("Region of the Microbleed Anatomical Rating Scale", is_number=False),
    "certainty": Column("Always possible: nobody has seen it yet", levels=("possible",), is_number=False),
    "flags": Column(
        "Flags, joined by ;: " + "; ".join(f"{word}, {meaning}" for word, meaning in FLAGS.items()),
        is_number=False,
    ),
}
"""Columns of the table (`*_desc-siderosis_areas.tsv`) by name, in their order."""


def siderosis_rows(areas: Sequence[SiderosisArea]) -> list[SiderosisRow]:
    """Return areas as rows of the table.

    Parameters
    ----------
    areas : sequence of SiderosisArea
        Areas, the longest first.

    Returns
    -------
    list of dict
        Value of each column, None where unknown.

    Examples
    --------
    >>> siderosis_rows([])
    []
    """
    rows = []
    for number, area in enumerate(areas, 1):
        x, y, z = area.position_mm
        given: SiderosisRow = {
            "area": number, "x_mm": x, "y_mm": y, "z_mm": z, "certainty": "possible",
            "flags": ";".join(area.flags) or None,
        }  # fmt: skip
        rows.append(
            {name: given[name] if name in given else getattr(area, name) for name in SIDEROSIS_COLUMNS}
        )
    return rows


def describe_area(row: Mapping[str, str | float | None]) -> str:
    """Return an area in one line, for the page.

    Parameters
    ----------
    row : mapping
        Row of the table, as made or as read.

    Returns
    -------
    str
        Place, size, susceptibility, R2* and flags.

    Examples
    --------
    >>> import numpy as np
    >>> position, size = (-20.0, 8.0, 31.0), (24.0, 6.0, 3.0)
    >>> area = SiderosisArea(position, *size, 200.0, 0.5, 0.31, 92.0, 7.0, np.zeros((0, 3), int), "left", "parietal")
    >>> describe_area(siderosis_rows([area])[0])
    'left parietal at -20, 8, 31 mm: 24 mm long, 6 mm wide; 0.31 ppm, R2* 92 1/s'
    """
    at = ", ".join(f"{_number(row, axis):.0f}" for axis in ("x_mm", "y_mm", "z_mm"))
    place = " ".join(str(row[name]) for name in ("side", "lobe") if row.get(name))
    size = f"{_number(row, 'length_mm'):.0f} mm long, {_number(row, 'width_mm'):.0f} mm wide"
    iron = f"{_number(row, 'chi_mean_ppm'):.2f} ppm, R2* {_number(row, 'r2star_mean_hz'):.0f} 1/s"
    flags = f" ({row['flags']})" if row.get("flags") else ""
    return f"{place or 'area'} at {at} mm: {size}; {iron}{flags}"


def _number(row: Mapping[str, str | float | None], name: str) -> float:
    """Return a cell as a number; NaN where it is unknown."""
    value = row.get(name)
    return math.nan if value is None else float(value)
