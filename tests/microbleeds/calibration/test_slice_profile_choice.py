"""Slices, their thickness, or k-space: found from the strongest lesions of a scan."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.calibration.slice_profile_choice as module
from qsmcmb.microbleeds.calibration.slice_profile_choice import (
    choose_slice_profile,
    refit_on_patch,
    strongest_lesions,
)
from qsmcmb.microbleeds.calibration.voxel_mean_choice import choose_voxel_means
from qsmcmb.microbleeds.fit.levenberg_marquardt import minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.validation.simulate_and_measure import points_of
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch, with_acquisition
from tests.scenes.phantom_scans import patches_of


def thick(ratio: float, **known: Any) -> Patch:
    patch = with_acquisition(small_patch(), **known)
    return replace(patch, grid=replace(patch.grid, voxel_size_mm=(1.0, 1.1, 1.1 * ratio)))


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> dict[Any, float]:
    """Return costs by profile, to be filled in; a fit is its patch and profile."""
    table: dict[Any, float] = {}

    def fitted(patch: Patch) -> Any:
        profile = patch.acquisition.slice_profile
        return SimpleNamespace(
            model=SimpleNamespace(patch=patch),
            objective=SimpleNamespace(cost=table[profile and profile.thickness]),
        )

    monkeypatch.setattr(module, "initial_fit", fitted)
    monkeypatch.setattr(module, "refit_on_patch", lambda fit, patch: fitted(patch))
    monkeypatch.setattr(module, "strongest_lesions", lambda patches, number: [3, 0, 2][:number])
    return table


@pytest.mark.parametrize(
    ("best", "expected", "handed_on"),
    [(1.0, 1.0, True), (0.8, 0.8, False), (0.9, 0.9, False), (1.1, 1.1, False), (None, None, True)],
)
def test_the_profile_of_least_cost_is_chosen(
    costs: dict[Any, float], best: float | None, expected: float | None, handed_on: bool
) -> None:
    costs.update({None: 5.0, 0.8: 5.0, 0.9: 5.0, 1.0: 5.0, 1.1: 5.0})
    costs[best] = 4.0
    patches = [thick(1.4) for _ in range(5)]
    acquisition, fits = choose_slice_profile(patches, patches[0].acquisition)
    assert acquisition.slice_profile == (None if expected is None else SliceProfile(2, expected))
    assert sorted(fits) == ([0, 2, 3] if handed_on else [])
    for fit in fits.values():
        assert fit.model.patch.acquisition == acquisition


def test_k_space_is_taken_where_slices_are_no_better(costs: dict[Any, float]) -> None:
    costs.update(dict.fromkeys((None, 0.8, 0.9, 1.0, 1.1), 5.0))
    patch = thick(1.5)
    assert choose_slice_profile([patch] * 4, patch.acquisition)[0].slice_profile is None


@pytest.mark.parametrize(
    "known", [{"ratio": 1.39}, {"ratio": 1.5, "windows": (KSpaceWindow(),) * 2 + (KSpaceWindow(0.9),)}]
)
def test_short_or_zero_filled_voxels_are_no_slices(costs: dict[Any, float], known: dict[str, Any]) -> None:
    patch = thick(**known)
    assert choose_slice_profile([patch], patch.acquisition) == (patch.acquisition, {})


def test_the_strongest_fields_come_first() -> None:
    patches = []
    for total in (1.0, -4.0, 2.0, 0.5):
        patches.append(small_patch(SMALL_BALL._replace(total_chi_ppm_mm3=total), noise_sd=1e-3))
    assert strongest_lesions(patches, 3) == [1, 2, 0]
    assert strongest_lesions(patches, 9) == [1, 2, 0, 3]


def test_a_refit_starts_from_the_fit_and_ends_lower() -> None:
    patch = small_patch()
    model = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    fit = minimise(model, model.start_parameters(SMALL_BALL))
    other = with_acquisition(patch, slice_profile=SliceProfile(2, 1.0))
    again = refit_on_patch(fit, other)
    assert again.model.patch is other
    seen = fit.model.on_patch(other, fit.source)
    assert again.objective.cost < evaluate_objective(seen, fit.parameters).cost


@pytest.fixture(scope="module")
def balls() -> tuple[TissueScan, Recipe, Protocol]:
    recipe = read_recipe("spheres")
    recipe = replace(recipe, fov_mm=(80.0, 80.0, 60.0), lesions=replace(recipe.lesions, microbleeds=4))
    protocol = next(p for p in recipe.sessions if p.two_d)
    # Two echoes tell the profile: each fit takes half the time of four.
    protocol = replace(protocol, te_s=protocol.te_s[:2])
    return TissueScan(recipe, protocol), recipe, protocol


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"slice_gap": 0.1}, SliceProfile(2, 0.9)),
        ({"slice_gap": 0.0}, SliceProfile(2, 1.0)),
        ({"two_d": False}, None),
    ],
    ids=["gap", "no gap", "k-space"],
)
def test_what_made_thick_voxels_is_found(
    balls: tuple[TissueScan, Recipe, Protocol], change: dict[str, float], expected: SliceProfile | None
) -> None:
    tissue, recipe, protocol = balls
    rng = np.random.default_rng(4)
    lesions = lesions_of(recipe, make_anatomy(recipe))
    session = tissue.scan(lesions, rng=rng, protocol=replace(protocol, **change))  # type: ignore[arg-type]
    patches = patches_of(session.scan, points_of(session, rng), noise_sd=8.0)
    acquisition, fits = choose_slice_profile(patches, patches[0].acquisition)
    assert acquisition.slice_profile == expected
    # Fits are handed on where they hold: those of the first profile tried, and those of none.
    assert all(fit.model.patch.acquisition == acquisition for fit in fits.values())
    assert bool(fits) == (expected in (SliceProfile(2, 1.0), None))
    if fits:
        # In plane k-space was sampled: the voxels are no means.
        assert choose_voxel_means(patches, acquisition, fits)[0] == acquisition
