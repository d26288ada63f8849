"""Laplacian and best-path unwrapping, singularities."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import METHODS
from qsmcmb.unwrapping import _bestpath_loops as loops
from qsmcmb.unwrapping import _laplacian_loops as loops_of_graph
from qsmcmb.unwrapping._masked_poisson import Graph, MaskedPoisson
from qsmcmb.unwrapping.singularities import find_singularities

TE_S = (0.004, 0.009, 0.014)
GRID = Grid((29, 26, 22), (1.0, 1.0, 1.5))
EXACT = [("romeo", {}), ("bestpath", {}), ("bestpath", {"individual": True}), ("laplacian", {"exact": True}),
         ("laplacian", {"exact": True, "solver": "fft"})]  # fmt: skip


def coordinates() -> FloatArray:
    axes = [(np.arange(n) - (n - 1) / 2) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def hollow_ball() -> BoolArray:
    x, y, z = coordinates()
    r2 = x**2 + y**2 + z**2
    return np.asarray((r2 < 12**2) & ((x - 4) ** 2 + y**2 + z**2 > 3**2))


def echoes_of(rng: np.random.Generator, noise: float) -> tuple[FloatArray, FloatArray]:
    x, y, z = coordinates()
    field = 10 + 6 * x + 0.3 * y**2 - 4 * z
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * field
    signal = np.exp(1j * truth) + noise * (
        rng.standard_normal(truth.shape) + 1j * rng.standard_normal(truth.shape)
    )
    return truth, np.angle(signal).astype(np.float32)


@pytest.mark.parametrize(("method", "options"), EXACT)
def test_truth_is_found_around_a_hole_in_noise(
    method: str, options: dict[str, object], rng: np.random.Generator
) -> None:
    mask = hollow_ball()
    truth, wrapped = echoes_of(rng, 0.08)
    found = qc.unwrap(wrapped, mask, GRID, method=method, te_s=TE_S, options=options)
    turns = (found - wrapped)[:, mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-4
    assert not found[:, ~mask].any()
    wrong = np.abs(found - truth)[:, mask] > np.pi
    assert wrong.mean() < 0.001


@pytest.mark.parametrize("solver", ["masked", "fft"])
def test_smooth_phase_without_noise_comes_back(solver: str, rng: np.random.Generator) -> None:
    truth, wrapped = echoes_of(rng, 0.0)
    mask = np.ones(GRID.shape, bool) if solver == "fft" else hollow_ball()
    options = {"solver": solver, "tolerance": 1e-5}
    found = qc.unwrap(wrapped, mask, GRID, method="laplacian", te_s=TE_S, options=options)
    assert np.abs(found - truth)[:, mask].max() < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_parts_do_not_disturb_each_other(method: str, rng: np.random.Generator) -> None:
    """One part alone gives what it gives beside another."""
    _, wrapped = echoes_of(rng, 0.05)
    mask = np.zeros(GRID.shape, bool)
    mask[2:12, 3:20, 3:20] = True
    alone = qc.unwrap(wrapped[2:], mask, GRID, method=method)
    both = mask.copy()
    both[15:27, 3:20, 3:20] = True
    beside = qc.unwrap(wrapped[2:], both, GRID, method=method)
    difference = (alone - beside)[:, mask]
    assert np.ptp(difference) < (0.1 if method == "laplacian" else 1e-4)


@pytest.mark.loops
def test_masked_solver_is_dense_least_squares(rng: np.random.Generator) -> None:
    mask = np.zeros((6, 5, 4), bool)
    mask[0:5, 1:5, 0:4] = True
    mask[2, 2, 2] = False
    phase = rng.uniform(-np.pi, np.pi, mask.shape).astype(np.float32)
    size = (1.0, 2.0, 1.5)
    found = np.zeros(mask.shape, np.float32)
    MaskedPoisson(mask, size).unwrap(phase, found, tolerance=1e-6, max_iterations=500)
    number = np.cumsum(mask.ravel()).reshape(mask.shape) - 1
    rows, steps = [], []
    for axis, v in enumerate(size):
        for a in np.argwhere(mask):
            b = a + np.eye(3, dtype=int)[axis]
            if b[axis] < mask.shape[axis] and mask[tuple(b)]:
                row = np.zeros(int(mask.sum()))
                row[number[tuple(b)]], row[number[tuple(a)]] = 1 / v, -1 / v
                step = float(phase[tuple(b)] - phase[tuple(a)])
                rows.append(row)
                steps.append((step - 2 * np.pi * np.floor(step / (2 * np.pi) + 0.5)) / v)
    expected = np.linalg.lstsq(np.array(rows), np.array(steps), rcond=None)[0]
    difference = found[mask] - expected
    assert np.ptp(difference) < 1e-3


def test_an_echo_that_starts_from_another_is_what_it_is_alone(rng: np.random.Generator) -> None:
    mask = hollow_ball()
    _, wrapped = echoes_of(rng, 0.05)
    solver = MaskedPoisson(mask, GRID.voxel_size_mm)
    after, alone = np.zeros_like(wrapped), np.zeros(GRID.shape, np.float32)
    for phase, found in zip(wrapped, after, strict=True):
        solver.unwrap(phase, found, tolerance=1e-4, max_iterations=100)
    MaskedPoisson(mask, GRID.voxel_size_mm).unwrap(wrapped[-1], alone, tolerance=1e-4, max_iterations=100)
    assert np.ptp((after[-1] - alone)[mask]) < 0.01


def test_smoothing_is_the_same_from_zero_and_where_its_result_is_used(rng: np.random.Generator) -> None:
    finest, coarse = (level.graph for level in MaskedPoisson(hollow_ball(), GRID.voxel_size_mm).levels[:2])
    for graph in (finest, coarse):
        b, u = (inside_rows(rng.standard_normal(graph.w.shape[-3:]), graph.rows) for _ in range(2))
        one, two = np.zeros_like(b), np.zeros_like(b)
        loops_of_graph.smooth(np.zeros_like(b), b, graph, one)
        loops_of_graph.first_step(b, graph, two)
        np.testing.assert_array_equal(one, two)
        loops_of_graph.smooth(u, b, graph, one)
        assert loops_of_graph.smooth_dot(u, b, graph) == loops_of_graph.dot(b, one, graph.rows)
        bend = loops_of_graph.apply_graph(b, graph, two)
        assert bend == pytest.approx(float((b * two)[1:-1, 1:-1, 1:-1].sum(dtype=float)), rel=1e-5)
    b, u, last = (inside_rows(rng.standard_normal(finest.w.shape), finest.rows) for _ in range(3))
    one, two = np.zeros_like(b), last.copy()
    loops_of_graph.smooth(u, b, finest, one)
    loops_of_graph.smooth_turn(u, b, finest, np.float32(0.5), two)
    np.testing.assert_array_equal(two, np.where(finest.w > 0, one + np.float32(0.5) * last, 0))


def inside_rows(volume: FloatArray, rows: AnyArray) -> FloatArray:
    z = np.arange(volume.shape[2])
    return np.where((z >= rows[..., :1]) & (z < rows[..., 1:]), volume, 0).astype(np.float32)


def test_bits_of_edges_weigh_as_written_weights_do(rng: np.random.Generator) -> None:
    """The finest level against the same graph in the coarser levels' form."""
    fine = MaskedPoisson(hollow_ball(), GRID.voxel_size_mm).levels[0].graph
    bits = np.array([1, 2, 4], np.uint8)[:, None, None, None]
    w = np.where(fine.w & bits, fine.weight[:, None, None, None], np.float32(0))
    steps = np.zeros(fine.w.shape, np.float32)
    loops_of_graph.step_sizes(w, steps)
    written = Graph(w, fine.weight, steps, fine.rows)
    np.testing.assert_array_equal(steps, fine.steps[fine.w])
    u, b = (inside_rows(rng.standard_normal(steps.shape), fine.rows) for _ in range(2))
    for loop in (loops_of_graph.smooth, lambda *a: loops_of_graph.apply_graph(a[0], *a[2:])):
        one, two = np.zeros_like(u), np.zeros_like(u)
        loop(u, b, fine, one)
        loop(u, b, written, two)
        np.testing.assert_array_equal(one, two)
    one, two = (np.zeros((3, *((n - 1) // 2 + 2 for n in steps.shape)), np.float32) for _ in range(2))
    loops_of_graph.coarsen(fine.w, fine.weight, one)
    loops_of_graph.coarsen(w, fine.weight, two)
    np.testing.assert_array_equal(one, two)


@pytest.mark.loops
def test_edges_come_in_order_of_their_roughness(rng: np.random.Generator) -> None:
    mask = np.zeros((6, 7, 8), bool)
    mask[1:-1, 1:-1, 1:-1] = rng.random((4, 5, 6)) < 0.8
    rough = (mask * rng.gamma(1.0, 3.0, mask.shape)).astype(np.float32)
    stride = np.array([56, 8, 1])
    found = loops.sorted_edges(mask.ravel(), rough.ravel(), stride)
    edges, keys = [], []
    for axis, step in enumerate(stride):
        start = np.flatnonzero(mask)
        start = start[mask.ravel()[start + step]]
        edges.append(3 * start + axis)
        keys.append((rough.ravel()[start] + rough.ravel()[start + step]).view(np.uint32) >> 15)
    order = np.argsort(np.concatenate(keys), kind="stable")
    np.testing.assert_array_equal(found, np.concatenate(edges)[order])


@pytest.mark.loops
def test_second_differences_are_their_plain_twin(rng: np.random.Generator) -> None:
    phase = rng.uniform(-np.pi, np.pi, (7, 6, 5)).astype(np.float32)
    mask = np.zeros(phase.shape, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    out = np.zeros_like(phase)
    loops.second_differences(phase, mask, out)

    def wrap(d: float) -> float:
        return d - 2 * np.pi * float(np.floor(d / (2 * np.pi) + 0.5))

    for v in np.argwhere(mask):
        total, count = 0.0, 0
        for step in np.ndindex(3, 3, 3):
            a, b = v + np.array(step) - 1, v - np.array(step) + 1
            if step > (1, 1, 1) and mask[tuple(a)] and mask[tuple(b)]:
                here = float(phase[tuple(v)])
                total += (wrap(float(phase[tuple(a)]) - here) - wrap(here - float(phase[tuple(b)]))) ** 2
                count += 1
        assert out[tuple(v)] == pytest.approx(13 * total / count if count else 1e4, rel=1e-4)


@pytest.mark.loops
def test_groups_are_joined_along_the_edges_in_their_order(rng: np.random.Generator) -> None:
    """Every group moves as a whole: a list of voxels in place of a tree."""
    mask = np.zeros((6, 7, 8), bool)
    mask[1:-1, 1:-1, 1:-1] = rng.random((4, 5, 6)) < 0.8
    phase = rng.uniform(-np.pi, np.pi, mask.shape).astype(np.float32)
    stride = np.array([56, 8, 1])
    edges = rng.permutation(
        [3 * v + d for d in range(3) for v in np.flatnonzero(mask) if mask.ravel()[v + stride[d]]]
    ).astype(np.int32)
    flat = phase.ravel().astype(float)
    group = {int(v): [int(v)] for v in np.flatnonzero(mask)}
    for edge in edges:
        a, b = int(edge // 3), int(edge // 3 + stride[edge % 3])
        one, other = group[a], group[b]
        if one is other:
            continue
        turns = np.floor((flat[a] - flat[b]) / (2 * np.pi) + 0.5)
        if len(one) < len(other):
            one, other, turns = other, one, -turns
        for v in other:
            flat[v] += 2 * np.pi * turns
            group[v] = one
        one += other
    found, parent = phase.ravel().copy(), np.arange(phase.size, dtype=np.int32)
    turned = np.zeros(phase.size, np.int32)
    loops.join_edges(found, edges, stride, parent, turned)
    loops.turn_voxels(found, mask.ravel(), parent, turned)
    for voxels in {id(g): g for g in group.values()}.values():
        away = (found[voxels] - flat[voxels]) / (2 * np.pi)
        # The whole of a group may lie turns away, no part of it.
        assert np.ptp(away) < 1e-5
    np.testing.assert_array_equal(found[~mask.ravel()], phase.ravel()[~mask.ravel()])


def test_an_open_fringe_is_found_and_loops_of_noise_are_not(rng: np.random.Generator) -> None:
    x, y, z = coordinates()
    mask = hollow_ball()
    vortex = np.arctan2(y - 0.4, x + 5.3) + 0.2 * z
    noisy = np.angle(np.exp(1j * vortex) + 0.05 * (rng.standard_normal(GRID.shape) + 0j)).astype(np.float32)
    found = find_singularities(noisy, mask, GRID, longer_than_mm=15)
    assert found.n_lines == 1
    assert found.longest_mm > 15
    near = np.hypot(x + 5.3, y - 0.4)[found.line_labels == 1]
    assert near.max() < 2.5
    _, wrapped = echoes_of(rng, 0.1)
    assert find_singularities(wrapped[0], mask, GRID).n_lines == 0


def test_singularities_refuse_what_they_cannot_look_at() -> None:
    phase, mask = np.zeros(GRID.shape, np.float32), hollow_ball()
    spoilt = phase.copy()
    spoilt[14, 4, 11] = np.nan
    assert mask[14, 4, 11]
    with pytest.raises(InvalidInputError, match="1 values that are not finite"):
        find_singularities(spoilt, mask, GRID)
    with pytest.raises(InvalidInputError, match=r"phase_rad\.shape"):
        find_singularities(phase[1:], mask, GRID)
    with pytest.raises(InvalidInputError, match="at least one voxel"):
        find_singularities(phase, ~mask & mask, GRID)
    # A line shorter than a voxel is none.
    with pytest.raises(InvalidInputError, match=r"longer_than_mm = 1\.4; expected a number from 1\.5"):
        find_singularities(phase, mask, GRID, longer_than_mm=1.4)
    found = find_singularities(phase, mask, GRID)
    assert (found.n_residues, found.n_lines, found.longest_mm) == (0, 0, 0.0)


@pytest.mark.loops
def test_residues_are_their_plain_twin(rng: np.random.Generator) -> None:
    phase = rng.uniform(-np.pi, np.pi, (6, 5, 4)).astype(np.float32)
    mask = rng.random(phase.shape) < 0.9
    found = find_singularities(phase, mask, Grid.isotropic((6, 5, 4), 1.0))
    count = 0
    for a, b in ((0, 1), (0, 2), (1, 2)):
        da, db = (np.roll(phase, -1, axis=i) - phase for i in (a, b))
        da, db = (d - 2 * np.pi * np.floor(d / (2 * np.pi) + 0.5) for d in (da, db))
        curl = da + np.roll(db, -1, axis=a) - np.roll(da, -1, axis=b) - db
        inner = tuple(slice(0, -1) if i in (a, b) else slice(None) for i in range(3))
        corners = mask & np.roll(mask, -1, a) & np.roll(mask, -1, b) & np.roll(mask, (-1, -1), (a, b))
        count += int((np.abs(curl[inner]) > 1)[corners[inner]].sum())
    assert found.n_residues == count > 0


@pytest.mark.parametrize(
    ("options", "match"), [({"solver": "dct"}, "solver"), ({"tolerance": 0.0}, "tolerance"),
                           ({"max_iterations": 0}, "max_iterations")]
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, object], match: str) -> None:
    phase = np.zeros((1, *GRID.shape), np.float32)
    with pytest.raises(InvalidInputError, match=match):
        qc.unwrap(phase, hollow_ball(), GRID, method="laplacian", options=options)
