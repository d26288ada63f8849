"""Total susceptibility by each echo alone: a point source gives the same at every echo time."""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT
from qsmcmb.model import Estimate
from qsmcmb.units import PPM_MM3

__all__ = ["totals_per_echo"]

RELATIVE_RANK_TOLERANCE = 1e-10
"""Ratio of an eigenvalue of the normal matrix to the largest one below which it counts as 0."""


def totals_per_echo(state: FitState) -> list[Estimate]:
    """Return the total susceptibility of each echo alone, centre and shape held and polynomials free.

    Parameters
    ----------
    state : FitState
        The lesion's fit.

    Returns
    -------
    list of Estimate
        Total susceptibility of each echo, ppm mm3; the SD holds noise and tissue heterogeneity of that echo alone.

    Notes
    -----
    One Gauss-Newton step from the fit of all echoes: with the echo's weighted error e and derivatives J by the total
    susceptibility and the polynomials, the step is -(J'J)^+ J'e. A point source gives the same at every echo time.
    """
    model, objective, linear = state.model, state.objective, state.linear
    # Along the signal the polynomial changes the magnitude, across it the phase: each has its own weight.
    amplitude = linear.by_log_magnitude.reshape(-1, 1) * model.polynomial.amplitude.dense()
    phase = linear.by_phase.reshape(-1, 1) * model.polynomial.phase.dense()
    real = np.concatenate([linear.source.real[:, :1], 0 * phase, amplitude], axis=1)
    imaginary = np.concatenate([linear.source.imag[:, :1], phase, 0 * amplitude], axis=1)
    error_real = objective.magnitude_weight * objective.robust * objective.error.real
    error_imaginary = objective.phase_weight * objective.robust * objective.error.imag
    totals = []
    for rows in np.split(np.arange(len(error_real)), len(model.patch.acquisition.te_s)):
        derivatives = np.concatenate([real[rows], imaginary[rows]])
        error = np.concatenate([error_real[rows], error_imaginary[rows]])
        # At one echo some background terms are alike: the pseudoinverse gives the shortest step among those that fit.
        inverse = np.linalg.pinv(derivatives.T @ derivatives, rcond=RELATIVE_RANK_TOLERANCE, hermitian=True)
        step = -inverse @ (derivatives.T @ error)
        # Where the residual exceeds what the weights expect, the SD grows with it.
        sd = float(np.sqrt(max(inverse[0, 0], 0.0)) * max(1.0, float(np.sqrt(np.mean(error**2)))))
        totals.append(Estimate(float(state.parameters[LAYOUT.total] + step[0]), sd, PPM_MM3))
    return totals
