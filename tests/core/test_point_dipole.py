"""The point dipole against the field of a magnetised box and against Laplace's equation."""

import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.model import Grid

OBLIQUE = np.array([0.36, -0.48, 0.8])


def test_value_on_the_axis_and_on_the_equator() -> None:
    points = np.array([[0.0, 3.0, 0.0], [0.0, 0.0, 4.0], [2.0, 0.0, 0.0]])
    field = point_dipole_field(points, np.array([0.0, 0.0, 1.0]))
    assert field == pytest.approx([2 / (4 * np.pi * 8), -1 / (4 * np.pi * 27), -1 / (4 * np.pi * 64)])


def test_it_is_the_far_field_of_one_magnetised_voxel() -> None:
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0), tuple(OBLIQUE))
    chi_ppm = np.zeros(grid.shape, np.float32)
    chi_ppm[12, 12, 12] = 1.0
    field = forward_field(chi_ppm, grid, kernel="image")
    points = np.indices(grid.shape).reshape(3, -1) - 12.0
    shell = (np.abs(points).max(axis=0) > 4) & (np.abs(points).max(axis=0) < 11)
    expected = point_dipole_field(points[:, shell], OBLIQUE)
    np.testing.assert_allclose(field.ravel()[shell], expected, atol=2e-3 * np.abs(expected).max())


def test_it_solves_laplaces_equation_and_falls_with_the_third_power(rng: np.random.Generator) -> None:
    points = rng.uniform(2.0, 4.0, (3, 50))
    step = 1e-2
    shifts = step * np.concatenate([np.eye(3), -np.eye(3)])
    around = np.stack([point_dipole_field(points + s[:, None], OBLIQUE) for s in shifts])
    middle = point_dipole_field(points, OBLIQUE)
    curvature = (around - middle).sum(axis=0) / step**2
    assert np.abs(curvature).max() < 1e-3 * np.abs(middle).max()
    np.testing.assert_allclose(point_dipole_field(2 * points, OBLIQUE), middle / 8, rtol=1e-12)


def test_the_field_stays_finite_at_the_source() -> None:
    field = point_dipole_field(np.zeros((3, 1)), OBLIQUE)
    assert np.isfinite(field).all()
    assert field == pytest.approx(-1 / (4 * np.pi * 0.125))
