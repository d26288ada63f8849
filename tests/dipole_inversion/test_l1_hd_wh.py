"""L1, hybrid and weak-harmonic data terms: proximal steps against brute force, ball, outliers, units, threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import rfftn
from qsmcmb.core.methods import resolve
from qsmcmb.dipole_inversion import METHODS
from qsmcmb.dipole_inversion import _l1_loops as loops
from qsmcmb.dipole_inversion import _wh_loops as harmonic_loops
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

RADIANS = 12.0


def run(method, field, case, **options):
    """Call a method with the phase of 1 ppm where it asks for it."""
    if method != "hd":
        options.setdefault("radians_per_ppm", RADIANS)
    return resolve(METHODS, method)(field, case.mask, case.grid, **options)


@pytest.mark.loops
@pytest.mark.parametrize("nonlinear", [False, True])
def test_absolute_step_is_the_proximal_map(nonlinear, rng):
    shape, start, relax = (3, 4, 5), (1, 0, 2), np.float32(1.7)
    field, sums = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    weight = rng.uniform(0.2, 1.5, shape).astype(np.float32)
    weight[0, 0, 0] = 0
    real = rng.normal(0, 1, (5, 4, 8)).astype(np.float32)
    threshold = np.float32(0.3)
    grid = np.linspace(-6, 6, 60001)

    def proximal(v, f, t):
        misfit = 2 * np.abs(np.sin((grid - f) / 2)) if nonlinear else np.abs(grid - f)
        return grid[np.argmin(t * misfit + (grid - v) ** 2 / 2)]

    prox = np.vectorize(proximal)
    inside = real[1:4, 0:4, 2:7].astype(float)
    old = prox(sums, field, threshold * weight)
    new = relax * inside + (1 - relax) * old + sums - old
    aim = np.where(weight > 0, 2 * prox(new, field, threshold * weight) - new, inside)
    loops.update_absolute(field, weight, sums, start, threshold, relax, nonlinear, real)
    np.testing.assert_allclose(real[1:4, 0:4, 2:7], aim, atol=4e-3)


@pytest.mark.loops
def test_harmonic_loops_are_their_plain_twins(rng):
    shape, inverse2 = (5, 6, 7), tuple(np.float32(v) for v in (1.0, 0.8, 1.3))

    def laplacian(v):
        return sum((2 * v - np.roll(v, 1, a) - np.roll(v, -1, a)) * float(w) for a, w in enumerate(inverse2))

    real, harmonic, reflected, model = rng.standard_normal((4, *shape)).astype(np.float32)
    mask, part = rng.random(shape) < 0.5, np.float32(0.2)
    aimed, base = real.copy(), model.copy()
    harmonic_loops.aim(real, model, reflected, np.float32(0.7), inverse2)
    np.testing.assert_allclose(real, aimed - base + 0.7 * laplacian(reflected.astype(float)), atol=1e-5)
    np.testing.assert_array_equal(model, aimed)
    old = reflected / (2 * part - 1)
    new = laplacian(real.astype(float)) + np.where(mask, (1 - part) * old, 0)
    expected = np.where(mask, (2 * part - 1) * new, new)
    harmonic_loops.advance(real, harmonic, reflected, mask, part, inverse2)
    np.testing.assert_array_equal(harmonic, real)
    np.testing.assert_allclose(reflected, expected, atol=2e-5)


@pytest.mark.loops
def test_the_harmonic_part_is_added_and_solved_for(rng):
    grid = Grid((6, 8, 10), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
    real, harmonic, model = rng.standard_normal((3, *grid.shape)).astype(np.float32)
    expected = real + harmonic, real.copy()
    harmonic_loops.add_harmonic(real, harmonic, model)
    np.testing.assert_allclose(real, expected[0], rtol=1e-6)
    np.testing.assert_array_equal(model, expected[1])
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    symbol = sum(t[3].reshape([-1 if a == i else 1 for i in range(3)]) for a, t in enumerate(tables))
    spectrum = rfftn(real)
    expected = spectrum * 0.5 / (1 + 0.3 * symbol.astype(float) ** 2)
    harmonic_loops.solve(spectrum, tables, np.float32(0.3), np.float32(0.5))
    np.testing.assert_allclose(spectrum, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["l1", "hd", "wh"])
def test_ball_total_units_and_threads(method, ball_case, noise_pair):
    field = ball_case.field + 0.002 * noise_pair[0]
    chi = run(method, field, ball_case)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = (chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=0.2)
    options = {} if method == "hd" else {"radians_per_ppm": RADIANS / 128}
    in_hz = run(method, 128 * field, ball_case, **options)
    np.testing.assert_allclose(in_hz / 128, chi, atol=2e-3 * np.abs(chi).max())
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = run(method, field, ball_case)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(one, chi)


@pytest.mark.parametrize(
    ("method", "own", "most"),
    [("l1", {}, 0.5), ("hd", {"absolute_steps": 30}, 0.15), ("hd", {"absolute_steps": 20}, 0.98)],
    ids=["l1", "hd absolute", "hd hybrid"],
)
def test_an_outlier_moves_the_map_less_than_with_a_squared_term(method, own, most, ball_case, rng):
    """The squared steps of the hybrid take most of that back."""
    field = ball_case.field.copy()
    wrong = tuple(rng.integers(10, 26, (3, 12)))
    field[wrong] += 0.1 * ball_case.mask[wrong]
    options = {"regularisation": 2e-4, "max_iterations": 30, "tolerance": 1e-6}
    change = run(method, field, ball_case, **options, **own)
    change = change - run(method, ball_case.field, ball_case, **options, **own)
    tv = resolve(METHODS, "tv")
    squared = tv(field, ball_case.mask, ball_case.grid, **options)
    squared = squared - tv(ball_case.field, ball_case.mask, ball_case.grid, **options)
    assert 0.05 < np.linalg.norm(change) / np.linalg.norm(squared) < most


def test_weak_harmonic_leaves_a_harmonic_field_out(ball_case):
    axes = [np.arange(n) - n / 2 for n in ball_case.grid.shape]
    x, y, _ = np.meshgrid(*axes, indexing="ij")
    left_over = (np.where(ball_case.mask, 0.0004 * (x**2 / 1.0 - (1.1 * y) ** 2), 0)).astype(np.float32)
    options = {"regularisation": 2e-4, "max_iterations": 60, "tolerance": 1e-6}
    clean = run("wh", ball_case.field, ball_case, **options)
    changes = [
        np.linalg.norm(run(m, ball_case.field + left_over, ball_case, **options) - clean)
        for m in ("wh", "fansi_tv")
    ]
    assert changes[0] < 0.7 * changes[1]


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("l1", {"regularisation": 0.0}, "regularisation = 0.0"),
        ("l1", {"radians_per_ppm": 0.0}, "radians_per_ppm = 0.0"),
        ("hd", {"absolute_steps": 0}, "absolute_steps = 0"),
        ("wh", {"beta": -1.0}, "beta = -1.0"),
        ("wh", {"tolerance": 2.0}, "tolerance = 2.0"),
    ],
)
def test_options_out_of_range_are_refused(method, options, name, ball_case):
    with pytest.raises(InvalidInputError, match=name):
        run(method, ball_case.field, ball_case, **options)
