"""The loop that levels a smoothed phase at its window's centre, against matrices of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core import _receive_phase_loops as loops
from qsmcmb.typing import FloatArray

pytestmark = pytest.mark.loops
SIGMA = (np.float32(1.5), np.float32(1.2), np.float32(0.9))


def slope(f: FloatArray, at: tuple[int, ...]) -> FloatArray:
    eye = np.eye(3, dtype=int)
    return np.array([0.5 * float(f[tuple(at + e)] - f[tuple(at - e)]) for e in eye])


def hessian(f: FloatArray, at: tuple[int, ...]) -> FloatArray:
    out, eye, here = np.zeros((3, 3)), np.eye(3, dtype=int), np.array(at)
    for a in range(3):
        out[a, a] = f[tuple(here + eye[a])] + f[tuple(here - eye[a])] - 2 * f[at]
        for b in range(a):
            corners = [
                s * t * float(f[tuple(here + s * eye[a] + t * eye[b])]) for s in (1, -1) for t in (1, -1)
            ]
            out[a, b] = out[b, a] = 0.25 * sum(corners)
    return out


def test_the_phase_is_read_at_the_voxel_by_the_windows_own_moments(rng: np.random.Generator) -> None:
    shape = (6, 5, 7)
    wide = tuple(n + 2 for n in shape)
    x, y, z = np.indices(wide)
    phase = 0.05 * x - 0.03 * y + 0.04 * z + 0.02 * rng.standard_normal(wide)
    weight = np.exp(-0.02 * (x - 3) ** 2 - 0.03 * (y - 1) ** 2 + 0.05 * z + 0.02 * rng.standard_normal(wide))
    real, imag = ((weight * f(phase)).astype(np.float32) for f in (np.cos, np.sin))
    log_weight = np.log(weight).astype(np.float32)
    mask = rng.random(shape) < 0.7
    out = np.full(shape, np.float32(7))
    loops.level(real, imag, log_weight, SIGMA, mask, out)
    sigma = np.array(SIGMA, float)
    for at in np.ndindex(shape):
        if not mask[at]:
            assert out[at] == 7
            continue
        wide_at = tuple(i + 1 for i in at)
        power = float(real[wide_at]) ** 2 + float(imag[wide_at]) ** 2
        turned = sigma * (real[wide_at] * slope(imag, wide_at) - imag[wide_at] * slope(real, wide_at)) / power
        away = sigma * slope(log_weight, wide_at)
        spread = np.eye(3) + sigma[:, None] * sigma * hessian(log_weight, wide_at)
        assert np.linalg.det(spread) > 0.05
        excess = away @ np.linalg.inv(spread) @ turned
        expected = np.arctan2(imag[wide_at], real[wide_at]) - excess
        assert float(out[at]) == pytest.approx(float(expected), abs=2e-5)


def test_a_window_without_width_is_not_trusted(rng: np.random.Generator) -> None:
    """Where the weight bends so that its window has no variance left the phase is taken as it is."""
    shape = (5, 5, 5)
    x, _, _ = np.indices(shape)
    log_weight = (-0.5 * (x - 2) ** 2).astype(np.float32)
    phase = (0.3 * x).astype(np.float32)
    real, imag = np.cos(phase), np.sin(phase)
    out = np.zeros((3, 3, 3), np.float32)
    loops.level(real, imag, log_weight, (np.float32(1.0),) * 3, np.ones((3, 3, 3), bool), out)
    np.testing.assert_allclose(out, phase[1:-1, 1:-1, 1:-1], atol=1e-5)
    # Without a signal there is no phase either.
    out[...] = 7
    loops.level(0 * real, 0 * imag, log_weight, (np.float32(1.0),) * 3, np.ones((3, 3, 3), bool), out)
    assert (out == 7).all()
