"""Every field mapping method on echoes whose field is known: noise, decay, dephasing, offset."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.noise import noise_from_magnitude
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.field_mapping import METHODS
from qsmcmb.field_mapping.field_map import FieldMap
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

TE_S = (0.005, 0.012, 0.019, 0.026)
GRID = Grid((20, 21, 18), (1.0, 1.0, 2.0))
MASK = np.ones(GRID.shape, bool)
TWO_PI = 2 * np.pi
map_field = partial(qc.map_field, offset_removed=True)
"""The fits alone: their phase is in proportion to the echo time, or the fit's own offset is what is looked at."""


def times() -> FloatArray:
    return np.array(TE_S)[:, None, None, None]


def follow(wrapped: FloatArray, field: FloatArray) -> FloatArray:
    """Unwrap as the pipeline does: the first echo right, each later one beside the one before."""
    out = [wrapped[0] + TWO_PI * np.round(TE_S[0] * field - wrapped[0] / TWO_PI)]
    for e in range(1, len(TE_S)):
        ahead = out[-1] * TE_S[e] / TE_S[e - 1]
        out.append(wrapped[e] + TWO_PI * np.round((ahead - wrapped[e]) / TWO_PI))
    return np.stack(out).astype(np.float32)


def noisy(
    field: FloatArray, rng: np.random.Generator, *, rate: float, snr: float
) -> tuple[FloatArray, FloatArray]:
    clean = np.exp((-rate + 1j * TWO_PI * field) * times())
    signal = clean + (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape)) / snr
    return follow(np.angle(signal), field), np.abs(signal).astype(np.float32)


def bound_hz(rate: float, snr: float, *, free: bool = False) -> float:
    """Cramer-Rao bound of the field, with or without an offset to be found too."""
    te, w = np.array(TE_S), np.exp(-2 * rate * np.array(TE_S)) * snr**2
    spread = (w * te**2).sum() - (free and (w * te).sum() ** 2 / w.sum())
    return float(1 / np.sqrt(spread) / TWO_PI)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_error_is_the_bound_and_what_the_sd_says(method: str, free: bool, rng: np.random.Generator) -> None:
    field = rng.uniform(-60, 60, GRID.shape)
    unwrapped, magnitude = noisy(field, rng, rate=20.0, snr=30.0)
    options = {"free_offset": free}
    fit = map_field(unwrapped, magnitude, MASK, GRID, te_s=TE_S, method=method, options=options)
    error = float(np.std(fit.total_field_hz - field))
    assert error == pytest.approx(bound_hz(20.0, 30.0, free=free), rel=0.06)
    assert float(np.median(fit.field_sd_hz)) == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_a_free_offset_takes_the_phase_at_te_0(method: str) -> None:
    field = np.linspace(-30, 30, MASK.size).reshape(GRID.shape)
    phase = (TWO_PI * field * times() + 0.7).astype(np.float32)
    options = {"free_offset": True}
    fit = map_field(phase, np.ones_like(phase), MASK, GRID, te_s=TE_S, method=method, options=options)
    np.testing.assert_allclose(fit.total_field_hz, field, atol=1e-3)
    fixed = map_field(phase, np.ones_like(phase), MASK, GRID, te_s=TE_S, method=method)
    assert np.abs(fixed.total_field_hz - field).min() > 1


def test_fast_decay_reaches_the_bound_where_the_line_does_not(rng: np.random.Generator) -> None:
    """Echoes below the noise floor still have magnitude: weights of a model know that they hold nothing."""
    field = rng.uniform(-60, 60, GRID.shape)
    unwrapped, magnitude = noisy(field, rng, rate=200.0, snr=30.0)
    error = {}
    for method in METHODS:
        fit = map_field(unwrapped, magnitude, MASK, GRID, te_s=TE_S, method=method)
        error[method] = float(np.sqrt(np.mean((fit.total_field_hz - field) ** 2)))
    assert error["nonlinear"] < 1.1 * bound_hz(200.0, 30.0)
    assert error["nonlinear"] < 0.7 * error["weighted"]


def test_voxels_dephased_by_a_lesion_are_nearer_to_its_field(rng: np.random.Generator) -> None:
    """Voxels beside a strong dipole, their signal summed over sub-voxels; truth is the field at the centre."""
    moment, fine = 30.0, (np.arange(8) - 3.5) / 8
    axes = [np.arange(n) - n // 2 for n in (9, 9, 9)]
    inside = np.stack(np.meshgrid(*(np.add.outer(a, fine).ravel() for a in axes), indexing="ij"))
    centre = np.stack(np.meshgrid(*(a.astype(float) for a in axes), indexing="ij"))

    def dipole(at: FloatArray) -> FloatArray:
        r = np.maximum(np.sqrt((at**2).sum(axis=0)), 0.5)
        return 42.58 * 3 * moment * (3 * (at[2] / r) ** 2 - 1) / (4 * np.pi * r**3)

    field = dipole(centre)
    signal = []
    for te in TE_S:
        whole = np.exp((-20 + 1j * TWO_PI * dipole(inside)) * te)
        signal.append(whole.reshape(9, 8, 9, 8, 9, 8).mean(axis=(1, 3, 5)))
    echoes = np.stack(signal)
    echoes += 0.01 * (rng.standard_normal(echoes.shape) + 1j * rng.standard_normal(echoes.shape))
    distance = np.sqrt((centre**2).sum(axis=0))
    dark = (distance > 1.9) & (distance < 4)
    unwrapped, magnitude = follow(np.angle(echoes), field), np.abs(echoes).astype(np.float32)
    error = {}
    for method in METHODS:
        fit = map_field(
            unwrapped,
            magnitude,
            np.ones((9, 9, 9), bool),
            Grid.isotropic((9, 9, 9), 1.0),
            te_s=TE_S,
            method=method,
        )
        error[method] = float(np.sqrt(np.mean((fit.total_field_hz - field)[dark] ** 2)))
    assert error["nonlinear"] < 0.8 * error["weighted"]


def test_line_is_its_plain_twin(rng: np.random.Generator) -> None:
    unwrapped = rng.normal(0, 3, (len(TE_S), *GRID.shape)).astype(np.float32)
    magnitude = rng.uniform(0.2, 1, unwrapped.shape).astype(np.float32)
    fit = map_field(unwrapped, magnitude, MASK, GRID, te_s=TE_S, method="weighted")
    w = magnitude.astype(float) ** 2
    slope = (w * times() * unwrapped).sum(axis=0) / (w * times() ** 2).sum(axis=0)
    np.testing.assert_allclose(fit.total_field_hz, slope / TWO_PI, rtol=1e-5, atol=1e-4)
    rest = unwrapped - slope * times()
    rest -= TWO_PI * np.floor(rest / TWO_PI + 0.5)
    rms = np.sqrt((w * rest**2).sum(axis=0) / w.sum(axis=0))
    np.testing.assert_allclose(fit.residual_rad, rms, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fit.reliability, np.exp(-(rms**2) / 2), rtol=1e-3)


def test_complex_fit_is_the_least_squares_of_scipy(rng: np.random.Generator) -> None:
    from scipy.optimize import least_squares

    field = rng.uniform(-60, 60, (2, 2, 2))
    unwrapped, magnitude = noisy(field, rng, rate=60.0, snr=15.0)
    grid, te = Grid.isotropic((2, 2, 2), 1.0), np.array(TE_S)
    options = {"dephased": 1e9}
    fit = map_field(
        unwrapped, magnitude, np.ones((2, 2, 2), bool), grid, te_s=TE_S, method="nonlinear", options=options
    )
    for v in np.ndindex(2, 2, 2):
        signal = magnitude[(slice(None), *v)] * np.exp(1j * unwrapped[(slice(None), *v)])

        def rest(p: FloatArray, signal: FloatArray = signal) -> FloatArray:
            d = p[0] * np.exp((-p[1] + 1j * p[2]) * te) - signal
            return np.concatenate([d.real, d.imag])

        start = [1.0, 60.0, TWO_PI * field[v]]
        best = least_squares(rest, start, x_scale=[1, 50, 50], xtol=1e-12, ftol=1e-12)
        assert fit.total_field_hz[v] == pytest.approx(best.x[2] / TWO_PI, abs=0.02)


@pytest.mark.parametrize("echoes", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_one_and_two_echoes_have_a_field_and_an_sd(
    method: str, echoes: int, rng: np.random.Generator
) -> None:
    field = rng.uniform(-20, 20, GRID.shape)
    unwrapped, magnitude = noisy(field, rng, rate=20.0, snr=50.0)
    fit = map_field(unwrapped[:echoes], magnitude[:echoes], MASK, GRID, te_s=TE_S[:echoes], method=method)
    error, weights = np.std(fit.total_field_hz - field), np.exp(-2 * 20.0 * np.array(TE_S[:echoes]))
    bound = 1 / (2 * np.pi * 50.0 * np.sqrt((weights * np.square(TE_S[:echoes])).sum()))
    assert error / bound == pytest.approx(1.15 if method == "nonlinear" and echoes == 2 else 1.0, abs=0.04)
    # The nonlinear fit spends its freedom on the decay: from two echoes its SD is the line's.
    assert np.median(fit.field_sd_hz) == pytest.approx(bound, rel=0.04)


@pytest.mark.parametrize("method", METHODS)
def test_no_signal_is_no_field_of_infinite_sd(method: str) -> None:
    phase = np.zeros((4, *GRID.shape), np.float32)
    magnitude = np.ones_like(phase)
    magnitude[:, 3, 3, 3] = 0
    mask = MASK.copy()
    mask[0] = False
    fit: FieldMap = map_field(phase, magnitude, mask, GRID, te_s=TE_S, method=method)
    assert fit.total_field_hz[3, 3, 3] == 0
    assert fit.field_sd_hz[3, 3, 3] > 1e6 * np.median(fit.field_sd_hz[mask])
    assert np.isinf(fit.field_sd_hz[~mask]).all()
    assert not fit.reliability[~mask].any()


def test_noise_is_read_from_the_magnitude(rng: np.random.Generator) -> None:
    x = np.linspace(0, 3, GRID.shape[0])[:, None, None]
    magnitude = 10 + np.sin(x) + 0.2 * rng.standard_normal(GRID.shape)
    assert float(noise_from_magnitude(magnitude, MASK)) == pytest.approx(0.2, rel=0.1)


def test_options_out_of_range_are_refused() -> None:
    phase = np.zeros((2, *GRID.shape), np.float32)
    with pytest.raises(InvalidInputError, match=r"dephased = 0.5"):
        map_field(phase, phase + 1, MASK, GRID, te_s=TE_S[:2], options={"dephased": 0.5})
    with pytest.raises(ConfigError, match="free_offset"):
        map_field(phase, phase + 1, MASK, GRID, te_s=TE_S[:2], options={"offset": True})
