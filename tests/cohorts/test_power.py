"""Simulated trials against closed forms, and what they assume."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from qsmcmb.cohorts.data_folder import data_folder
from qsmcmb.cohorts.endpoints import p_of_means, p_of_ranks, subjects_for_means, subjects_for_proportions
from qsmcmb.cohorts.measured_errors import read_measured_errors
from qsmcmb.cohorts.power import EndpointPower, find_power
from qsmcmb.cohorts.trial_config import TrialConfig, read_trial_config
from qsmcmb.errors import ConfigError

QUICK = {"repeats": 400, "pool": 20000, "max_subjects": 400}
ASKED = {"alpha": 0.05, "sides": 2, "power": 0.8}


def power_of(config: TrialConfig) -> dict[str, EndpointPower]:
    return {e.name: e for e in find_power(config, read_measured_errors())}


def test_two_proportions_and_two_means_are_those_of_the_closed_forms() -> None:
    config = TrialConfig(incidence_per_year=0.9, growth_sd=0.05, errors="none", **QUICK)
    found = power_of(config)
    for name in ("new microbleeds, yes or no", "growth of each lesion"):
        e = found[name]
        # The simulated arms are draws, too: 2 % of the number of subjects.
        low, high = 0.98 * e.low, 1.02 * e.high
        assert low <= e.closed_form <= high, name
    assert found["growth of each lesion"].saves > 1


@pytest.mark.parametrize(("name", "printed"), [("published", 70), ("published_high_risk", 52)])
def test_published_sample_sizes(name: str, printed: int) -> None:
    config = dataclasses.replace(read_trial_config(data_folder() / f"{name}.toml"), **QUICK)
    first = power_of(config)["new microbleeds, yes or no"]
    assert first.closed_form == pytest.approx(printed, rel=0.06)
    assert 0.96 * first.low <= printed <= 1.04 * first.high
    control = 1 - math.exp(-config.incidence_per_year * config.years)
    asked = {"alpha": 0.05, "sides": 1, "power": 0.8}
    assert subjects_for_proportions(control / 2, control, **asked) == pytest.approx(printed, abs=0.5)


def test_closed_form_of_means_has_its_power() -> None:
    n = round(subjects_for_means(0.5, 1.0, **ASKED))
    rng = np.random.default_rng(1)
    p = p_of_means(rng.normal(0, 1, (4000, n)), rng.normal(0.5, 1, (4000, n)))
    assert np.mean(2 * np.minimum(p, 1 - p) < 0.05) == pytest.approx(0.8, abs=0.02)


def test_ranks_hold_their_level() -> None:
    rng = np.random.default_rng(2)
    p = p_of_ranks(rng.poisson(0.5, (4000, 60)), rng.poisson(0.5, (4000, 60)))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.012)


def test_no_effect_has_the_level_as_its_power() -> None:
    config = TrialConfig(effect_incidence=0.0, effect_growth=0.0, **{**QUICK, "max_subjects": 60})
    for e in find_power(config, read_measured_errors()):
        assert math.isnan(e.subjects), e.name
        assert max(point.low for point in e.curve) < 0.075, e.name


def test_growth_saves_nothing_where_treatment_stops_new_lesions_alone() -> None:
    found = power_of(TrialConfig(effect_growth=0.0, incidence_per_year=1.0, **QUICK))
    growth = found["growth of each lesion"]
    assert math.isnan(growth.subjects) or growth.saves < 1


def test_measured_errors_follow_size_and_protocol() -> None:
    errors = read_measured_errors()
    total = np.full(4000, 2.0)
    spread = {
        p: np.std(errors.measure(total, p, total < 0, rng=np.random.default_rng(3)).total_ppm_mm3)
        for p in errors.protocols
    }
    assert spread["thick 1.5 T"] > 2 * spread["3 T"]
    tiny = errors.measure(np.full(400, 0.01), "3 T", total[:400] < 0, rng=np.random.default_rng(3))
    assert not tiny.seen.any()
    with pytest.raises(ConfigError, match="expected one of"):
        errors.measure(total, "9 T", total < 0, rng=np.random.default_rng(3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yeers = 1.0", "expected one of"),
        ("years = -1.0", "above 0"),
        ("power = 1.5", "0 to 1"),
        ("years = 'two'", "expected float"),
        ("errors = 'some'", "measured"),
        ("years = ", "Invalid value"),
    ],
)
def test_wrong_assumptions_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "trial.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_trial_config(path)


def test_probit_of_the_power_gives_the_sample_size() -> None:
    from qsmcmb.cohorts.power import PowerPoint, _subjects

    n = np.array([20, 40, 60, 80, 100])
    power = norm.cdf(-1.96 + 0.35 * np.sqrt(n))
    points = [PowerPoint(int(k), p, p - 0.02, p + 0.02) for k, p in zip(n, power, strict=True)]
    subjects, log_sd = _subjects(tuple(points), 0.8)
    assert subjects == pytest.approx(((1.96 + norm.ppf(0.8)) / 0.35) ** 2, rel=1e-3)
    assert 0 < log_sd < 0.2
