"""Each stage against analytic truth; every method of a family by iteration over its METHODS."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.background_removal import METHODS as BACKGROUND
from qsmcmb.core.dipole import forward_field
from qsmcmb.dipole_inversion import METHODS as INVERSION
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.masking import METHODS as MASKING
from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import METHODS as UNWRAPPING

TE_S = (0.005, 0.010, 0.015, 0.020)
GRID = Grid((44, 47, 40), (1.0, 1.1, 1.3), (0.0, 0.28, 0.96))


def coordinates(grid: Grid) -> FloatArray:
    axes = [(np.arange(n) - n / 2) * v for n, v in zip(grid.shape, grid.voxel_size_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def brain(grid: Grid) -> BoolArray:
    return np.asarray((coordinates(grid) ** 2).sum(axis=0) < 19**2)


def smooth_field_hz(grid: Grid) -> FloatArray:
    x, y, z = coordinates(grid)
    return 30 + 3.0 * x - 2.0 * y + 0.08 * z**2 + 0.05 * x * y


@pytest.mark.parametrize("method", UNWRAPPING)
def test_smooth_phase_is_unwrapped(method: str) -> None:
    mask = brain(GRID)
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * smooth_field_hz(GRID)
    wrapped = np.angle(np.exp(1j * truth)).astype(np.float32)
    unwrapped = qc.unwrap(wrapped, mask, GRID, method=method, magnitude=np.ones_like(wrapped), te_s=TE_S)
    for found, expected in zip(unwrapped, truth, strict=True):
        difference = (found - expected)[mask]
        if method != "laplacian":
            # A multiple of 2 pi for the whole echo is free; within the mask it may not change.
            assert np.ptp(difference) < 1e-3
        else:
            assert np.std(difference) < 0.15 * np.std(expected[mask])


def test_romeo_field_has_no_free_multiple(rng: np.random.Generator) -> None:
    mask, field = brain(GRID), smooth_field_hz(GRID)
    phase = 2 * np.pi * np.array(TE_S)[:, None, None, None] * field
    signal = np.exp(1j * phase) + 0.02 * (
        rng.standard_normal(phase.shape) + 1j * rng.standard_normal(phase.shape)
    )
    noisy, magnitude = np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)
    unwrapped = qc.unwrap(noisy, mask, GRID, magnitude=magnitude, te_s=TE_S)
    found = qc.map_field(unwrapped, magnitude, mask, GRID, te_s=TE_S)
    assert np.abs(found.total_field_hz - field)[mask].max() < 1.0
    error = np.std((found.total_field_hz - field)[mask])
    bound = 0.02 / (2 * np.pi * np.sqrt(np.square(TE_S).sum()))
    assert error == pytest.approx(bound, rel=0.06)
    assert np.median(found.field_sd_hz[mask]) == pytest.approx(bound, rel=0.06)


@pytest.mark.parametrize("method", BACKGROUND)
def test_outside_dipoles_leave_and_inside_ones_stay(method: str) -> None:
    xyz, mask, direction = coordinates(GRID), brain(GRID), np.array(GRID.b0_dir)
    outside = ball_field(
        xyz - np.array([0, 0, 27.0]).reshape(3, 1, 1, 1), Ball((0, 0, 27.0), 4.0, 9.0), direction
    )
    inside = ball_field(xyz, Ball((0, 0, 0), 3.0, 0.4), direction)
    # The balls of these two take a fixed rim away; their defaults are for whole brains.
    options = {"radius_mm": 4.0} if method in ("sharp", "resharp") else None
    local = qc.remove_background(
        (outside + inside).astype(np.float32), mask, GRID, method=method, options=options
    )
    rest = local.local_field_hz - inside
    assert local.mask.sum() > 0.5 * mask.sum()
    assert np.std(rest[local.mask]) < 0.1 * np.std(outside[mask])
    core = local.mask & ((xyz**2).sum(axis=0) < 8**2)
    assert np.corrcoef(local.local_field_hz[core], inside[core])[0, 1] > 0.95


def invert_start(field: FloatArray, mask: BoolArray, method: str) -> FloatArray:
    """Invert what the method starts from."""
    start = field
    if starting_point(method) == "wrapped phase":
        start = np.stack([np.angle(np.exp(2j * np.pi * 42.577478518 * 3.0 * te * field)) for te in TE_S])
    return qc.invert(start.astype(np.float32), mask, GRID, method=method, te_s=TE_S, b0_tesla=3.0)


@pytest.mark.parametrize("method", INVERSION)
@pytest.mark.parametrize("sign", [1, -1])
def test_inversion_keeps_sign_and_contrast(method: str, sign: int) -> None:
    xyz, mask = coordinates(GRID), brain(GRID)
    ball = ((xyz - np.array([2, -3, 1.0]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 5**2
    chi = np.where(ball, 0.3 * sign, 0.0).astype(np.float32)
    field = np.where(mask, forward_field(chi, GRID), 0).astype(np.float32)
    found = invert_start(field, mask, method)
    contrast = found[ball].mean() - found[mask & ~ball].mean()
    assert contrast == pytest.approx(0.3 * sign, rel=0.25)
    assert abs(found[mask].mean()) < 1e-5
    assert not found[~mask].any()


@pytest.mark.parametrize("method", [m for m in MASKING if m != "deepbet"])
def test_masks_find_the_object_and_keep_a_void_inside(method: str, rng: np.random.Generator) -> None:
    mask, xyz = brain(GRID), coordinates(GRID)
    void = ((xyz - np.array([9.0, 0, 0]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 2.5**2
    signal = (mask & ~void).astype(np.complex64)
    echoes = np.stack([signal, 0.8 * signal]) + 0.02 * (
        rng.standard_normal((2, *GRID.shape)) + 1j * rng.standard_normal((2, *GRID.shape))
    )
    made = qc.mask_brain(
        np.abs(echoes).astype(np.float32), np.angle(echoes).astype(np.float32), GRID, method=method
    )
    dice = 2 * (made & mask).sum() / (made.sum() + mask.sum())
    assert dice > 0.93
    assert made[void].all()
