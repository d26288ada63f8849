"""Figure of docs/explanation/detection.md: what the detector's tests see in two simulated heads.

python benchmarks/detection_figure.py docs/explanation/detection/tests.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from detection import FOLDER, read_maps
from detection_heads import Head, read_head
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qsmcmb.microbleeds.detection import dipole_filter
from qsmcmb.microbleeds.detection.candidates import search_candidates
from qsmcmb.units import hz_to_ppm

HEADS = (("3T", 81002, "1 mm"), ("3T-4mm", 81003, "slices of 4 mm"))
"""Condition, seed and label of each row; seeds of development."""
NEAR_MM = 3.1
"""Distance from the slice up to which lesions and candidates are drawn, mm."""
MAX_CLUTTER_SD = 3.0
"""Limit of the clutter, SDs, as in the detector."""


def draw_head(row: Any, head: Head, label: str) -> None:
    """Draw magnitude, map and filtered field in the slice that holds most microbleeds."""
    maps, grid, b0_tesla = read_maps(head), head.scan.grid, head.scan.b0_tesla
    field_ppm, sd_ppm = hz_to_ppm(maps["local_hz"], b0_tesla), hz_to_ppm(maps["sd_hz"], b0_tesla)
    data = dipole_filter.field_data(field_ppm, maps["mask"], grid, sd_ppm)
    seen = dipole_filter.filter_field(data, max_clutter_sd=MAX_CLUTTER_SD)
    significance = np.zeros(grid.shape, np.float32)
    significance[data.box] = np.where(seen.informed, seen.total_ppm_mm3 / np.sqrt(seen.variance), 0)
    found = search_candidates(
        maps["chi_ppm"],
        head.scan.magnitude,
        maps["mask"],
        grid,
        local_field_ppm=field_ppm,
        field_sd_ppm=sd_ppm,
    ).candidates
    places = grid.to_voxel(np.array([m.position_mm for m in head.lesions if m.kind == "microbleed"]))
    near = np.abs(places[:, 2, None] - np.arange(grid.shape[2])) * grid.voxel_size_mm[2] < NEAR_MM
    k = int(np.argmax(near.sum(axis=0)))
    last = head.scan.magnitude[-1]
    pictures = (
        (last, 0, np.percentile(last, 99.5), "magnitude, last echo"),
        (maps["chi_ppm"], -0.2, 0.2, "map, -0.2 to 0.2 ppm"),
        (significance, -10, 10, "dipole filter, -10 to 10 SD"),
    )
    for axis, (image, low, high, title) in zip(row, pictures, strict=True):
        axis.imshow(image[:, :, k].T, cmap="gray", vmin=low, vmax=high, origin="lower")
        axis.set(xticks=[], yticks=[])
        axis.set_title(title, fontsize=10)
        axis.plot(*places[near[:, k], :2].T, "o", markerfacecolor="none", markeredgecolor="c", markersize=16)
        for c in found:
            if abs(c.voxel[2] - k) * grid.voxel_size_mm[2] < NEAR_MM:
                marker, colour = "+" if c.kind == "microbleed" else "x", "y" if "map" in c.test else "m"
                axis.plot(c.voxel[0], c.voxel[1], marker, color=colour, markersize=9, markeredgewidth=1.6)
    row[0].set_ylabel(label)


def main(out: Path) -> None:
    """Draw both heads and write the figure."""
    figure = Figure(figsize=(9, 6.6), dpi=75)
    for row, (condition, seed, label) in zip(figure.subplots(2, 3), HEADS, strict=True):
        draw_head(row, read_head(condition, seed, FOLDER), label)
    figure.tight_layout()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
