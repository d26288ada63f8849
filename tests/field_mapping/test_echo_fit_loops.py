"""Loops of the echo fits against least squares written plainly, voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from qsmcmb.field_mapping import _echo_fit_loops as loops
from qsmcmb.field_mapping.field_map import box_limits, empty_map
from qsmcmb.typing import FloatArray

pytestmark = pytest.mark.loops
SHAPE = (4, 3, 5)
TE_S = np.array([0.004, 0.009, 0.015, 0.022])
BOTH = pytest.mark.parametrize("free", [False, True])


@pytest.fixture
def echoes(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, Any, Any]:
    """Return phase (rad), magnitude, a mask that leaves the volume's edge out, and its box."""
    field, decay = rng.uniform(-40, 40, SHAPE), rng.uniform(10, 60, SHAPE)
    te = TE_S[:, None, None, None]
    signal = np.exp((2j * np.pi * field - decay) * te)
    signal = signal + 0.02 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    truth = 2 * np.pi * field * te
    phase = truth + np.angle(signal * np.exp(-1j * truth))
    mask = np.zeros(SHAPE, bool)
    mask[1:, :, 1:] = rng.random((3, 3, 4)) < 0.8
    mask[1, 0, 1] = mask[3, 2, 4] = True
    return phase.astype(np.float32), np.abs(signal).astype(np.float32), mask, box_limits(mask)


def wrapped(values: FloatArray) -> FloatArray:
    return values - 2 * np.pi * np.floor(values / (2 * np.pi) + 0.5)


@BOTH
def test_a_line_with_its_information_and_misfit(free: bool, echoes: Any) -> None:
    phase, magnitude, mask, box = echoes
    # Residuals of any size, up to half a turn to either side once wrapped.
    phase = phase + np.random.default_rng(9).uniform(-9, 9, phase.shape).astype(np.float32)
    out = tuple(empty_map(SHAPE))
    loops.fit_line(phase, magnitude, mask, box, TE_S, free, out)
    for at in np.argwhere(mask):
        u, w = (v[(slice(None), *at)].astype(float) for v in (phase, magnitude))
        w = w**2
        design = np.stack([TE_S, np.ones(4)], axis=1) if free else TE_S[:, None]
        normal = design.T @ (w[:, None] * design)
        best = np.linalg.solve(normal, design.T @ (w * u))
        rest = wrapped(u - design @ best)
        found = [float(v[tuple(at)]) for v in out]
        information = 1 / np.linalg.inv(normal)[0, 0]
        np.testing.assert_allclose(
            found, [best[0], information, (w * rest**2).sum(), w.sum()], rtol=1e-4, atol=1e-7
        )
    outside = [v[~mask] for v in out]
    assert not outside[0].any()
    assert np.isinf(outside[1]).all()


@BOTH
def test_a_decaying_signal_is_the_least_squares_of_the_complex_data(free: bool, echoes: Any) -> None:
    phase, magnitude, mask, box = echoes
    out = tuple(empty_map(SHAPE))
    loops.fit_complex(phase, magnitude, mask, box, TE_S, free, out)
    away = []
    for at in np.argwhere(mask):
        u, m = (v[(slice(None), *at)].astype(float) for v in (phase, magnitude))
        signal = m * np.exp(1j * u)

        def rest(p: FloatArray, signal: FloatArray = signal) -> FloatArray:
            turn = p[3] if free else 0.0
            d = np.exp(p[0] - p[1] * TE_S + 1j * (p[2] * TE_S + turn)) - signal
            return np.concatenate([d.real, d.imag])

        start = [np.log(m[0]), 30.0, np.polyfit(TE_S, u, 1)[0], 0.0]
        best = least_squares(rest, start, x_scale=[1, 30, 30, 1], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert best.x[1] > 0.5
        model = np.exp(best.x[0] - best.x[1] * TE_S)
        w = m * model
        information = (w * TE_S**2).sum() - (free and (w * TE_S).sum() ** 2 / w.sum())
        away.append(abs(float(out[0][tuple(at)]) - best.x[2]) * np.sqrt(information) / 0.02)
        assert float(out[1][tuple(at)]) == pytest.approx(information, rel=1e-3)
        d = wrapped(u - best.x[2] * TE_S - (best.x[3] if free else 0))
        assert float(out[2][tuple(at)]) == pytest.approx((w * d**2).sum(), rel=1e-2, abs=1e-6)
        assert float(out[3][tuple(at)]) == pytest.approx(w.sum(), rel=1e-3)
    # In SDs of the slope.
    assert max(away) < 0.01


@pytest.mark.parametrize("fit", [loops.fit_line, loops.fit_complex])
def test_voxels_without_signal_have_no_slope_and_no_information(fit: Any, echoes: Any) -> None:
    phase, magnitude, _, _ = echoes
    everywhere = np.ones(SHAPE, bool)
    out = tuple(empty_map(SHAPE))
    fit(phase, np.zeros_like(magnitude), everywhere, box_limits(everywhere), TE_S, False, out)
    assert not out[1].any()
    assert not out[2].any()
    assert np.isfinite(out[0]).all()


def test_dephased_voxels_trust_later_echoes_by_the_sixth_power_of_time(echoes: Any) -> None:
    phase, magnitude, mask, box = echoes
    phase = phase.copy()
    phase[-1] += 1.5
    out = tuple(empty_map(SHAPE))
    loops.fit_complex(phase, magnitude, mask, box, TE_S, False, out)
    before = [v.copy() for v in out]
    noise, usual = 0.02, 3.0
    chosen = mask & (out[2] > usual * noise**2)
    assert chosen.sum() > 3
    chosen[tuple(np.argwhere(chosen)[0])] = False
    loops.refit_dephased(phase, magnitude, chosen, box, TE_S, (noise, usual, False), out)
    early = (TE_S / TE_S[-1]) ** 6
    for at in np.argwhere(chosen):
        where = tuple(at)
        u, m = (v[(slice(None), *at)].astype(float) for v in (phase, magnitude))
        # The weights of the decaying fit, from its own sums: found by fitting the decay to the same echoes.
        w = _signal_weights(u, m) / noise**2
        excess = float(before[2][where]) / noise**2 - usual
        w = w / (1 + w * excess / (w * early).sum() * early)
        slope = float(before[0][where])
        for _ in range(4):
            rest = wrapped(u - slope * TE_S)
            slope += (w * TE_S * rest).sum() / (w * TE_S**2).sum()
        assert float(out[0][where]) == pytest.approx(slope, abs=0.01)
        assert float(out[1][where]) == pytest.approx(noise**2 * (w * TE_S**2).sum(), rel=1e-3)
        assert float(out[3][where]) == pytest.approx(noise**2 * w.sum(), rel=1e-3)
        # Of what the last echo is turned little is left in the slope.
        assert abs(float(out[0][where]) - float(before[0][where])) > 1
    kept = mask & ~chosen
    for volume, old in zip(out, before, strict=True):
        np.testing.assert_array_equal(volume[kept], old[kept])


def _signal_weights(u: FloatArray, m: FloatArray) -> FloatArray:
    signal = m * np.exp(1j * u)

    def rest(p: FloatArray) -> FloatArray:
        d = np.exp(p[0] - p[1] * TE_S + 1j * p[2] * TE_S) - signal
        return np.concatenate([d.real, d.imag])

    w = m**2
    start = [np.log(m[0]), 30.0, (w * TE_S * u).sum() / (w * TE_S**2).sum()]
    best = least_squares(rest, start, x_scale=[1, 30, 30], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    return np.asarray(m * np.exp(best.x[0] - best.x[1] * TE_S))
