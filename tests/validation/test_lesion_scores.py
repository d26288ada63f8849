"""Scores of lesions against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.model import Grid
from qsmcmb.validation.lesion_scores import moment_ratios, point_moments, streaks


def test_lesions_by_hand():
    labels = np.zeros((40, 24, 24), int)
    labels[8:10, 11:13, 11:13] = 1
    labels[28, 12, 12] = 2
    labels[0, 0, 0] = 3
    mask = np.ones(labels.shape, bool)
    mask[0] = False
    truth = np.where(labels == 1, 1.0, np.where(labels == 2, 4.0, 0.0))
    result = np.where(labels == 1, 0.75, np.where(labels == 2, 2.0, 0.0)) + 0.5
    np.testing.assert_allclose(moment_ratios(result, truth, mask, labels), [0.75, 0.5, np.nan])
    # An error of +-0.1 in all the rest is 10 % of the one lesion's contrast and 2.5 % of the other's.
    checker = np.where(np.indices(labels.shape).sum(axis=0) % 2, 0.1, -0.1)
    assert streaks(truth + checker, truth, mask, labels) == pytest.approx((10 + 2.5) / 2, rel=0.02)


def test_sums_around_points_are_in_mm(rng):
    """A ball of 2 ppm and 3 mm radius on fine, anisotropic voxels: its volume times 2; none outside the mask."""
    grid = Grid((44, 30, 26), (0.6, 1.0, 1.2), affine=np.diag([0.6, 1.0, 1.2, 1.0]))
    points = np.array([[13.0, 14.0, 15.0], [400.0, 0.0, 0.0]])
    away = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    distance = np.linalg.norm(away * grid.voxel_size_mm - points[0], axis=-1)
    chi = np.where(distance < 3, 2.0, 0.0) - 0.4
    sums = point_moments(chi, np.ones(grid.shape, bool), grid, points)
    assert sums[0] == pytest.approx(2 * (distance < 3).sum() * grid.voxel_volume_mm3)
    assert sums[0] == pytest.approx(2 * 4 / 3 * np.pi * 27, rel=0.1)
    assert np.isnan(sums[1])
