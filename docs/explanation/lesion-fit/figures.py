"""Figures of docs/explanation/lesion-fit.md: `python docs/explanation/lesion-fit/figures.py`, a few minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.objective import CAUCHY_SCALE
from qsmcmb.microbleeds.fit.priors import dark_core
from qsmcmb.microbleeds.fit.refinement import POOR_FIT_COST_WEIGHT, refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import summarise_fit
from qsmcmb.microbleeds.results.source_planes import source_planes
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.gaussian_process import basis_centres, gaussian_basis, gaussian_field_basis
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, SPHEROID, Source
from qsmcmb.microbleeds.signal.tissue import GP_CHI_SD_PPM
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

FOLDER = Path(__file__).parent
TE_S, B0_TESLA, B0_DIR = (0.006, 0.013, 0.020), 3.0, (0.0, 0.0, 1.0)
COMMON = np.array([9.0, 0.0, 0.0, 0.0, np.log(1.3), 0.16, np.log(105.0)])
"""Parameters that all shapes have: 9 ppm mm3, radius 1.3 mm."""
BENT = np.array([[3.0, -1.4, -0.8, 0.3], [3.0, 0.1, 0.2, 0.1], [3.0, 1.2, 1.5, -0.5]])
"""Total susceptibility (ppm mm3) and centre (mm, 3) of three balls around a corner."""


def bent_source() -> tuple[FreeSource, FloatArray]:
    """Return the shape and the parameters of a bent lesion of three balls."""
    shape = FreeSource((1, 1, 1))
    return shape, shape.parameters(COMMON, BENT[:, 0], BENT[:, 1:])


def empty_patch(noise_sd: float = 0.005) -> Patch:
    """Return a patch of 17 voxels of 1 mm along each axis, signal 1 everywhere."""
    axis = np.arange(-8.0, 9.0)
    r2 = sum(v**2 for v in np.meshgrid(axis, axis, axis, indexing="ij"))
    return Patch(
        acquisition=Acquisition(te_s=TE_S, b0_tesla=B0_TESLA, noise_sd=noise_sd),
        grid=Grid((17, 17, 17), (1.0, 1.0, 1.0), B0_DIR),
        signal=np.ones((len(TE_S), 17, 17, 17), complex),
        field_hz=np.zeros((17, 17, 17)),
        inside=np.asarray(r2 <= 64.0),
        axes_mm=(axis, axis, axis),
        radius_mm=8.0,
        fraction_in_mask=1.0,
        box=(slice(0, 17),) * 3,
    )


def bent_fit() -> FitState:
    """Return the fit of the bent lesion in tissue and noise, its signal that of the model."""
    patch = empty_patch()
    shape, p = bent_source()
    model = LesionModel(patch, Source(9.0, (0.0, 0.0, 0.0), 2.5), core_decay=dark_core(B0_TESLA), shape=shape)
    tissue = model.parameters_with_fitted_tissue(p)
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.005, (2, len(TE_S), *patch.inside.shape))
    patch.signal[:] += noise[0] + 1j * noise[1]
    patch.signal[:, patch.inside] *= model.signal(tissue).factor.reshape(len(TE_S), -1)
    initial = select_shape(patch, Source(7.0, (0.0, 0.0, 0.0), 1.2))
    return refine_with_tissue_prior(initial, patch.acquisition)


def draw_signal() -> Figure:
    """Draw the signal along B0 through a ball, as it is and as the scan sees it."""
    patch = empty_patch()
    source = Source(9.0, (0.0, 0.0, 0.0), 1.3)
    model = LesionModel(patch, source, core_decay=dark_core(B0_TESLA))
    p = model.parameters_with_fitted_tissue(COMMON)
    seen = np.zeros(patch.signal.shape, complex)
    seen[:, patch.inside] = model.signal(p).factor.reshape(len(TE_S), -1)
    z = np.linspace(-6, 6, 1201)
    field = 9.0 * point_dipole_field(np.stack([0 * z, 0 * z, z]), np.array(B0_DIR))
    phase = patch.acquisition.dipole_constants[-1] * 4 * np.pi * field
    outside = np.abs(z) > source.radius_mm
    true = np.where(outside, np.exp(1j * phase), np.exp(-TE_S[-1] * 105.0))
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    for axis, name, part in zip(
        figure.subplots(1, 2), ("magnitude", "phase (rad)"), (np.abs, np.angle), strict=True
    ):
        axis.plot(z, part(true), color="0.6", linewidth=1, label="signal")
        axis.plot(patch.axes_mm[2], part(seen[-1, 8, 8]), "o-", markersize=3, label="voxels of 1 mm")
        axis.set(xlabel="distance along B0 (mm)", ylabel=name, xlim=(-6, 6))
    axis.legend(fontsize=7)
    return figure


def draw_sources() -> Figure:
    """Draw a plane through each shape of one total susceptibility and volume."""
    bent, p = bent_source()
    shapes = (
        ("ball", BALL, COMMON),
        ("spheroid", SPHEROID, np.append(COMMON, [1.3, 0.9, 0.0])),
        ("pair", BALL_PAIR, np.append([*COMMON[:4], np.log(1.03), *COMMON[5:]], [0.9, 0.6, 0.0])),
        ("free source", bent, p),
    )
    figure = Figure(figsize=(7, 2.1), layout="constrained")
    for axis, (name, shape, parameters) in zip(figure.subplots(1, 4), shapes, strict=True):
        plane = source_planes(shape.rows(parameters), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))[0]
        chi = np.where(plane.chi_ppm > 0, plane.chi_ppm, np.nan)
        axis.imshow(chi.T, origin="lower", extent=plane.extent_mm, cmap="Reds", vmin=0, vmax=1.2)
        axis.plot([-3, -2], [-3, -3], "k-", linewidth=3)
        axis.text(-3, -2.8, "1 mm", fontsize=7)
        axis.set(title=name, xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xticks=[], yticks=[])
    return figure


def draw_tissue() -> Figure:
    """Draw one sample of the tissue's susceptibility process, and its field."""
    axis = np.linspace(-8, 8, 81)
    x, z = np.meshgrid(axis, axis, indexing="ij")
    points = np.stack([x.ravel(), 0 * x.ravel(), z.ravel()])
    centres = basis_centres(14.0)
    coefficients = 1000 * GP_CHI_SD_PPM * np.random.default_rng(2).standard_normal(len(centres))
    maps = (
        ("susceptibility (ppb)", gaussian_basis(points, centres) @ coefficients),
        ("field over B0 (ppb)", gaussian_field_basis(points, centres, B0_DIR) @ coefficients),
    )
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    for part, (name, values) in zip(figure.subplots(1, 2), maps, strict=True):
        top = np.abs(values).max()
        image = part.imshow(
            values.reshape(x.shape).T,
            origin="lower",
            extent=(-8, 8, -8, 8),
            cmap="RdBu_r",
            vmin=-top,
            vmax=top,
        )
        part.set(xlabel="mm")
        figure.colorbar(image, ax=part, label=name)
    return figure


def draw_objective() -> Figure:
    """Draw Cauchy's cost and weight beside the square."""
    error = np.linspace(0, 8, 200)
    cauchy = CAUCHY_SCALE**2 * np.log1p((error / CAUCHY_SCALE) ** 2)
    figure = Figure(figsize=(6, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(error, error**2, color="0.6", label="square")
    left.plot(error, cauchy, label="Cauchy")
    left.set(xlabel="error (SDs)", ylabel="cost", ylim=(0, 30))
    left.legend(fontsize=7)
    right.plot(error, 1 / (1 + (error / CAUCHY_SCALE) ** 2))
    right.set(xlabel="error (SDs)", ylabel="robust weight", ylim=(0, 1.05))
    return figure


def draw_calibration() -> Figure:
    """Draw k-space windows and their point spreads."""
    windows = (
        ("whole", KSpaceWindow()),
        ("zero-filled", KSpaceWindow(0.7)),
        ("Tukey", KSpaceWindow(1.0, 0.5, 0.0)),
        ("Hamming", KSpaceWindow(1.0, 1.0, 0.08)),
    )
    k, x = np.linspace(0, 1.1, 300), np.linspace(-4, 4, 300)
    figure = Figure(figsize=(7, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, window in windows:
        left.plot(k, window.weight(k), label=name)
        right.plot(x, window.point_spread(x), label=name)
    left.set(xlabel="spatial frequency over Nyquist's", ylabel="window W")
    right.set(xlabel="distance (voxels)", ylabel="point spread h")
    right.legend(fontsize=7)
    return figure


def draw_growth(state: FitState) -> Figure:
    """Draw what each model of the bent lesion says."""
    models = state.compared_models
    names = [
        m.shape if m.shape != "free" else f"{m.n_bodies} ball{'s' if m.n_bodies > 1 else ''}" for m in models
    ]
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.arange(len(models))
    for axis, values, label in (
        (left, [m.core_residual for m in models], "core residual (SDs)"),
        (right, [m.total_chi_ppm_mm3 for m in models], "total susceptibility (ppm mm³)"),
    ):
        axis.plot(steps, values, "o", color="0.6")
        taken = [i for i, m in enumerate(models) if m.is_chosen]
        axis.plot(taken, [values[i] for i in taken], "o", label="taken")
        axis.set_xticks(steps, names, rotation=60, fontsize=7)
        axis.set_ylabel(label)
    right.axhline(9.0, color="0.4", linewidth=1, linestyle=":", label="truth")
    right.legend(fontsize=7)
    return figure


def draw_alternatives() -> Figure:
    """Draw the weight of an alternative by its cost above the best."""
    difference = np.linspace(0, 20, 200)
    figure = Figure(figsize=(4, 2.4), layout="constrained")
    axis = figure.subplots()
    axis.plot(difference, np.exp(-difference / 2), label="a = 1: the core is described")
    axis.plot(difference, np.exp(-POOR_FIT_COST_WEIGHT * difference / 2), label="a = 0.02: it is not")
    axis.set(xlabel="BIC above the best", ylabel="weight q", ylim=(0, 1.05))
    axis.legend(fontsize=7)
    return figure


def draw_uncertainty(state: FitState) -> Figure:
    """Draw the parts of the SD of the bent lesion."""
    fit = summarise_fit(state)
    parts = sorted(fit.sd_parts._asdict().items(), key=lambda part: part[1])
    shown = [(name.replace("_", " "), sd) for name, sd in parts if sd > 0.02 * fit.sd_ppm_mm3]
    shown.append(("SD", fit.sd_ppm_mm3))
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.barh(
        [name for name, _ in shown], [sd for _, sd in shown], color=["tab:blue"] * (len(shown) - 1) + ["0.2"]
    )
    axis.set(xlabel="SD (ppm mm³)")
    return figure


def main() -> None:
    """Write all figures beside this file."""
    state = bent_fit()
    figures: dict[str, Callable[[], Figure]] = {
        "signal": draw_signal,
        "sources": draw_sources,
        "tissue": draw_tissue,
        "objective": draw_objective,
        "calibration": draw_calibration,
        "growth": lambda: draw_growth(state),
        "alternatives": draw_alternatives,
        "uncertainty": lambda: draw_uncertainty(state),
    }
    for name, draw in figures.items():
        draw().savefig(FOLDER / f"{name}.png", dpi=100)


if __name__ == "__main__":
    main()
