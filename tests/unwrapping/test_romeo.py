"""ROMEO: every echo against its truth, its loops against plain twins, agreement in time."""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _romeo_loops as loops
from qsmcmb.unwrapping.romeo import unwrap_volume

TE_S = (0.004, 0.009, 0.014)
GRID = Grid((26, 23, 19), (1.0, 1.0, 1.5))


def wrap(values: FloatArray) -> FloatArray:
    return values - 2 * np.pi * np.floor(values / (2 * np.pi) + 0.5)


def two_parts() -> BoolArray:
    mask = np.zeros(GRID.shape, bool)
    mask[2:12, 2:20, 2:17] = True
    mask[15:24, 2:20, 2:17] = True
    return mask


def field_hz(offset_hz: float = 20.0) -> FloatArray:
    x, y, z = np.meshgrid(*(np.arange(n, dtype=float) for n in GRID.shape), indexing="ij")
    return offset_hz + 6 * (x - 13) + 0.25 * (y - 11) ** 2 - 3 * z


def echoes_of(
    field: FloatArray, rng: np.random.Generator, noise: float = 0.05
) -> tuple[FloatArray, FloatArray]:
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * field
    noisy = np.exp(1j * truth) + noise * (
        rng.standard_normal(truth.shape) + 1j * rng.standard_normal(truth.shape)
    )
    return np.angle(noisy).astype(np.float32), np.abs(noisy).astype(np.float32)


def twin(phase: FloatArray, weights: FloatArray, mask: BoolArray) -> FloatArray:
    """Grow one component with a heap, whole weights first."""
    out = np.zeros(mask.shape)
    done = np.zeros(mask.shape, bool)
    seed = tuple(np.argwhere(mask)[0])
    out[seed], done[seed] = phase[seed], True
    heap: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]] = []

    def push(v: tuple[int, ...]) -> None:
        for d in range(3):
            for side in (-1, 1):
                t = tuple(c + side * (a == d) for a, c in enumerate(v))
                w = int(weights[(v if side > 0 else t)][d]) if min(t) >= 0 else 0
                if w and not done[t]:
                    heapq.heappush(heap, (-w, len(heap), v, t))

    push(seed)
    while heap:
        _, _, known, new = heapq.heappop(heap)
        if not done[new]:
            out[new] = phase[new] + 2 * np.pi * np.floor((out[known] - phase[new]) / (2 * np.pi) + 0.5)
            done[new] = True
            push(new)
    return out


@pytest.mark.loops
def test_edge_weights_are_the_product_of_the_three_coherences(rng: np.random.Generator) -> None:
    phase, mag = echoes_of(field_hz(), rng, 0.3)
    mask = two_parts()
    out = np.zeros((*GRID.shape, 3), np.uint8)
    ratio = np.float32(TE_S[0] / TE_S[1])
    inner = (slice(1, -1),) * 3
    loops.edge_weights(phase[0], phase[1][inner], mag[0][inner], mask, ratio, out)
    for d in range(3):
        first = tuple(slice(None, -1) if a == d else slice(None) for a in range(3))
        second = tuple(slice(1, None) if a == d else slice(None) for a in range(3))
        step, other = (wrap(p[second] - p[first]) for p in phase[:2])
        small = np.minimum(mag[0][first], mag[0][second]) / np.maximum(mag[0][first], mag[0][second])
        linear = np.maximum(0, 1 - np.abs(step - other * ratio) / np.pi)
        expected = np.minimum(240, 1.5 + 253 * (1 - np.abs(step) / np.pi) * linear * small**2)
        both = mask[first] & mask[second]
        assert np.abs(out[first][..., d][both] - np.floor(expected[both])).max() <= 1
        assert not out[first][..., d][~both].any()


@pytest.mark.loops
def test_growing_is_the_heap_twin(rng: np.random.Generator) -> None:
    phase, mag = echoes_of(field_hz(), rng, 0.1)
    mask = two_parts()
    mask[:13] = False
    weights = np.zeros((*GRID.shape, 3), np.uint8)
    inner = (slice(1, -1),) * 3
    loops.edge_weights(phase[2], phase[2][inner], mag[2][inner], mask, np.float32(1), weights)
    difference = (unwrap_volume(phase[2], mag[2], mask) - twin(phase[2], weights, mask))[mask]
    assert np.ptp(difference) < 1e-3


@pytest.mark.loops
@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_that_the_best_edges_weigh_alike_moves_no_turn(noise: float, rng: np.random.Generator) -> None:
    """Half of the edges have the largest weight in faint noise, a fifth in strong, which makes residues."""
    mask = two_parts()
    mask[:13] = False
    truth = np.where(mask, 0.05 * field_hz(), 0)
    noisy = np.exp(1j * truth) + noise * (
        rng.standard_normal(GRID.shape) + 1j * rng.standard_normal(GRID.shape)
    )
    phase, flat = np.angle(noisy).astype(np.float32), np.ones(GRID.shape, np.float32)
    exact = np.zeros((*GRID.shape, 3), np.float32)
    for d in range(3):
        ahead = (slice(None),) * d + (slice(1, None),)
        here = (slice(None),) * d + (slice(None, -1),)
        coherence = 1 - np.abs(wrap(phase[ahead] - phase[here])) / np.pi
        exact[(*here, ..., d)] = np.where(mask[ahead] & mask[here], 1 + 1e6 * coherence, 0)
    difference = (unwrap_volume(phase, flat, mask) - twin(phase, exact, mask))[mask]
    assert np.ptp(difference) < 1e-3


@pytest.mark.parametrize("individual", [False, True])
def test_every_echo_of_every_part_is_the_truth(individual: bool, rng: np.random.Generator) -> None:
    """The field of 20 Hz and more turns the later echoes: only time tells how often."""
    mask, field = two_parts(), field_hz(40.0)
    phase, mag = echoes_of(field, rng)
    options = {"individual": individual, "template": 2}
    found = qc.unwrap(phase, mask, GRID, magnitude=mag, te_s=TE_S, options=options)
    truth = 2 * np.pi * np.array(TE_S)[:, None, None, None] * field
    assert np.abs(found - truth)[:, mask].max() < np.pi


def test_turns_are_whole_and_nothing_is_outside(rng: np.random.Generator) -> None:
    phase, mag = echoes_of(field_hz(), rng, 0.4)
    mask = two_parts()
    found = qc.unwrap(phase, mask, GRID, magnitude=mag, te_s=TE_S)
    turns = (found - phase)[:, mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    assert not found[:, ~mask].any()


def test_threads_and_repeats_do_not_change_a_byte(rng: np.random.Generator) -> None:
    import numba

    phase, mag = echoes_of(field_hz(), rng, 0.4)
    mask = two_parts()
    found = [qc.unwrap(phase, mask, GRID, magnitude=mag, te_s=TE_S).tobytes()]
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        found.append(qc.unwrap(phase, mask, GRID, magnitude=mag, te_s=TE_S).tobytes())
    finally:
        numba.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("template", [0, 4])
def test_a_template_that_is_no_echo_is_refused(template: int, rng: np.random.Generator) -> None:
    phase, _ = echoes_of(field_hz(), rng)
    with pytest.raises(InvalidInputError, match=r"template = .*from 1 to 3"):
        qc.unwrap(phase, two_parts(), GRID, te_s=TE_S, options={"template": template})


@pytest.mark.shared
def test_real_crop_is_consistent_in_time(shared_data: Path) -> None:
    """Half a turn from the neighbour's echo is the most that a voxel may be off."""
    from qsmcmb.io.plain import load_files
    from qsmcmb.pipeline.subject import map_scan_field

    folder = shared_data / "gre-crop-3echo"
    te_s = (0.004, 0.008, 0.012)
    scan = load_files(
        [folder / "Phase.nii"], [folder / "Mag.nii"], te_s, 7.0, phase_range=(-0.003674, 0.003674)
    )
    mask = scan.magnitude[0] > np.median(scan.magnitude[0])
    field = map_scan_field(scan, mask=mask)
    unwrapped = qc.unwrap(
        np.asarray(wrap(scan.phase_rad - field.offset_rad), np.float32), mask, scan.grid,
        magnitude=scan.magnitude, te_s=te_s,
    )  # fmt: skip
    for e in (1, 2):
        ratio = te_s[e] / te_s[e - 1]
        assert np.abs(unwrapped[e] - unwrapped[e - 1] * ratio)[mask].max() <= np.pi * 1.001
