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
