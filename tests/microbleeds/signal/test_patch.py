"""A patch: how it is cut, its coordinates, its background field and what of it is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.model import GreScan, Grid
from tests.scenes.patches import small_patch, with_acquisition

SHAPE = (24, 22, 30)
AFFINE = np.diag([1.0, 1.1, 0.8, 1.0])
AFFINE[:3, 3] = (-4.0, 3.0, 7.0)
GRID = Grid(SHAPE, (1.0, 1.1, 0.8), (0.36, 0.48, 0.8), AFFINE)
VOXEL = np.array([11.3, 10.6, 14.2])
TE_S = (0.006, 0.013)
ACQUISITION = Acquisition(te_s=TE_S, b0_tesla=3.0, noise_sd=0.1)


def scan_and_fields() -> tuple[GreScan, ScanFields]:
    rng = np.random.default_rng(1)
    phase, magnitude = rng.uniform(-3, 3, (2, *SHAPE)), rng.uniform(1, 2, (2, *SHAPE))
    scan = GreScan(phase.astype(np.float32), magnitude.astype(np.float32), TE_S, 3.0, GRID)
    offset, field = rng.standard_normal((2, *SHAPE))
    return scan, ScanFields(field_hz=field, offset_rad=offset, mask=np.ones(SHAPE, bool))


def distance_mm(voxel: np.ndarray = VOXEL) -> np.ndarray:
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    return np.asarray(np.linalg.norm((index - voxel) * GRID.voxel_size_mm, axis=-1))


def test_a_patch_holds_the_ball_and_one_voxel_more() -> None:
    scan, fields = scan_and_fields()
    patch = cut_patch(scan, VOXEL, fields, ACQUISITION, radius_mm=6.0)
    reach = 6.0 / np.array(GRID.voxel_size_mm) + 1
    for s, v, r in zip(patch.box, VOXEL, reach, strict=True):
        assert (s.start, s.stop) == (int(np.floor(v - r)), int(np.ceil(v + r)) + 1)
    ball = distance_mm() <= 6.0
    np.testing.assert_array_equal(patch.inside, ball[patch.box])
    assert patch.inside.sum() == ball.sum()
    assert patch.fraction_in_mask == pytest.approx(ball.sum() * 0.88 / (4 / 3 * np.pi * 6**3))
    np.testing.assert_allclose(np.linalg.norm(patch.coordinates_mm, axis=0), distance_mm()[patch.box])
    np.testing.assert_allclose(patch.centre_voxel, VOXEL)
    signal = scan.magnitude * np.exp(1j * (scan.phase_rad - fields.offset_rad))
    np.testing.assert_allclose(patch.signal, signal[(slice(None), *patch.box)], rtol=1e-5)
    np.testing.assert_array_equal(patch.field_hz, fields.field_hz[patch.box])
    # Both grids have the point at the same place in the scanner.
    start = [s.start for s in patch.box]
    np.testing.assert_allclose(patch.grid.to_world(VOXEL - start), GRID.to_world(VOXEL))
    assert patch.grid.shape == patch.inside.shape
    assert patch.acquisition is ACQUISITION


def test_mask_and_missing_signal_leave_voxels_out() -> None:
    scan, fields = scan_and_fields()
    scan.magnitude[0, 11] = 0
    fields.mask[:, :9] = False
    patch = cut_patch(scan, VOXEL, fields, ACQUISITION, radius_mm=5.0)
    expected = (distance_mm() <= 5.0) & fields.mask & (scan.magnitude[0] > 0)
    np.testing.assert_array_equal(patch.inside, expected[patch.box])
    assert patch.fraction_in_mask == pytest.approx(expected.sum() * 0.88 / (4 / 3 * np.pi * 125))


def test_at_the_edge_of_the_volume_the_box_is_smaller() -> None:
    scan, fields = scan_and_fields()
    corner = np.array([0.4, 21.0, 29.3])
    patch = cut_patch(scan, corner, fields, ACQUISITION, radius_mm=4.0)
    assert [s.start for s in patch.box] == [0, 16, 23]
    assert [s.stop for s in patch.box] == [7, 22, 30]
    assert patch.fraction_in_mask < 0.3
    np.testing.assert_allclose(patch.centre_voxel, corner)


@pytest.mark.parametrize(("edge", "every"), [(1.0, 1), (0.7, 1), (0.61, 1), (0.5, 2), (0.3, 3)])
def test_voxels_between_acquired_ones_are_left_out(edge: float, every: int) -> None:
    scan, fields = scan_and_fields()
    windows = (KSpaceWindow(), KSpaceWindow(edge), KSpaceWindow())
    patch = cut_patch(scan, VOXEL, fields, replace(ACQUISITION, windows=windows), radius_mm=5.0)
    ball = (distance_mm() <= 5.0)[patch.box]
    expected = np.zeros_like(ball)
    expected[:, ::every] = ball[:, ::every]
    np.testing.assert_array_equal(patch.inside, expected)
    # The ball lies in the mask whatever is left out of it.
    assert patch.fraction_in_mask == pytest.approx(ball.sum() * 0.88 / (4 / 3 * np.pi * 125))


def test_of_more_than_five_thousand_voxels_half_are_left() -> None:
    shape = (26, 26, 26)
    scan = GreScan(
        np.zeros((1, *shape), np.float32),
        np.ones((1, *shape), np.float32),
        (0.01,),
        3.0,
        Grid.isotropic(shape, 1.0),
    )
    fields = ScanFields(field_hz=np.zeros(shape), offset_rad=np.zeros(shape), mask=np.ones(shape, bool))
    for radius, thinned in ((10.5, False), (10.8, True)):
        patch = cut_patch(
            scan, np.full(3, 13.0), fields, replace(ACQUISITION, te_s=(0.01,)), radius_mm=radius
        )
        index = np.indices(patch.inside.shape)
        ball = (patch.coordinates_mm**2).sum(axis=0) <= radius**2
        assert (ball.sum() > 5000) == thinned
        expected = ball & (index.sum(axis=0) % 2 == 0) if thinned else ball
        np.testing.assert_array_equal(patch.inside, expected)


def test_a_smaller_ball_has_the_same_field(rng: np.random.Generator) -> None:
    patch = replace(small_patch(), background=rng.standard_normal(20))
    small = patch.restricted_to(3.0)
    inside = patch.inside & ((patch.coordinates_mm**2).sum(axis=0) < 9.0)
    np.testing.assert_array_equal(small.inside, inside)
    assert small.radius_mm == 3.0
    part = inside.sum() / patch.inside.sum()
    assert small.fraction_in_mask == pytest.approx(0.98 * part * (4.4 / 3) ** 3)
    points = rng.uniform(-3, 3, (3, 30))
    np.testing.assert_allclose(small.background_hz(points), patch.background_hz(points))
    assert small_patch().restricted_to(3.0).background is None
    values = rng.standard_normal(2 * patch.inside.sum()) + 0j
    found = small.values_from_wider(patch, values).reshape(2, -1)
    for echo in range(2):
        box = np.zeros(patch.inside.shape, complex)
        box[patch.inside] = values.reshape(2, -1)[echo]
        np.testing.assert_array_equal(found[echo], box[inside])


def test_the_background_is_a_cubic_over_the_radius(rng: np.random.Generator) -> None:
    coefficients, points = rng.standard_normal(20), rng.uniform(-4, 4, (3, 50))
    patch = replace(small_patch(), background=coefficients)
    np.testing.assert_allclose(patch.background_hz(points), polynomials(points / 4.4, 3) @ coefficients)
    assert not small_patch().background_hz(points).any()
    axes = [np.sort(rng.uniform(-5, 5, n)) for n in (3, 4, 5)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    np.testing.assert_allclose(patch.background_on_grid_hz(*axes), patch.background_hz(grid), atol=1e-10)
    assert not small_patch().background_on_grid_hz(*axes).any()


def test_phase_steps_are_those_of_the_background_between_voxels() -> None:
    # 40 Hz per mm along z: 36 Hz from voxel to voxel.
    coefficients = np.zeros(20)
    coefficients[3] = 40.0 * 4.4
    patch = with_acquisition(
        replace(small_patch(), background=coefficients), windows=(*FULL_K_SPACE[:2], KSpaceWindow(0.6))
    )
    n = int(patch.inside.sum())
    expected = np.zeros((3, 2, n))
    expected[2] = 2 * np.array([[0.006], [0.014]]) * 36.0
    np.testing.assert_allclose(patch.background_phase_step, expected, atol=1e-9)
    # Relative to what k-space holds along the axis.
    np.testing.assert_allclose(patch.phase_steepness, expected[2] / 0.6, atol=1e-9)
    negative = replace(patch, background=-coefficients)
    np.testing.assert_allclose(negative.phase_steepness, expected[2] / 0.6, atol=1e-9)


def test_blocks_are_cubes_of_three_and_a_half_mm() -> None:
    patch = small_patch()
    labels = patch.block_labels()
    cube = np.floor(patch.coordinates_mm[:, patch.inside] / 3.5).astype(int).T
    of_label: dict[int, set[tuple[int, ...]]] = {}
    for label, c in zip(labels, cube, strict=True):
        of_label.setdefault(int(label), set()).add(tuple(int(v) for v in c))
    assert all(len(cubes) == 1 for cubes in of_label.values())
    assert len(of_label) == len({tuple(c) for c in cube.tolist()}) > 8
    assert sorted(of_label) == list(range(len(of_label)))


def test_independent_values_are_those_of_the_acquired_part() -> None:
    patch = small_patch()
    held = patch.inside.sum() * 0.99 / (4 / 3 * np.pi * 4.4**3 * 0.98)
    assert held == pytest.approx(1.0, abs=0.05)
    assert with_acquisition(patch, windows=(KSpaceWindow(0.5),) * 3).independent_per_voxel == pytest.approx(
        0.125 / held, rel=1e-3
    )
    assert patch.independent_per_voxel == pytest.approx(min(1.0, 1 / held))
    # Of every second voxel each is worth more.
    thin = patch.inside.copy()
    thin[1::2] = False
    sparse = with_acquisition(replace(patch, inside=thin), windows=(KSpaceWindow(0.5), *FULL_K_SPACE[1:]))
    assert sparse.independent_per_voxel == pytest.approx(
        min(1.0, 0.5 / (held * thin.sum() / patch.inside.sum())), rel=1e-3
    )


def test_a_linear_fit_to_the_field_predicts_the_phase(rng: np.random.Generator) -> None:
    patch = small_patch()
    x, y, z = patch.coordinates_mm
    plane = 5.0 - 2.0 * x + 0.7 * y + 1.1 * z
    bent = replace(patch, field_hz=plane + np.where(x > 2, 40.0, 0.0))
    weight = np.ones((2, int(patch.inside.sum())))
    # A voxel counts by its least weight over the echoes.
    weight[1, x[patch.inside] > 2] = 0
    phase = bent.linear_field_phase(weight.ravel())
    expected = 2 * np.pi * np.outer([0.006, 0.014], plane[patch.inside])
    np.testing.assert_allclose(phase, expected, atol=1e-5)
    # Squared weights: least squares of the weighted field.
    some = rng.uniform(0.1, 1, weight.shape)
    basis = polynomials(patch.coordinates_mm[:, patch.inside], 1)
    w = some.min(axis=0)
    values = bent.field_hz[patch.inside]
    fitted = basis @ np.linalg.lstsq(basis * w[:, None], values * w, rcond=None)[0]
    np.testing.assert_allclose(
        bent.linear_field_phase(some.ravel()), 2 * np.pi * np.outer([0.006, 0.014], fitted), atol=1e-5
    )
    # Nothing counts: 0 and no error.
    assert not bent.linear_field_phase(np.zeros(weight.size)).any()


def test_points_are_known_to_a_millimetre_and_half_a_voxel() -> None:
    patch: Patch = small_patch()
    np.testing.assert_allclose(patch.point_sd_mm, np.sqrt(1 + 0.25 * np.array([1.0, 1.21, 0.81])))
