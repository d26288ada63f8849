"""The loops of a head's structure against NumPy and closed forms: folds, the pial surface, shares, what is painted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qsmcmb.phantoms import _structure_loops as loops
from qsmcmb.phantoms._anatomy_loops import _interpolate
from qsmcmb.typing import FloatArray

pytestmark = pytest.mark.loops


def test_four_maps_are_interpolated_as_one(rng: np.random.Generator) -> None:
    maps = rng.standard_normal((4, 5, 6, 4)).astype(np.float32)
    for point in rng.uniform(-1, 7, (50, 3)):
        found = loops._interpolate_all(maps, *point)
        expected = [_interpolate(np.ascontiguousarray(maps[..., n]), *point) for n in range(4)]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_folds_are_carried_inwards_along_the_radius() -> None:
    # The field on the surface is x, the depth 2 mm all over, half the size: points move out by the depth.
    depth = np.full((3, 3, 3), 4.0, np.float32)
    slow = np.stack([np.full((3, 3, 3), value, np.float32) for value in (1.0, 2.0, 3.0)])
    folds = np.broadcast_to(np.arange(-20.0, 21.0, dtype=np.float32)[:, None, None], (41, 41, 41)).copy()
    one = np.ones(3)
    geometry = np.array([-3 * one, 2 * one, -5 * one, 5 * one, one, -20 * one, one, 0.5 * one, 0.25 * one])
    out = np.empty((4, 4, 4, 4), np.float32)
    loops.carry_folds(depth, slow, folds, geometry, out)
    np.testing.assert_allclose(
        out[1:], np.broadcast_to(np.reshape([2.0, 1.0, 2.0], (3, 1, 1, 1)), (3, 4, 4, 4))
    )
    axis = np.arange(-3.0, 4.0, 2.0)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2) * 0.5
    np.testing.assert_allclose(out[0], 0.5 * x * (1 + 2 / radius) + 0.25, rtol=2e-3)


def test_the_pial_surface_is_the_nearest_of_hull_sulcus_and_fissure() -> None:
    n, step = 16, 0.5
    carried = np.zeros((4, n, n, n), np.float32)
    # A sulcus at y = 8 steps, 2 mm deep below a hull at z = 0; far from the fissure.
    carried[0] = (np.arange(n) - 8.0)[:, None]
    carried[1] = step * np.arange(n)
    numbers = np.array([step, 2.0, 0.0, 0.25, 0.0, 0.1, -100.0])
    fissure = np.full((n, n), 100.0, np.float32)
    out = np.empty((n, n, n), np.float32)
    loops.pial_distance(carried, fissure, numbers, out)
    for y, z in ((8, 3), (8, 12), (11, 6), (4, 10), (2, 1)):
        aside, below = step * abs(y - 8), step * z
        expected = min(below, math.hypot(aside, max(below - 2.0, 0.0))) - 0.25
        assert out[8, y, z] == pytest.approx(expected, abs=1e-5)
    # The midline at x = 8: the fissure is there from z = 4 on.
    fissure = np.broadcast_to(np.where(np.arange(n) >= 4, 0.0, 3.0), (n, n)).astype(np.float32)
    carried[0] = 100.0 + np.arange(n)[:, None]
    loops.pial_distance(carried, fissure, np.array([step, 2.0, 0.0, 0.25, 0.0, 0.1, 8.0]), out)
    assert out[8, 5, 10] == pytest.approx(-0.25)
    assert out[10, 5, 10] == pytest.approx(0.75)


def test_csf_is_never_thinner_than_its_least() -> None:
    carried = np.zeros((4, 3, 3, 3), np.float32)
    carried[0], carried[1], carried[2] = 100.0, 5.0, -3.0
    out = np.empty((3, 3, 3), np.float32)
    loops.pial_distance(
        carried, np.full((3, 3), 50.0, np.float32), np.array([1, 99, 0, 1.0, 0.5, 0.2, -50.0]), out
    )
    np.testing.assert_allclose(out, 5.0 - 0.2, rtol=1e-5)


@pytest.mark.parametrize(
    ("pial", "depth", "expected"),
    [(-1.0, 2.0, (0.0, 0.0)), (1.5, 2.0, (1.0, 0.0)), (6.0, 8.0, (0.0, 1.0)), (3.0, 5.0, (0.5, 0.5))],
    ids=["liquid", "cortex", "white", "edge"],
)
def test_folds_make_the_shares(pial: float, depth: float, expected: tuple[float, float]) -> None:
    np.testing.assert_allclose(loops._shares(0.2, 0.3, depth, (pial, 3.0, 0.6, 1.0)), expected, atol=1e-6)


def test_the_template_makes_the_shares_of_deep_tissue_and_ventricles() -> None:
    assert loops._shares(0.9, 0.1, 30.0, (9.0, 3.0, 0.6, 0.0)) == pytest.approx((1.0, 0.0))
    assert loops._shares(0.0, 0.05, 30.0, (9.0, 3.0, 0.6, 0.0)) == pytest.approx((0.0, 0.0))
    # A ventricle's horn outside the deep tissue, too.
    assert loops._shares(0.0, 0.05, 30.0, (9.0, 3.0, 0.6, 1.0)) == pytest.approx((0.0, 0.0))


LIMITS = np.array([0.0, -8.0, 8.0, 36.0, 34.0, 20.0, -20.0, -8.0, -60.0, 0.25])


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((0.0, 0.0, 70.0), 1.0),
        ((0.0, -8.0, 8.0), 0.0),
        ((0.0, -60.0, -40.0), 0.0),
        ((60.0, -20.0, -20.0), 1.0),
    ],
    ids=["vertex", "thalamus", "cerebellum", "temporal"],
)
def test_folds_are_of_the_cerebrum(at: tuple[float, float, float], expected: float) -> None:
    assert loops._cerebral(*at, LIMITS) == pytest.approx(expected)


CONSTANTS = np.array([1.0, 0.02, -0.03, 0.01, 3.0, 0.5, 0.02, 0.01, 0.04, 2.0, 1.0, 0.1, 0.0, 200.0])


def painted(
    pial: float, first: float, second: float, slow: float, *, nuclei: FloatArray | None = None
) -> FloatArray:
    """Return what is painted at the vertex of a head that is the same everywhere."""
    maps = np.broadcast_to(np.array([0.5, 0.5, 20.0, 0.001], np.float32), (2, 2, 2, 4)).copy()
    structure = np.broadcast_to(np.array([pial, first, second, slow], np.float32), (2, 2, 2, 4)).copy()
    axes = np.array([[0.0] * 3, [1.0] * 3] * 2, np.float32)
    rows = np.zeros((0, 11)) if nuclei is None else nuclei
    out = np.array([9.0, 9.0, 9.0, 1.0])[:, None]
    loops.paint_tissue(np.array([[0.0], [0.0], [70.0]]), maps, structure, axes, rows, LIMITS, CONSTANTS, out)
    return out[:, 0]


def test_white_matter_varies_by_its_random_parts() -> None:
    chi, signal, decay, _ = painted(10.0, 1.5, -1.0, 2.0)
    assert chi == pytest.approx(-0.03 + 0.01 * 2 + 0.02 * 1.5 + 0.001, abs=1e-6)
    assert signal == pytest.approx(0.85 * (1 - 0.04), rel=1e-6)
    assert decay == pytest.approx(22 - 2.0 + 1.5, rel=1e-6)


def test_deep_layers_of_the_cortex_hold_more() -> None:
    top, layer = painted(0.65, 0.0, 0.0, 0.0)[0], painted(1.95, 0.0, 0.0, 0.0)[0]
    assert layer == pytest.approx(0.02 + 0.01 + 0.001, abs=1e-6)
    assert top == pytest.approx(0.02 + 0.01 * math.exp(-((1.3 / 0.6) ** 2)) + 0.001, abs=1e-6)


def test_liquid_is_even_and_air_is_left_alone() -> None:
    np.testing.assert_allclose(painted(-2.0, 3.0, 3.0, 0.0), [0.0, 0.7, 3.0, 1.0], atol=1e-6)
    out = np.array([9.4, 0.0, 25.0, 0.0])[:, None]
    maps = np.zeros((2, 2, 2, 4), np.float32)
    axes = np.array([[0.0] * 3, [1.0] * 3] * 2)
    loops.paint_tissue(np.zeros((3, 1)), maps, maps, axes, np.zeros((0, 11)), LIMITS, CONSTANTS, out)
    np.testing.assert_array_equal(out[:, 0], [9.4, 0.0, 25.0, 0.0])


def test_a_nucleus_has_a_gradient() -> None:
    # Half the radius above its middle: the gradient of 0.4 along z gives a fifth.
    row = np.array([[0.0, 0.0, 66.0, 8.0, 8.0, 8.0, 0.1, 40.0, 0.0, 0.0, 0.4]])
    chi, _, decay, _ = painted(10.0, 1.0, 0.0, 0.0, nuclei=row)
    assert chi == pytest.approx(0.1 * (1 + 0.2 + 0.1) + 0.02, rel=1e-5)
    assert decay == pytest.approx(40 + 200 * 0.1 * 0.3 + 1.0, rel=1e-5)
