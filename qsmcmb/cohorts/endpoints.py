"""Tests of a trial's endpoints, many trials at once; and closed forms of the numbers of subjects that they need."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm, rankdata
from scipy.stats import t as t_distribution

from qsmcmb.typing import FloatArray

__all__ = ("p_of_means", "p_of_proportions", "p_of_ranks", "subjects_for_means", "subjects_for_proportions")


def p_of_proportions(treated: FloatArray, control: FloatArray) -> FloatArray:
    """Return the one-sided p values that fewer of the treated have the outcome: two proportions, pooled.

    Parameters
    ----------
    treated, control : ndarray of shape (trials, subjects)
        Above 0 for subjects with the outcome.

    Returns
    -------
    ndarray of shape (trials,)
        Values of p; 0.5 where no subject, or every one, has the outcome.

    Examples
    --------
    >>> p_of_proportions(np.zeros((1, 50)), np.repeat([[0.0, 1.0]], 25, axis=1)) < 0.001
    array([ True])
    """
    p, q = (treated > 0).mean(axis=1), (control > 0).mean(axis=1)
    n, m = treated.shape[1], control.shape[1]
    pooled = (n * p + m * q) / (n + m)
    sd = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return norm.cdf(np.divide(p - q, sd, out=np.zeros_like(sd), where=sd > 0))


def p_of_ranks(treated: FloatArray, control: FloatArray) -> FloatArray:
    """Return the one-sided p values that the treated have lower values: Mann and Whitney, corrected for ties.

    Parameters
    ----------
    treated, control : ndarray of shape (trials, subjects)
        Values.

    Returns
    -------
    ndarray of shape (trials,)
        Values of p; 0.5 where all values are equal.

    Examples
    --------
    >>> p_of_ranks(np.zeros((1, 10)), np.ones((1, 10))) < 0.001
    array([ True])
    """
    n, m = treated.shape[1], control.shape[1]
    ranks = rankdata(np.concatenate([treated, control], axis=1), axis=1)
    difference = ranks[:, :n].mean(axis=1) - ranks[:, n:].mean(axis=1)
    sd = np.sqrt(ranks.var(axis=1, ddof=1) * (1 / n + 1 / m))
    return norm.cdf(np.divide(difference, sd, out=np.zeros_like(sd), where=sd > 0))


def p_of_means(treated: FloatArray, control: FloatArray) -> FloatArray:
    """Return the one-sided p values that the mean of the treated is lower: Student's t; NaN is no value.

    Parameters
    ----------
    treated, control : ndarray of shape (trials, subjects)
        Values; NaN for subjects that have none.

    Returns
    -------
    ndarray of shape (trials,)
        Values of p; 0.5 where an arm has fewer than two values or none varies.

    Examples
    --------
    >>> p_of_means(np.array([[0.0, 0.1, np.nan]]), np.array([[5.0, 5.1, 5.2]])) < 0.001
    array([ True])
    """
    n, m = (np.isfinite(v).sum(axis=1) for v in (treated, control))
    mean, other = (np.nansum(v, axis=1) / np.maximum(k, 1) for v, k in ((treated, n), (control, m)))
    squares = sum(
        np.nansum((v - centre[:, None]) ** 2, axis=1) for v, centre in ((treated, mean), (control, other))
    )
    degrees = np.maximum(n + m - 2, 1)
    sd = np.sqrt(squares / degrees * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)))
    usable = (sd > 0) & (n > 1) & (m > 1)
    return t_distribution.cdf(np.divide(mean - other, sd, out=np.zeros_like(sd), where=usable), degrees)


def subjects_for_proportions(
    treated: float, control: float, *, alpha: float, sides: int, power: float
) -> float:
    """Return the subjects of each arm that a test of two proportions needs, in closed form.

    Parameters
    ----------
    treated, control : float
        Proportions with the outcome.
    alpha : float
        Level.
    sides : {1, 2}
        Sides of the test.
    power : float
        Power.

    Returns
    -------
    float
        Subjects of each arm, not rounded; infinite where the proportions are equal.

    Notes
    -----
    n = (z_a sqrt(2 r (1 - r)) + z_b sqrt(p (1 - p) + q (1 - q)))² / (p - q)², r = (p + q) / 2.

    Examples
    --------
    >>> round(subjects_for_proportions(0.1875, 0.375, alpha=0.05, sides=1, power=0.8), 1)
    70.0
    """
    if treated == control:
        return math.inf
    both = (treated + control) / 2
    spread = treated * (1 - treated) + control * (1 - control)
    z_a, z_b = norm.ppf(1 - alpha / sides), norm.ppf(power)
    root = z_a * math.sqrt(2 * both * (1 - both)) + z_b * math.sqrt(spread)
    return float(root**2 / (treated - control) ** 2)


def subjects_for_means(difference: float, sd: float, *, alpha: float, sides: int, power: float) -> float:
    """Return the subjects of each arm that a test of two means needs, in closed form.

    Parameters
    ----------
    difference : float
        Difference of the means.
    sd : float
        SD within each arm, same unit.
    alpha : float
        Level.
    sides : {1, 2}
        Sides of the test.
    power : float
        Power.

    Returns
    -------
    float
        Subjects of each arm, not rounded; infinite without a difference.

    Notes
    -----
    n = 2 (z_a + z_b)² s² / d², and z_a² / 4 more for Student's t.

    Examples
    --------
    >>> round(subjects_for_means(0.5, 1.0, alpha=0.05, sides=2, power=0.8), 1)
    63.8
    """
    if difference == 0:
        return math.inf
    z_a, z_b = norm.ppf(1 - alpha / sides), norm.ppf(power)
    return float(2 * (z_a + z_b) ** 2 * sd**2 / difference**2 + z_a**2 / 4)
