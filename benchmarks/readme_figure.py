"""Picture of the README: one lesion of the demonstration at 1.5, 3 and 7 T.

    qsmcmb demo demo-out
    python benchmarks/readme_figure.py demo-out docs/readme.png

Left a slice of the susceptibility map at 3 T, right the lesion on the magnitude of each session at one echo time, with
the visible volume and the total susceptibility that the demonstration has measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import read_tsv
from qsmcmb.pipeline.load import load_scan
from qsmcmb.typing import FloatArray
from qsmcmb.validation.phantom_dataset import truth_folder
from qsmcmb.validation.visible import EQUAL_TE_S

PARTICIPANT, SHOWN = "demo", {"15T": "1.5 T", "3T": "3 T", "7T": "7 T"}
REACH_MM = 15.0
"""Half the width of a close-up, mm."""


def centre_of(out: Path, session: str, lesion: int) -> FloatArray:
    """Return the true centre of a lesion in a session, scanner RAS+ mm."""
    stem = f"sub-{PARTICIPANT}_ses-{session}"
    table = read_tsv(
        truth_folder(out / "bids") / f"sub-{PARTICIPANT}" / f"ses-{session}" / f"{stem}_lesions.tsv"
    )
    (row,) = (r for r in table if int(r["id"] or 0) == lesion)
    return np.array([float(row[c] or 0) for c in ("x_mm", "y_mm", "z_mm")])


def draw_close_up(axis: Any, out: Path, session: str, row: dict[str, str | None]) -> None:
    """Draw the magnitude around a lesion at the common echo time, its numbers below."""
    scan = load_scan(out / "bids", participant=PARTICIPANT, session=session)
    echo = int(np.abs(np.array(scan.te_s) - EQUAL_TE_S).argmin())
    i, j, k = np.round(scan.grid.to_voxel(centre_of(out, session, int(row["lesion"] or 0)))).astype(int)
    n = round(REACH_MM / scan.grid.voxel_size_mm[0])
    plane = scan.magnitude[echo, i - n : i + n + 1, j - n : j + n + 1, k]
    axis.imshow(plane.T, origin="lower", cmap="gray", vmin=0, vmax=1.4 * float(np.median(plane)))
    axis.set_title(SHOWN[session])
    volume, total = float(row[f"{session}_volume_mm3"] or 0), float(row[f"{session}_ppm_mm3"] or 0)
    axis.set_xlabel(f"volume {volume:.0f} mm³\ntotal {total:.1f} ppm mm³")


def draw(out: Path, lesion: int) -> Figure:
    """Draw the picture."""
    (row,) = (r for r in read_tsv(out / "demo.tsv") if int(r["lesion"] or 0) == lesion)
    results = {r.session: r for r in list_results(out / "derivatives", PARTICIPANT)}
    figure = Figure(figsize=(9.5, 3.3), layout="constrained")
    axes = figure.subplots(1, 4)
    draw_slice(axes[0], results["3T"], centre_of(out, "3T", lesion))
    for axis, session in zip(axes[1:], SHOWN, strict=True):
        draw_close_up(axis, out, session, row)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    return figure


def draw_slice(axis: Any, result: SessionResults, centre_mm: FloatArray) -> None:
    """Draw the slice of a susceptibility map that holds a point, and where that is."""
    chi_ppm, grid = result.image("Chimap")
    i, j, k = np.round(grid.to_voxel(centre_mm)).astype(int)
    inside = np.argwhere(chi_ppm[:, :, k] != 0)
    (left, low), (right, high) = inside.min(axis=0), inside.max(axis=0)
    axis.imshow(chi_ppm[:, :, k].T, origin="lower", cmap="gray", vmin=-0.1, vmax=0.2)
    axis.plot(i, j, "s", mfc="none", mec="tab:orange", ms=16)
    axis.set(xlim=(left - 3, right + 3), ylim=(low - 3, high + 3), title="susceptibility map")
    axis.set_xlabel("3 T")


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the demonstration")
    parser.add_argument("picture", type=Path, metavar="PNG")
    parser.add_argument("--lesion", type=int, default=2, help="its number in OUT/demo.tsv")
    options = parser.parse_args()
    draw(options.out, options.lesion).savefig(options.picture, dpi=90)


if __name__ == "__main__":
    main()
