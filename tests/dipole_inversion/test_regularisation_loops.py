"""The histogram of a spectrum by D^2 / S^order, and its logarithm, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import half_shape
from qsmcmb.dipole_inversion import _regularisation_loops as loops
from qsmcmb.model import Grid

pytestmark = pytest.mark.loops


def test_the_logarithm_is_good_to_a_hundredth_of_a_bin() -> None:
    values = np.logspace(-14, 6, 400).astype(np.float32)
    found = [float(loops._log2(v)) for v in values]
    np.testing.assert_allclose(found, np.log2(values.astype(float)), atol=1e-5)


@pytest.mark.parametrize("last", [12, 13])
@pytest.mark.parametrize(("order", "step"), [(0, 1), (1, 1), (2, 1), (1, 4)])
def test_energy_samples_and_amplitudes_by_bin(
    last: int, order: int, step: int, rng: np.random.Generator
) -> None:
    grid = Grid((16, 10, last), (1.0, 1.2, 0.9), (0.36, 0.48, 0.8))
    where = grid.shape, grid.voxel_size_mm, grid.b0_dir
    shape = half_shape(grid.shape)
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    tables = spectral_tables(*where)
    d = np.abs(dipole_kernel_k(*where).astype(float))
    s = sum(t[3].reshape([-1 if a == i else 1 for i in range(3)]) for a, t in enumerate(tables)).astype(float)
    even = last % 2 == 0
    stands = np.full(shape, 2.0)
    stands[..., 0] = 1
    if even:
        stands[..., -1] = 1
    stands[0, 0, 0] = 0
    # Rows near the origin stand for themselves; of the others one in `step` does, for all.
    x, y = np.indices(shape[:2])
    nx, ny = grid.shape[:2]
    near = (8 * np.minimum(x, nx - x) < nx) & (8 * np.minimum(y, ny - y) < ny)
    stands *= np.where(near, 1, np.where((x + y) % step == 0, step, 0))[..., None]
    low, high = np.float32(0.3), np.float32(6.0)
    rows = loops.histogram(*tables, (order, step), low, high, even, spectrum).sum(axis=0)
    energy = np.abs(spectrum.astype(complex)) ** 2
    amplitude, band = np.sqrt(energy) / np.maximum(d, 1e-9), (low < s) & (s < high)
    cone, well = band & (d > 0.05) & (d < 0.15), band & (d > 0.3)
    expected = [stands * v for v in (energy, 1, amplitude * cone, cone, amplitude * well, well)]
    np.testing.assert_allclose(rows.sum(axis=1), [e.sum() for e in expected], rtol=1e-4)
    s[0, 0, 0] = 1
    place = (np.log10(np.maximum(d**2, 1e-20) / s**order) - float(loops.LOG_LOW)) * float(loops.PER_DECADE)
    place = np.clip(place, 0, loops.BINS - 1)
    edges = np.arange(loops.BINS + 1)
    for row, values in zip(rows, expected, strict=True):
        plain = np.histogram(place, edges, weights=values)[0]
        # A sample at a bin's edge may fall on either side.
        assert np.abs(np.cumsum(row - plain)).max() <= 2.1 * max(values.max(), 1e-9)
    assert rows[3].sum() > 0
    assert rows[5].sum() > 0


def test_without_a_band_no_amplitudes_are_taken(rng: np.random.Generator) -> None:
    where = (8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)
    spectrum = rng.standard_normal(half_shape((8, 8, 8))).astype(np.complex64)
    rows = loops.histogram(*spectral_tables(*where), (1, 1), np.float32(0), np.float32(0), True, spectrum)
    assert not rows[:, 2:].any()
    assert rows[:, 1].sum() == 8**3 - 1


def test_a_residual_is_the_scaled_model_less_the_field(rng: np.random.Generator) -> None:
    field, real = rng.standard_normal((2, 4, 5, 6)).astype(np.float32)
    expected = real * np.float32(0.25) - field
    loops.subtract_field(np.float32(0.25), field, real)
    np.testing.assert_allclose(real, expected, rtol=1e-5, atol=1e-6)
