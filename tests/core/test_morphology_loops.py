"""Loops of distances and surfaces against scipy's transforms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.core import _morphology_loops as loops
from qsmcmb.core.morphology import capped_distance_inside_mm, deeper_than, without_surface
from qsmcmb.typing import BoolArray, FloatArray

pytestmark = pytest.mark.loops
VOXEL_MM = (1.0, 1.3, 0.7)


def edt(mask: BoolArray, sampling: tuple[float, float, float] = VOXEL_MM) -> FloatArray:
    padded = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=sampling)
    return np.asarray(padded)[1:-1, 1:-1, 1:-1]


def masks(rng: np.random.Generator) -> dict[str, BoolArray]:
    shape = (11, 9, 12)
    holes = rng.random(shape) > 0.05
    whole = np.ones(shape, bool)
    runs = np.zeros(shape, bool)
    runs[2:9, 1:8, 1:5] = runs[3:8, 2:9, 7:11] = True
    return {"holes": holes, "whole": whole, "runs": runs, "thin": np.ones((1, 9, 3), bool)}


@pytest.mark.parametrize("name", ["holes", "whole", "runs", "thin"])
@pytest.mark.parametrize("cap", [0.6, 2.1, 5.0])
def test_distances_are_those_of_the_transform_up_to_the_cap(
    name: str, cap: float, rng: np.random.Generator
) -> None:
    mask = masks(rng)[name]
    found = capped_distance_inside_mm(mask, VOXEL_MM, cap)
    np.testing.assert_allclose(found, np.minimum(edt(mask), np.float32(cap)), rtol=1e-5)


def test_along_rows_the_nearer_end_of_each_run_counts(rng: np.random.Generator) -> None:
    mask = rng.random((4, 5, 13)) > 0.2
    out = np.empty(mask.shape, np.float32)
    loops.distance2_along_z(mask, np.float32(0.5), np.float32(3.0), out)
    for x, y in np.ndindex(4, 5):
        row = np.pad(mask[x, y], 1)
        away = [min(abs(z + 1 - o) for o in np.flatnonzero(~row)) for z in range(13)]
        np.testing.assert_allclose(out[x, y], np.minimum(np.square(np.multiply(away, 0.5)), 3.0))


@pytest.mark.parametrize("radius", [0.9, 1.4, 2.5])
def test_deeper_is_strictly_more_than_a_radius_inside(radius: float, rng: np.random.Generator) -> None:
    for mask in masks(rng).values():
        np.testing.assert_array_equal(deeper_than(mask, radius, VOXEL_MM), edt(mask) > radius)


def test_a_surface_is_what_lacks_one_of_six_neighbours(rng: np.random.Generator) -> None:
    for mask in masks(rng).values():
        np.testing.assert_array_equal(without_surface(mask), ndimage.binary_erosion(mask))
