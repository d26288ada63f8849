"""Phase of the background field at a lesion, put on the cells and taken off at the voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.background_phase import BackgroundPhase
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.typing import FloatArray
from tests.scenes.patches import small_patch, with_acquisition

TE_S = np.array([0.006, 0.014])


def sloping(hz_per_mm: tuple[float, float, float]) -> Patch:
    """Return a patch whose background field is a plane, 7 Hz at the point."""
    coefficients = np.zeros(20)
    coefficients[:4] = [7.0, *(4.4 * np.array(hz_per_mm))]
    return replace(small_patch(), background=coefficients)


def levels(rng: np.random.Generator) -> list[list[FloatArray]]:
    return [[np.sort(rng.uniform(-3, 3, n)) for n in shape] for shape in ((5, 6, 7), (4, 4, 3))]


@pytest.mark.parametrize(("steps", "modelled"), [(0.061, True), (0.059, False)])
def test_a_background_counts_from_six_hundredths_of_a_half_turn(steps: float, modelled: bool) -> None:
    # Along z, 0.9 mm a voxel: steps in half turns at the last echo.
    patch = sloping((0.0, 0.0, steps / (2 * 0.014 * 0.9)))
    assert (BackgroundPhase.if_steep(patch, []) is not None) == modelled


def test_the_phase_is_put_on_the_cells_of_a_level(rng: np.random.Generator) -> None:
    patch, axes = sloping((20.0, -10.0, 5.0)), levels(rng)
    phase = BackgroundPhase(patch, axes)
    for number, level in enumerate(axes):
        x, y, z = np.meshgrid(*level, indexing="ij")
        field = (7 + 20 * x - 10 * y + 5 * z).ravel()
        values = rng.standard_normal((2, 3, 2, field.size)).astype(np.float32)
        turned = values.copy()
        phase.apply(turned, number)
        expected = (values[0] + 1j * values[1]) * np.exp(2j * np.pi * np.outer(TE_S, field))
        np.testing.assert_allclose(turned[0] + 1j * turned[1], expected, atol=1e-5)


def left_of_tissue(patch: Patch, weights: list[FloatArray], width_mm: float) -> FloatArray:
    """Return what is left of uniform tissue (echo, 1) whose steps along the axes are the same everywhere."""
    size = np.array(patch.grid.voxel_size_mm)
    steps = patch.background_phase_step[:, :, 0]
    box = np.prod([np.sinc(0.5 * step * width_mm / v) for step, v in zip(steps, size, strict=True)], axis=0)
    return (np.prod(weights, axis=0) * box)[:, None]


@pytest.mark.parametrize("kind", ["full", "filtered", "slices"])
def test_the_phase_comes_off_relative_to_what_is_left_of_tissue(rng: np.random.Generator, kind: str) -> None:
    patch = sloping((12.0, -9.0, 7.0))
    hann = KSpaceWindow(0.9, 1.0, 0.0)
    if kind == "filtered":
        patch = with_acquisition(patch, windows=(hann, FULL_K_SPACE[1], hann))
    if kind == "slices":
        patch = with_acquisition(patch, slice_profile=SliceProfile(2, 0.9))
    steps = patch.background_phase_step[:, :, 0]
    weights = [
        profile.weight(step) for profile, step in zip(patch.acquisition.axis_profiles, steps, strict=True)
    ]
    n = int(patch.inside.sum())
    values = rng.standard_normal((2, 4, 2, n)).astype(np.float32)
    seen = values.copy()
    BackgroundPhase(patch, []).remove(seen, 0.8)
    left = left_of_tissue(patch, weights, 0.8)
    assert (left > 0.3).all()
    assert kind == "full" or left.min() < 0.97
    field = patch.background_hz(patch.coordinates_mm[:, patch.inside])
    expected = (values[0] + 1j * values[1]) * np.exp(-2j * np.pi * np.outer(TE_S, field)) / left
    np.testing.assert_allclose(seen[0] + 1j * seen[1], expected, atol=2e-5)


def test_the_derivative_by_the_width_is_that_of_the_quotient(rng: np.random.Generator) -> None:
    """A spread that is wider loses more of the tissue, too: d(s / H) = (ds - s dH / H) / H."""
    patch = sloping((12.0, -9.0, 7.0))
    n = int(patch.inside.sum())
    values = rng.standard_normal((2, 3, 2, n)).astype(np.float32)
    seen = values.copy()
    width2, step = 0.5, 0.02
    BackgroundPhase(patch, []).remove(seen, np.sqrt(width2), (np.sqrt(width2 + step), step))
    left, wider = (left_of_tissue(patch, [np.ones(2)] * 3, np.sqrt(w)) for w in (width2, width2 + step))
    field = patch.background_hz(patch.coordinates_mm[:, patch.inside])
    turn = np.exp(-2j * np.pi * np.outer(TE_S, field)) / left
    value, slope = (values[0, i] + 1j * values[1, i] for i in (0, 2))
    expected = (slope - value * (wider / left - 1) / step) * turn
    np.testing.assert_allclose(seen[0, 2] + 1j * seen[1, 2], expected, atol=2e-5)
    np.testing.assert_allclose(seen[0, 0] + 1j * seen[1, 0], value * turn, atol=2e-5)


def test_tissue_that_is_all_but_lost_is_no_divisor() -> None:
    # More than k-space holds along x at the last echo.
    patch = with_acquisition(sloping((20.0, 0.0, 0.0)), windows=(KSpaceWindow(0.5), *FULL_K_SPACE[1:]))
    seen = np.ones((2, 1, 2, int(patch.inside.sum())), np.float32)
    BackgroundPhase(patch, []).remove(seen, 0.0)
    np.testing.assert_allclose(np.abs(seen[0, 0] + 1j * seen[1, 0])[1], np.sqrt(2) / 0.3, rtol=1e-5)
    np.testing.assert_allclose(np.abs(seen[0, 0] + 1j * seen[1, 0])[0], np.sqrt(2), rtol=1e-5)
