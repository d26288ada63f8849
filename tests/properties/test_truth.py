"""Every method finds the truth of its small case on even and odd, cubic and anisotropic, straight and oblique grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.model import Grid
from tests.properties import table
from tests.properties.cases import all_methods, make_case, methods_of, run
from tests.scenes.echoes import EVEN_TE_S, TE_S, signal_of, smooth_field_hz, times
from tests.scenes.geometry import GRIDS, ball, ellipsoid
from tests.scenes.sources import dipole_pair

ON_GRIDS = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def check(found: table.Found, made: np.ndarray, truth: np.ndarray, scale: float) -> None:
    assert np.corrcoef(made, truth)[0, 1] > found.correlation
    assert found.low < scale < found.high


def test_every_method_states_how_near_it_comes() -> None:
    assert set(table.TRUTH) == set(all_methods("background_removal", "dipole_inversion"))


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("background_removal"))
def test_background_leaves_the_field_of_the_source_inside(method: str, grid: Grid) -> None:
    local, left = run("background_removal", method, make_case("background_removal", method, grid)).values()
    truth = dipole_pair(grid, mask_mm=9.0, away=(3.0, -4.0, 17.0), middle=(0.5, 1.0, -0.5)).inside[left]
    scale = float(np.vdot(local[left], truth) / np.vdot(truth, truth))
    check(table.TRUTH["background_removal", method], local[left], truth, scale)


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("dipole_inversion"))
def test_inversion_finds_the_ball_and_its_contrast(method: str, grid: Grid) -> None:
    case = make_case("dipole_inversion", method, grid)
    chi, mask = run("dipole_inversion", method, case)["chi"], case.volumes["mask"]
    truth = ball(grid, 3.0, (1.0, -1.5, 0.8))
    contrast = float(chi[truth].mean() - np.median(chi[mask & ~truth])) / 0.3
    check(table.TRUTH["dipole_inversion", method], chi[mask], truth[mask], contrast)
    assert abs(float(chi[mask].mean(dtype=float))) < 1e-6


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("unwrapping"))
def test_unwrapped_phase_is_the_truth_up_to_whole_turns_of_an_echo(method: str, grid: Grid) -> None:
    case = make_case("unwrapping", method, grid)
    made = run("unwrapping", method, case)["unwrapped"]
    turns = (made - 2 * np.pi * times(TE_S) * smooth_field_hz(grid))[:, case.volumes["mask"]] / (2 * np.pi)
    assert np.ptp(turns, axis=1).max() < 1e-5
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)


INDIVIDUAL = [
    (m, {"individual": i, "template": t})
    for m in ("romeo", "bestpath")
    for i in (False, True)
    for t in (1, 2, 3)
]


@pytest.mark.parametrize(
    ("method", "options"), [*INDIVIDUAL, ("laplacian", {}), ("laplacian", {"exact": True})]
)
@pytest.mark.parametrize("offset_hz", [80.0, -60.0])
def test_echo_times_tell_how_often_each_part_has_turned(
    method: str, options: dict[str, object], offset_hz: float
) -> None:
    """Two parts whose later echoes are turns away; the second part lies beyond a step of the field between them."""
    grid = GRIDS["oblique"]
    mask = ellipsoid(grid, (9.0, 8.5, 8.0))
    mask[10:12] = False
    field = 0.4 * smooth_field_hz(grid) + offset_hz + np.where(np.indices(grid.shape)[0] > 10, 30.0, 0.0)
    phase, magnitude = signal_of(field, np.full(grid.shape, 20.0), TE_S)
    case = make_case("unwrapping", method, grid).with_volumes(phase=phase, magnitude=magnitude, mask=mask)
    made = run("unwrapping", method, replace(case, options={**case.options, **options}))["unwrapped"]
    truth = 2 * np.pi * times(TE_S) * field
    assert np.abs(np.rint(truth / (2 * np.pi)))[:, mask].max() >= 1
    np.testing.assert_allclose(made[:, mask], truth[:, mask], atol=1e-4 * np.abs(truth).max())


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("field_mapping"))
def test_the_fields_error_is_its_bound_and_its_sd_says_so(method: str, grid: Grid) -> None:
    case = make_case("field_mapping", method, grid)
    made, mask = run("field_mapping", method, case), case.volumes["mask"]
    error = float(np.std((made["total_field_hz"] - smooth_field_hz(grid))[mask]))
    weights = np.exp(-2 * 30.0 * np.array(TE_S))
    bound = 1 / (2 * np.pi * 30.0 * np.sqrt((weights * np.square(TE_S)).sum()))
    assert error == pytest.approx(bound, rel=0.1)
    assert float(np.median(made["field_sd_hz"][mask])) == pytest.approx(bound, rel=0.1)


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("masking"))
def test_the_mask_is_the_brain_but_for_its_surface(method: str, grid: Grid) -> None:
    made = run("masking", method, make_case("masking", method, grid))["mask"]
    brain = ellipsoid(grid, (8.0, 7.5, 7.0))
    assert made[ellipsoid(grid, (6.0, 5.5, 5.0))].all()
    assert not made[~ellipsoid(grid, (10.5, 10.0, 9.5))].any()
    dice = 2 * (made & brain).sum() / (made.sum() + brain.sum())
    assert dice > (0.94 if method == "combined" else 0.86)


@ON_GRIDS
@pytest.mark.parametrize("method", methods_of("relaxometry"))
def test_the_rate_is_found_without_bias(method: str, grid: Grid) -> None:
    case = make_case("relaxometry", method, grid)
    rate, made = (
        np.linspace(10.0, 60.0, grid.shape[0])[:, None, None],
        run("relaxometry", method, case)["r2star"],
    )
    error = (made - rate)[case.volumes["mask"]]
    assert len(EVEN_TE_S) == 4
    assert abs(error.mean(dtype=float)) < 0.15
    assert error.std(dtype=float) < 1.75
