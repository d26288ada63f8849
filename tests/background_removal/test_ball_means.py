"""The loops of the spherical-mean methods against plain NumPy, and golden numbers."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.background_removal import _spheres_loops as loops
from qsmcmb.core.smv import smv_kernel_k, smv_octant_k

pytestmark = pytest.mark.loops


def test_loops_do_what_numpy_does(rng: np.random.Generator) -> None:
    spectrum = (rng.standard_normal((6, 5, 4)) + 1j * rng.standard_normal((6, 5, 4))).astype(np.complex64)
    ball = (6, 5, 6), (1.0, 1.2, 0.9), 2.3
    mean_k, octant = smv_kernel_k(*ball), smv_octant_k(*ball)
    out = np.empty_like(spectrum)
    loops.high_pass(spectrum, octant, np.float32(0.5), out)
    np.testing.assert_allclose(out, spectrum * (1 - mean_k) / 2, rtol=1e-5, atol=1e-6)
    loops.deconvolve(out, octant, np.float32(0.3), np.float32(2.0))
    kept = np.where(np.abs(1 - mean_k) > 0.3, spectrum, 0)
    np.testing.assert_allclose(out, kept, rtol=1e-5, atol=1e-5)


def test_volumes_are_placed_cropped_and_taken_by_shells(rng: np.random.Generator) -> None:
    volume = rng.standard_normal((5, 4, 3)).astype(np.float32)
    mask = volume > 0
    large = np.ones((6, 5, 4), np.float32)
    loops.place(volume, mask, np.float32(0.5), large)
    expected = np.zeros((6, 5, 4), np.float32)
    expected[:5, :4, :3] = np.where(mask, volume - np.float32(0.5), 0)
    np.testing.assert_array_equal(large, expected)
    back = np.empty_like(volume)
    loops.crop(large + 1, mask, back)
    np.testing.assert_array_equal(back, np.where(mask, large[:5, :4, :3] + 1, 0))
    distance = rng.uniform(0, 4, volume.shape).astype(np.float32)
    taken = np.zeros_like(volume)
    shell = np.empty(volume.shape, np.uint8)
    loops.shells(distance, np.array([3, 1], np.float32), shell)
    loops.take_shell(volume, shell, np.uint8(1), taken)
    np.testing.assert_array_equal(taken, np.where((distance > 1) & (distance <= 3), volume, 0))
