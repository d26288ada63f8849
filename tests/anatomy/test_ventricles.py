"""Fluid of the lateral ventricles, found in heads of known anatomy, and not found where there is none to see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.anatomy.ventricles import find_ventricles
from qsmcmb.model import Grid
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.recipe import read_recipe

GRID = Grid.isotropic((90, 108, 90), 2.0)


@pytest.fixture(scope="module", params=[102, 7, 8])
def head(request: pytest.FixtureRequest):
    """Return brain mask, R2* (1/s) and signal at TE 0 of a head without lesions."""
    anatomy = make_anatomy(replace(read_recipe("head2"), seed=request.param))
    points = np.moveaxis(GRID.to_world(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0).astype(np.float32)
    tissue = anatomy.tissue(points)
    return tissue.brain, tissue.r2star_hz, tissue.signal


def echoes(head, te_s, rng):
    brain, rate, signal = head
    clean = np.stack([np.where(brain, signal, 0) * np.exp(-t * rate) for t in te_s])
    return (clean + 0.01 * rng.standard_normal(clean.shape)).astype(np.float32)


def test_the_region_is_fluid_with_and_without_r2star(head, rng):
    brain, rate, _ = head
    magnitude = echoes(head, (0.005, 0.025), rng)
    noisy = (rate + rng.standard_normal(GRID.shape)).astype(np.float32)
    by_rate = find_ventricles(magnitude, noisy, brain, GRID)
    by_brightness = find_ventricles(magnitude[1:], None, brain, GRID)
    # The head's fluid has an R2* of 1 to 5, its tissue 14 and more. Without R2* bright tissue slips in.
    for found, median, pure in ((by_rate, 4, 0.95), (by_brightness, 6, 0.75)):
        assert 1000 < found.sum() * GRID.voxel_volume_mm3 < 30000
        assert np.median(rate[found]) < median
        assert (rate[found] < 11).mean() > pure
        assert brain[found].all()


def test_dark_fluid_and_a_slab_without_ventricles_give_nothing(head, rng):
    brain, rate, signal = head
    dark = np.where(rate < 8, 0.5, 1.0).astype(np.float32) * signal
    assert not find_ventricles(dark[None], None, brain, GRID).any()
    low = brain.copy()
    low[:, :, 30:] = False
    flat = np.where(low, 15, 0).astype(np.float32) + rng.standard_normal(GRID.shape).astype(np.float32)
    assert not find_ventricles(low[None].astype(np.float32), flat, low, GRID).any()
