"""Cramer-Rao bound of a lesion fit: no unbiased estimator of the same model has a smaller SD.

Rao 1945; Kay, Fundamentals of Statistical Signal Processing (1993), 3.9 and 15.7: complex signal in white noise.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import ComplexArray, FloatArray


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
    stacked = np.concatenate([weighted.real, weighted.imag])
    asked = stacked[:, parameter]
    others = np.delete(stacked, parameter, axis=1)
    # What is left of the parameter's column when all others have taken their part: no inverse of an
    # ill-conditioned matrix.
    scale = np.linalg.norm(others, axis=0)
    others = others[:, scale > 0] / scale[scale > 0]
    left = asked - others @ np.linalg.lstsq(others, asked, rcond=None)[0] if others.size else asked
    power = float(left @ left)
    if power <= 1e-20 * float(asked @ asked):
        return float("inf")
    return float(1 / np.sqrt(power))
