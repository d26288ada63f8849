"""The midplane of a turned and shifted head is found, and mirrors points at it."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.midplane import find_midplane
from qsmcmb.model import Grid


def brain(angle_deg: float, shift_mm: float, voxel_mm: float) -> tuple[np.ndarray, Grid]:
    """Return an ellipsoid with a flat base, turned about z and shifted along its normal."""
    shape = tuple(round(n / voxel_mm) for n in (120, 140, 120))
    grid = Grid.isotropic((shape[0], shape[1], shape[2]), voxel_mm)
    points = grid.to_world(np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3).astype(float))
    turn = np.radians(angle_deg)
    x = np.cos(turn) * points[:, 0] + np.sin(turn) * points[:, 1] - shift_mm
    y = np.cos(turn) * points[:, 1] - np.sin(turn) * points[:, 0]
    inside = (x / 40) ** 2 + (y / 52) ** 2 + (points[:, 2] / 42) ** 2 < 1
    return (inside & (points[:, 2] > -25)).reshape(shape), grid


@pytest.mark.parametrize(("angle_deg", "shift_mm", "voxel_mm"), [(0, 0, 2.0), (6, 4, 2.0), (-8, -3, 3.0)])
def test_the_plane_is_found(angle_deg: float, shift_mm: float, voxel_mm: float) -> None:
    plane = find_midplane(*brain(angle_deg, shift_mm, voxel_mm))
    turn = np.radians(angle_deg)
    normal = np.array([np.cos(turn), np.sin(turn), 0.0])
    assert np.degrees(np.arccos(plane.normal @ normal)) < 1.5
    assert plane.offset_mm == pytest.approx(shift_mm, abs=0.7)


def test_a_point_mirrored_twice_is_itself() -> None:
    plane = find_midplane(*brain(5, 2, 3.0))
    points = np.array([[10.0, 3.0, -4.0], [-7.0, 0.0, 20.0]])
    np.testing.assert_allclose(plane.mirror(plane.mirror(points)), points, atol=1e-9)
