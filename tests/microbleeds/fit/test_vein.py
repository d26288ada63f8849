"""A cylinder in place of the ball: its loop against a plain twin, its slopes, and what is told as a vein."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import null_space

from qsmcmb.microbleeds.fit.adjacent_vein import fit_adjacent_vein
from qsmcmb.microbleeds.fit.priors import PSF_WIDTH2_PRIOR, dark_core
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.vein import find_vein, line_dipole_fields
from qsmcmb.microbleeds.signal._cylinder_loops import PER_CYLINDER, cylinder_factor
from qsmcmb.microbleeds.signal.patch import Patch, cut_patch
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, CYLINDER, Source, SourceShape
from qsmcmb.model import GreScan
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.recipe import Protocol, Tube, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.points import quantify
from qsmcmb.pipeline.subject import map_scan_field

B0_DIR = np.array([0.6, 0.0, 0.8])


def twin(row: np.ndarray, points: np.ndarray, constants: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the factor of a sharp cylinder, by its field in cylinder coordinates."""
    strength, centre, radius, axis = row[0], row[1:4], row[4], row[5:8]
    dchi = strength / (np.pi * radius**2)
    offset = points - centre
    across = offset - np.outer(offset @ axis, axis)
    rho = np.linalg.norm(across, axis=1)
    b_across = B0_DIR - (B0_DIR @ axis) * axis
    cos_phi = across @ b_across / (rho * max(float(np.linalg.norm(b_across)), 1e-9))
    sin2 = b_across @ b_across
    outside_ppm = dchi / 2 * (radius / rho) ** 2 * sin2 * (2 * cos_phi**2 - 1)
    inside_ppm = dchi / 6 * (3 * (B0_DIR @ axis) ** 2 - 1)
    turn = 4 * np.pi * constants[:, None]
    far, patch = np.exp(1j * turn * outside_ppm), np.exp(1j * turn * inside_ppm)
    return np.asarray(np.where(rho > radius, far, inside[:, None] * patch))


def seen(
    row: np.ndarray, points: np.ndarray, weight: np.ndarray, *args: np.ndarray | float, count: int
) -> np.ndarray:
    """Return what the loop makes of direction of B0, constants, core and edge, all of them float32."""
    single = [np.asarray(a, np.float32) for a in (row[None], points, weight, *args[:-1])]
    out = np.empty((2, count, len(args[1]), len(points)), np.float32)
    cylinder_factor(*single, np.float32(args[-1]), out)
    return np.asarray(out[0] + 1j * out[1])


def row_of(axis: tuple[float, float, float]) -> np.ndarray:
    return np.array([0.9, 0.3, -0.2, 0.1, 0.8, *(np.array(axis) / np.linalg.norm(axis))])


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (1.0, 2.0, -0.5), (0.6, 0.0, 0.8)])
def test_loop_agrees_with_a_plain_twin(axis: tuple[float, float, float], rng: np.random.Generator) -> None:
    row, points = row_of(axis), rng.uniform(-4, 4, (500, 3)).astype(np.float32)
    offset = points - row[1:4]
    rho = np.linalg.norm(offset - np.outer(offset @ row[5:8], row[5:8]), axis=1)
    points = points[np.abs(rho - row[4]) > 0.01]
    constants, inside = np.array([0.3, 0.9]), np.array([0.6, 0.2])
    core = np.stack([inside, np.zeros(2)])
    weight = np.ones(len(points))
    made = seen(row, points, weight, B0_DIR, constants, core, 0.01, count=1)[0]
    expected = twin(row, points.astype(float), constants, inside) - 1
    np.testing.assert_allclose(made, expected, atol=3e-5)


def test_what_has_no_weight_is_not_seen(rng: np.random.Generator) -> None:
    points, weight = rng.uniform(-4, 4, (500, 3)), np.zeros(500)
    weight[300:310] = 1
    core = np.stack([np.full(2, 0.5), np.full(2, -0.1)])
    made = seen(row_of((1.0, 0.0, 2.0)), points, weight, B0_DIR, np.array([0.3, 0.9]), core, 0.3, count=10)
    there = np.abs(made).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(there, weight > 0)


def test_slopes_are_differences(rng: np.random.Generator) -> None:
    points = rng.uniform(-4, 4, (400, 3)).astype(np.float32)
    weight = np.ones(len(points))
    constants, core = np.array([0.5, 1.1]), np.array([[0.7, 0.4], [-0.2, -0.3]])

    def factor(p: np.ndarray, count: int) -> np.ndarray:
        return seen(CYLINDER.rows(p)[0], points, weight, B0_DIR, constants, core, 0.5, count=count)

    p = np.array([0.9, 0.3, -0.2, 0.1, np.log(0.8), 0.4, 0.0, 0.5, -0.6, 0.7])
    made = factor(p, 2 + PER_CYLINDER)[1:]
    # A blur of nothing in the place of its slope.
    slopes = CYLINDER.chain_rule(p, np.concatenate([made, np.zeros_like(made[:1])]))
    for i in (0, 1, 2, 3, 4, 7, 8, 9):
        step = np.zeros(10)
        step[i] = 2e-3
        difference = (factor(p + step, 1)[0] - factor(p - step, 1)[0]) / 4e-3
        assert np.linalg.norm(difference - slopes[i]) < 0.03 * np.linalg.norm(difference)
    np.testing.assert_allclose(slopes[6], made[-1])


@pytest.mark.parametrize("shape", [BALL_PAIR, CYLINDER], ids=["pair", "cylinder"])
def test_what_a_shape_knows_has_its_slopes(shape: SourceShape) -> None:
    p = np.array([0.9, 0.3, -0.2, 0.1, np.log(0.8), 0.4, 4.0, 0.5, -0.6, 0.7])
    known = shape.shape_prior(p)
    assert known is not None
    for i in range(shape.n_source_parameters):
        step = np.zeros(10)
        step[i] = 1e-5
        above, below = shape.shape_prior(p + step), shape.shape_prior(p - step)
        assert above is not None
        assert below is not None
        assert (above[0] - below[0]) / 2e-5 == pytest.approx(known[1][i], abs=1e-4)


def test_a_line_has_the_field_of_a_thin_cylinder() -> None:
    xyz = np.array([[2.0, 0.5, -1.0], [0.3, 2.0, 1.5]]).T
    axis = np.array([0.0, 0.6, 0.8])
    row = np.array([1.0, 0.0, 0.0, 0.0, 0.1, *axis])
    phase = np.angle(twin(row, xyz.T, np.array([0.01]), np.ones(1)))[0] / (4 * np.pi * 0.01)
    plane = null_space(axis[None]).T
    # The line is shifted with the places.
    shift = np.array([0.7, -0.3])
    across = plane @ xyz + shift[:, None]
    made = line_dipole_fields(across, np.stack([np.zeros(2), shift]), plane @ B0_DIR, 0.25)[1]
    np.testing.assert_allclose(made, phase, rtol=1e-4)


TUBE = Tube((0.0, 2.0, 1.0), (1.0, 0.4, 1.4142), 0.6, 0.4, signal=0.9, r2star_hz=30.0)
PROTOCOL = Protocol("3T", 3.0, (0.005, 0.012, 0.019, 0.026), 120.0, tilt_deg=10.0)


@pytest.fixture(scope="module")
def tube() -> tuple[TissueScan, np.ndarray]:
    """Return a tube's scan, and a point near its middle (mm)."""
    recipe = read_recipe("cylinders")
    scan = TissueScan(replace(recipe, tubes=(TUBE,), fov_mm=(48.0, 48.0, 48.0)), PROTOCOL)
    return scan, scan.pose.to_world(np.array([TUBE.centre_mm]) + 0.3)


def test_a_tube_is_told_as_a_vein_and_the_interval_reaches_zero(tube: tuple[TissueScan, np.ndarray]) -> None:
    tissue, point = tube
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    table = quantify(scan, point)
    lesion = table.lesions[0]
    assert "vein-like" in lesion.flags
    assert lesion.kind == "vein"
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.low < 0 < lesion.total_chi_ppm_mm3.high
    # A reader's word stands.
    assert quantify(scan, point, kinds=["microbleed"]).lesions[0].kind == "microbleed"


def test_the_vein_that_is_found_is_the_tube(tube: tuple[TissueScan, np.ndarray]) -> None:
    tissue, point = tube
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    patch = near_of(scan, point[0])
    source = Source(0.7, (0.0, 0.0, 0.0), 0.8)
    vein = find_vein(
        refine_with_tissue_prior(select_shape(patch, source, core=dark_core(3.0)), PSF_WIDTH2_PRIOR)
    )
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE.chi_ppm * np.pi * TUBE.radius_mm**2, rel=0.15)
    ends = scan.grid.to_voxel(tissue.pose.to_world(np.array([TUBE.direction, (0.0, 0.0, 0.0)])))
    axis = ends[0] - ends[1]
    assert abs(np.array(vein.axis) @ axis / np.linalg.norm(axis)) > 0.99


def test_a_vein_beside_a_lesion_is_not_a_part_of_it(tube: tuple[TissueScan, np.ndarray]) -> None:
    tissue, _ = tube
    across = np.cross(TUBE.direction, (0.0, 0.0, 1.0))
    centre = np.array(TUBE.centre_mm) + 1.5 * across / np.linalg.norm(across)
    ball = Ball((centre[0], centre[1], centre[2]), 0.9, 0.9)
    scan = tissue.scan((PhantomLesion("microbleed", (ball,)),), rng=np.random.default_rng(2)).scan
    patch = near_of(scan, tissue.pose.to_world(centre[None])[0])
    alone = refine_with_tissue_prior(select_shape(patch, Source(3.0, (0.0, 0.0, 0.0), 0.9)), PSF_WIDTH2_PRIOR)
    both, vein = fit_adjacent_vein(alone)
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE.chi_ppm * np.pi * TUBE.radius_mm**2, rel=0.15)
    error_alone, error = (abs(o.parameters[0] / ball.total_chi_ppm_mm3 - 1) for o in (alone, both))
    assert error < 0.6 * error_alone
    assert both.model_selection_sd_ppm_mm3 > 0


def near_of(scan: GreScan, point: np.ndarray) -> Patch:
    phase = map_scan_field(scan, make_config())
    voxel = scan.grid.to_voxel(point[None])[0]
    return cut_patch(
        scan, voxel, field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask, noise=0.01
    )  # fmt: skip
