"""Errors by which two scans' numbers of one lesion differ without a change.

Var(M_2 - M_1) = (k s_1)^2 + (k s_2)^2 + (w M_1)^2 + (w M_2)^2 + (r M_1)^2 + (r M_2)^2

with a lesion's own relative error w, and r, the relative error that all lesions of one scan share: blur, field
strength, direction of B0. s is the part of a fit's SD that the other fit has not in common with it:

    s_i^2 = n_i^2 + (c_i - c)^2,     c_i^2 = SD_i^2 - n_i^2,     c the least of the c_i

with n for noise and clutter, c_i for all that comes from the lesion itself: a shape that the model does not describe,
the tissue that it hides. Both fits are wrong by it alike. k is below 1 as clutter, too, is that of one tissue. Where
one session holds no lesion, its place is measured in another way and errs in another way: then s is the whole SD, and
k at least 1. The errors of the lesions of two scans have the
covariance r^2 (M_i1 M_j1 + M_i2 M_j2) for lesions i and j, so that r does not average out in a sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("DEFAULT_ERRORS", "ChangeErrors", "change_covariance", "without_common_errors")


@dataclass(frozen=True)
class ChangeErrors:
    """Errors of change beyond the fits' own SDs.

    Parameters
    ----------
    sd_factor : float
        Factor k on s in a change between two fits.
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
    0.173
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
        0.01
        """
        return self.shared_relative_sd if same else self.shared_relative_sd_other

    def own_sd(self, total: Estimate, *, by_fits: bool = True) -> float:
        """Return the part of a lesion's SD in one scan that counts in a change and that no other lesion shares.

        Parameters
        ----------
        total : Estimate
            Total susceptibility, ppm mm3.
        by_fits : bool, optional
            Whether all compared numbers are those of fits; else one is measured at a place without a lesion.

        Returns
        -------
        float
            SD, ppm mm3.

        Examples
        --------
        >>> ChangeErrors(0.5, 0.0, 0.01, 0.02, "example").own_sd(Estimate(10.0, 0.2, "ppm mm3"))
        0.1
        """
        factor = self.sd_factor if by_fits else max(1.0, self.sd_factor)
        return math.hypot(factor * total.sd, self.own_relative_sd * total.value)

    def scan_sd(self, total: Estimate, *, same: bool, by_fits: bool = True) -> float:
        """Return the part of a lesion's SD in one scan that counts in a change, all errors together.

        Parameters
        ----------
        total : Estimate
            Total susceptibility, ppm mm3.
        same : bool
            Whether the two scans agree in protocol, scanner and software.
        by_fits : bool, optional
            Whether all compared numbers are those of fits; else one is measured at a place without a lesion.

        Returns
        -------
        float
            SD, ppm mm3.

        Examples
        --------
        >>> round(DEFAULT_ERRORS.scan_sd(Estimate(10.0, 0.0, "ppm mm3"), same=False), 3)
        0.112
        """
        return math.hypot(self.own_sd(total, by_fits=by_fits), self.shared(same=same) * total.value)

    def change_sd(self, before: Estimate, after: Estimate, *, same: bool, by_fits: bool = True) -> float:
        """Return the SD of the change of a lesion that has not changed.

        Parameters
        ----------
        before, after : Estimate
            Total susceptibilities, ppm mm3.
        same : bool
            Whether the two scans agree in protocol, scanner and software.
        by_fits : bool, optional
            Whether both are those of fits.

        Returns
        -------
        float
            SD, ppm mm3.

        Examples
        --------
        >>> before, after = Estimate(0.0, 0.3, "ppm mm3"), Estimate(0.0, 0.4, "ppm mm3")
        >>> DEFAULT_ERRORS.change_sd(before, after, same=True, by_fits=False)
        0.5
        """
        return math.hypot(*(self.scan_sd(t, same=same, by_fits=by_fits) for t in (before, after)))


DEFAULT_ERRORS = ChangeErrors(
    sd_factor=0.5,
    own_relative_sd=0.005,
    shared_relative_sd=0.005,
    shared_relative_sd_other=0.01,
    source="default",
)
"""Used without a repeatability file: measured on simulated heads alone (docs/notes/2026-11-30-change-measured.md)."""


def without_common_errors(
    totals: Sequence[Estimate], noise_sds_ppm_mm3: Sequence[float | None]
) -> list[Estimate]:
    """Return the fits of one lesion in several scans with the part of their SDs that the scans do not have in common.

    Parameters
    ----------
    totals : sequence of Estimate
        Total susceptibility in each scan, ppm mm3.
    noise_sds_ppm_mm3 : sequence of float or None
        SD of noise and clutter in each scan, ppm mm3; None where unknown: then nothing is taken as common.

    Returns
    -------
    list of Estimate
        The same values with smaller SDs.

    Examples
    --------
    >>> fits = [Estimate(10.0, 2.0, "ppm mm3"), Estimate(10.5, 2.0, "ppm mm3")]
    >>> [round(fit.sd, 3) for fit in without_common_errors(fits, [0.4, 0.4])]
    [0.4, 0.4]
    """
    noise = [t.sd if n is None else min(n, t.sd) for t, n in zip(totals, noise_sds_ppm_mm3, strict=True)]
    own = [math.sqrt(max(t.sd**2 - n**2, 0.0)) for t, n in zip(totals, noise, strict=True)]
    least = min(own, default=0.0)
    return [
        replace(t, sd=math.hypot(n, c - least), interval=None)
        for t, n, c in zip(totals, noise, own, strict=True)
    ]


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
    [[0.01, 0.002], [0.002, 0.003]]
    """
    matrix = np.zeros((len(before), len(before)))
    for totals in (np.asarray(before, dtype=float), np.asarray(after, dtype=float)):
        values, sds = totals.T
        own = (errors.sd_factor * sds) ** 2 + (errors.own_relative_sd * values) ** 2
        matrix += np.diag(own) + errors.shared(same=same) ** 2 * np.outer(values, values)
    return matrix
