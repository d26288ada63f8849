"""Cramer-Rao bound of a lesion fit: the smallest SD that an unbiased estimator of the same model can have.

With complex samples in white noise of SD sigma per channel and the Jacobian J by all real parameters, the Fisher matrix
is F = Re(J^H J) / sigma^2 and var(p_i) >= (F^-1)_ii. No inverse of F is formed: (F^-1)_ii is one over the squared
length of what is left of column i when all other columns are projected out.

Kay, Fundamentals of Statistical Signal Processing: Estimation Theory (1993), sections 3.9 and 15.7.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import ComplexArray, FloatArray

__all__ = ["cramer_rao_sd"]

MIN_INDEPENDENT_POWER = 1e-20
"""Ratio of the squared length of what other columns leave of a column to that of the column, below which it is nothing
but rounding."""


def cramer_rao_sd(jacobian: ComplexArray, noise_sd: float | FloatArray, *, parameter: int = 0) -> float:
    """Return the smallest SD that an unbiased estimate of one real parameter can have.

    Parameters
    ----------
    jacobian : ndarray of shape (n, p), complex
        Derivative of each complex sample (all echoes and voxels with signal) by each real parameter, in the
        signal's unit per unit of the parameter; all nuisances (centre, radius, background) have their column.
    noise_sd : float or ndarray of shape (n,)
        SD of the noise in the real and in the imaginary part, the signal's unit, > 0.
    parameter : int, optional
        Column of the parameter asked for.

    Returns
    -------
    float
        The parameter's unit; infinite where the samples do not determine it.

    Raises
    ------
    InvalidInputError
        NOISE when an SD is not positive.

    Notes
    -----
    The Fisher matrix is Re(J^H J) / SD^2. A prior (on the radius, say) is not in the bound: an estimate that
    uses one can lie below it.

    References
    ----------
    Kay S. M. Fundamentals of Statistical Signal Processing: Estimation Theory. Prentice Hall, 1993, sections 3.9
    and 15.7.

    Examples
    --------
    >>> cramer_rao_sd(np.ones((100, 1), complex), 1.0)
    0.1
    """
    sd = np.broadcast_to(np.asarray(noise_sd, dtype=np.float64), jacobian.shape[:1])
    if not (np.isfinite(sd) & (sd > 0)).all():
        raise InvalidInputError(
            "NOISE", "noise_sd", field="noise_sd", found=noise_sd, expected="finite, above 0",
            fix="estimate the noise of the scan first",
        )  # fmt: skip
    weighted = np.asarray(jacobian, dtype=np.complex128) / sd[:, None]
    # Real and imaginary part are samples of their own: Re(J^H J) is the normal matrix of the stacked columns.
    stacked = np.concatenate([weighted.real, weighted.imag])
    column = stacked[:, parameter]
    others = np.delete(stacked, parameter, axis=1)
    # Columns have different units: scaled to length 1, those of length 0 left out.
    scale = np.linalg.norm(others, axis=0)
    others = others[:, scale > 0] / scale[scale > 0]
    # Least squares and not the inverse of an ill-conditioned normal matrix.
    independent = column - others @ np.linalg.lstsq(others, column, rcond=None)[0] if others.size else column
    power = float(independent @ independent)
    if power <= MIN_INDEPENDENT_POWER * float(column @ column):
        return float("inf")
    return float(1 / np.sqrt(power))
