"""Bumps of a Gaussian process: its SD, and the field of a bump against the dipole kernel of k-space."""

import numpy as np

from qsmcmb.microbleeds.signal.gaussian_process import (
    BASIS_AMPLITUDE,
    BASIS_SD_MM,
    BASIS_SPACING_MM,
    basis_centres,
    gaussian_basis,
    gaussian_field_basis,
)

B0_DIR = (0.0, 0.6, 0.8)


def test_heights_of_unit_sd_make_a_process_of_unit_sd(rng: np.random.Generator) -> None:
    places = rng.uniform(-BASIS_SPACING_MM, BASIS_SPACING_MM, (3, 200))
    sd = np.sqrt((gaussian_basis(places, basis_centres(12.0)) ** 2).sum(axis=1))
    np.testing.assert_allclose(sd, 1.0, atol=0.03)


def test_field_is_that_of_the_susceptibility() -> None:
    n, step = 64, BASIS_SD_MM / 3
    axis = (np.arange(n) - n // 2) * step
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    middle = np.zeros((1, 3))
    chi = gaussian_basis(places, middle).reshape(n, n, n)
    frequencies = np.stack(np.meshgrid(*[np.fft.fftfreq(n)] * 3, indexing="ij"))
    k2 = (frequencies**2).sum(axis=0)
    along = np.tensordot(np.array(B0_DIR), frequencies, axes=1)
    kernel = 1 / 3 - along**2 / np.where(k2 > 0, k2, 1) * (k2 > 0)
    kernel[0, 0, 0] = 0
    field = np.fft.fftshift(np.fft.ifftn(np.fft.fftn(np.fft.ifftshift(chi)) * kernel).real)
    inner = (slice(n // 4, -n // 4),) * 3
    found = gaussian_field_basis(places, middle, B0_DIR).reshape(n, n, n)
    # Periodic images are what is left of the difference.
    np.testing.assert_allclose(found[inner], field[inner], atol=0.01 * BASIS_AMPLITUDE / 3)


def test_the_lattice_fills_a_ball() -> None:
    centres = basis_centres(5.0)
    steps = centres / (1.3 * 1.5)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-12)
    assert np.linalg.norm(centres, axis=1).max() < 5.0
    # All lattice points of the ball, each once, with their mirror images.
    every = [np.array(i) * 1.95 for i in np.ndindex(7, 7, 7)]
    expected = {tuple(np.round(c - 3 * 1.95, 9)) for c in every if np.linalg.norm(c - 3 * 1.95) < 5.0}
    assert {tuple(np.round(c, 9)) for c in centres} == expected
    assert len(centres) == len(expected)


def test_values_are_gaussians_of_their_distance(rng: np.random.Generator) -> None:
    points, centres = rng.uniform(-4, 4, (3, 40)), rng.uniform(-4, 4, (7, 3))
    distance = np.linalg.norm(points.T[:, None] - centres, axis=2)
    amplitude = (1.3 / np.sqrt(np.pi)) ** 1.5
    np.testing.assert_allclose(gaussian_basis(points, centres), amplitude * np.exp(-(distance**2) / 4.5))


def test_far_away_the_field_is_that_of_a_dipole_and_in_the_middle_none(rng: np.random.Generator) -> None:
    centres = rng.uniform(-1, 1, (3, 3))
    directions = rng.standard_normal((3, 30))
    points = 12.0 * directions / np.linalg.norm(directions, axis=0)
    offset = points.T[:, None] - centres
    r = np.linalg.norm(offset, axis=2)
    along = offset @ np.array(B0_DIR)
    total = BASIS_AMPLITUDE * (2 * np.pi) ** 1.5 * BASIS_SD_MM**3
    dipole = total * (3 * along**2 / r**2 - 1) / (4 * np.pi * r**3)
    # The table has steps of 0.002 squared SDs.
    np.testing.assert_allclose(
        gaussian_field_basis(points, centres, B0_DIR), dipole, atol=2e-4 * np.abs(dipole).max()
    )
    middle = gaussian_field_basis(centres.T, centres, B0_DIR)
    np.testing.assert_allclose(np.diag(middle), 0, atol=1e-3)
