"""Errors by which two scans' numbers of one lesion differ without a change.

Var(M_2 - M_1) = (k s_1)^2 + (k s_2)^2 + (w M_1)^2 + (w M_2)^2 + (r M_1)^2 + (r M_2)^2

with the SDs s of the two fits and a factor k on them, a lesion's own relative error w, and r, the relative error that
all lesions of one scan share: blur, field strength, direction of B0. The errors of the lesions of two scans have the
covariance r^2 (M_i1 M_j1 + M_i2 M_j2) for lesions i and j, so that r does not average out in a sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("DEFAULT_ERRORS", "ChangeErrors", "change_covariance")


@dataclass(frozen=True)
class ChangeErrors:
    """Errors of change beyond the fits' own SDs.

    Parameters
    ----------
    sd_factor : float
        Factor on the SD of each fit.
    own_relative_sd : float
        Relative error of each lesion in each scan, independent of all others.
    shared_relative_sd : float
        Relative error that all lesions of one scan share.
    shared_relative_sd_other : float
        The same between scans that differ in protocol, scanner or software.
    source : str
        Where the numbers come from.

    Examples
    --------
    >>> sd = DEFAULT_ERRORS.change_sd(Estimate(10.0, 0.2, "ppm mm3"), Estimate(10.0, 0.2, "ppm mm3"), same=True)
    >>> round(sd, 3)
    0.316
    """

    sd_factor: float
    own_relative_sd: float
    shared_relative_sd: float
    shared_relative_sd_other: float
    source: str

    def shared(self, *, same: bool) -> float:
        """Return the relative error that all lesions of one scan share.

        Parameters
        ----------
        same : bool
            Whether the two scans agree in protocol, scanner and software.

        Returns
        -------
        float
            Relative SD.

        Examples
        --------
        >>> DEFAULT_ERRORS.shared(same=False)
        0.02
        """
        return self.shared_relative_sd if same else self.shared_relative_sd_other

    def scan_sd(self, total: Estimate, *, same: bool) -> float:
        """Return the SD of a lesion's total in one scan, all errors together.

        Parameters
        ----------
        total : Estimate
            Total susceptibility by the fit, ppm mm3.
        same : bool
            Whether the two scans agree in protocol, scanner and software.

        Returns
        -------
        float
            SD, ppm mm3.

        Examples
        --------
        >>> round(DEFAULT_ERRORS.scan_sd(Estimate(10.0, 0.0, "ppm mm3"), same=False), 3)
        0.2
        """
        relative = math.hypot(self.own_relative_sd, self.shared(same=same))
        return math.hypot(self.sd_factor * total.sd, relative * total.value)

    def change_sd(self, before: Estimate, after: Estimate, *, same: bool) -> float:
        """Return the SD of the change of a lesion that has not changed.

        Parameters
        ----------
        before, after : Estimate
            Total susceptibilities, ppm mm3.
        same : bool
            Whether the two scans agree in protocol, scanner and software.

        Returns
        -------
        float
            SD, ppm mm3.

        Examples
        --------
        >>> before, after = Estimate(0.0, 0.3, "ppm mm3"), Estimate(0.0, 0.4, "ppm mm3")
        >>> DEFAULT_ERRORS.change_sd(before, after, same=True)
        0.5
        """
        return math.hypot(self.scan_sd(before, same=same), self.scan_sd(after, same=same))


DEFAULT_ERRORS = ChangeErrors(
    sd_factor=1.0,
    own_relative_sd=0.0,
    shared_relative_sd=0.01,
    shared_relative_sd_other=0.02,
    source="default",
)
"""Used without a repeatability file: 1 % of each scan between scans of one protocol, 2 % (that of the burden) else."""


def change_covariance(
    before: FloatArray, after: FloatArray, *, errors: ChangeErrors, same: bool
) -> FloatArray:
    """Return the covariance of the changes of several lesions between two scans.

    Parameters
    ----------
    before, after : ndarray of shape (n, 2)
        Total susceptibility and its SD of each lesion, ppm mm3.
    errors : ChangeErrors
        Errors of change.
    same : bool
        Whether the two scans agree in protocol, scanner and software.

    Returns
    -------
    ndarray of shape (n, n)
        Covariance, (ppm mm3)^2.

    Examples
    --------
    >>> totals = np.array([[10.0, 0.0], [5.0, 0.0]])
    >>> change_covariance(totals, totals, errors=DEFAULT_ERRORS, same=True).round(3).tolist()
    [[0.02, 0.01], [0.01, 0.005]]
    """
    matrix = np.zeros((len(before), len(before)))
    for totals in (np.asarray(before, dtype=float), np.asarray(after, dtype=float)):
        values, sds = totals.T
        own = (errors.sd_factor * sds) ** 2 + (errors.own_relative_sd * values) ** 2
        matrix += np.diag(own) + errors.shared(same=same) ** 2 * np.outer(values, values)
    return matrix
