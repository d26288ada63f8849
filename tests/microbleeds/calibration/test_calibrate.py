"""One calibration: its steps in order, each lesion fitted from the field map once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import qsmcmb.microbleeds.calibration.calibrate as module
from qsmcmb.microbleeds.calibration.calibrate import calibrate
from qsmcmb.microbleeds.calibration.psf_width import PsfWidth
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL
from qsmcmb.model import Estimate
from tests.scenes.patches import small_patch

BEFORE = Acquisition(te_s=(0.006, 0.014), b0_tesla=3.0, noise_sd=0.01)
PROFILE, WINDOW, WIDTH2 = SliceProfile(2, 0.9), KSpaceWindow(0.8, 0.5, 0.0), Estimate(0.3, 0.05, "mm2")


FREE, SIMPLE = (SimpleNamespace(model=SimpleNamespace(shape=shape)) for shape in (FreeSource((1, 1)), BALL))
"""Fits that the width's step hands on."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what each step is called with; the steps hand on made-up fits by number."""
    seen: list[Any] = []

    def heterogeneity(patches: list[Any]) -> float:
        seen.append(("heterogeneity", patches))
        return 0.4

    def profile(patches: list[Patch], acquisition: Acquisition) -> tuple[Acquisition, dict[int, Any]]:
        seen.append(("profile", list(patches), acquisition))
        return replace(acquisition, slice_profile=PROFILE), {1: "first fit of 1"}

    def means(patches: list[Patch], acquisition: Acquisition, fits: dict[int, Any]) -> Any:
        seen.append(("means", list(patches), acquisition, dict(fits)))
        return acquisition, fits

    def taper(patches: list[Patch], acquisition: Acquisition, fits: dict[int, Any]) -> Any:
        seen.append(("taper", list(patches), acquisition, dict(fits)))
        return replace(acquisition, windows=(WINDOW, WINDOW, WINDOW)), fits

    def width(states: list[Any], acquisition: Acquisition) -> PsfWidth:
        seen.append(("width", list(states), acquisition))
        return PsfWidth(WIDTH2, {1: FREE, 2: SIMPLE})

    def initial(patch: Patch) -> Any:
        seen.append(("fit", patch))
        return SimpleNamespace(patch=patch)

    monkeypatch.setattr(module, "tissue_heterogeneity", heterogeneity)
    monkeypatch.setattr(module, "choose_slice_profile", profile)
    monkeypatch.setattr(module, "choose_voxel_means", means)
    monkeypatch.setattr(module, "choose_filter_taper", taper)
    monkeypatch.setattr(module, "estimate_psf_width2", width)
    monkeypatch.setattr(module, "initial_fit", initial)
    return seen


def test_each_step_knows_what_those_before_have_found(steps: list[Any]) -> None:
    one, two, three = (replace(small_patch(), radius_mm=r) for r in (4.0, 4.1, 4.2))
    made = calibrate([None, one, two, None, three], BEFORE, lambda patch: [f"around {patch.radius_mm}"] * 2)  # type: ignore[list-item]
    first = replace(BEFORE, heterogeneity=0.4)
    second = replace(first, slice_profile=PROFILE)
    third = replace(second, windows=(WINDOW, WINDOW, WINDOW))
    assert made.acquisition == replace(third, psf_width2=WIDTH2)
    known = [one, two, three]
    assert steps[0] == ("heterogeneity", ["around 4.0"] * 2 + ["around 4.1"] * 2 + ["around 4.2"] * 2)
    assert steps[1][0] == "profile"
    assert all(a is b for a, b in zip(steps[1][1], known, strict=True))
    assert steps[1][2] == first
    assert [step[0] for step in steps[2:4]] == ["means", "taper"]
    for step in steps[2:4]:
        assert step[2:] == (second, {1: "first fit of 1"})
    # The fit that was handed on is not made again; the others are, on what is known then.
    fits = [s for s in steps if s[0] == "fit"]
    assert sorted(f[1].radius_mm for f in fits) == [4.0, 4.2]
    assert all(f[1].acquisition == third for f in fits)
    states = made.states
    assert [s is None for s in states] == [True, False, False, True, False]
    assert states[2] == "first fit of 1"
    assert states[1].patch.radius_mm == 4.0  # type: ignore[union-attr]
    assert states[4].patch.radius_mm == 4.2  # type: ignore[union-attr]
    assert steps[-1] == ("width", [states[1], states[2], states[4]], third)
    # By the index of the point: a free source, and a lesion that is none.
    assert made.fits_among_tissue == {2: FREE, 4: SIMPLE}


def test_six_lesions_are_enough_for_the_heterogeneity(steps: list[Any]) -> None:
    calibrate([small_patch()] * 8, BEFORE, lambda patch: [patch])
    assert len(steps[0][1]) == 6


def test_without_a_patch_nothing_is_looked_for(steps: list[Any]) -> None:
    made = calibrate([None, None], BEFORE, lambda patch: [])
    assert made == (BEFORE, [None, None], {})
    assert steps == []
