"""Figures of docs/explanation/uncertainty.md: `python docs/explanation/uncertainty/figures.py`, a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from qsmcmb.units import GAMMA_MHZ_PER_T

FOLDER = Path(__file__).parent
B0_TESLA, TE_S, VOXEL_MM3, OUTER_MM = 3.0, 0.020, 1.0, 10.0
LIMIT_SDS = 5.0
"""Detection limit in SDs."""
CHANGE_SDS = 1.96
"""Minimum detectable change in SDs of the change."""


def draw_interval() -> Figure:
    """Draw a normal distribution with its 95 % interval."""
    sd, value = 0.4, 6.0
    m = np.linspace(4, 8, 400)
    density = norm.pdf(m, value, sd)
    low, high = value - 1.96 * sd, value + 1.96 * sd
    figure = Figure(figsize=(6.5, 2.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(m, density)
    axis.fill_between(m, density, where=(m > low) & (m < high), alpha=0.25, label="95 %")
    axis.axvline(value, color="0.4", lw=0.8)
    axis.set(xlabel="total susceptibility (ppm mm³)", yticks=[], ylim=(0, None))
    axis.legend(fontsize=8)
    return figure


def draw_noise() -> Figure:
    """Draw the least SD that noise leaves, over the SNR, for voids of three radii."""
    snr = np.linspace(10, 150, 200)
    phase_per_unit = 2 * np.pi * GAMMA_MHZ_PER_T * B0_TESLA * TE_S / (4 * np.pi)
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axis = figure.subplots()
    for inner_mm in (3.0, 2.0, 1.5):
        shells = 1 / inner_mm**3 - 1 / OUTER_MM**3
        sd = np.sqrt(15 * VOXEL_MM3 / (16 * np.pi * shells)) / (phase_per_unit * snr)
        axis.semilogy(snr, sd, label=f"signal from {inner_mm:g} mm on")
    axis.set(xlabel="signal-to-noise ratio", ylabel="least SD (ppm mm³)")
    axis.legend(fontsize=8)
    return figure


def draw_detection() -> Figure:
    """Draw the probability that a lesion stands out, over its total susceptibility in units of the limit."""
    ratio = np.linspace(0, 2, 300)
    figure = Figure(figsize=(6.5, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(ratio, 100 * norm.sf(LIMIT_SDS * (1 - ratio)))
    axis.axvline(1, color="0.6", lw=0.8, ls=":")
    axis.set(xlabel="total susceptibility over the detection limit", ylabel="reads above it (%)")
    return figure


def draw_change() -> Figure:
    """Draw the minimum detectable change over the SD of the follow-up, for three SDs of the baseline."""
    followup = np.linspace(0, 1, 200)
    figure = Figure(figsize=(6.5, 2.4), layout="constrained")
    axis = figure.subplots()
    for baseline in (0.8, 0.4, 0.1):
        axis.plot(followup, CHANGE_SDS * np.hypot(baseline, followup), label=f"baseline SD {baseline:g}")
    axis.set(xlabel="SD of the follow-up (ppm mm³)", ylabel="MDC (ppm mm³)", ylim=(0, None))
    axis.legend(fontsize=8)
    return figure


def main() -> None:
    """Write all figures beside this file."""
    for name, draw in (
        ("interval", draw_interval),
        ("noise", draw_noise),
        ("detection", draw_detection),
        ("change", draw_change),
    ):
        draw().savefig(FOLDER / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
