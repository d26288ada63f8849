"""Loops of the masked Poisson solver against a dense graph Laplacian, on both forms of a level."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _laplacian_loops as loops
from qsmcmb.unwrapping._masked_poisson import Graph, finest_graph

pytestmark = pytest.mark.loops
VOXEL_MM = (1.0, 2.0, 1.5)
FORMS = pytest.mark.parametrize("form", ["bits", "weights"])


def wrap(step: FloatArray) -> FloatArray:
    return step - 2 * np.pi * np.floor(step / (2 * np.pi) + 0.5)


@pytest.fixture
def mask(rng: np.random.Generator) -> BoolArray:
    """Return a mask with holes, a lone voxel and a face of voxels outside."""
    mask = np.zeros((8, 9, 10), bool)
    mask[1:-1, 1:-1, 1:-1] = rng.random((6, 7, 8)) < 0.75
    mask[3, :6] = False
    mask[3, 2, 4] = True
    mask[2, 2, 4] = mask[4, 2, 4] = mask[3, 1, 4] = mask[3, 3, 4] = mask[3, 2, 3] = mask[3, 2, 5] = False
    return mask


def edges_of(mask: BoolArray) -> FloatArray:
    """Return the weight of the edge from each voxel to the next along each axis, the finest spacing's being 1."""
    out = np.zeros((3, *mask.shape))
    for axis, v in enumerate(VOXEL_MM):
        out[axis] = np.where(mask & np.roll(mask, -1, axis), (min(VOXEL_MM) / v) ** 2, 0)
    return out


def dense(edges: FloatArray, u: FloatArray) -> FloatArray:
    """Return sum over neighbours of w (u_i - u_j)."""
    out = np.zeros(u.shape)
    for axis in range(3):
        flow = edges[axis] * (u - np.roll(u, -1, axis))
        out += flow - np.roll(flow, 1, axis)
    return out


def degree(edges: FloatArray) -> FloatArray:
    return sum(edges[a] + np.roll(edges[a], 1, a) for a in range(3))


def graph_of(mask: BoolArray, form: str) -> Graph:
    """Return the finest level, or the same as a coarser one would be written."""
    fine = finest_graph(mask, VOXEL_MM)
    if form == "bits":
        return fine
    w, steps = edges_of(mask).astype(np.float32), np.zeros(mask.shape, np.float32)
    loops.step_sizes(w, steps)
    rows = np.zeros((*mask.shape[:2], 2), np.int32)
    loops.mark_rows(steps, rows)
    return Graph(w, fine.weight, steps, rows)


def in_rows(volume: FloatArray, rows: AnyArray) -> FloatArray:
    z = np.arange(volume.shape[2])
    return np.where((z >= rows[..., :1]) & (z < rows[..., 1:]), volume, 0).astype(np.float32)


def test_bits_say_which_neighbours_are_joined(mask: BoolArray) -> None:
    fine, edges = finest_graph(mask, VOXEL_MM), edges_of(mask) > 0
    for axis in range(3):
        np.testing.assert_array_equal((fine.w & loops.NEXT[axis]) > 0, edges[axis])
        np.testing.assert_array_equal((fine.w & loops.LAST[axis]) > 0, np.roll(edges[axis], 1, axis))
    assert fine.w[3, 2, 4] == 0


@FORMS
def test_step_sizes_are_the_damped_inverse_of_the_diagonal(form: str, mask: BoolArray) -> None:
    graph, total = graph_of(mask, form), degree(edges_of(mask))
    expected = np.where(total > 0, 0.8 / np.maximum(total, 1e-9), 0)
    found = graph.steps[graph.w] if form == "bits" else graph.steps
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@FORMS
def test_rows_begin_and_end_with_joined_voxels(form: str, mask: BoolArray) -> None:
    rows = graph_of(mask, form).rows
    for joined, ends in zip((degree(edges_of(mask)) > 0).reshape(-1, 10), rows.reshape(-1, 2), strict=True):
        where = np.flatnonzero(joined)
        assert list(ends) == ([where[0], where[-1] + 1] if len(where) else [0, 0])


@FORMS
def test_the_operator_and_its_energy(form: str, mask: BoolArray, rng: np.random.Generator) -> None:
    graph = graph_of(mask, form)
    u, out = in_rows(rng.standard_normal(mask.shape), graph.rows), np.zeros(mask.shape, np.float32)
    energy = loops.apply_graph(u, graph, out)
    expected = dense(edges_of(mask), u.astype(float))
    np.testing.assert_allclose(out, expected, atol=1e-5)
    assert energy == pytest.approx(float((u * expected).sum()), rel=1e-5)


@FORMS
def test_a_smoothing_step_is_damped_jacobi(form: str, mask: BoolArray, rng: np.random.Generator) -> None:
    graph = graph_of(mask, form)
    u, b = (in_rows(rng.standard_normal(mask.shape), graph.rows) for _ in range(2))
    total = degree(edges_of(mask))
    size = np.where(total > 0, 0.8 / np.maximum(total, 1e-9), 0)
    first = u + size * (b - dense(edges_of(mask), u.astype(float)))
    second = first + size * (b - dense(edges_of(mask), first))
    out = np.zeros_like(u)
    loops.smooth(u, b, graph, out)
    np.testing.assert_allclose(out, first, atol=1e-5)
    assert loops.smooth_dot(u, b, graph) == pytest.approx(float((b * first).sum()), rel=1e-4, abs=1e-4)
    again, spare = u.copy(), np.zeros_like(u)
    loops.smooth_often(again, b, graph, spare, 1)
    np.testing.assert_allclose(spare, first, atol=1e-5)
    np.testing.assert_allclose(again, second, atol=2e-5)
    loops.first_step(b, graph, out)
    np.testing.assert_allclose(out, size * b, atol=1e-6)


def test_a_turn_of_the_direction_is_a_smoothing_step_and_part_of_the_last(
    mask: BoolArray, rng: np.random.Generator
) -> None:
    graph = graph_of(mask, "bits")
    u, b, p = (in_rows(rng.standard_normal(mask.shape), graph.rows) for _ in range(3))
    smoothed = np.zeros_like(u)
    loops.smooth(u, b, graph, smoothed)
    expected = np.where(degree(edges_of(mask)) > 0, smoothed + np.float32(0.3) * p, 0)
    rows = in_rows(np.ones(mask.shape), graph.rows) > 0
    expected = np.where(rows, expected, p)
    loops.smooth_turn(u, b, graph, np.float32(0.3), p)
    np.testing.assert_allclose(p, expected, atol=1e-6)


@FORMS
def test_a_coarser_level_sums_what_crosses_between_blocks(form: str, mask: BoolArray) -> None:
    graph, edges = graph_of(mask, form), edges_of(mask)
    coarse = np.zeros((3, *((n - 1) // 2 + 2 for n in mask.shape)), np.float32)
    loops.coarsen(graph.w, graph.weight, coarse)
    expected = np.zeros(coarse.shape)
    block = [(np.arange(n) + 1) // 2 for n in mask.shape]
    for axis in range(3):
        for at in np.argwhere(edges[axis] > 0):
            ahead = at.copy()
            ahead[axis] += 1
            here, there = (tuple(block[a][i] for a, i in enumerate(p)) for p in (at, ahead))
            expected[(axis, *here)] += edges[(axis, *at)] if here != there else 0
    np.testing.assert_allclose(coarse, expected, rtol=1e-5)


@FORMS
def test_residuals_are_summed_over_blocks_and_corrections_handed_back(
    form: str, mask: BoolArray, rng: np.random.Generator
) -> None:
    graph = graph_of(mask, form)
    shape = tuple((n - 1) // 2 + 2 for n in mask.shape)
    u, b = (in_rows(rng.standard_normal(mask.shape), graph.rows) for _ in range(2))
    rest = b - dense(edges_of(mask), u.astype(float))
    block = [(np.arange(n) + 1) // 2 for n in mask.shape]
    expected = np.zeros(shape)
    np.add.at(expected, np.ix_(*block), in_rows(rest, graph.rows))
    coarse_rows = np.zeros((*shape[:2], 2), np.int32)
    coarse_rows[1:-1, 1:-1] = 1, shape[2] - 1
    out = np.zeros(shape, np.float32)
    loops.restrict_residual(u, b, graph, coarse_rows, out)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(out[inner], expected[inner], atol=2e-5)
    coarse = rng.standard_normal(shape).astype(np.float32)
    handed = u + np.where(
        in_rows(np.ones(mask.shape), graph.rows) > 0, np.float32(1.8) * coarse[np.ix_(*block)], 0
    )
    loops.add_coarse(u, coarse, np.float32(1.8), graph.rows)
    np.testing.assert_allclose(u, handed, atol=1e-5)


def test_the_right_side_is_the_operator_on_wrapped_steps(mask: BoolArray, rng: np.random.Generator) -> None:
    graph = graph_of(mask, "bits")
    phase, out = rng.uniform(-np.pi, np.pi, mask.shape).astype(np.float32), np.zeros(mask.shape, np.float32)
    expected, edges = np.zeros(mask.shape), edges_of(mask)
    for axis in range(3):
        flow = edges[axis] * wrap(phase.astype(float) - np.roll(phase, -1, axis))
        expected += flow - np.roll(flow, 1, axis)
    loops.wrapped_laplacian(phase, graph.w, graph.weight, out)
    np.testing.assert_allclose(out, expected, atol=2e-5)


def test_products_and_advances_keep_to_the_rows(mask: BoolArray, rng: np.random.Generator) -> None:
    graph = graph_of(mask, "bits")
    p, q, r = (in_rows(rng.standard_normal(mask.shape), graph.rows) for _ in range(3))
    assert loops.dot(p, q, graph.rows) == pytest.approx(float((p.astype(float) * q).sum()), rel=1e-5)
    # The result has no faces, and the mask's box begins at (1, 0, 2) in it.
    x = np.ones((8, 7, 11), np.float32)
    expected = x.copy()
    expected[1:7, 0:7, 2:10] += np.float32(0.5) * p[1:-1, 1:-1, 1:-1]
    rest = r - np.float32(0.5) * q
    loops.advance(np.float32(0.5), p, q, graph.rows, (1, 0, 2), x, r)
    np.testing.assert_allclose(x, expected, atol=1e-6)
    np.testing.assert_allclose(r, rest, atol=1e-6)


def test_a_part_gets_the_wrapped_phases_mean_on_the_circle(rng: np.random.Generator) -> None:
    inside = rng.random((4, 5, 6)) < 0.6
    unwrapped = rng.standard_normal(inside.shape).astype(np.float32)
    wrapped = wrap(unwrapped + 2.9 + 0.3 * rng.standard_normal(inside.shape)).astype(np.float32)
    amount = np.angle(np.exp(1j * (wrapped - unwrapped))[inside].sum())
    expected = unwrapped + np.where(inside, amount, 0)
    loops.settle(wrapped, inside, unwrapped)
    np.testing.assert_allclose(unwrapped, expected, atol=1e-5)
