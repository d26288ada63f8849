"""Power and sample size of a trial by each endpoint, and what a continuous endpoint saves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, norm

from qsmcmb.cohorts.endpoints import (
    p_of_means,
    p_of_proportions,
    p_of_ranks,
    subjects_for_means,
    subjects_for_proportions,
)
from qsmcmb.cohorts.measured_errors import MeasuredErrors
from qsmcmb.cohorts.simulate import Arm, simulate_arm
from qsmcmb.cohorts.statistic import NORMAL_QUANTILE
from qsmcmb.cohorts.trial_config import TrialConfig
from qsmcmb.core.packages import require
from qsmcmb.typing import FloatArray

__all__ = ("EndpointPower", "PowerPoint", "find_power")

FIRST_SUBJECTS, STEP = 8, 1.3
"""Smallest number of subjects in each arm, and the ratio of one number to the next."""
FITTED = (0.15, 0.985)
"""Powers between which the curve is fitted."""
MAX_CLOSED_FORM = 1e6
"""Subjects of the closed form beyond which there is no effect."""
MAX_VALUES = 4_000_000
"""Values that are drawn at once, to bound the memory."""

Test = Callable[[FloatArray, FloatArray], FloatArray]


class PowerPoint(NamedTuple):
    """Power at a number of subjects.

    Parameters
    ----------
    n : int
        Subjects in each arm, those who drop out included.
    power, low, high : float
        Power with the 95 % interval of the simulation.

    Examples
    --------
    >>> PowerPoint(50, 0.8, 0.77, 0.83).n
    50
    """

    n: int
    power: float
    low: float
    high: float


class EndpointPower(NamedTuple):
    """Subjects that one endpoint needs.

    Parameters
    ----------
    name : str
        Endpoint.
    curve : tuple of PowerPoint
        Power by number of subjects.
    subjects, low, high : float
        Subjects in each arm for the power that is asked for, with the interval of the simulation; NaN where it is not
        reached.
    closed_form : float
        The same by the closed form of two proportions or two means from the simulated subjects; NaN for rank tests.
    saves, saves_low, saves_high : float
        Subjects of the first endpoint over those of this one; below 1 where it saves nothing.

    Examples
    --------
    >>> EndpointPower("growth", (), 20.0, 19.0, 21.0, 20.5, 3.0, 2.8, 3.2).saves
    3.0
    """

    name: str
    curve: tuple[PowerPoint, ...]
    subjects: float
    low: float
    high: float
    closed_form: float
    saves: float
    saves_low: float
    saves_high: float


def find_power(config: TrialConfig, errors: MeasuredErrors) -> list[EndpointPower]:
    """Return power and sample size of a trial by each endpoint.

    Parameters
    ----------
    config : TrialConfig
        Assumptions.
    errors : MeasuredErrors
        Errors of the measurement.

    Returns
    -------
    list of EndpointPower
        Subjects with new microbleeds, their count, change of the burden, growth of the lesions of each subject.

    Raises
    ------
    MissingPackageError
        PACKAGE: statsmodels is not installed.

    Notes
    -----
    Both arms are simulated once, with `config.pool` subjects; each trial draws from them. Power over the subjects n is
    fitted by a probit curve in sqrt(n), from whose coefficients the sample size and its interval follow.

    Examples
    --------
    >>> from qsmcmb.cohorts.measured_errors import read_measured_errors
    >>> config = TrialConfig(pool=4000, repeats=100, max_subjects=100)
    >>> [e.name for e in find_power(config, read_measured_errors())][0]
    'new microbleeds, yes or no'
    """
    require("statsmodels", extra="cohort")
    rng = np.random.default_rng(config.seed)
    control, treated = (simulate_arm(config, errors, treated=t, rng=rng) for t in (False, True))
    endpoints: tuple[tuple[str, str, Test], ...] = (
        ("new microbleeds, yes or no", "new_seen", p_of_proportions),
        ("new microbleeds, count", "new_seen", p_of_ranks),
        ("change of the burden", "burden_change", p_of_ranks),
        ("growth of each lesion", "growth", p_of_means),
    )
    found: list[EndpointPower] = []
    first: tuple[float, float] = (math.nan, math.nan)
    for number, (name, key, test) in enumerate(endpoints):
        curve = _curve(config, getattr(treated, key), getattr(control, key), test, rng)
        subjects, log_sd = _subjects(curve, config.power)
        first = (subjects, log_sd) if number == 0 else first
        sd = math.hypot(first[1], log_sd) if number else 0.0
        low, high = (subjects * math.exp(k * NORMAL_QUANTILE * log_sd) for k in (-1, 1))
        ratio = first[0] / subjects
        ends = [ratio * math.exp(k * NORMAL_QUANTILE * sd) for k in (-1, 1)]
        closed = _closed_form(config, treated, control, key, test)
        found.append(EndpointPower(name, curve, subjects, low, high, closed, ratio, *ends))
    return found


def _curve(
    config: TrialConfig, treated: FloatArray, control: FloatArray, test: Test, rng: np.random.Generator
) -> tuple[PowerPoint, ...]:
    """Return the power at rising numbers of subjects, up to one that has nearly full power."""
    points: list[PowerPoint] = []
    n = FIRST_SUBJECTS
    while n <= config.max_subjects:
        completing = max(2, round(n * (1 - config.drop_out)))
        hits, left = 0, config.repeats
        while left:
            trials = max(1, min(left, MAX_VALUES // (2 * completing)))
            drawn = [v[rng.integers(0, len(v), (trials, completing))] for v in (treated, control)]
            p = test(*drawn)
            p = np.minimum(1.0, 2 * np.minimum(p, 1 - p)) if config.sides == 2 else p
            hits, left = hits + int((p < config.alpha).sum()), left - trials
        ci = binomtest(hits, config.repeats).proportion_ci(method="wilson")
        points.append(PowerPoint(n, hits / config.repeats, float(ci.low), float(ci.high)))
        if ci.low > FITTED[1]:
            break
        n = max(n + 1, round(n * STEP))
    return tuple(points)


def _subjects(curve: tuple[PowerPoint, ...], power: float) -> tuple[float, float]:
    """Return the subjects for a power, and the SD of their logarithm; NaN where the curve does not reach it."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.families.links import Probit
    from statsmodels.genmod.generalized_linear_model import GLM

    if not curve or curve[-1].power < power:
        return math.nan, math.nan
    near = [p for p in curve if FITTED[0] < p.power < FITTED[1]]
    if len(near) < 2:
        # So few subjects suffice that the curve is a step.
        return float(next(p.n for p in curve if p.power >= power)), math.log(STEP) / NORMAL_QUANTILE
    x = np.column_stack([np.ones(len(near)), np.sqrt([p.n for p in near])])
    weights = [
        p.power * (1 - p.power) / max(p.high - p.low, 1e-9) ** 2 * 4 * NORMAL_QUANTILE**2 for p in near
    ]
    probit = Binomial(link=Probit())
    fit = GLM([p.power for p in near], x, family=probit, freq_weights=weights).fit()
    a, b = fit.params
    root = (norm.ppf(power) - a) / b
    if not b > 0 or root <= 0:
        return math.nan, math.nan
    gradient = np.array([-1 / b, -root / b]) * 2 / root
    return float(root**2), float(math.sqrt(gradient @ fit.cov_params() @ gradient))


def _closed_form(config: TrialConfig, treated: Arm, control: Arm, key: str, test: Test) -> float:
    """Return the subjects by the closed form of the endpoint's test; NaN for rank tests."""
    asked = {"alpha": config.alpha, "power": config.power}
    a, b = getattr(treated, key), getattr(control, key)
    if test is p_of_proportions:
        n = subjects_for_proportions(
            float((a > 0).mean()), float((b > 0).mean()), sides=config.sides, **asked
        )
    elif test is p_of_means:
        n_values = np.isfinite(a).mean()
        if not n_values:
            return math.nan
        sd = math.sqrt((np.nanvar(a) + np.nanvar(b)) / 2)
        difference = float(np.nanmean(b) - np.nanmean(a))
        n = subjects_for_means(difference, sd, sides=config.sides, **asked) / float(n_values)
    else:
        return math.nan
    # No difference but that of the draw asks for any number.
    return n / (1 - config.drop_out) if n < MAX_CLOSED_FORM else math.nan
