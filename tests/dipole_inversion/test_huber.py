"""Huber-regularised total variation: loops against plain NumPy, varying tissue, the weight from noise and tissue."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.dipole import forward_field
from qsmcmb.dipole_inversion import _huber_loops as loops
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.dipole_inversion.regularisation import tissue_gradient
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

GRID = Grid((11, 12, 13), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
INVERSE_MM = tuple(np.float32(1 / v) for v in GRID.voxel_size_mm)
SHRINK, KNEE, RELAX = np.float32(0.4), np.float32(0.25), np.float32(1.7)
BRAIN = Grid.isotropic((48, 48, 48), 1.0)


def huber_dual(length: FloatArray, t: FloatArray) -> FloatArray:
    """Return the dual's length by its definition: v - z, with z the minimiser of H(z) t + (z - v)^2 / 2."""
    shrunk = np.where(length <= KNEE + t, length * KNEE / (KNEE + t), length - t)
    return length - shrunk


def test_the_share_of_the_dual_is_that_of_the_proximal_step(rng):
    chi = rng.standard_normal(GRID.shape).astype(np.float32)
    mask = np.zeros(GRID.shape, bool)
    mask[3:8, 4:9, 2:10] = True
    region = Region(mask)
    vectors, shape = region.vectors(), tuple(n + 1 for n in region.shape)
    weights = rng.uniform(0.2, 1, (1, *shape)).astype(np.float32)
    factors = np.zeros(shape, np.float32)
    loops.update_vectors(
        chi,
        vectors,
        (weights, factors),
        region.rows,
        region.start,
        (SHRINK, KNEE),
        INVERSE_MM,
        np.float32(1),
    )
    split = np.zeros(region.shape, bool)
    for x, y in np.ndindex(*region.shape[:2]):
        split[x, y, region.rows[x, y, 0] : region.rows[x, y, 1]] = True
    gradient = np.stack([(np.roll(chi, -1, a) - chi) * INVERSE_MM[a] for a in range(3)])
    gradient = gradient[(slice(None), *region.box)]
    # From zero and without over-relaxation the sum is the gradient itself.
    np.testing.assert_allclose(vectors[:, 1:, 1:, 1:][:, split], gradient[:, split], rtol=1e-5)
    length = np.sqrt((gradient**2).sum(axis=0))[split]
    expected = huber_dual(length, SHRINK * weights[0, 1:, 1:, 1:][split]) / length
    np.testing.assert_allclose(factors[1:, 1:, 1:][split], expected, rtol=2e-5)


def test_the_reflection_is_the_adjoint_of_the_difference(rng):
    mask = np.ones(GRID.shape, bool)
    mask[0] = mask[:, 0] = mask[..., 0] = mask[-1] = mask[:, -1] = mask[..., -1] = False
    region = Region(mask)
    vectors, shape = region.vectors(), tuple(n + 1 for n in region.shape)
    inner = (slice(1, -1),) * 3
    vectors[(slice(None), *inner)] = rng.standard_normal((3, *(n - 2 for n in shape)))
    factors = np.zeros(shape, np.float32)
    factors[inner] = rng.uniform(0, 1, tuple(n - 2 for n in shape))
    out, other = np.empty(GRID.shape, np.float32), rng.standard_normal(GRID.shape)
    loops.reflected_adjoint(vectors, factors, region.start, INVERSE_MM, out)
    gradient = np.stack([(np.roll(other, -1, a) - other) * INVERSE_MM[a] for a in range(3)])
    aim = ((1 - 2 * factors) * vectors)[:, 1:, 1:, 1:]
    assert np.vdot(out, other) == pytest.approx(
        float(np.vdot(aim, gradient[(slice(None), *region.box)])), rel=1e-4
    )


def test_a_residual_is_given_back_up_to_its_limit():
    mask = np.ones(GRID.shape, bool)
    region = Region(mask)
    field = np.zeros(GRID.shape, np.float32)
    field[2, 3, 4], field[3, 3, 4], field[4, 4, 4] = 0.1, 5.0, -5.0
    weight2 = np.ones(GRID.shape, np.float32)
    weight2[4, 4, 4], weight2[2, 3, 4] = 0.25, 1.0
    weight2[3, 3, 5] = 0
    aim, model = field.copy(), np.zeros(GRID.shape, np.float32)
    model[3, 3, 5] = 1.0
    loops.add_residual(field, weight2, region.start, np.float32(0.3), model, aim)
    assert aim[2, 3, 4] == pytest.approx(0.2)
    assert aim[3, 3, 4] == pytest.approx(5.3)
    assert aim[4, 4, 4] == pytest.approx(-5.6)
    assert aim[3, 3, 5] == 0


@cache
def tissue() -> tuple[FloatArray, BoolArray]:
    """Return a brain of random tissue (power law), a nucleus and a vein, ppm, and its mask."""
    rng = np.random.default_rng(5)
    k2 = sum(np.meshgrid(*[np.fft.fftfreq(48) ** 2] * 2, np.fft.rfftfreq(48) ** 2, indexing="ij"))
    k2[0, 0, 0] = np.inf
    chi = np.fft.irfftn(
        np.fft.rfftn(rng.standard_normal(BRAIN.shape)) * k2**-0.7, BRAIN.shape, axes=(0, 1, 2)
    )
    chi *= 0.015 / chi.std()
    r = np.sqrt(((np.indices(BRAIN.shape) - 23.5) ** 2).sum(axis=0))
    chi[12:20, 18:28, 20:26] += 0.1
    chi[30, 24, 8:40] += 0.15
    mask = r < 20
    chi = np.where(mask, chi, 0)
    return (chi - chi[mask].mean() * mask).astype(np.float32), mask


def scores(method: str, noise: float, **options) -> tuple[float, float]:
    """Return relative error and slope of a method's map of the tissue."""
    chi, mask = tissue()
    field = forward_field(chi, BRAIN) + np.random.default_rng(6).normal(0, noise, BRAIN.shape)
    found = qc.invert(
        (field * mask).astype(np.float32),
        mask,
        BRAIN,
        method=method,
        options=options,
        te_s=[0.02],
        b0_tesla=3.0,
    )
    x, truth = found[mask] - found[mask].mean(), chi[mask] - chi[mask].mean()
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth)), float(x @ truth / (truth @ truth))


@pytest.mark.parametrize("noise", [0.001, 0.004])
def test_maps_of_tissue_are_nearer_than_by_total_variation(noise):
    error, slope = scores("huber", noise)
    for other in ("tv", "nltv", "fansi_tgv"):
        larger, lower = scores(other, noise)
        assert error < larger
        assert slope > lower + 0.02
    assert slope > (0.85 if noise < 0.002 else 0.6)


def test_refinement_undoes_the_bias_of_the_penalty():
    assert scores("huber", 0.004, refinements=2)[1] > scores("huber", 0.004, refinements=0)[1] + 0.05


def test_the_weight_falls_with_the_square_of_the_noise():
    chi, mask = tissue()
    field = forward_field(chi, BRAIN) * mask
    given = [
        qc.invert(
            field,
            mask,
            BRAIN,
            method="huber",
            options={"regularisation": s**2 / 0.008, "tissue_ppm_per_mm": 0.01},
        )
        for s in (0.001, 0.004)
    ]
    left = [float(np.std((forward_field(x, BRAIN) - field)[mask])) for x in given]
    assert left[1] > 3 * left[0]


@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.004])
def test_the_gradient_of_tissue_is_told_from_that_of_noise(noise):
    chi, mask = tissue()
    field = forward_field(chi, BRAIN) + np.random.default_rng(7).normal(0, noise, BRAIN.shape)
    found = tissue_gradient((field * mask).astype(np.float32), mask, BRAIN, noise)
    truth = np.median(np.abs(np.diff(chi, axis=0)[mask[1:] & mask[:-1]])) / 0.6745
    assert found == pytest.approx(truth, rel=0.35)


def test_the_map_of_a_part_has_the_weights_of_the_whole():
    chi, mask = tissue()
    whole = (forward_field(chi, BRAIN) + np.random.default_rng(8).normal(0, 0.002, BRAIN.shape)) * mask
    whole = whole.astype(np.float32)
    lesion = np.zeros(BRAIN.shape, np.float32)
    lesion[26:29, 20:23, 14:17] = 0.3
    part = forward_field(lesion, BRAIN) * mask
    both, without, alone, unlike = (
        qc.invert(f, mask, BRAIN, method="huber", weights_field_ppm=w)
        for f, w in ((whole + part, whole), (whole, whole), (part, whole), (part, None))
    )
    truth = lesion > 0
    contrast = float((both - without)[truth].mean() / 0.3)
    assert alone[truth].mean() / 0.3 == pytest.approx(contrast, abs=0.1)
    assert not np.allclose(alone, unlike, atol=1e-3)


def test_a_hole_in_the_field_of_the_weights_is_refused():
    chi, mask = tissue()
    holes = forward_field(chi, BRAIN)
    holes[24, 24, 24] = np.nan
    with pytest.raises(InvalidInputError, match="weights_field_ppm"):
        qc.invert(forward_field(chi, BRAIN), mask, BRAIN, method="huber", weights_field_ppm=holes)


def test_a_field_of_noise_alone_has_next_to_no_tissue(rng):
    mask = np.ones(BRAIN.shape, bool)
    noise = rng.normal(0, 0.01, BRAIN.shape).astype(np.float32)
    tissue_alone = tissue_gradient(noise, mask, BRAIN, 0.0)
    assert tissue_gradient(noise, mask, BRAIN, 0.01) < 0.3 * tissue_alone


def test_a_mask_thinner_than_its_edge_still_has_a_gradient(rng):
    mask = np.zeros(GRID.shape, bool)
    mask[4:7, 4:8, 4:9] = True
    field = np.where(mask, rng.normal(0, 0.01, GRID.shape), 0).astype(np.float32)
    assert tissue_gradient(field, mask, GRID, 0.001) > 0


@pytest.mark.parametrize(
    ("option", "value"), [("tissue_ppm_per_mm", 0.0), ("refinements", 51), ("regularisation", 0.0)]
)
def test_an_option_out_of_range_is_named(option, value):
    chi, mask = tissue()
    with pytest.raises(InvalidInputError, match=option):
        qc.invert(chi, mask, BRAIN, method="huber", options={option: value})


def test_an_empty_field_gives_an_empty_map():
    chi, mask = tissue()
    assert not qc.invert(np.zeros_like(chi), mask, BRAIN, method="huber").any()
