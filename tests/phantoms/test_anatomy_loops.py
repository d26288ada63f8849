"""The head's loops against NumPy and scipy: interpolation, nuclei, warp, and what is painted where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.phantoms import _anatomy_loops as loops
from qsmcmb.typing import FloatArray

pytestmark = pytest.mark.loops


def linear(volume: FloatArray, points: FloatArray) -> FloatArray:
    return np.asarray(ndimage.map_coordinates(volume, points, order=1, mode="nearest"))


def test_interpolation_is_trilinear_and_stays_at_the_edge(rng: np.random.Generator) -> None:
    volume = rng.standard_normal((4, 5, 6)).astype(np.float32)
    points = rng.uniform(-2, 8, (3, 200))
    points[:, :3] = np.array([[0.0, 3.0, 2.0], [0.0, 4.0, 1.5], [0.0, 5.0, 0.0]])
    found = [loops._interpolate(volume, *p) for p in points.T]
    np.testing.assert_allclose(found, linear(volume.astype(float), points), atol=1e-5)


def test_an_ellipsoids_edge_is_a_millimetre_wide() -> None:
    row = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.1, 20.0])
    assert loops._inside_ellipsoid(1.0, 2.0, 3.0, row) == 1
    # Along the shortest axis the edge falls from 1 to 0 within half a millimetre to either side.
    for away, part in ((3.4, 1.0), (3.75, 0.75), (4.0, 0.5), (4.25, 0.25), (4.6, 0.0)):
        assert loops._inside_ellipsoid(1.0 + away, 2.0, 3.0, row) == pytest.approx(part)
        assert loops._inside_ellipsoid(1.0 - away, 2.0, 3.0, row) == pytest.approx(part)
    assert loops._inside_ellipsoid(1.0, 7.0, 3.0, row) == pytest.approx(0.5)
    assert loops._inside_ellipsoid(1.0, 2.0, 9.0, row) == pytest.approx(0.5)


def test_points_go_to_the_template_by_scale_and_warp(rng: np.random.Generator) -> None:
    points = rng.uniform(-20, 20, (3, 50)).astype(np.float32)
    warp = rng.standard_normal((3, 5, 5, 5)).astype(np.float32)
    scale, grid = np.array([1.1, 0.9, 1.2], np.float32), np.array([-20.0, 10.0], np.float32)
    out = np.empty_like(points)
    loops.to_template(points, scale, warp, grid, out)
    index = (points + 20) / 10
    expected = points * scale[:, None] + [linear(w.astype(float), index) for w in warp]
    np.testing.assert_allclose(out, expected, atol=1e-5)


AIR, BONE, SKULL_MM, SCALP_MM = 9.4, -2.5, 6.0, 12.0


def painted(depth: float, *, gm: float = 0.0, wm: float = 0.0, texture: float = 0.0, at: tuple[float, ...] = (0, 0, 0),
            nuclei: FloatArray | None = None, sinuses: FloatArray | None = None) -> FloatArray:  # fmt: skip
    """Return susceptibility, signal, R2* and brain at a point of a head that is the same everywhere."""
    maps = np.empty((4, 3, 3, 3), np.float32)
    maps[:] = np.array([gm, wm, depth, texture])[:, None, None, None]
    place = np.array([[-30.0, -30.0, -30.0], [30.0, 30.0, 30.0]], np.float32)
    rows = np.zeros((0, 8), np.float32) if nuclei is None else nuclei.astype(np.float32)
    holes = np.zeros((0, 6), np.float32) if sinuses is None else sinuses.astype(np.float32)
    out = np.empty((4, 1), np.float32)
    constants = AIR, BONE, SKULL_MM, SCALP_MM
    loops.paint_head(np.array(at, np.float32).reshape(3, 1), maps, place, rows, holes, constants, out)
    return out[:, 0]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(-1.0, [BONE, 0.04, 25.0, 0.0]), (-7.0, [0.0, 0.8, 25.0, 0.0]), (-11.9, [0.0, 0.8, 25.0, 0.0]),
     (-12.0, [AIR, 0.0, 25.0, 0.0]), (-40.0, [AIR, 0.0, 25.0, 0.0])],
)  # fmt: skip
def test_from_the_brain_outwards_come_skull_scalp_and_air(depth: float, expected: list[float]) -> None:
    np.testing.assert_allclose(painted(depth), expected, rtol=1e-6)


def test_a_sinus_holds_air_in_bone_and_scalp() -> None:
    hole = np.array([[5.0, 0.0, 0.0, 3.0, 3.0, 3.0]])
    for depth in (-2.0, -8.0):
        np.testing.assert_allclose(painted(depth, at=(5.0, 0.0, 0.0), sinuses=hole), [AIR, 0.0, 25.0, 0.0])
        assert painted(depth, at=(9.0, 0.0, 0.0), sinuses=hole)[0] != AIR
    # The brain is none.
    assert painted(5.0, gm=1.0, at=(5.0, 0.0, 0.0), sinuses=hole)[3] == 1


@pytest.mark.parametrize(
    ("gm", "wm", "expected"),
    [(1.0, 0.0, [0.02 + 0.05, 1.0, 18.0]), (0.0, 1.0, [-0.03 + 0.05, 0.85, 22.0]), (0.0, 0.0, [0.0, 0.7, 3.0]),
     (0.5, 0.25, [0.01 - 0.0075 + 0.75 * 0.05, 0.5 + 0.85 * 0.25 + 0.175, 9.0 + 5.5 + 0.75]),
     (1.5, 0.5, [0.015 - 0.0075 + 0.05, 0.75 + 0.2125, 13.5 + 5.5])],
    ids=["grey", "white", "liquid", "mixed", "more than all"],
)  # fmt: skip
def test_tissue_is_mixed_by_its_parts(gm: float, wm: float, expected: list[float]) -> None:
    np.testing.assert_allclose(painted(4.0, gm=gm, wm=wm, texture=0.05), [*expected, 1.0], rtol=1e-5)


def test_nuclei_lie_on_both_sides_and_fade_into_the_tissue() -> None:
    nucleus = np.array([[10.0, 2.0, 0.0, 3.0, 4.0, 5.0, 0.15, 45.0]])
    for side in (-1, 1):
        inside = painted(4.0, gm=1.0, at=(side * 10.0, 2.0, 0.0), nuclei=nucleus)
        np.testing.assert_allclose(inside, [0.15, 1.0, 45.0, 1.0], rtol=1e-6)
        half = painted(4.0, gm=1.0, at=(side * 13.0, 2.0, 0.0), nuclei=nucleus)
        np.testing.assert_allclose(half, [(0.15 + 0.02) / 2, 1.0, (45 + 18) / 2, 1.0], rtol=1e-5)
    np.testing.assert_allclose(painted(4.0, gm=1.0, nuclei=nucleus), [0.02, 1.0, 18.0, 1.0], rtol=1e-5)
