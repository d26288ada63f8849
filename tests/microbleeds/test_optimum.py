"""The end of a fit: what it keeps, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.levenberg_marquardt import TRIAL_STEPS, Optimum, optimise
from qsmcmb.microbleeds.fit.objective import evaluate
from qsmcmb.microbleeds.fit.priors import BLUR, dark_core
from qsmcmb.microbleeds.signal.model import LesionModel, Source
from qsmcmb.microbleeds.signal.source_shapes import TWO_BALLS
from tests.microbleeds.test_lesion_model import scanned

TOTAL = 3.0


@pytest.fixture(scope="module")
def model() -> LesionModel:
    near = scanned(np.array([[TOTAL, 0.3, -0.2, 0.1, 0.8]]))
    return LesionModel(near, Source(TOTAL, (0.0, 0.0, 0.0), 0.8), blur=BLUR, core=dark_core(3.0))


def test_what_is_left_out_is_made_again(model: LesionModel) -> None:
    found = optimise(model, model.start(Source(2.0, (0.0, 0.0, 0.0), 0.8)))
    sd = found.sandwich()
    doubted, bare = found.with_rivals(0.3), found.bare()
    assert doubted.linear is found.linear
    assert doubted.rivals_sd_ppm_mm3 == 0.3
    assert found.rivals_sd_ppm_mm3 == 0
    assert not {"linear", "influence"} & set(vars(bare))
    assert bare.sandwich() == sd


@pytest.mark.parametrize(("apart_mm", "outside"), [(0.9, False), (1.6, False), (3.2, True), (5.0, True)])
def test_a_pair_whose_other_half_nothing_shows_is_outside(
    model: LesionModel, apart_mm: float, outside: bool
) -> None:
    near = model.near
    # The mask ends 1.5 mm beside the lesion.
    near = replace(near, inside=near.inside & (near.coordinates_mm[0] < 1.5), covered=0.6)
    pair = LesionModel(near, Source(2 * TOTAL, (0.0, 0.0, 0.0), 0.8), blur=BLUR, core=dark_core(3.0))
    pair = pair.with_shape(TWO_BALLS)
    half = apart_mm / 2
    p = pair.start(Source(2 * TOTAL, (half, 0.0, 0.0), 0.8), [half, 0.0, 0.0])
    assert Optimum(pair, p, evaluate(pair, p), converged=True).outside == outside


def test_what_is_out_of_reach_is_given_up(model: LesionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import qsmcmb.microbleeds.fit.levenberg_marquardt as module

    steps, solved = [], module.solved
    monkeypatch.setattr(module, "solved", lambda *a, **k: steps.append(1) or solved(*a, **k))
    start = model.start(Source(1.0, (0.8, 0.0, 0.0), 0.8))
    whole = optimise(model, start)
    needed = len(steps)
    assert whole.source.total_chi_ppm_mm3 == pytest.approx(TOTAL, rel=0.03)
    # What the end undercuts is never given up; what it never reaches, before a trial's last step.
    assert optimise(model, start, give_up_above=whole.misfit.cost + 5).misfit.cost == whole.misfit.cost
    steps.clear()
    lost = optimise(model, start, give_up_above=whole.misfit.cost - 1e6)
    assert len(steps) < min(needed, TRIAL_STEPS)
    assert lost.misfit.cost > whole.misfit.cost
