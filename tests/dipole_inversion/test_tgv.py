"""TGV from wrapped phase: loops against plain twins, wraps and background, refusals, a fixed number."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.poisson import laplacian_inside
from qsmcmb.dipole_inversion import _tgv_loops as loops
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.dipole_inversion.tgv import TgvSplitting
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from tests.scenes.sources import AIR_BELOW, field_of

GRID = Grid((12, 15, 14), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
INVERSE_MM = tuple(np.float32(1 / v) for v in GRID.voxel_size_mm)
SCAN = {"te_s": (0.004, 0.012, 0.020), "b0_tesla": 3.0}
RADIANS = np.array([2 * np.pi * 42.577478518 * 3.0 * te for te in SCAN["te_s"]], np.float32)
T, RELAX = np.float32(0.4), np.float32(1.7)


@pytest.fixture
def splitting():
    mask = np.zeros(GRID.shape, bool)
    mask[3:9, 4:11, 2:10] = True
    return TgvSplitting(Region(mask), GRID, float(T))


def fill(splitting, rng):
    """Give every volume random values where it may have some."""
    split = np.zeros(splitting.v.shape[1:], bool)
    rows = splitting.region.rows
    for x, y in np.ndindex(*splitting.region.shape[:2]):
        split[x + 1, y + 1, rows[x, y, 0] + 1 : rows[x, y, 1] + 1] = True
    whole = split.copy()
    for axis in range(3):
        # The guard layer is outside, so nothing comes round.
        whole &= np.roll(split, 1, axis)
    for volume, where in ((splitting.vectors, split), (splitting.v, split), (splitting.w, whole)):
        volume[...] = np.where(where, rng.standard_normal(volume.shape), 0)
    return split, whole


def derivative(v):
    """Symmetric derivative by backward differences."""
    d = [[(v[i] - np.roll(v[i], 1, a)) * INVERSE_MM[a] for a in range(3)] for i in range(3)]
    return np.stack([(d[i][j] + d[j][i]) / 2 for i, j in loops.AXES])


def divergence(w):
    """Adjoint of `derivative`, off-diagonals twice, by its definition."""
    double = np.array([1, 1, 1, 2, 2, 2]).reshape(6, 1, 1, 1)
    out, unit = np.zeros((3, *w.shape[1:])), np.zeros((3, *w.shape[1:]))
    for at in np.argwhere(np.ones(out.shape, bool)):
        # A voxel's derivative reaches to its neighbours alone.
        near = tuple(slice(max(n - 1, 0), n + 2) for n in at[1:])
        unit[tuple(at)] = 1
        patch = np.pad(unit[(slice(None), *near)], ((0, 0), (1, 0), (1, 0), (1, 0)))
        out[tuple(at)] = (double * w[(slice(None), *near)] * derivative(patch)[:, 1:, 1:, 1:]).sum()
        unit[tuple(at)] = 0
    return out


@pytest.mark.loops
@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_a_step_is_its_plain_twin_however_planes_are_shared_out(blocks, splitting, rng):
    split, whole = fill(splitting, rng)
    splitting.ends = splitting.ends[:1].repeat(blocks, axis=0)
    chi = rng.standard_normal(GRID.shape).astype(np.float32)
    g, v, w = (a.astype(float) for a in (splitting.vectors, splitting.v, splitting.w))
    gradient = np.stack([(np.roll(chi, -1, a) - chi) * INVERSE_MM[a] for a in range(3)])
    gradient = np.pad(gradient[(slice(None), *splitting.region.box)], ((0, 0), (1, 0), (1, 0), (1, 0)))
    dual = np.clip(g, -T, T)
    old = g - dual
    new = (gradient - old + dual + splitting.rho * v - divergence(w)) / (1 + splitting.rho)
    new = np.where(split, new, 0)
    ahead = np.where(split, 2 * new - v, 0)
    tensor = np.clip(w + splitting.sigma * derivative(ahead), -splitting.limit, splitting.limit)
    splitting.update(chi)
    np.testing.assert_allclose(splitting.v, new, atol=2e-5)
    relaxed = RELAX * (gradient - new) + (1 - RELAX) * old + dual
    np.testing.assert_allclose(splitting.vectors, np.where(split, relaxed, 0), atol=2e-5)
    np.testing.assert_allclose(splitting.w, np.where(whole, tensor, 0), atol=2e-5)


@pytest.mark.loops
def test_reflected_adjoint_is_the_adjoint(splitting, rng):
    fill(splitting, rng)
    chi = rng.standard_normal(GRID.shape)
    out = np.ones(GRID.shape, np.float32)
    splitting.reflect(out)
    target = np.zeros((3, *GRID.shape))
    g, v = splitting.vectors, splitting.v
    target[(slice(None), *splitting.region.box)] = (v + g - 2 * np.clip(g, -T, T))[:, 1:, 1:, 1:]
    gradient = np.stack([(np.roll(chi, -1, a) - chi) * INVERSE_MM[a] for a in range(3)])
    assert np.vdot(out, chi) == pytest.approx(np.vdot(target, gradient), rel=1e-4)


def wrapped(field):
    return np.angle(np.exp(1j * RADIANS[:, None, None, None] * field)).astype(np.float32)


@pytest.mark.loops
def test_the_laplacian_of_wrapped_phase_is_the_fields(rng):
    axes = np.meshgrid(
        *(np.arange(n) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)), indexing="ij"
    )
    field = (0.15 * axes[0] + 0.004 * axes[1] ** 2 - 0.003 * axes[0] * axes[2]).astype(np.float32)
    inner = np.zeros(GRID.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    magnitude = rng.random((3, *GRID.shape)).astype(np.float32) + np.float32(0.1)
    out = np.zeros(GRID.shape, np.float32)
    weights = tuple(np.float32(1 / v**2) for v in GRID.voxel_size_mm)
    loops.phase_laplacian(wrapped(field), magnitude, RADIANS, inner, weights, out)
    np.testing.assert_allclose(out, laplacian_inside(field, inner, GRID.voxel_size_mm), atol=1e-4)


def inverted(case, phase, **keywords):
    return qc.invert(phase, case.mask, case.grid, method="tgv", **{**SCAN, **keywords})


def test_a_ball_under_a_background_of_many_turns(ball_case):
    background = field_of(AIR_BELOW, ball_case.grid)
    phase = np.where(ball_case.mask, wrapped(ball_case.field + background), 0).astype(np.float32)
    chi = inverted(ball_case, phase)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = float((chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3)
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=0.1)
    assert float(np.linalg.norm(chi)) == pytest.approx(7.0417, rel=1e-3)


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"te_s": None}, "te_s"),
        ({"te_s": (0.004, 0.012)}, "te_s"),
        ({"te_s": (0.012, 0.004, 0.02)}, "te_s"),
        ({"options": {"max_iterations": 0}}, "max_iterations"),
    ],
)
def test_what_it_cannot_use_is_refused(keywords, match, ball_case):
    with pytest.raises(InvalidInputError, match=match):
        inverted(ball_case, wrapped(ball_case.field), **keywords)
