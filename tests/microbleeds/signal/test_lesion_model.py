"""The lesion's signal: slopes against differences, a plain twin, and what the scanner did found from the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.fit.priors import PSF_WIDTH2_PRIOR, dark_core
from qsmcmb.microbleeds.fit.refinement import fit_lesion, refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import summarise_fit
from qsmcmb.microbleeds.results.measurement import POOR_FIT
from qsmcmb.microbleeds.signal._ball_loops import ball_factor
from qsmcmb.microbleeds.signal._spheroid_loops import spheroid_factor
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import CELL_MM, COARSE_CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, SPHEROID, Source, SourceShape
from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball

TE_S = (0.006, 0.013, 0.020)
B0_DIR = np.array([0.6, 0.0, 0.8])
VOXELS = 20
NO_FILTER = KSpaceWindow()
CELLS = 6
"""Fine cells per voxel and axis."""


def twin(balls: np.ndarray, points: np.ndarray, constants: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the factor of sharp balls at points, plainly."""
    out = np.ones((len(constants), len(points)), complex)
    for total, cx, cy, cz, radius in balls:
        offset = points - np.array([cx, cy, cz])
        r = np.linalg.norm(offset, axis=1)
        field = total * (3 * (offset @ B0_DIR / r) ** 2 - 1) / r**3
        for e, constant in enumerate(constants):
            out[e] *= np.where(r > radius, np.exp(1j * constant * field), inside[e])
    return out


def scanned(
    balls: np.ndarray, window: KSpaceWindow = NO_FILTER, *, decay_hz: float = 1e4, tilt_hz_per_mm: float = 0.0
) -> Patch:
    """Return unit tissue with balls, formed on fine cells, cropped in k-space to 1 mm and seen through a window.

    A tilt is a background field that rises along the first axis.
    """
    n = VOXELS * CELLS
    axis = (np.arange(n) - n / 2) / CELLS
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + 1e-4
    constants = 2 * np.pi * 42.5775 * 3.0 * np.array(TE_S) / (4 * np.pi)
    fine = twin(balls, points, constants, np.exp(-decay_hz * np.array(TE_S))).reshape(-1, n, n, n)
    te = np.array(TE_S)[:, None, None, None]
    fine = fine * np.exp(2j * np.pi * tilt_hz_per_mm * te * axis[:, None, None])
    spectrum = np.fft.fftn(fine, axes=(1, 2, 3))
    keep = np.r_[0 : VOXELS // 2, n - VOXELS // 2 : n]
    weight = window.weight(2 * np.fft.fftfreq(VOXELS))
    kept = spectrum[np.ix_(range(len(TE_S)), keep, keep, keep)]
    kept *= weight[:, None, None] * weight[:, None] * weight
    signal = np.fft.ifftn(kept, axes=(1, 2, 3)) / CELLS**3
    voxels = np.arange(VOXELS) - VOXELS / 2
    x, y, z = np.meshgrid(voxels, voxels, voxels, indexing="ij")
    grid = Grid((VOXELS,) * 3, (1.0, 1.0, 1.0), (0.6, 0.0, 0.8))
    level = np.exp(-2j * np.pi * tilt_hz_per_mm * (TE_S[1] - TE_S[0]) * x)
    field = np.angle(signal[1] * signal[0].conj() * level) / (2 * np.pi * (TE_S[1] - TE_S[0]))
    field = field + tilt_hz_per_mm * x
    return Patch(
        grid, TE_S, 3.0, signal.astype(np.complex64), field.astype(np.float32), x**2 + y**2 + z**2 <= 64,
        (voxels, voxels, voxels), 8.0, 0.01, 1.0, (slice(0, VOXELS),) * 3, (window, window, window),
    )  # fmt: skip


@pytest.mark.parametrize("n_balls", [1, 2])
def test_loop_agrees_with_a_plain_twin(n_balls: int, rng: np.random.Generator) -> None:
    balls = np.array([[3.0, 0.4, -0.2, 0.1, 0.9], [2.0, -1.2, 0.6, 0.5, 0.7]])[:n_balls]
    points = rng.uniform(-4, 4, (500, 3)).astype(np.float32)
    r = np.linalg.norm(points[:, None] - balls[None, :, 1:4], axis=2)
    points = points[(np.abs(r - balls[None, :, 4]) > 0.01).all(axis=1)]
    constants, inside = np.array([0.3, 0.9]), np.array([0.6, 0.2])
    out = np.empty((2, 1, 2, len(points)), np.float32)
    core = np.stack([inside, np.zeros(2)])
    args = (a.astype(np.float32) for a in (balls, points, np.ones(len(points)), B0_DIR, constants, core))
    ball_factor(*args, np.float32(0.01), out)
    expected = twin(balls, points.astype(float), constants, inside) - 1
    np.testing.assert_allclose(out[0, 0] + 1j * out[1, 0], expected, atol=2e-5)


@pytest.mark.parametrize("stretch", [1.4, 2.0])
def test_a_spheroid_has_the_field_of_its_body(stretch: float, rng: np.random.Generator) -> None:
    radius = 1.1
    # Of the ball's volume: across, along and from the middle to a focus.
    focus = radius * stretch ** (-1 / 3) * np.sqrt(stretch**2 - 1) * np.array([0.8, 0.5, -0.33166])
    p = np.array([4.0, 0.2, -0.1, 0.3, np.log(radius), 0.0, 0.0, *focus])
    row = SPHEROID.rows(p)[0]
    across, length = row[4], np.hypot(row[4], np.linalg.norm(focus))
    assert across**2 * length == pytest.approx(radius**3)
    step = 0.05
    cells = np.stack(np.meshgrid(*[np.arange(-2.5, 2.5, step)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    along = cells @ focus / np.linalg.norm(focus)
    inside = (along / length) ** 2 + ((cells**2).sum(axis=1) - along**2) / across**2 < 1
    body = cells[inside] + p[1:4]
    # From a quarter of the surface's distance above it on.
    points = rng.standard_normal((40, 3))
    along = points @ focus / np.linalg.norm(focus)
    surface = np.sqrt((along / length) ** 2 + ((points**2).sum(axis=1) - along**2) / across**2)
    points = p[1:4] + points * (rng.uniform(1.25, 2.5, 40) / surface)[:, None]
    offset = points[:, None] - body
    r = np.linalg.norm(offset, axis=2)
    field = p[0] * ((3 * (offset @ B0_DIR / r) ** 2 - 1) / r**3).mean(axis=1)
    out = np.empty((2, 1, 1, len(points)), np.float32)
    args = (row[None], points, np.ones(len(points)), B0_DIR, np.array([0.05]), np.zeros((2, 1)))
    spheroid_factor(*(a.astype(np.float32) for a in args), np.float32(0.05), out)
    made = np.angle(1 + out[0, 0, 0] + 1j * out[1, 0, 0]) / 0.05
    assert np.abs(made - field).max() < 0.02 * np.abs(field).max()


@pytest.mark.parametrize("total", [3.0, 60.0])
def test_the_cells_do_not_show(total: float) -> None:
    radius = float((3 * total / (4 * np.pi * 1.3)) ** (1 / 3))
    patch = scanned(np.array([[total, 0.3, -0.4, 0.2, radius]]), tilt_hz_per_mm=12.0)
    source = Source(total, (0.3, -0.4, 0.2), radius)
    patch = with_fitted_field(patch, source)

    def seen(cell_mm: float) -> np.ndarray:
        spread = PointSpread(patch, total, np.array(source.centre_mm), radius, cell_mm=cell_mm)
        return spread.factor(np.array([source.row()]), 100.0, 0.1)[0]

    finest = seen(0.15)
    assert np.linalg.norm(seen(CELL_MM) - finest) < 0.01 * np.linalg.norm(finest)
    assert np.linalg.norm(seen(COARSE_CELL_MM) - finest) < 0.03 * np.linalg.norm(finest)


def test_the_background_is_the_same_on_a_grid(rng: np.random.Generator) -> None:
    patch = replace(scanned(np.array([[3.0, 0.0, 0.0, 0.0, 0.8]])), background=rng.standard_normal(20))
    axes = [np.sort(rng.uniform(-5, 5, n)) for n in (3, 4, 5)]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    np.testing.assert_allclose(patch.background_on_grid_hz(*axes), patch.background_hz(points), atol=1e-10)


@pytest.mark.parametrize("shape", [BALL, BALL_PAIR, SPHEROID], ids=lambda shape: shape.name)
@pytest.mark.parametrize("tilt_hz_per_mm", [0.0, 12.0])
def test_slopes_are_differences(shape: SourceShape, tilt_hz_per_mm: float) -> None:
    patch = scanned(np.array([[5.0, 0.3, -0.4, 0.2, 1.1]]), tilt_hz_per_mm=tilt_hz_per_mm)
    patch = with_fitted_field(patch, Source(5.0, (0.3, -0.4, 0.2), 1.1))
    source = Source(5.0, (0.0, 0.0, 0.0), 1.1)
    one = LesionModel(patch, source, psf_width2=PSF_WIDTH2_PRIOR, core=dark_core(3.0))
    p = one.start_parameters(Source(5.0, (0.1, 0.05, -0.1), 1.1))
    model = one.with_shape(shape)
    if shape is not BALL:
        p = np.concatenate([p[:7], [0.6, 0.5, 0.4], p[7:]])
    slopes = model.signal(p, slopes=True).slopes
    assert slopes is not None
    for i in range(model.n_source_parameters):
        step = np.zeros(len(p))
        step[i] = 3e-3
        difference = (model.signal(p + step).factor - model.signal(p - step).factor) / 6e-3
        # The radius moves the edge across cells in steps.
        tolerance = 0.1 if i == 4 else 0.04
        assert np.linalg.norm(difference - slopes[i]) < tolerance * np.linalg.norm(difference)


@pytest.mark.parametrize(
    ("balls", "window", "decay_hz"),
    [
        ([[5.0, 0.3, -0.4, 0.2, 1.38]], NO_FILTER, 1e4),
        ([[5.0, 0.3, -0.4, 0.2, 1.38]], NO_FILTER, 90.0),
        ([[-5.0, 0.3, -0.4, 0.2, 0.78]], NO_FILTER, 1e4),
        ([[20.0, -0.4, 0.1, 0.3, 1.6]], KSpaceWindow(0.7), 1e4),
        ([[6.0, 0.9, 0.4, 0.2, 0.95], [6.0, -0.7, -0.3, -0.3, 0.95]], NO_FILTER, 1e4),
    ],
    ids=["weak contrast", "bright core", "calcification", "zero-filled", "pair"],
)  # fmt: skip
def test_total_susceptibility_is_found_within_two_percent(
    balls: list[list[float]], window: KSpaceWindow, decay_hz: float
) -> None:
    rows = np.array(balls)
    truth = rows[:, 0].sum()
    patch = scanned(rows, window, decay_hz=decay_hz)
    fit = fit_lesion(patch, Source(0.7 * truth, (0.0, 0.0, 0.0), 1.2))
    assert fit.converged
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(truth, rel=0.02)
    assert (fit.state.model.shape is BALL_PAIR) == (len(rows) == 2)
    assert fit.cramer_rao_sd_ppm_mm3 < fit.sd_ppm_mm3


def test_a_spheroid_is_read_as_one() -> None:
    dipoles = Ball((0.3, -0.4, 0.2), 1.0, 2.0, (0.6, 0.64, 0.48), 1.8).dipoles()
    # Balls of little more than a third of the width along the axis: nearly the body.
    rows = [[m, *(place + np.array([0.3, -0.4, 0.2])), 0.8] for m, *place in dipoles]
    patch = scanned(np.array(rows))
    truth = dipoles[:, 0].sum()
    fit = fit_lesion(patch, Source(0.7 * truth, (0.0, 0.0, 0.0), 1.2))
    assert fit.state.model.shape is SPHEROID
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("tilt_hz_per_mm", [12.0, 20.0])
def test_a_steep_background_moves_the_signal_in_k_space(tilt_hz_per_mm: float) -> None:
    row = [8.0, 0.3, -0.4, 0.2, 1.2]
    patch = scanned(np.array([row]), tilt_hz_per_mm=tilt_hz_per_mm)
    source = Source(6.0, (0.0, 0.0, 0.0), 1.2)
    known = with_fitted_field(patch, source)
    assert known.background_hz(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).T) @ [1, -1] == pytest.approx(
        tilt_hz_per_mm, rel=0.1
    )
    blind, fit = (select_shape(n, source) for n in (patch, known))
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(8.0, rel=0.02)
    assert fit.core_residual() < 0.6 * blind.core_residual()


@pytest.mark.parametrize(
    "window", [KSpaceWindow(0.8, 0.5, 0.0), KSpaceWindow(0.9, 1.0, 0.08)], ids=["tukey", "hamming"]
)
def test_a_filter_is_modelled(window: KSpaceWindow) -> None:
    patch = scanned(np.array([[20.0, -0.4, 0.1, 0.3, 1.6]]), window)
    source = Source(14.0, (0.0, 0.0, 0.0), 1.2)
    fit = fit_lesion(patch, source)
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(20.0, rel=0.03)
    # Without it the scan looks like a larger lesion behind a wide blur.
    blind = fit_lesion(replace(patch, windows=FULL_K_SPACE), source)
    assert abs(blind.source.total_chi_ppm_mm3 - 20.0) > 2 * abs(fit.source.total_chi_ppm_mm3 - 20.0)
    assert blind.psf_width2.value > fit.psf_width2.value + 0.3


@pytest.mark.parametrize("other", [[60.0, 3.0, 2.0, -2.5, 1.8], [150.0, 3.5, 2.5, -2.5, 2.0]])
def test_a_strong_source_nearby_is_not_taken_for_half_of_the_lesion(other: list[float]) -> None:
    patch = scanned(np.array([[20.0, 0.3, -0.4, 0.2, 1.6], other]))
    fit = fit_lesion(patch, Source(15.0, (0.0, 0.0, 0.0), 1.2))
    # As a pair it would read 60.
    assert fit.state.model.shape is not BALL_PAIR
    assert abs(fit.source.total_chi_ppm_mm3 - 20.0) < 1.96 * fit.sd_ppm_mm3
    assert fit.core_residual > POOR_FIT


def test_a_start_that_ran_away_to_a_patch_of_tissue_returns_to_the_point() -> None:
    patch = scanned(np.array([[1.0, 0.2, -0.1, 0.3, 0.62]]))
    away = np.array([4.0, 2.0, -3.0])
    patch = np.exp(-0.5 * ((patch.coordinates_mm - away[:, None, None, None]) ** 2).sum(axis=0) / 1.8**2)
    te = np.array(TE_S)[:, None, None, None]
    patch = replace(patch, signal=patch.signal * np.exp((2j * np.pi * 4 - 15) * te * patch - 0.15 * patch))
    initial = select_shape(patch, Source(2.0, (4.0, 2.0, -3.0), 1.0))
    assert np.linalg.norm(initial.source.centre_mm) > 2.0
    fit = summarise_fit(refine_with_tissue_prior(initial, PSF_WIDTH2_PRIOR))
    assert np.linalg.norm(fit.source.centre_mm) < 1.0
    assert abs(fit.source.total_chi_ppm_mm3 - 1.0) < 1.96 * fit.sd_ppm_mm3
    assert fit.sd_ppm_mm3 < 0.5


def test_a_strong_source_at_the_edge_is_not_read_as_the_lesion() -> None:
    patch = scanned(np.array([[2.0, 0.2, -0.1, 0.3, 0.8], [300.0, 4.0, -4.0, -4.5, 3.0]]))
    fit = summarise_fit(
        refine_with_tissue_prior(select_shape(patch, Source(100.0, (2.5, -2.5, -2.5), 3.0)), PSF_WIDTH2_PRIOR)
    )
    assert np.linalg.norm(fit.source.centre_mm) < 4.0 * patch.point_sd_mm[0]
    assert abs(fit.source.total_chi_ppm_mm3 - 2.0) < 1.96 * fit.sd_ppm_mm3
