"""HARPERELLA as its paper has it: no Laplacian of the background inside, the tissue's own is left as it is."""

from __future__ import annotations

import numpy as np

import qsmcmb as qc
from qsmcmb.background_removal.harperella import inverse_laplacian_k
from qsmcmb.core.fft import convolve
from qsmcmb.core.morphology import erode
from qsmcmb.core.poisson import laplacian_inside
from qsmcmb.model import Grid

GRID = Grid((48, 44, 40), (1.0, 1.1, 1.2), (0.0, 0.0, 1.0))


def test_inverse_laplacian_of_a_wave_is_known() -> None:
    x = np.arange(48) * GRID.voxel_size_mm[0]
    wave = np.cos(2 * np.pi * 3 * x / (48 * GRID.voxel_size_mm[0]))[:, None, None]
    volume = np.broadcast_to(wave, GRID.shape).astype(np.float32)
    edge2 = GRID.voxel_volume_mm3 ** (2 / 3)
    k2 = (2 * np.pi * 3 / (48 * GRID.voxel_size_mm[0])) ** 2
    found = convolve(volume, inverse_laplacian_k(GRID.shape, GRID))
    np.testing.assert_allclose(found, volume / (k2 * edge2), atol=1e-4 / (k2 * edge2))


def test_point_laplacian_outside_leaves_and_the_tissues_own_stays() -> None:
    axes = [(np.arange(n) - n / 2) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    mask = (xyz**2).sum(axis=0) < 17**2
    # 1 / r: its Laplacian is a point outside; a Gaussian, whose Laplacian lies in the tissue.
    outside = 30 / np.sqrt(((xyz - np.reshape((5.0, -6.0, 26.0), (3, 1, 1, 1))) ** 2).sum(axis=0))
    r2 = ((xyz - np.reshape((1.0, -2.0, 2.0), (3, 1, 1, 1))) ** 2).sum(axis=0)
    tissue = 0.3 * (1 - r2 / 12) * np.exp(-r2 / 8)
    total = np.where(mask, outside + tissue, 0).astype(np.float32)
    local, left = qc.remove_background(total, mask, GRID, method="harperella")
    assert np.array_equal(left, mask)
    inner = erode(mask, 4.0, GRID.voxel_size_mm)
    before, after = (laplacian_inside(v, mask, GRID.voxel_size_mm)[inner] for v in (total, local))
    own = laplacian_inside(np.where(mask, tissue, 0).astype(np.float32), mask, GRID.voxel_size_mm)[inner]
    assert np.std(after - before) < 0.02 * np.std(own)
    assert np.std((local - tissue)[inner]) < 0.02 * np.std(outside[inner])
