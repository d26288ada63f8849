"""Figures of docs/explanation/physics.md: `python docs/explanation/physics/figures.py`, a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

FOLDER = Path(__file__).parent
B0_DIR = np.array([0.0, 0.0, 1.0])
M_PPM_MM3 = 10.0
TE_S = 0.020
FIELD_STRENGTHS_TESLA = (1.5, 3.0, 7.0)
DARK = 0.6
"""Ratio to the tissue's signal below which a voxel counts as dark."""


def ball_of(radius_mm: float) -> Ball:
    """Return a ball of a radius that has the total susceptibility of the page."""
    return Ball(
        centre_mm=(0.0, 0.0, 0.0), radius_mm=radius_mm, dchi_ppm=M_PPM_MM3 / (4 / 3 * np.pi * radius_mm**3)
    )


def draw_phase() -> Figure:
    """Draw the phase of a field over the echo time, as it grows and as it is measured."""
    te_ms, figure = np.linspace(0, 30, 1201), Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    for b0_tesla, colour in zip(FIELD_STRENGTHS_TESLA, ("tab:blue", "tab:orange", "tab:green"), strict=True):
        phase = 2 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * 0.1 * te_ms / 1000
        wrapped = np.angle(np.exp(1j * phase))
        wrapped[np.abs(np.diff(wrapped, prepend=0)) > np.pi] = np.nan
        axis.plot(te_ms, phase, ":", color=colour)
        axis.plot(te_ms, wrapped, color=colour, label=f"{b0_tesla:g} T")
    axis.set(xlabel="echo time (ms)", ylabel="phase (rad)", ylim=(-3.5, 10))
    axis.legend(fontsize=8)
    return figure


def draw_dipole() -> Figure:
    """Draw the field of a point dipole in a plane that holds B0, and along two lines."""
    axis_mm = np.linspace(-8, 8, 201)
    x, z = np.meshgrid(axis_mm, axis_mm, indexing="ij")
    field_ppb = 1000 * M_PPM_MM3 * point_dipole_field(np.stack([x.ravel(), 0 * x.ravel(), z.ravel()]), B0_DIR)
    figure = Figure(figsize=(6.5, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    shown = left.imshow(
        field_ppb.reshape(x.shape).T, origin="lower", extent=(-8, 8, -8, 8), cmap="RdBu_r", vmin=-40, vmax=40
    )
    left.annotate("B0", (-7, 7), (-7, 1), arrowprops={"arrowstyle": "->"}, ha="center", fontsize=8)
    left.set(xlabel="x (mm)", ylabel="z (mm)")
    figure.colorbar(shown, ax=left, label="field (ppb)")
    r_mm = np.linspace(2, 10, 200)
    right.plot(r_mm, 1000 * M_PPM_MM3 * 2 / (4 * np.pi * r_mm**3), label="along B0")
    right.plot(r_mm, -1000 * M_PPM_MM3 / (4 * np.pi * r_mm**3), label="across B0")
    right.axhline(0, color="0.7", lw=0.8)
    right.set(xlabel="distance (mm)", ylabel="field (ppb)")
    right.legend(fontsize=8)
    return figure


def draw_total() -> Figure:
    """Draw the field along B0 of three balls that differ in radius and susceptibility, not in their product."""
    z_mm = np.linspace(0.05, 6, 400)
    points = np.stack([0 * z_mm, 0 * z_mm, z_mm])
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    for radius_mm in (2.0, 1.5, 1.0):
        ball = ball_of(radius_mm)
        field_ppm = ball_field(points, ball, B0_DIR)
        axis.plot(z_mm, field_ppm, label=f"radius {radius_mm:g} mm, {ball.dchi_ppm:.2f} ppm")
    axis.set(xlabel="distance along B0 (mm)", ylabel="field (ppm)")
    axis.legend(fontsize=8)
    return figure


def magnitude_of(b0_tesla: float) -> FloatArray:
    """Return the magnitude of 17 voxels of 1 mm a side around the ball, from 8 points along each edge."""
    fine_mm = (np.arange(17 * 8) - 17 * 8 / 2 + 0.5) / 8
    points = np.stack([a.ravel() for a in np.meshgrid(fine_mm, fine_mm, fine_mm, indexing="ij")])
    ball = ball_of(1.5)
    field_ppm = ball_field(points, ball, B0_DIR)
    inside = np.sum(points**2, axis=0) < ball.radius_mm**2
    signal = np.exp(2j * np.pi * GAMMA_MHZ_PER_T * b0_tesla * TE_S * field_ppm) * ~inside
    return np.asarray(np.abs(signal.reshape(17, 8, 17, 8, 17, 8).mean(axis=(1, 3, 5))))


def draw_strength() -> Figure:
    """Draw the ball at three field strengths: its void grows, its total susceptibility does not."""
    figure = Figure(figsize=(6.5, 3.0), layout="constrained")
    for axis, b0_tesla in zip(figure.subplots(1, 3), FIELD_STRENGTHS_TESLA, strict=True):
        magnitude = magnitude_of(b0_tesla)
        axis.imshow(magnitude[:, 8].T, origin="lower", cmap="gray", vmin=0, vmax=1.1)
        axis.set(title=f"{b0_tesla:g} T", xticks=[], yticks=[])
        # A scale bar of 5 voxels, 1 mm each.
        axis.plot([0.5, 5.5], [0.7, 0.7], color="tab:orange", lw=2.5, solid_capstyle="butt")
        axis.text(3.0, 1.1, "5 mm", ha="center", va="bottom", fontsize=8)
        axis.set_xlabel(f"void {np.sum(magnitude < DARK):.0f} mm³\ntotal {M_PPM_MM3:g} ppm mm³")
    return figure


def main() -> None:
    """Write all figures beside this file."""
    for name, draw in (
        ("phase", draw_phase),
        ("dipole", draw_dipole),
        ("total", draw_total),
        ("strength", draw_strength),
    ):
        draw().savefig(FOLDER / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
