"""Figures of docs/explanation/limits.md: `python docs/explanation/limits/figures.py`, a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.units import GAMMA_MHZ_PER_T

FOLDER = Path(__file__).parent
B0_DIR = np.array([0.0, 0.0, 1.0])
B0_TESLA, TE_S = 3.0, 0.020
RADIANS_PER_PPM = 2 * np.pi * GAMMA_MHZ_PER_T * B0_TESLA * TE_S
FILTER_MM = 2.0
"""SD of the low-pass whose phase a scanner takes away, in the figure."""


def draw_void() -> Figure:
    """Draw the radius within which a voxel of 1 mm loses its signal, over the total susceptibility."""
    m = np.geomspace(0.5, 60, 200)
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    for b0_tesla in (7.0, 3.0, 1.5):
        # Along B0 the field is 2 M / (4 pi r^3): where its phase changes by pi over a voxel the signal is lost.
        slope = 2 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * TE_S * 2 * m / (4 * np.pi) * 3
        axis.semilogx(m, (slope / np.pi) ** 0.25, label=f"{b0_tesla:g} T")
    axis.set(xlabel="total susceptibility (ppm mm³)", ylabel="radius without signal (mm)", ylim=(0, None))
    axis.legend(fontsize=8)
    return figure


def draw_neighbour() -> Figure:
    """Draw the field along B0 of a lesion, of another beside it, and of both."""
    z_mm = np.linspace(-12, 16, 1200)
    lines = []
    for m, centre_mm in ((6.0, 0.0), (6.0, 7.0)):
        points = np.stack([0 * z_mm, 0 * z_mm, z_mm - centre_mm])
        field = 1000 * m * point_dipole_field(points, B0_DIR)
        lines.append(np.where(np.abs(z_mm - centre_mm) < 1.5, np.nan, field))
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(z_mm, lines[0], label="lesion")
    axis.plot(z_mm, lines[1], label="neighbour")
    axis.plot(z_mm, lines[0] + lines[1], "k:", label="both")
    axis.set(xlabel="distance along B0 (mm)", ylabel="field (ppb)")
    axis.legend(fontsize=8)
    return figure


def draw_filtered() -> Figure:
    """Draw the phase along B0 beside a lesion, before and after a high-pass filter."""
    axis_mm = np.arange(-20.0, 21.0)
    points = np.stack([a.ravel() for a in np.meshgrid(axis_mm, axis_mm, axis_mm, indexing="ij")])
    phase = (RADIANS_PER_PPM * 4 * point_dipole_field(points, B0_DIR)).reshape((41,) * 3)
    signal = np.exp(1j * phase)
    low = ndimage.gaussian_filter(signal.real, FILTER_MM) + 1j * ndimage.gaussian_filter(
        signal.imag, FILTER_MM
    )
    left = np.angle(signal * np.conj(low))
    far = axis_mm >= 3
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.axhline(100, color="tab:orange", label="as measured")
    axis.plot(
        axis_mm[far],
        100 * left[20, 20, far] / phase[20, 20, far],
        "o-",
        ms=4,
        label="filtered by the scanner",
    )
    axis.axhline(0, color="0.7", lw=0.8)
    axis.set(
        xlabel="distance from the lesion along B0 (mm)", ylabel="phase (% of the dipole's)", xlim=(2.8, 12.2),
        ylim=(-5, 110),
    )  # fmt: skip
    axis.legend(fontsize=8)
    return figure


def main() -> None:
    """Write all figures beside this file."""
    for name, draw in (("void", draw_void), ("neighbour", draw_neighbour), ("filtered", draw_filtered)):
        draw().savefig(FOLDER / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
