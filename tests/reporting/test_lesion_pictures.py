"""Pictures of a lesion show its voxels around its centre, all planes on one scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pytest

from qsmcmb.microbleeds.results.explanation import Slices
from qsmcmb.model import Grid
from qsmcmb.reporting import lesion_pictures
from qsmcmb.reporting.figures import Panel
from qsmcmb.reporting.lesion_pictures import CLOSE_UP_MM, GAP, LEFT, NOTHING, TILE, TOP

Draw = Callable[..., Any]
GRID = Grid((60, 50, 40), (1.0, 1.5, 2.0), affine=np.diag([1.0, 1.5, 2.0, 1.0]))
VOXEL = np.array([30.0, 20.0, 15.0])


def pixels(figure: Any) -> np.ndarray:
    (image,) = figure.images
    return np.asarray(image.get_array())


def at(canvas: np.ndarray, row: int, right_mm: float, up_mm: float, first: int = LEFT) -> np.ndarray:
    """Return the colour of a picture of one column at a place beside its centre."""
    x = first + int((right_mm / CLOSE_UP_MM + 1) / 2 * TILE)
    y = TOP + row * (TILE + GAP) + TILE - 1 - int((up_mm / CLOSE_UP_MM + 1) / 2 * TILE)
    return canvas[y, x]


@pytest.mark.parametrize(
    ("row", "a", "b"), [(0, 0, 1), (1, 0, 2), (2, 1, 2)], ids=["axial", "coronal", "sagittal"]
)
def test_a_plane_shows_the_voxels_at_their_distances(
    drawn: Draw, rng: np.random.Generator, row: int, a: int, b: int
) -> None:
    panel = Panel("map (ppm)", rng.uniform(-1, 1, GRID.shape), GRID, (-1.0, 1.0))
    canvas = pixels(drawn(lesion_pictures, "draw_lesion", [panel], GRID.to_world(VOXEL), None, [0.01]))
    for right_mm, up_mm in ((0.4, 0.4), (8.0, -4.0), (-6.0, 6.0)):
        voxel = VOXEL.astype(int).copy()
        voxel[a] += round(right_mm / GRID.voxel_size_mm[a])
        voxel[b] += round(up_mm / GRID.voxel_size_mm[b])
        expected = matplotlib.colormaps["gray"]((panel.data[tuple(voxel)] + 1) / 2)[:3]
        np.testing.assert_allclose(at(canvas, row, right_mm, up_mm), expected, atol=1e-6)


def test_a_lesion_beyond_the_volume_is_drawn_as_nothing(drawn: Draw) -> None:
    panel = Panel("map (ppm)", np.zeros(GRID.shape), GRID, (-1.0, 1.0))
    canvas = pixels(drawn(lesion_pictures, "draw_lesion", [panel], np.array([500.0, 0.0, 0.0]), None, [0.01]))
    np.testing.assert_allclose(at(canvas, 0, 2.0, 2.0), NOTHING)


def test_data_model_and_residual_stand_beside_the_planes(drawn: Draw) -> None:
    panel = Panel("map (ppm)", np.zeros(GRID.shape), GRID, (-1.0, 1.0))
    data = np.full((3, 13, 13), 0.6 + 0j)
    model = np.full((3, 13, 13), 0.5 * np.exp(0.25j))
    fit = Slices(data=data, model=model, weight=np.ones((3, 13, 13)), extent_mm=(-6.5, 6.5, -6.5, 6.5))
    figure = drawn(lesion_pictures, "draw_lesion", [panel], GRID.to_world(VOXEL), fit, [0.004, 0.012, 0.02])
    words = [text.get_text() for text in figure.texts]
    assert "map (ppm)\n\N{MINUS SIGN}1 to 1" in words
    assert "data\nTE 12 ms" in words
    assert {"axial", "coronal", "sagittal", "magnitude", "phase"} <= set(words)
    assert any("scale bars 5 mm" in w for w in words)
    canvas = pixels(figure)
    residual = LEFT + (TILE + GAP) + lesion_pictures.BETWEEN + 2 * (TILE + GAP)
    # 0.1 of +-0.3, and -0.25 rad of +-0.5 rad.
    for row, scaled in ((0, 0.5 + 0.1 / 0.6), (1, 0.5 - 0.25)):
        np.testing.assert_allclose(at(canvas, row, 1.0, 1.0, residual)[0], scaled, atol=0.005)


def test_words_of_the_data_are_no_formula(drawn: Draw) -> None:
    panel = Panel("$\\frac{", np.zeros(GRID.shape), GRID, (0.0, 1.0))
    figure = drawn(lesion_pictures, "draw_course", [panel], [GRID.to_world(VOXEL)], ["$\\frac{1"])
    assert "$\\frac" in figure.texts[0].get_text()
