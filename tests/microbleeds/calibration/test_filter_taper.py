"""The taper of a filter over k-space: found from the strongest lesions where the spectrum is off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.calibration.filter_taper as module
from qsmcmb.microbleeds.calibration.filter_taper import choose_filter_taper
from qsmcmb.microbleeds.calibration.k_space_spectrum import noise_retained
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.phantoms.tissue_scan import PhantomSession, TissueScan
from qsmcmb.validation.simulate_and_measure import points_of
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch, with_acquisition
from tests.scenes.phantom_scans import patches_of


def fake_fits(monkeypatch: pytest.MonkeyPatch, costs: Any) -> list[Any]:
    """Let fits of patches be their strength, and refits cost what `costs` says of fit and windows."""
    made: list[Any] = []
    monkeypatch.setattr(
        module, "strongest_lesions", lambda patches, number: list(range(len(patches)))[::-1][:number]
    )
    monkeypatch.setattr(
        module, "initial_fit", lambda patch: made.append(patch) or f"fit of {patch.radius_mm}"
    )
    monkeypatch.setattr(module, "_cost_with_windows", costs)
    return made


@pytest.mark.parametrize(("height", "chosen"), [(60.0, True), (40.0, False)])
def test_the_taper_of_least_cost_is_chosen_if_the_drop_is_clear(
    monkeypatch: pytest.MonkeyPatch, height: float, chosen: bool
) -> None:
    hamming, tukey = KSpaceWindow(0.9, 1.0, 0.08), KSpaceWindow(0.8, 0.5, 0.0)
    windows = (tukey, hamming, tukey._replace(taper=0.6))
    patches = [replace(small_patch(), radius_mm=float(r)) for r in range(1, 7)]
    patches = [with_acquisition(p, windows=windows) for p in patches]
    seen: list[Any] = []

    def cost(fit: str, tried: KSpaceWindows) -> float:
        seen.append((fit, tried))
        # A parabola around 0.44; what was found costs a quarter of the height more, four lesions count.
        return height * (tried[0].taper - 0.44) ** 2 / (0.5 - 0.44) ** 2 / 4

    made = fake_fits(monkeypatch, cost)
    patches[0].__dict__["independent_per_voxel"] = 0.3
    acquisition, fits = choose_filter_taper(patches, patches[0].acquisition, {4: "handed on"})
    assert sorted(p.radius_mm for p in made) == [3.0, 4.0, 6.0]
    assert {fit for fit, _ in seen} == {"handed on", "fit of 3.0", "fit of 4.0", "fit of 6.0"}
    if not chosen:
        # 0.3 independent values per voxel: a drop of 12.
        assert acquisition == patches[0].acquisition
        assert fits == {4: "handed on", 2: "fit of 3.0", 3: "fit of 4.0", 5: "fit of 6.0"}
        return
    tapers = [w.taper for w in acquisition.windows]
    assert tapers == pytest.approx([0.44, 1.0, 0.44], abs=0.01)
    assert acquisition.windows[1] == hamming
    assert fits == {}
    # The noise in the image stays: what the other windows leave of it is made up for.
    left = [np.prod([noise_retained(w) for w in some]) for some in (windows, acquisition.windows)]
    assert acquisition.noise_sd == pytest.approx(0.01 * left[0] / left[1])
    # From 0.6 to 1.3 of the median of both tapers.
    tried = [w[0].taper for _, w in seen]
    assert min(tried) > 0.6 * 0.55
    assert max(tried) < 1.3 * 0.55


def test_a_taper_is_the_whole_half_axis_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    hann = KSpaceWindow(1.0, 0.9, 0.0)
    seen: list[float] = []
    fake_fits(monkeypatch, lambda fit, tried: seen.append(tried[0].taper) or -100.0 * tried[0].taper)
    patch = with_acquisition(small_patch(), windows=(hann, hann, hann))
    acquisition, _ = choose_filter_taper([patch], patch.acquisition, {})
    assert max(seen) <= 1.0
    # Nothing is gained by less than a tenth of a hundred.
    assert acquisition == patch.acquisition


def test_a_refit_costs_what_its_data_do_per_independent_value() -> None:
    from qsmcmb.microbleeds.fit.levenberg_marquardt import minimise
    from qsmcmb.microbleeds.signal.model import LesionModel

    patch = small_patch()
    model = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    fit = minimise(model, model.start_parameters(SMALL_BALL))
    window = KSpaceWindow(0.8, 0.5, 0.0)
    cost = module._cost_with_windows(fit, (window, window, window))
    seen = with_acquisition(patch, windows=(window, window, window))
    again = minimise(fit.model.on_patch(seen, fit.source), fit.parameters)
    assert again.model.patch.independent_per_voxel < 0.5
    assert cost == again.data_cost() / again.model.patch.independent_per_voxel
    assert cost != fit.data_cost()


@pytest.fixture(scope="module")
def filtered() -> PhantomSession:
    """Balls in water, zero-filled from 1 to 0.8 mm through Tukey's window, whose weight falls over half of it."""
    recipe = read_recipe("sphere")
    recipe = replace(recipe, fov_mm=(64.0, 64.0, 64.0), lesions=replace(recipe.lesions, microbleeds=3))
    protocol = replace(
        recipe.sessions[0], voxel_mm=(0.8, 0.8, 0.8), acquired=(0.8, 0.8, 0.8), window="tukey", tilt_deg=0.0
    )
    lesions = lesions_of(recipe, make_anatomy(recipe))
    return TissueScan(recipe, protocol).scan(lesions, rng=np.random.default_rng(4), protocol=protocol)


def patches(session: PhantomSession, windows: KSpaceWindows) -> list[Patch]:
    points = points_of(session, np.random.default_rng(5))
    return patches_of(session.scan, points, noise_sd=8.0, windows=windows)


def test_lesions_choose_the_taper(filtered: PhantomSession) -> None:
    spectral = KSpaceWindow(0.8, 0.62, 0.0)
    seen = patches(filtered, (spectral, spectral._replace(taper=0.55), spectral._replace(taper=0.8)))
    acquisition, fits = choose_filter_taper(seen, seen[0].acquisition, {})
    assert [w.edge for w in acquisition.windows] == [0.8] * 3
    assert [w.taper for w in acquisition.windows] == pytest.approx([0.5] * 3, abs=0.03)
    # Less of the noise was filtered away than a wider taper would have.
    assert acquisition.noise_sd < 8.0
    # The fits were made with the other taper.
    assert fits == {}


def test_what_no_cosine_filtered_stays(filtered: PhantomSession) -> None:
    hamming = KSpaceWindow(0.8, 1.0, 0.08)
    for windows in (FULL_K_SPACE, (hamming, hamming, hamming)):
        seen = patches(filtered, windows)
        assert choose_filter_taper(seen, seen[0].acquisition, {}) == (seen[0].acquisition, {})
