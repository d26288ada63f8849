"""The public stages one after another with their defaults, as a newcomer calls them."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray
from qsmcmb.units import hz_to_ppm
from tests.scenes.geometry import ball, coordinates_mm, ellipsoid

GRID = Grid.isotropic((36, 40, 32), 2.0)
TE_S = (0.005, 0.012, 0.019)
B0_TESLA = 3.0
BALL_PPM = 0.3


def receive_phases() -> dict[str, FloatArray]:
    """Return phases at TE = 0: none, constants of nearly half a turn, and one that turns across the head."""
    x, y, z = coordinates_mm(GRID)
    nothing = np.zeros(GRID.shape)
    sloping = 1.5 + 0.05 * x - 0.04 * y + 0.001 * z**2
    return {"none": nothing, "constant": nothing + 2.5, "negative": nothing - 3.0, "sloping": sloping}


@pytest.fixture(scope="module")
def head() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return susceptibility of the truth, its field and the head: a ball in tissue under the field of air."""
    brain = ellipsoid(GRID, (28.0, 30.0, 24.0))
    chi = np.where(ball(GRID, 6.0, (4.0, -6.0, 2.0)), BALL_PPM, 0.0)
    air = np.where(ball(GRID, 4.0, (0.0, 34.0, -4.0)), 3.0, 0.0)
    field_ppm = qc.forward_field((chi + air).astype(np.float32), GRID)
    return chi, np.asarray(field_ppm), brain


@pytest.mark.parametrize("name", receive_phases())
def test_the_default_chain_gives_the_truth_whatever_the_receive_phase(
    name: str, head: tuple[FloatArray, FloatArray, FloatArray], rng: np.random.Generator
) -> None:
    truth, field_ppm, brain = head
    te = np.array(TE_S)[:, None, None, None]
    phase = 2 * np.pi * te * field_ppm / hz_to_ppm(1.0, B0_TESLA) + receive_phases()[name]
    signal = np.where(brain, np.exp(1j * phase - 20 * te), 0)
    signal = signal + 0.01 * (rng.standard_normal(phase.shape) + 1j * rng.standard_normal(phase.shape))
    wrapped, magnitude = np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)

    unwrapped = qc.unwrap(wrapped, brain, GRID, magnitude=magnitude, te_s=TE_S)
    field = qc.map_field(unwrapped, magnitude, brain, GRID, te_s=TE_S)
    local = qc.remove_background(field.total_field_hz, brain, GRID)
    chi_ppm = qc.invert(hz_to_ppm(local.local_field_hz, B0_TESLA), local.mask, GRID)

    # Whole turns of the receive phase over the brain are left as such, and none within it.
    turns = (unwrapped - wrapped)[:, brain] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-4)
    away_hz = (field.total_field_hz - field_ppm / hz_to_ppm(1.0, B0_TESLA))[brain]
    assert np.std(away_hz) < 0.5
    inside = truth > 0
    rest = local.mask & ~inside
    contrast = chi_ppm[inside].mean() - np.median(chi_ppm[rest])
    assert contrast == pytest.approx(BALL_PPM, rel=0.1)
    assert np.std(chi_ppm[rest]) < 0.02
