"""Simulated subjects of a trial, measured at its start and end with the measurement's own errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.cohorts.measured_errors import Measured, MeasuredErrors
from qsmcmb.cohorts.trial_config import TrialConfig
from qsmcmb.typing import AnyArray, BoolArray, FloatArray

__all__ = ("Arm", "simulate_arm")


class Arm(NamedTuple):
    """Endpoints of the subjects of one arm that have both scans.

    Parameters
    ----------
    new_seen : ndarray of shape (n,)
        New microbleeds that a reader counts at the end.
    burden_change : ndarray of shape (n,)
        Change of the burden, ppm mm3.
    growth : ndarray of shape (n,)
        Mean change of the logarithm of the total susceptibility of the subject's lesions; NaN without any.

    Examples
    --------
    >>> Arm(np.zeros(2), np.zeros(2), np.full(2, np.nan)).new_seen.sum()
    np.float64(0.0)
    """

    new_seen: FloatArray
    burden_change: FloatArray
    growth: FloatArray


def simulate_arm(
    config: TrialConfig, errors: MeasuredErrors, *, treated: bool, rng: np.random.Generator
) -> Arm:
    """Simulate the subjects of an arm.

    Parameters
    ----------
    config : TrialConfig
        Assumptions; `config.pool` subjects are simulated.
    errors : MeasuredErrors
        Errors of the measurement.
    treated : bool
        Whether the treatment's effects hold.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Arm
        Endpoints of each subject.

    Examples
    --------
    >>> from qsmcmb.cohorts.measured_errors import read_measured_errors
    >>> config = TrialConfig(pool=2000, incidence_per_year=0.0)
    >>> arm = simulate_arm(config, read_measured_errors(), treated=False, rng=np.random.default_rng(1))
    >>> int(arm.new_seen.sum())
    0
    """
    n = config.pool
    first, second = _protocols(config, rng)
    counts = np.where(rng.random(n) < config.prevalence, _positive_counts(config.mean_count, n, rng), 0)
    owner = np.repeat(np.arange(n), counts)
    total, shape = _totals(config, len(owner), rng)
    yearly = config.growth_per_year * (1 - config.effect_growth * treated)
    log_growth = config.years * np.log1p(yearly) + config.growth_sd * rng.standard_normal(len(owner))
    before = _measure(config, errors, total, shape, first[owner], rng)
    after = _measure(config, errors, total * np.exp(log_growth), shape, second[owner], rng)

    rate = config.incidence_per_year * (1 - config.effect_incidence * treated) * config.years
    new_owner = np.repeat(np.arange(n), rng.poisson(rate * _frailty(config.incidence_variance, n, rng)))
    new_total, new_shape = _totals(config, len(new_owner), rng)
    new = _measure(config, errors, new_total, new_shape, second[new_owner], rng)

    measured = (before.total_ppm_mm3 > 0) & (after.total_ppm_mm3 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.log(after.total_ppm_mm3[measured] / before.total_ppm_mm3[measured])
        growth = _sum(owner[measured], change, n) / np.bincount(owner[measured], minlength=n)
    burden = _sum(owner, after.total_ppm_mm3 - before.total_ppm_mm3, n)
    burden += _sum(new_owner, np.where(new.seen, new.total_ppm_mm3, 0.0), n)
    return Arm(_sum(new_owner, new.seen, n), burden, growth)


def _sum(owner: AnyArray, values: AnyArray, n: int) -> FloatArray:
    """Return the sum over the lesions of each subject."""
    return np.bincount(owner, values, n).astype(float)


def _protocols(config: TrialConfig, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """Return the protocol of either scan of each subject, as an index."""
    weights = np.array(list(config.scanners.values()))
    first, other = (rng.choice(len(weights), config.pool, p=weights / weights.sum()) for _ in range(2))
    return first, np.where(rng.random(config.pool) < config.scanner_change, other, first)


def _positive_counts(mean: float, n: int, rng: np.random.Generator) -> AnyArray:
    """Return counts of 1 and more with a heavy tail: geometric."""
    return rng.geometric(min(1.0, 1 / max(mean, 1.0)), n)


def _frailty(variance: float, n: int, rng: np.random.Generator) -> FloatArray:
    """Return factors of mean 1 by which subjects differ."""
    return rng.gamma(1 / variance, variance, n) if variance > 0 else np.ones(n)


def _totals(config: TrialConfig, n: int, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Return true total susceptibilities, ppm mm3, and which lesions are irregular."""
    total = config.total_median_ppm_mm3 * np.exp(config.total_sigma_ln * rng.standard_normal(n))
    return total, rng.random(n) < config.irregular


def _measure(
    config: TrialConfig,
    errors: MeasuredErrors,
    total: FloatArray,
    shape: BoolArray,
    protocol: AnyArray,
    rng: np.random.Generator,
) -> Measured:
    """Return the measurements of lesions, each with the protocol of its subject."""
    if config.errors == "none":
        return Measured(total, np.ones(len(total), bool))
    estimate, seen = np.empty(len(total)), np.zeros(len(total), bool)
    for number, name in enumerate(config.scanners):
        mine = protocol == number
        found = errors.measure(total[mine], name, shape[mine], rng=rng)
        estimate[mine], seen[mine] = found.total_ppm_mm3, found.seen
    return Measured(estimate, seen)
