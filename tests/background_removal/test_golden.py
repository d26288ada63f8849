"""Golden numbers of every background method on one scene: noisy field of outside and inside dipoles."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.background_removal import METHODS
from qsmcmb.model import Grid
from tests.scenes.geometry import coordinates_mm
from tests.scenes.sources import dipole_pair

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
    pair = dipole_pair(GRID)
    noise = np.random.default_rng(11).normal(0, 0.002, GRID.shape)
    field = np.where(pair.mask, pair.outside + pair.inside + noise, 0).astype(np.float32)
    local, left = qc.remove_background(field, pair.mask, GRID, method=method)
    xyz = coordinates_mm(GRID, tuple(n / 2 for n in GRID.shape))
    spot = tuple(
        np.argmin(((xyz - np.reshape((1.0, 2.0, 2.0), (3, 1, 1, 1))) ** 2).sum(axis=0).ravel(), keepdims=True)
    )
    return (
        int(left.sum()),
        1e3 * float(np.std(local[left], dtype=np.float64)),
        1e3 * float(local.ravel()[spot]),
    )
