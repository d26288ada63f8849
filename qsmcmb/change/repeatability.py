"""Errors of change from scan-rescan pairs, by maximum likelihood.

For the lesions i of one pair, taken as unchanged, the differences D_i are normal with the covariance

    k^2 diag(s_i1^2 + s_i2^2) + 2 w^2 diag(M_i^2) + 2 r^2 M M',   M_i the mean of both scans.

With both scans' own numbers in place of their mean, D = M_2 - M_1 would lie in the span of the last term, and the
likelihood would grow without bound for large r. k, w and r maximise the likelihood of all pairs times a weak prior
(their logarithms normal about the defaults, SD 1), which a study of a few pairs leans on and one of many forgets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from qsmcmb.change.errors import DEFAULT_ERRORS, ChangeErrors, change_covariance
from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import FloatArray

__all__ = ("fit_errors",)

PRIOR_LN_SD = 1.0
"""SD of the logarithm of each error before the data."""
MAX_LN = 5.0
"""Largest distance of a logarithm from its default: further off a covariance is singular in all but name."""
LEAST_LESIONS = 5
"""Least number of lesions, over all pairs, for a fit."""
JITTER = 1e-12
"""Addition to the variances, (ppm mm3)^2, that keeps a covariance of SDs of 0 regular."""


def fit_errors(pairs: Sequence[tuple[FloatArray, FloatArray]], *, source: str) -> ChangeErrors:
    """Fit the errors of change to scan-rescan pairs.

    Parameters
    ----------
    pairs : sequence of (ndarray, ndarray)
        For each pair of scans total susceptibility and SD (without what both scans have in common) of its lesions, ppm
        mm3, each of shape (n, 2).
    source : str
        Where they come from.

    Returns
    -------
    ChangeErrors
        Errors; between scans of other protocols what lesions share is the larger of the fit and the default.

    Raises
    ------
    InvalidInputError
        LESIONS: fewer than five lesions.

    Notes
    -----
    Taking the mean of the scans' numbers for M in the covariance is right to first order in the relative errors.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def scan(true):
    ...     seen = true * (1 + 0.03 * rng.standard_normal()) + 0.1 * rng.standard_normal(true.size)
    ...     return np.column_stack([seen, np.full(true.size, 0.1)])
    >>> trues = [np.exp(rng.normal(1.5, 1.0, 12)) for _ in range(40)]
    >>> found = fit_errors([(scan(t), scan(t)) for t in trues], source="example")
    >>> 0.02 < found.shared_relative_sd < 0.04, 0.8 < found.sd_factor < 1.2
    (True, True)
    """
    known = [(np.asarray(a, dtype=float), np.asarray(b, dtype=float)) for a, b in pairs if len(a)]
    n = sum(len(a) for a, _ in known)
    if n < LEAST_LESIONS:
        raise InvalidInputError(
            "LESIONS", source, field="lesions in both scans of a pair", found=n, expected=f"at least {LEAST_LESIONS}",
            fix="add pairs of subjects with microbleeds",
        )  # fmt: skip
    of_means = [(*_with_means(a, b), b[:, 0] - a[:, 0]) for a, b in known]
    default = DEFAULT_ERRORS
    start = np.log([default.sd_factor, default.own_relative_sd, default.shared_relative_sd])

    def minus_log(logs: FloatArray) -> float:
        errors = _errors(logs, source)
        total = float((((logs - start) / PRIOR_LN_SD) ** 2).sum()) / 2
        for a, b, change in of_means:
            covariance = change_covariance(a, b, errors=errors, same=True) + JITTER * np.eye(len(a))
            total += float(change @ np.linalg.solve(covariance, change)) / 2
            total += float(np.linalg.slogdet(covariance)[1]) / 2
        return total

    bounds = [(value - MAX_LN, value + MAX_LN) for value in start]
    simplex = start + 0.5 * np.vstack([np.zeros(3), np.eye(3)])
    options = {"xatol": 1e-4, "fatol": 1e-6, "maxiter": 2000, "initial_simplex": simplex}
    found = minimize(minus_log, start, method="Nelder-Mead", bounds=bounds, options=options)
    return _errors(found.x, source)


def _with_means(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the SDs of both scans, each beside the mean of both total susceptibilities."""
    mean = (a[:, 0] + b[:, 0]) / 2
    return np.column_stack([mean, a[:, 1]]), np.column_stack([mean, b[:, 1]])


def _errors(logs: FloatArray, source: str) -> ChangeErrors:
    """Return the errors of three logarithms."""
    factor, own, shared = (float(v) for v in np.exp(logs))
    return ChangeErrors(factor, own, shared, max(shared, DEFAULT_ERRORS.shared_relative_sd_other), source)
