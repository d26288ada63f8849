"""An infinite cylinder in place of the ball: the field of a line, and what is called a vein."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import null_space

import qsmcmb.microbleeds.fit.vein as vein_module
from qsmcmb.core.directions import half_sphere
from qsmcmb.microbleeds.fit.field_fit import detrend_field
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.vein import find_vein, line_dipole_fields
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, CYLINDER, Source
from qsmcmb.pipeline.points import quantify
from qsmcmb.typing import FloatArray
from qsmcmb.units import ppm_to_hz
from tests.scenes.lesion_signal import B0_DIR, cylinder_at_points
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch
from tests.scenes.phantom_scans import TUBE, TUBE_PPM_MM2, patches_of, tube_tissue


def test_a_line_has_the_field_of_a_thin_cylinder() -> None:
    xyz = np.array([[2.0, 0.5, -1.0], [0.3, 2.0, 1.5]]).T
    axis = np.array([0.0, 0.6, 0.8])
    row = np.array([1.0, 0.0, 0.0, 0.0, 0.1, *axis])
    phase = np.angle(cylinder_at_points(row, xyz.T, np.array([0.01]), np.ones(1)))[0] / (4 * np.pi * 0.01)
    plane = null_space(axis[None]).T
    # The line is shifted with the places.
    shift = np.array([0.7, -0.3])
    across = plane @ xyz + shift[:, None]
    made = line_dipole_fields(across, np.stack([np.zeros(2), shift]), plane @ B0_DIR, 0.25)[1]
    np.testing.assert_allclose(made, phase, rtol=1e-4)


def line_patch(line: vein_module.CylinderStart) -> Patch:
    """Return a patch whose field is that of a line on a cubic."""
    patch = small_patch()
    plane = null_space(line.axis[None]).T
    xyz = patch.coordinates_mm.reshape(3, -1)
    across = plane @ (xyz - line.centre_mm[:, None])
    unit = line_dipole_fields(across, np.zeros((1, 2)), plane @ np.array(patch.grid.b0_dir), 1.1**2)[0]
    field = ppm_to_hz(line.strength * unit, 3.0) + 4.0 - 0.7 * xyz[0] + 0.1 * xyz[1] * xyz[2] ** 2
    return replace(patch, field_hz=field.reshape(patch.inside.shape))


@pytest.mark.parametrize("number", [0, 11, 37])
def test_a_line_among_the_directions_is_found_exactly(number: int) -> None:
    axis = half_sphere(40)[number]
    centre = null_space(axis[None]).T.T @ np.array([1.0, -1.0])
    patch = line_patch(vein_module.CylinderStart(-0.8, centre, axis))
    detrended = detrend_field(patch, patch.field_hz, patch.inside)
    lines, explained = vein_module.candidate_lines(patch, detrended, np.array([-1.0, 0.0, 1.0]))
    assert len(lines) == 6
    assert lines[0].strength == pytest.approx(-0.8, rel=1e-6)
    np.testing.assert_allclose(lines[0].centre_mm, centre, atol=1e-12)
    np.testing.assert_array_equal(lines[0].axis, axis)
    assert explained == pytest.approx((detrended.values**2).sum(), rel=1e-6)
    # What a dipole explains of a line is less.
    assert vein_module._explained_by_dipole(patch, detrended) < 0.9 * explained
    assert len({tuple(line.axis) for line in lines}) == 6


def test_directions_are_spread_over_half_a_sphere() -> None:
    axes = half_sphere(40)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1.0)
    assert (axes[:, 2] > 0).all()
    cosine = np.abs(axes @ axes.T) - np.eye(40)
    # Of each the nearest is 12 to 25 degrees away, of any direction 17 degrees at most.
    nearest = np.degrees(np.arccos(cosine.max(axis=1)))
    assert nearest.min() > 12
    assert nearest.max() < 25
    some = np.random.default_rng(1).standard_normal((500, 3))
    some /= np.linalg.norm(some, axis=1)[:, None]
    assert np.degrees(np.arccos(np.abs(some @ axes.T).max(axis=1))).max() < 20


@pytest.mark.parametrize(("strength", "used"), [(1.5, 1.5), (-1.5, 1.5), (0.01, 0.1)])
def test_a_cylinder_starts_with_the_susceptibility_of_a_vein(strength: float, used: float) -> None:
    source = vein_module.CylinderStart(
        strength, np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0])
    ).source()
    assert source.total_chi_ppm_mm3 == strength
    assert source.centre_mm == (1.0, 2.0, 3.0)
    assert np.pi * source.radius_mm**2 * 0.4 == pytest.approx(used)


def test_a_cylinder_is_fitted_from_the_two_best_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Any] = []

    def unmoved(model: LesionModel, p: FloatArray) -> Any:
        # The second start ends lower.
        ends.append(SimpleNamespace(model=model, parameters=p, objective=SimpleNamespace(cost=-len(ends))))
        return ends[-1]

    monkeypatch.setattr(vein_module, "minimise", unmoved)
    axes = half_sphere(40)
    lines = [vein_module.CylinderStart(0.4 + i / 10, np.zeros(3), axes[i]) for i in (0, 9, 18, 27)]
    patch = line_patch(lines[1])
    neighbours = np.ones(2 * int(patch.inside.sum()), complex)
    found = vein_module.fit_cylinder(patch, lines, neighbours)
    assert found is ends[2]
    assert len(ends) == 3
    model = ends[0].model
    assert model.shape is CYLINDER
    assert model.neighbours is neighbours
    assert model.core_decay == (30.0, 1.0)
    starts = [model.start_parameters(line.source(), line.axis) for line in lines]
    costs = [evaluate_objective(model, p).cost for p in starts]
    best = np.argsort(costs)
    for end, number in zip(ends, best[:2], strict=False):
        np.testing.assert_array_equal(end.parameters, starts[number])
    # The last one, from the end of the lower cost, is among the tissue's process.
    assert len(found.parameters) > len(starts[0])
    np.testing.assert_array_equal(found.parameters[:10], starts[best[1]][:10])


@pytest.mark.parametrize(
    ("by_dipole", "lesion_bic", "found"),
    [(2.0, 20.0, False), (0.5, 20.0, True), (0.5, 9.0, False), (1.0, 20.0, False)],
)
def test_a_vein_must_explain_field_and_signal_better(
    monkeypatch: pytest.MonkeyPatch, by_dipole: float, lesion_bic: float, found: bool
) -> None:
    model = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY).with_shape(BALL_PAIR)
    p = model.start_parameters(SMALL_BALL, [0.0, 0.6, 0.8])
    line = vein_module.CylinderStart(0.5, np.zeros(3), np.array([0.0, 0.0, 1.0]))
    seen: list[Any] = []

    def fitted(patch: Patch, lines: list[Any], neighbours: object) -> Any:
        seen.extend(lines)
        return SimpleNamespace(
            parameters=np.array([0.5, 0, 0, 0, np.log(0.7), 0, 0, 0.0, 3.0, 4.0]), bic=lambda: 10.0
        )

    monkeypatch.setattr(vein_module, "candidate_lines", lambda *a: ([line], 1.0))
    monkeypatch.setattr(vein_module, "_explained_by_dipole", lambda *a: by_dipole)
    monkeypatch.setattr(vein_module, "fit_cylinder", fitted)
    monkeypatch.setattr(vein_module, "minimise", lambda *a: SimpleNamespace(bic=lambda: lesion_bic))
    state = FitState(model=model, parameters=p, objective=None, converged=True)  # type: ignore[arg-type]
    vein = find_vein(state)
    assert (vein is not None) == found
    if vein is not None:
        assert vein == (0.5, pytest.approx(0.7), pytest.approx((0.0, 0.6, 0.8)), 10.0)
        # A pair along a vein has found its direction: 6 mm of vein in its place.
        assert seen[1].strength == pytest.approx(2.0 / 6.0)
        np.testing.assert_allclose(seen[1].axis, [0.0, 0.6, 0.8])
        np.testing.assert_allclose(seen[1].centre_mm, SMALL_BALL.centre_mm)


def near_tube() -> FloatArray:
    """Return a point near the tube's middle, (1, 3), scanner RAS+ mm."""
    return tube_tissue().pose.to_world(np.array([TUBE.centre_mm]) + 0.3)


def test_a_tube_is_called_a_vein_and_the_interval_reaches_zero() -> None:
    tissue, point = tube_tissue(), near_tube()
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    lesion = quantify(scan, point).lesions[0]
    assert "vein-like" in lesion.flags
    assert lesion.kind == "vein"
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.low < 0 < lesion.total_chi_ppm_mm3.high


def test_the_vein_that_is_found_is_the_tube() -> None:
    tissue, point = tube_tissue(), near_tube()
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    patch = patches_of(scan, point, noise_sd=0.01)[0]
    source = Source(0.7, (0.0, 0.0, 0.0), 0.8)
    vein = find_vein(refine_with_tissue_prior(select_shape(patch, source), patch.acquisition))
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE_PPM_MM2, rel=0.15)
    ends = scan.grid.to_voxel(tissue.pose.to_world(np.array([TUBE.direction, (0.0, 0.0, 0.0)])))
    axis = ends[0] - ends[1]
    assert abs(np.array(vein.axis) @ axis / np.linalg.norm(axis)) > 0.99
