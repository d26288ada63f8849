"""Re-weighted TV and TGV: loops against plain NumPy, what each is for."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.dipole_inversion import _fansi_tgv_loops as second
from qsmcmb.dipole_inversion import _nltv_loops as reweighted
from qsmcmb.dipole_inversion import _weighted_loops as weighted
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

GRID = Grid((11, 12, 13), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
INVERSE_MM = tuple(np.float32(1 / v) for v in GRID.voxel_size_mm)
T, RELAX = np.float32(0.4), np.float32(1.7)
KINDS = pytest.mark.parametrize("kind", ["one", "each axis"])
INNER = (slice(None), slice(1, None), slice(1, None), slice(1, None))


@pytest.fixture
def region():
    mask = np.zeros(GRID.shape, bool)
    mask[3:8, 4:9, 2:10] = True
    return Region(mask)


@pytest.fixture
def split(region):
    split = np.zeros(region.shape, bool)
    for x, y in np.ndindex(*region.shape[:2]):
        split[x, y, region.rows[x, y, 0] : region.rows[x, y, 1]] = True
    return split


@pytest.fixture
def chi(rng):
    return rng.standard_normal(GRID.shape).astype(np.float32)


def guarded(rng, region, split, parts):
    out = np.zeros((parts, *(n + 1 for n in region.shape)), np.float32)
    out[INNER] = np.where(split, rng.standard_normal((parts, *region.shape)), 0)
    return out


def differences(volume):
    return np.stack([(np.roll(volume, -1, a) - volume) * INVERSE_MM[a] for a in range(3)])


def boxed(vectors, region):
    return vectors[(slice(None), *region.box)]


def framed(vectors, region):
    out = np.zeros((3, *GRID.shape))
    out[(slice(None), *region.box)] = vectors
    return out


def some_weights(rng, kind, g):
    """One weight for all axes, or a byte of 0 or 1 for each."""
    if kind == "one":
        return rng.random((1, *g.shape[1:])).astype(np.float32)
    return rng.integers(0, 2, g.shape, dtype=np.uint8)


def symmetrised(v):
    """Six components of the symmetrised gradient; `v` falls to 0 beyond the box."""
    padded = np.pad(v, ((0, 0), (0, 1), (0, 1), (0, 1)))
    d = [
        [(np.roll(padded[c], -1, a) - padded[c])[:-1, :-1, :-1] * INVERSE_MM[a] for a in range(3)]
        for c in range(3)
    ]
    pairs = ((0, 1), (0, 2), (1, 2))
    return np.stack([d[c][c] for c in range(3)] + [(d[a][b] + d[b][a]) / 2 for a, b in pairs])


@pytest.mark.loops
@KINDS
def test_weighted_step_is_its_plain_twin(kind, region, split, chi, rng):
    g = guarded(rng, region, split, 3)
    weights = some_weights(rng, kind, g)
    t = T * weights[INNER]
    before = g[INNER].astype(float)
    u = np.clip(before, -t, t)
    new = RELAX * boxed(differences(chi), region) + (1 - RELAX) * (before - u) + u
    new = np.where(split, new, 0)
    sums = weighted.update_vectors(chi, g, weights, region.rows, region.start, T, INVERSE_MM, RELAX)
    np.testing.assert_allclose(g[INNER], new, atol=3e-6)
    sampled = np.add.outer(*(np.arange(n) for n in region.shape[:2])) % 8 == 0
    z = new - np.clip(new, -t, t)
    expected = [((z - before + u)[:, sampled] ** 2).sum(), (z[:, sampled] ** 2).sum()]
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-5)


@pytest.mark.loops
@KINDS
def test_weighted_adjoint_is_the_adjoint(kind, region, split, chi, rng):
    g = guarded(rng, region, split, 3)
    weights = some_weights(rng, kind, g)
    out = np.ones(GRID.shape, np.float32)
    weighted.reflected_adjoint(g, weights, region.start, T, INVERSE_MM, out)
    aim = g[INNER] - 2 * np.clip(g[INNER], -T * weights[INNER], T * weights[INNER])
    assert np.vdot(out, chi) == pytest.approx(np.vdot(framed(aim, region), differences(chi)), rel=1e-4)


@pytest.mark.loops
def test_weights_fall_with_the_gradient(region, split, chi):
    weights = np.zeros((1, *(n + 1 for n in region.shape)), np.float32)
    reweighted.reweigh(chi, region.rows, region.start, np.float32(0.3), INVERSE_MM, weights)
    length = np.linalg.norm(boxed(differences(chi), region), axis=0)
    np.testing.assert_allclose(weights[INNER][0], np.where(split, 1 / (1 + length / 0.3), 0), rtol=1e-5)


@pytest.mark.loops
def test_splittings_of_second_order_are_their_plain_twins(region, split, chi, rng):
    g, h = guarded(rng, region, split, 3), guarded(rng, region, split, 6)
    v = np.zeros((3, *(n + 2 for n in region.shape)), np.float32)
    v[:, 1:-1, 1:-1, 1:-1] = np.where(split, rng.standard_normal((3, *region.shape)), 0)
    inner = v[:, 1:-1, 1:-1, 1:-1].astype(float)
    slope = boxed(differences(chi), region)
    u, w = (np.clip(a[INNER], -T, T) for a in (g, h))
    before = g[INNER] - u
    first = RELAX * (slope - inner) + (1 - RELAX) * (g[INNER] - u) + u
    e = symmetrised(inner)
    other = np.where(split, RELAX * e + (1 - RELAX) * (h[INNER] - w) + w, 0)
    rest = np.zeros_like(h)
    still = (T, np.float32(0.0), np.float32(2.0), RELAX)
    sums = second.update_first(chi, g, v, rest, region.rows, region.start, still, INVERSE_MM)
    second.update_second(v, h, rest, region.rows, T, INVERSE_MM, RELAX)
    np.testing.assert_allclose(g[INNER], np.where(split, first, 0), atol=5e-6)
    change = np.where(split, first - np.clip(first, -T, T) - before, 0)
    eighth = (np.add.outer(np.arange(region.shape[0]), np.arange(region.shape[1])) % 8 == 0)[..., None]
    expected = [(change**2 * eighth).sum(), (np.where(split, slope**2, 0) * eighth).sum()]
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-5)
    np.testing.assert_allclose(h[INNER], other, atol=5e-6)
    expected = np.where(split, e - other + 2 * np.clip(other, -T, T), 0)
    np.testing.assert_allclose(rest[INNER], expected, atol=5e-6)


@pytest.mark.loops
def test_v_goes_down_the_slope_of_both_splittings(region, split, chi, rng):
    g, rest = guarded(rng, region, split, 3), guarded(rng, region, split, 6)
    v = np.zeros((3, *(n + 2 for n in region.shape)), np.float32)
    v[:, 1:-1, 1:-1, 1:-1] = np.where(split, rng.standard_normal((3, *region.shape)), 0)
    before = v[:, 1:-1, 1:-1, 1:-1].astype(float)
    step, ratio = np.float32(0.1), np.float32(2.0)
    aim = g[INNER] - 2 * np.clip(g[INNER], -T, T)
    second.update_first(chi, g, v, rest, region.rows, region.start, (T, step, ratio, RELAX), INVERSE_MM)
    moved = (before - v[:, 1:-1, 1:-1, 1:-1]) / step
    probe = np.where(split, rng.standard_normal(before.shape), 0)
    twice = np.array([1, 1, 1, 2, 2, 2]).reshape(6, 1, 1, 1)
    slope = np.vdot(before - boxed(differences(chi), region) + aim, probe)
    slope += ratio * np.vdot(twice * rest[INNER], symmetrised(probe))
    assert np.vdot(moved, probe) == pytest.approx(slope, rel=1e-3)


@pytest.mark.loops
def test_second_order_adjoint_is_the_adjoint(region, split, chi, rng):
    g = guarded(rng, region, split, 3)
    v = np.zeros((3, *(n + 2 for n in region.shape)), np.float32)
    v[:, 1:-1, 1:-1, 1:-1] = np.where(split, rng.standard_normal((3, *region.shape)), 0)
    out = np.ones(GRID.shape, np.float32)
    second.reflected_adjoint(g, v, region.start, T, INVERSE_MM, out)
    aim = g[INNER] - 2 * np.clip(g[INNER], -T, T) + v[:, 1:-1, 1:-1, 1:-1]
    assert np.vdot(out, chi) == pytest.approx(np.vdot(framed(aim, region), differences(chi)), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [("nltv", "reweightings", 0), ("nltv", "edge_ppm_per_mm", 0.0), ("fansi_tgv", "second_order_mm", 0.0)],
)
def test_their_own_options_out_of_range_are_refused(method, option, value, ball_case):
    with pytest.raises(InvalidInputError, match=option):
        qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method, options={option: value})
