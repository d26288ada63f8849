"""Golden numbers of every background method on one scene: noisy field of outside and inside dipoles."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.background_removal import METHODS
from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field

GRID = Grid((45, 41, 27), (1.0, 1.1, 1.7), (0.0, 0.28, 0.96))
GOLDEN: dict[str, tuple[int, float, float]] = {
    "sharp": (4056, 15.7597, 104.1212),
    "vsharp": (14592, 8.4226, 104.1513),
    "resharp": (2368, 20.2738, 104.4802),
    "ismv": (11456, 9.5126, 104.2634),
    "harperella": (17904, 7.6886, 104.4410),
    "pdf": (17904, 7.5513, 103.2448),
    "lbv": (15096, 8.3581, 104.1067),
    "slbv": (17904, 7.7534, 104.1406),
}
"""Voxels of the mask, 1e3 times the local field's standard deviation, 1e3 times its value beside the inner dipole."""


def test_every_method_has_a_golden_number() -> None:
    assert set(GOLDEN) == set(METHODS)


@pytest.mark.parametrize("method", GOLDEN)
def test_result_is_what_it_was(method: str) -> None:
    assert measured(method) == pytest.approx(GOLDEN[method], rel=2e-3)


def measured(method: str) -> tuple[int, float, float]:
    axes = [(np.arange(n) - n / 2) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    mask = np.asarray((xyz**2).sum(axis=0) < 20**2)
    total = np.random.default_rng(11).normal(0, 0.002, mask.shape)
    for at, radius, chi in (((4.0, -8.0, 31.0), 4.0, 9.0), ((1.0, 2.0, -1.0), 2.5, 0.6)):
        total += ball_field(xyz - np.reshape(at, (3, 1, 1, 1)), Ball(at, radius, chi), np.array(GRID.b0_dir))
    field = np.where(mask, total, 0).astype(np.float32)
    local, left = qc.remove_background(field, mask, GRID, method=method)
    spot = tuple(
        np.argmin(((xyz - np.reshape((1.0, 2.0, 2.0), (3, 1, 1, 1))) ** 2).sum(axis=0).ravel(), keepdims=True)
    )
    return (
        int(left.sum()),
        1e3 * float(np.std(local[left], dtype=np.float64)),
        1e3 * float(local.ravel()[spot]),
    )
