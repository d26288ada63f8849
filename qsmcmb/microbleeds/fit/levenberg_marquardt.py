"""Levenberg-Marquardt minimisation of the lesion fit's objective, and the state in which it ends.

Each step solves (N + lambda diag N) step = g, with the normal matrix N and half the gradient g of the objective at the
current parameters. Where the cost falls the step is taken and the damping lambda divided by 5; where it rises lambda
is multiplied by 8 (Levenberg 1944, doi:10.1090/qam/10666; Marquardt 1963, doi:10.1137/0111030). Parameters are clipped
to their ranges after each step. A fit that has to undercut another one's cost is given up early where it won't.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qsmcmb.microbleeds.fit.influence import Influence, influence_of, sandwich_sd_of
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel, Comparison
from qsmcmb.microbleeds.fit.objective import (
    LinearProblem,
    Objective,
    evaluate_objective,
    gradient_of,
    inverse_row,
    linearise,
    solve_normal_equations,
)
from qsmcmb.microbleeds.fit.priors import priors
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_moments import half_lengths_mm
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, ROW_CENTRE, Source, SourceShape
from qsmcmb.model import Estimate
from qsmcmb.typing import BoolArray, FloatArray

__all__ = [
    "CORE_MM",
    "LARGE_BODY_RADIUS_MM",
    "RADII_MM",
    "TRIAL_STEPS",
    "FitState",
    "minimise",
    "triple",
]

MAX_PSF_WIDTH2_MM2 = 9.0
"""Largest squared psf width, mm2: a box of 3 mm. It bounds a fit that fails; others stay far below."""
DECAY_HZ = (0.5, 3000.0)
"""Range of R2* inside the body above the tissue's, 1/s: from a decay that no echo shows to a core dark at once."""
MAX_SHIFT_MM = 2.5
"""Largest shift of the centre from its start along each axis, mm: points lie within about 2 mm of their lesion."""
RADII_MM = (0.3, 6.0)
"""Range of the radius, mm: below it nothing of the core shows, above it the body does not fit into its patch."""
MAX_RADIUS_FRACTION = 0.99
"""Fraction of the largest radius from which a fit counts as stopped by it."""
LARGE_BODY_RADIUS_MM = 5.0
"""Radius, mm, from which a body leaves little tissue around it in its patch of 8 mm."""
MAX_ITERATIONS = 15
"""Number of steps after which a fit ends without having converged: bounds the time of a lesion."""
START_DAMPING, MIN_DAMPING = 1e-3, 1e-7
"""First and least damping, fractions of the normal matrix' diagonal: nearly the full step."""
DAMPING_DECREASE, DAMPING_INCREASE = 5, 8
"""Factors by which the damping falls after a step that lowers the cost, and rises after one that does not."""
TRIAL_STEPS = 6
"""Number of steps within which a fit must come below `max_cost`, or is given up."""
MAX_GAP_TO_DROP_RATIO = 6.0
"""Ratio of the gap to `max_cost` to the last step's drop from which a fit is given up: set for time; with it and other
savings results changed by 0.004 of their SD in the median."""
CONVERGED_COST_DROP = 1.0
"""Drop of the cost, squared SDs, below which a fit has converged: absolute, as a relative one would depend on the
signal's unit."""
CONVERGED_TOTAL, CONVERGED_CHANGE = 1e-3, 0.01
"""Changes of the source in one step below which a fit has converged: of the total susceptibility relative to it; of
the centre in mm and of the log radius. The first is below the SD for hidden tissue, 0.3 %."""
CORE_MM = 3.0
"""Radius of the core region around a centre, mm: a wrong shape leaves its residual there."""
MIN_CORE_IN_MASK = 0.15
"""Least fraction of the core region around each body that must be fitted voxels. Of a body that describes a field from
outside the mask it is at most 0.04, of each ball of a real pair at the mask's edge 0.5 and more."""


@dataclass
class FitState:
    """State in which a fit has ended: the model, its parameters, and the objective there."""

    model: LesionModel
    """The model that was fitted."""
    parameters: FloatArray
    """Source (see `LAYOUT`), then coefficients of the tissue's phase and log magnitude."""
    objective: Objective
    """The objective at these parameters."""
    converged: bool
    """Whether the last step changed nothing that matters."""
    model_selection_sd_ppm_mm3: float = 0.0
    """SD of the total susceptibility for the choice of the model, ppm mm3: what other fits, about as likely, give."""
    compared_models: tuple[ComparedModel, ...] = ()
    """Models that were compared on the way to this one; empty where the first described the lesion."""

    def with_model_selection_sd(self, sd_ppm_mm3: float) -> FitState:
        """Return the same state with another model-selection SD; what has been computed of it stays.

        Parameters
        ----------
        sd_ppm_mm3 : float
            Model-selection SD, ppm mm3, >= 0.

        Returns
        -------
        FitState
            The same fit; what is cached of it stays cached.
        """
        out = copy(self)
        out.model_selection_sd_ppm_mm3 = sd_ppm_mm3
        return out

    def with_compared_models(self, models: Iterable[ComparedModel]) -> FitState:
        """Return the same state with other compared models; what has been computed of it stays.

        Parameters
        ----------
        models : iterable of ComparedModel
            All models that were compared on the way to this fit.

        Returns
        -------
        FitState
            The same fit; what is cached of it stays cached.
        """
        out = copy(self)
        out.compared_models = tuple(models)
        return out

    def as_compared(
        self, comparison: Comparison, *, is_chosen: bool, cost: float | None = None
    ) -> ComparedModel:
        """Return what this fit says, for the record of a comparison.

        Parameters
        ----------
        comparison : Comparison
            Comparison that it is part of.
        is_chosen : bool
            Whether it is taken.
        cost : float, optional
            What was compared, squared SDs; the objective by default.

        Returns
        -------
        ComparedModel
            Shape, total susceptibility (ppm mm3), cost and core residual.
        """
        return ComparedModel(
            comparison=comparison,
            shape=self.model.shape.name,
            n_bodies=len(self.rows),
            total_chi_ppm_mm3=float(self.parameters[LAYOUT.total]),
            cost=self.objective.cost if cost is None else cost,
            core_residual=self.core_residual(),
            is_chosen=is_chosen,
        )

    def without_cache(self) -> FitState:
        """Return the same state without what can be computed again: a third of its memory.

        Returns
        -------
        FitState
            The same fit, in two thirds of the memory.
        """
        return replace(self)

    @cached_property
    def linear(self) -> LinearProblem:
        """Linear problem at the parameters."""
        return linearise(self.model, self.parameters, self.objective)

    @cached_property
    def influence(self) -> Influence:
        """Influence function of the total susceptibility, ppm mm3 per SD."""
        return influence_of(self.model, self.linear)

    @property
    def source(self) -> Source:
        """Total susceptibility (ppm mm3), centre (mm from the point) and radius (mm)."""
        p = self.parameters
        return Source(float(p[LAYOUT.total]), triple(p[LAYOUT.centre]), float(np.exp(p[LAYOUT.log_radius])))

    @property
    def exceeds_patch(self) -> bool:
        """Whether the body is larger than what fits into its patch: nothing is known of it."""
        radius = self.source.radius_mm
        stopped = radius > MAX_RADIUS_FRACTION * RADII_MM[1]
        return stopped or (radius > LARGE_BODY_RADIUS_MM and not self.converged)

    @property
    def extent_mm(self) -> float:
        """Distance of the furthest point of any body from the centre, mm."""
        rows = self.rows
        return float(
            (
                np.linalg.norm(rows[:, ROW_CENTRE] - self.source.centre_mm, axis=1) + half_lengths_mm(rows)
            ).max()
        )

    @property
    def rows(self) -> FloatArray:
        """Bodies as rows: total susceptibility (ppm mm3), centre (mm, 3), radius (mm) and what the shape adds."""
        return self.model.shape.rows(self.parameters)

    @cached_property
    def psf_width2(self) -> Estimate:
        """Squared width of the box that widens the point spread, mm2, with the SD that the normal matrix gives."""
        at = LAYOUT.psf_width2
        # The diagonal of the inverse normal matrix is the variance: the residual is in SDs already.
        sd = float(np.sqrt(inverse_row(self.model, self.linear.normal, at)[at]))
        return Estimate(self.psf_width2_mm2, sd, "mm2")

    @property
    def psf_width2_mm2(self) -> float:
        """Squared width of the box that widens the point spread, mm2."""
        return float(self.parameters[LAYOUT.psf_width2])

    @property
    def decay_hz(self) -> float:
        """R2* inside the lesion above the tissue's, 1/s."""
        return float(np.exp(self.parameters[LAYOUT.log_decay]))

    @property
    def residual(self) -> float:
        """Root mean square of the weighted residual, SDs; about 1 where the model holds."""
        return float(np.sqrt(np.mean(self._squared_residual())))

    @property
    def left_mask(self) -> bool:
        """Whether the fit, or a body of it, has left the mask: next to no voxel shows its core."""
        patch = self.model.patch
        # Voxels in a core region that lies in the mask as a whole.
        whole = (
            patch.inside.sum()
            / patch.fraction_in_mask
            * (CORE_MM * patch.length_scale / patch.radius_mm) ** 3
        )
        shown = [self._core_region(triple(row[ROW_CENTRE])).sum() for row in self.rows]
        return bool(min(shown) < MIN_CORE_IN_MASK * whole)

    def core_residual(self, centre_mm: tuple[float, float, float] | None = None) -> float:
        """Return the root mean square of the weighted residual within CORE_MM of a centre.

        Parameters
        ----------
        centre_mm : tuple of float, optional
            Centre, mm from the patch's point; the source's centre by default.

        Returns
        -------
        float
            SDs; 0 where no voxel is that close.
        """
        core = self._core_region(centre_mm or self.source.centre_mm)
        squares = self._squared_residual().reshape(-1, len(core))[:, core]
        return float(np.sqrt(np.mean(squares))) if squares.size else 0.0

    def surroundings_residual(self) -> float:
        """Return the root mean square of the weighted residual beyond CORE_MM of the centre.

        Returns
        -------
        float
            SDs; 0 where no voxel is that far.
        """
        beyond = ~self._core_region(self.source.centre_mm)
        squares = self._squared_residual().reshape(-1, len(beyond))[:, beyond]
        return float(np.sqrt(np.mean(squares))) if squares.size else 0.0

    def _core_region(self, centre_mm: tuple[float, float, float]) -> BoolArray:
        """Return which fitted voxels lie within CORE_MM of a centre."""
        patch = self.model.patch
        offset = patch.coordinates_mm[:, patch.inside] - np.array(centre_mm)[:, None]
        return np.asarray((offset**2).sum(axis=0) < (CORE_MM * patch.length_scale) ** 2)

    def sandwich_sd(self) -> float:
        """Return the SD of the total susceptibility from the residual, errors within a block counted as one.

        Returns
        -------
        float
            SD, ppm mm3.
        """
        return sandwich_sd_of(self.model.patch, self.objective, self.influence)

    def bic(self) -> float:
        """Return the Bayesian information criterion, errors of all echoes counted as one.

        Returns
        -------
        float
            Squared SDs; the lower model wins.

        Notes
        -----
        BIC = C_data / n_echo + C_process + C_prior + k ln(n), with k identifiable parameters of the source and n
        independent voxels. Echoes share what the model cannot follow, so that n_echo of them count as one.

        References
        ----------
        Schwarz G. Estimating the dimension of a model. Ann Stat 1978, doi:10.1214/aos/1176344136.
        """
        process = self.model.gp_prior_cost(self.parameters)
        return self.data_cost() / len(self.model.patch.acquisition.te_s) + process + self.bic_penalty()

    def data_cost(self) -> float:
        """Return the cost of the data: the objective without its priors.

        Returns
        -------
        float
            Squared SDs.
        """
        return self.objective.cost - self._prior_cost() - self.model.gp_prior_cost(self.parameters)

    def bic_penalty(self) -> float:
        """Return what the source's parameters add to the BIC: their priors' cost and k ln(n).

        Returns
        -------
        float
            Squared SDs.
        """
        patch = self.model.patch
        independent = float(patch.inside.sum()) * patch.independent_per_voxel
        return self._prior_cost() + self.model.shape.n_identifiable * float(np.log(independent))

    def _prior_cost(self) -> float:
        """Return the cost of the source's priors, squared SDs."""
        return float((priors(self.model, self.parameters) ** 2).sum())

    def _squared_residual(self) -> FloatArray:
        """Return the weighted squared error of each echo and voxel, 1 on average where the model holds."""
        objective = self.objective
        error2 = (objective.magnitude_weight * objective.error.real) ** 2 + (
            objective.phase_weight * objective.error.imag
        ) ** 2
        patch = self.model.patch
        # The mean over the channels. Cauchy's weight comes with the independent values per voxel, taken off here.
        n_channels = 1 if patch.acquisition.phase_alone else 2
        return np.asarray(error2 * objective.robust**2 / patch.independent_per_voxel / n_channels)


def minimise(
    model: LesionModel,
    p: FloatArray,
    *,
    max_cost: float = np.inf,
    max_iterations: int = MAX_ITERATIONS,
    objective: Objective | None = None,
) -> FitState:
    """Minimise the objective by Levenberg-Marquardt.

    Parameters
    ----------
    model : LesionModel
        Signal model and data.
    p : ndarray of shape (n,)
        Parameters to start from.
    max_cost : float, optional
        Cost that the fit has to undercut, squared SDs: it is given up where it is above it after TRIAL_STEPS steps, or
        further above it than MAX_GAP_TO_DROP_RATIO times the last drop.
    max_iterations : int, optional
        Largest number of steps, >= 1.
    objective : Objective, optional
        The objective at `p` with its slopes, where another fit has ended there; formed by default.

    Returns
    -------
    FitState
        `converged` is False where the fit was given up, or ended after the largest number of steps.

    References
    ----------
    Marquardt D. W. An algorithm for least-squares estimation of nonlinear parameters. J Soc Ind Appl Math 1963,
    doi:10.1137/0111030.
    """
    start_centre = p[LAYOUT.centre].copy()
    damping = START_DAMPING
    objective = objective or evaluate_objective(model, p, slopes=True)
    converged, lower, drop = False, True, np.inf
    for iteration in range(max_iterations):
        if _out_of_reach(iteration, objective.cost - max_cost, drop):
            break
        if lower:
            # After a step that failed the linear problem is still the same; its damping alone changes.
            normal, gradient = _normal_equations(model, p, objective)
        step = solve_normal_equations(model, normal, gradient, damping=damping)
        trial = _clip_to_ranges(p - step, start_centre, model.shape)
        new = evaluate_objective(model, trial, slopes=True)
        # A cost that rises a little is no sign of convergence: damped more, the step may lead down.
        converged = _parameters_converged(p, trial) or 0 <= objective.cost - new.cost < CONVERGED_COST_DROP
        lower = new.cost < objective.cost
        if lower:
            drop = objective.cost - new.cost
            p, objective = trial, new
        if converged:
            break
        damping = max(damping / DAMPING_DECREASE, MIN_DAMPING) if lower else DAMPING_INCREASE * damping
    return FitState(model=model, parameters=p, objective=objective, converged=converged)


def _out_of_reach(iteration: int, gap: float, drop: float) -> bool:
    """Whether a fit that is above its limit by a gap in cost, after a drop of the last step, won't come below it."""
    # The first two drops are those of a start that is far off: they say little of what is to come.
    return gap > 0 and (iteration == TRIAL_STEPS or (iteration > 1 and gap > MAX_GAP_TO_DROP_RATIO * drop))


def _normal_equations(
    model: LesionModel, p: FloatArray, objective: Objective
) -> tuple[FloatArray, FloatArray]:
    """Return normal matrix and half the gradient at some parameters."""
    linear = linearise(model, p, objective)
    return linear.normal, gradient_of(model, p, objective, linear)


def _clip_to_ranges(trial: FloatArray, start_centre: FloatArray, shape: SourceShape) -> FloatArray:
    """Return parameters with those of the source clipped to their ranges, in place."""
    trial[LAYOUT.centre] = start_centre + np.clip(
        trial[LAYOUT.centre] - start_centre, -MAX_SHIFT_MM, MAX_SHIFT_MM
    )
    trial[LAYOUT.log_radius] = np.clip(trial[LAYOUT.log_radius], np.log(RADII_MM[0]), np.log(RADII_MM[1]))
    trial[LAYOUT.psf_width2] = np.clip(trial[LAYOUT.psf_width2], 0.0, MAX_PSF_WIDTH2_MM2)
    trial[LAYOUT.log_decay] = np.clip(trial[LAYOUT.log_decay], np.log(DECAY_HZ[0]), np.log(DECAY_HZ[1]))
    own, largest = slice(LAYOUT.n_common, shape.n_source_parameters), shape.max_own_parameter
    trial[own] = np.clip(trial[own], -largest, largest)
    return trial


def _parameters_converged(p: FloatArray, trial: FloatArray) -> bool:
    """Whether a step changes total susceptibility, centre and radius by less than matters."""
    change = np.abs(trial[: LAYOUT.log_radius + 1] - p[: LAYOUT.log_radius + 1])
    small_total = change[LAYOUT.total] < CONVERGED_TOTAL * abs(p[LAYOUT.total])
    return bool(small_total and np.all(change[1:] < CONVERGED_CHANGE))


def triple(values: FloatArray) -> tuple[float, float, float]:
    """Return three numbers as a tuple.

    Parameters
    ----------
    values : ndarray of shape (3,)
        A point or a direction.

    Returns
    -------
    tuple of float
        The three numbers.

    Examples
    --------
    >>> triple(np.array([1.0, 2.0, 3.0]))
    (1.0, 2.0, 3.0)
    """
    return float(values[0]), float(values[1]), float(values[2])
