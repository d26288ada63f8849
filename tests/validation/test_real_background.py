"""Lesions in a real background: drawn where the scan allows, by its own limit, and measured."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.model import GreScan, Grid
from qsmcmb.validation.real_background import (
    APART_MM,
    Background,
    background_claims,
    draw_in_background,
    measure_in_background,
)


@pytest.fixture
def background(rng: np.random.Generator) -> Background:
    """Return a scan of 3 mm voxels with a smooth receive phase and noise, as if it were real."""
    grid = Grid.isotropic((20, 20, 20), 3.0)
    x, y, z = np.indices(grid.shape) / 20
    signal = 100 * (1 + 0.2 * x) * np.exp(1j * (0.5 + x - 0.7 * y + 0.4 * z**2))
    noise = rng.standard_normal((2, 2, *grid.shape))
    signal = np.stack([signal, 0.9 * signal]) + noise[0] + 1j * noise[1]
    scan = GreScan(
        phase_rad=np.angle(signal).astype(np.float32), magnitude=np.abs(signal).astype(np.float32),
        te_s=(0.002, 0.005), b0_tesla=3.0, grid=grid,
    )  # fmt: skip
    mask = np.ones(grid.shape, bool)
    allowed = np.zeros(grid.shape, bool)
    allowed[5:15, 5:15, 5:15] = True
    return Background(scan, mask, allowed, np.full(grid.shape, 30.0, np.float32))


def test_lesions_lie_apart_and_are_as_strong_as_the_limit_says(
    background: Background, rng: np.random.Generator
) -> None:
    drawn = draw_in_background(background, 50, rng)
    centres = np.array([lesion.centre_mm for lesion, _ in drawn])
    distance = np.linalg.norm(centres[:, None] - centres, axis=2) + 99 * np.eye(len(centres))
    assert len(drawn) > 3
    assert distance.min() > APART_MM
    assert all(limit == 30 and 60 <= lesion.total_chi_ppm_mm3 <= 300 for lesion, limit in drawn)


@pytest.mark.parametrize("sampling", ["k-space", "voxel"])
def test_one_lesion_is_read_within_its_interval(background: Background, sampling: str) -> None:
    (row,) = measure_in_background(background, 1, seed=[4], sampling=sampling)
    assert row["limit_ppm_mm3"] == 30
    assert abs(row["estimate_ppm_mm3"] / row["truth_ppm_mm3"] - 1) < 0.08
    assert row["low_ppm_mm3"] < row["truth_ppm_mm3"] < row["high_ppm_mm3"]
    claims = background_claims([{**row, "head": "scan"}])
    assert [c.passed for c in claims] == [True, False]
    assert claims[1].here == 100
