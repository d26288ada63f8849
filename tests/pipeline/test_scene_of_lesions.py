"""Lesions completed by the whole scan: duplicates, territories, detection limit, sums over the map."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.crosscheck.map_sum import ChiMaps, sums_over_map
from qsmcmb.microbleeds.measure import MeasuredLesions
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.measurement import LesionMeasurement
from qsmcmb.model import Estimate, GreScan, Grid
from qsmcmb.pipeline.lesions import describe_lesions, measure_map_sums
from qsmcmb.typing import FloatArray

SHAPE = (40, 44, 36)
AFFINE = np.diag([1.0, 1.1, 1.2, 1.0])
AFFINE[:3, 3] = (-20.0, -24.0, -21.0)
GRID = Grid(SHAPE, (1.0, 1.1, 1.2), (0.36, 0.48, 0.8), AFFINE)
MASK = np.ones(SHAPE, bool)
ONES = np.ones((1, *SHAPE), np.float32)
SCAN = GreScan(0 * ONES, ONES, (0.02,), 3.0, GRID)


class Measured(LesionMeasurement):
    """A point whose number and position are given."""

    def __init__(self, label: int, at: FloatArray, total: float | None) -> None:
        point = (float(at[0]), float(at[1]), float(at[2]))
        super().__init__(
            label=label, point_mm=point, stated_kind=None, source="reader", fitted=None,
            reason=Flag.OUTSIDE_MASK,
        )  # fmt: skip
        object.__setattr__(self, "given", None if total is None else Estimate(total, 0.1, "ppm mm3"))

    @property
    def total_chi_ppm_mm3(self) -> Estimate | None:
        given: Estimate | None = self.given  # type: ignore[attr-defined]
        return given


def measured(*lesions: tuple[tuple[float, float, float], float | None]) -> MeasuredLesions:
    made = [
        Measured(i + 1, GRID.to_world(np.array(voxel)), total) for i, (voxel, total) in enumerate(lesions)
    ]
    return MeasuredLesions(tuple(made), np.zeros(SHAPE, np.int32))


def test_the_limit_is_that_of_the_voxel_and_none_where_nothing_shows() -> None:
    limit = np.arange(1.0, 1 + np.prod(SHAPE)).reshape(SHAPE)
    limit[10, 10, 10], limit[11, 10, 10] = 0.0, np.inf
    inside, edge = (5.4, 7.6, 9.1), (0.0, 0.0, 0.0)
    nothing, infinite, before, beyond = (10.0, 10, 10), (11.0, 10, 10), (-0.6, 3.0, 3.0), (39.6, 3.0, 3.0)
    places = [inside, nothing, infinite, before, beyond, edge]
    rows = describe_lesions(measured(*((p, None) for p in places)), SCAN, MASK, limit_ppm_mm3=limit)
    expected = [limit[5, 8, 9], None, None, None, None, limit[0, 0, 0]]
    assert [r.detection_limit_ppm_mm3 for r in rows] == expected
    plain = describe_lesions(measured((places[0], None)), SCAN, MASK)
    assert plain[0].detection_limit_ppm_mm3 is None
    assert plain[0].flags == ("outside-mask",)


def test_each_row_has_the_side_of_its_position() -> None:
    rows = describe_lesions(measured(((4.0, 20.0, 30.0), None), ((36.0, 20.0, 30.0), None)), SCAN, MASK)
    assert [r.side for r in rows] == ["left", "right"]
    assert [r.label for r in rows] == [1, 2]


def test_the_response_is_that_of_the_fitted_dipoles_alone() -> None:
    seen: list[FloatArray] = []
    chi = np.random.default_rng(1).normal(0, 0.01, SHAPE).astype(np.float32)
    voxels = [(20.2, 21.7, 17.9), (8.0, 9.0, 9.0), (30.0, 30.0, 20.0), (33.0, 10.0, 20.0)]
    totals = [5.0, None, -2.0, 0.0]
    lesions = measured(*zip(voxels, totals, strict=True)).lesions

    def response(field_ppm: FloatArray) -> FloatArray:
        seen.append(field_ppm)
        return 0.7 * chi

    found = measure_map_sums(lesions, SCAN, chi, response=response, mask=MASK)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    expected, near = np.zeros(SHAPE), np.zeros(SHAPE, bool)
    for voxel, total in ((voxels[0], 5.0), (voxels[2], -2.0)):
        offset = ((index - voxel) * GRID.voxel_size_mm).reshape(-1, 3).T
        inside = (offset**2).sum(axis=0) <= 1.0
        own = np.where(inside, 0.0, total * point_dipole_field(offset, np.array(GRID.b0_dir)))
        expected += own.reshape(SHAPE)
        near |= inside.reshape(SHAPE)
    (field,) = seen
    np.testing.assert_allclose(field, expected, atol=1e-6)
    assert near.any()
    assert [s is None for s in found] == [False, True, False, True]
    maps = ChiMaps(chi_ppm=chi, response_ppm=0.7 * chi, mask=MASK, grid=GRID)
    positions = [GRID.to_world(np.array(voxels[i])) for i in (0, 2)]
    for ours, plain in zip((found[0], found[2]), sums_over_map(maps, positions, [5.0, -2.0]), strict=True):
        assert ours is not None
        assert ours.raw_ppm_mm3 == plain.raw_ppm_mm3
        assert ours.radius_mm == plain.radius_mm


def test_a_large_voxel_stands_for_a_ball_of_its_volume() -> None:
    grid = Grid.isotropic((21, 21, 21), 3.0)
    ones = np.ones((1, 21, 21, 21), np.float32)
    scan = GreScan(0 * ones, ones, (0.02,), 3.0, grid)
    lesion = Measured(1, np.array([1.5, 0.0, 0.0]), 4.0)
    seen: list[FloatArray] = []

    def response(field_ppm: FloatArray) -> FloatArray:
        seen.append(field_ppm)
        return field_ppm

    measure_map_sums([lesion], scan, ones[0], response=response, mask=ones[0] > 0)
    # Both voxels beside it are 1.5 mm away, within 0.62 of 3 mm.
    assert seen[0][10, 10, 10] == seen[0][11, 10, 10] == 0
    assert seen[0][10, 10, 11] == pytest.approx(
        4.0 * (3 * 9 / 11.25 - 1) / (4 * np.pi * 11.25**1.5), rel=1e-5
    )
    assert measure_map_sums([], scan, ones[0], response=response, mask=ones[0] > 0) == ()
    assert len(seen) == 1
