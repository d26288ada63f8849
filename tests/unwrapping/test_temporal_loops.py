"""The loop that follows the echoes in time, outwards from any of them."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.unwrapping import _temporal_loops as loops

pytestmark = pytest.mark.loops
TE_S = np.array([0.004, 0.009, 0.015, 0.022], np.float32)


@pytest.mark.parametrize("first", range(4))
def test_each_echo_lies_within_half_a_turn_of_its_neighbours_scaled(
    first: int, rng: np.random.Generator
) -> None:
    mask = rng.random((3, 4, 5)) < 0.7
    start, shape = (1, 2, 0), (5, 7, 6)
    phase = rng.uniform(-np.pi, np.pi, (4, *shape)).astype(np.float32)
    out = np.full((4, *shape), np.float32(99))
    out[first] = 5 * rng.standard_normal(shape)
    box = tuple(slice(s, s + n) for s, n in zip(start, mask.shape, strict=True))
    expected = out.astype(float)
    for e in [*range(first + 1, 4), *range(first - 1, -1, -1)]:
        near = e - 1 if e > first else e + 1
        ahead = expected[(near, *box)] * float(TE_S[e] / TE_S[near])
        turns = np.floor((ahead - phase[(e, *box)]) / (2 * np.pi) + 0.5)
        expected[(e, *box)] = np.where(mask, phase[(e, *box)] + 2 * np.pi * turns, expected[(e, *box)])
    loops.follow_in_time(phase, mask, start, TE_S, first, out)
    np.testing.assert_allclose(out, expected, atol=2e-4)


def test_a_line_through_the_origin_comes_back(rng: np.random.Generator) -> None:
    field = rng.uniform(-40, 40, (3, 4, 5))
    truth = (2 * np.pi * TE_S[:, None, None, None] * field).astype(np.float32)
    out = np.zeros_like(truth)
    out[0] = truth[0]
    wrapped = np.angle(np.exp(1j * truth)).astype(np.float32)
    loops.follow_in_time(wrapped, np.ones(field.shape, bool), (0, 0, 0), TE_S, 0, out)
    np.testing.assert_allclose(out, truth, atol=1e-4)


def test_what_lies_outside_the_mask_is_neither_used_nor_written(rng: np.random.Generator) -> None:
    mask = rng.random((4, 5, 6)) < 0.6
    # A row without a voxel, one that is full, one with a hole.
    mask[0, 0], mask[1, 1], mask[2, 2] = False, True, [False, True, False, False, True, False]
    phase = np.where(mask, rng.uniform(-np.pi, np.pi, (4, *mask.shape)), np.nan).astype(np.float32)
    out = np.full(phase.shape, np.float32(99))
    out[1] = np.where(mask, 1, np.nan)
    loops.follow_in_time(phase, mask, (0, 0, 0), TE_S, 1, out)
    assert np.isfinite(out[:, mask]).all()
    assert (out[[0, 2, 3]][:, ~mask] == 99).all()
