"""The initial fit: where it starts, and when a core that retains its signal is believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.fit.initial as module
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.signal.source_shapes import Source
from tests.scenes.patches import small_patch

PATCH = small_patch()
SD_MM = PATCH.point_sd_mm


class Fits:
    """Stands in for `select_shape`: hands out fits by the source that they start from."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.dark: list[Any] = []
        self.retaining: Any = None

    def __call__(self, patch: Any, source: Source, *, core_decay: Any = None) -> Any:
        assert patch.background is not None
        if core_decay == SIGNAL_RETAINING_CORE:
            return self.retaining
        self.sources.append(source)
        return self.dark[len(self.sources) - 1]


def fit(total: float, *, cost: float = 0.0, residual: float = 1.0, converged: bool = True) -> Any:
    source = Source(total, (0.0, 0.0, 0.0), 1.0)
    return SimpleNamespace(
        source=source, objective=SimpleNamespace(cost=cost), residual=residual, converged=converged
    )


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    made = Fits()
    monkeypatch.setattr(module, "select_shape", made)
    monkeypatch.setattr(module, "fit_signal_retaining_ball", lambda patch, field: None)
    return made


def field_says(monkeypatch: pytest.MonkeyPatch, total: float, sds_away: float) -> Source:
    start = Source(total, (float(sds_away * SD_MM[0]), 0.0, 0.0), 1.2)
    monkeypatch.setattr(module, "fit_point_dipole", lambda patch, field: start)
    return start


@pytest.mark.parametrize(("sds_away", "stays"), [(1.4, True), (1.6, False)])
def test_a_start_far_from_the_point_is_brought_back(
    fits: Fits, monkeypatch: pytest.MonkeyPatch, sds_away: float, stays: bool
) -> None:
    start = field_says(monkeypatch, 3.0, sds_away)
    fits.dark = [fit(2.5)]
    assert initial_fit(PATCH) is fits.dark[0]
    assert fits.sources == [start if stays else start._replace(centre_mm=(0.0, 0.0, 0.0))]


@pytest.mark.parametrize(
    ("total", "converged", "again"), [(-0.95, True, False), (-0.85, True, True), (-3.0, False, True)]
)
def test_a_fit_that_lost_the_lesion_is_made_again_at_the_point(
    fits: Fits, monkeypatch: pytest.MonkeyPatch, total: float, converged: bool, again: bool
) -> None:
    field_says(monkeypatch, -3.0, 1.0)
    fits.dark = [fit(total, converged=converged, residual=0.9), fit(-2.0, residual=0.8)]
    assert initial_fit(PATCH) is fits.dark[int(again)]
    if again:
        assert fits.sources[1] == Source(-3.0, (0.0, 0.0, 0.0), 1.2)
        # Of both the one that leaves less.
        fits.sources.clear()
        fits.dark[1].residual = 1.0
        assert initial_fit(PATCH) is fits.dark[0]


@pytest.mark.parametrize(
    ("dchi_ppm", "drop", "believed"), [(0.11, 16.0, True), (0.11, 14.0, False), (0.09, 16.0, False)]
)
def test_a_core_that_retains_its_signal_must_explain_much_more(
    fits: Fits, monkeypatch: pytest.MonkeyPatch, dchi_ppm: float, drop: float, believed: bool
) -> None:
    field_says(monkeypatch, 3.0, 0.0)
    ball = Source(-dchi_ppm * 4 / 3 * np.pi * 2.0**3, (0.0, 0.0, 0.0), 2.0)
    monkeypatch.setattr(module, "fit_signal_retaining_ball", lambda patch, field: ball)
    fits.dark, fits.retaining = [fit(2.5, cost=100.0)], fit(2.0, cost=100.0 - drop)
    assert (initial_fit(PATCH) is fits.retaining) == believed


def test_the_background_field_is_known_to_all_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = initial_fit(PATCH)
    plane = found.model.patch.background_hz(np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0, 1, 0], [0.0, 0, 0, 1]]))
    # The tissue's field is 3 + 1.5 x - 0.8 z Hz.
    assert plane - plane[0] == pytest.approx([0.0, 1.5, 0.0, -0.8], abs=0.3)
    assert found.source.total_chi_ppm_mm3 == pytest.approx(2.0, rel=0.15)
    assert np.linalg.norm(np.array(found.source.centre_mm) - (0.2, -0.1, 0.3)) < 0.2
