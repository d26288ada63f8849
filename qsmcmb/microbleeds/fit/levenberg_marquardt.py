"""The optimum of a lesion's model: Levenberg-Marquardt from a start, and what the end of it leaves."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qsmcmb.microbleeds.fit.influence import Influence, influence_of, sandwich_sd_of
from qsmcmb.microbleeds.fit.objective import (
    Linear,
    Objective,
    evaluate_objective,
    gradient_of,
    inverse_row,
    linearise,
    solved,
)
from qsmcmb.microbleeds.fit.priors import priors
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, ROW_CENTRE, Source
from qsmcmb.model import Estimate
from qsmcmb.typing import BoolArray, FloatArray

MAX_PSF_WIDTH2_MM2 = 9.0
DECAY_HZ = (0.5, 3000.0)
MAX_SHIFT_MM = 2.5
MAX_HALF_AXIS_MM = 3.5
RADII_MM = (0.3, 6.0)
ITERATIONS = 15
TRIAL_STEPS = 6
MAX_GAP_OVER_DROP = 6.0
"""Cost above a limit, over what the last step took away, from which it is out of reach."""
CONVERGED_COST_DROP = 1.0
"""Drop of the cost, in squared SDs, below which nothing more is to be had."""
CORE_MM = 3.0
MIN_CORE_IN_MASK = 0.15
"""Part of the voxels around a body that must be inside: nothing says that there is what none of them shows."""


@dataclass
class FitState:
    """Where a fit ended: the model, its parameters and what they leave."""

    model: LesionModel
    parameters: FloatArray
    objective: Objective
    converged: bool
    model_selection_sd_ppm_mm3: float = 0.0
    """What other ends, about as likely, would make of the total susceptibility."""

    def with_model_selection_sd(self, sd_ppm_mm3: float) -> FitState:
        """Return the same with what other ends would make of it; what is known of it stays known."""
        out = copy(self)
        out.model_selection_sd_ppm_mm3 = sd_ppm_mm3
        return out

    def without_cache(self) -> FitState:
        """Return the same without what can be made of it again: that is a third of its memory."""
        return replace(self)

    @cached_property
    def linear(self) -> Linear:
        """The linear problem around it."""
        return linearise(self.model, self.parameters, self.objective)

    @cached_property
    def influence(self) -> Influence:
        """How the total susceptibility answers to errors of the signal."""
        return influence_of(self.model, self.linear)

    @property
    def source(self) -> Source:
        """Total susceptibility, centre and radius."""
        p = self.parameters
        return Source(float(p[LAYOUT.total]), triple(p[LAYOUT.centre]), float(np.exp(p[LAYOUT.log_radius])))

    @property
    def rows(self) -> FloatArray:
        """Rows of total susceptibility (ppm mm3), centre (mm, 3), radius (mm) and what the shape adds."""
        return self.model.shape.rows(self.parameters)

    @cached_property
    def psf_width2(self) -> Estimate:
        """Squared width of the box that widens the point spread, mm2, with the SD that the normal matrix gives."""
        at = LAYOUT.psf_width2
        sd = float(np.sqrt(inverse_row(self.model, self.linear.normal, at)[at]))
        return Estimate(self.psf_width2_mm2, sd, "mm2")

    @property
    def psf_width2_mm2(self) -> float:
        """Squared width of the box that widens the point spread."""
        return float(self.parameters[LAYOUT.psf_width2])

    @property
    def decay_hz(self) -> float:
        """R2* inside the lesion above the tissue's."""
        return float(np.exp(self.parameters[LAYOUT.log_decay]))

    @property
    def residual(self) -> float:
        """Root mean square of the weighted residual; about 1 where the model holds."""
        return float(np.sqrt(np.mean(self._squares())))

    @property
    def left_mask(self) -> bool:
        """Whether the fit, or a body of it, has left the mask: next to no voxel shows its core."""
        patch = self.model.patch
        whole = patch.inside.sum() / patch.fraction_in_mask * (CORE_MM / patch.radius_mm) ** 3
        shown = [self._core(triple(row[ROW_CENTRE])).sum() for row in self.rows]
        return bool(min(shown) < MIN_CORE_IN_MASK * whole)

    def core_residual(self, centre_mm: tuple[float, float, float] | None = None) -> float:
        """Return the weighted residual within CORE_MM of a place, the source's centre by default."""
        core = self._core(centre_mm or self.source.centre_mm)
        squares = self._squares().reshape(-1, len(core))[:, core]
        return float(np.sqrt(np.mean(squares))) if squares.size else 0.0

    def _core(self, centre_mm: tuple[float, float, float]) -> BoolArray:
        patch = self.model.patch
        offset = patch.coordinates_mm[:, patch.inside] - np.array(centre_mm)[:, None]
        return np.asarray((offset**2).sum(axis=0) < CORE_MM**2)

    def sandwich_sd(self) -> float:
        """Return the SD of the total susceptibility (ppm mm3) that the residual tells."""
        return sandwich_sd_of(self.model.patch, self.objective, self.influence)

    def bic(self) -> float:
        """Return the cost with the errors of all echoes counted as one, and what parameters cost (BIC)."""
        initial = self.model.gp_prior_cost(self.parameters)
        return self.data_cost() / len(self.model.patch.acquisition.te_s) + initial + self.bic_penalty()

    def data_cost(self) -> float:
        """Return the part of the cost that the data make."""
        return self.objective.cost - self._prior_cost() - self.model.gp_prior_cost(self.parameters)

    def bic_penalty(self) -> float:
        """Return the part of it that the source's parameters cost."""
        patch = self.model.patch
        independent = float(patch.inside.sum()) * patch.independent_per_voxel
        return self._prior_cost() + self.model.shape.n_identifiable * float(np.log(independent))

    def _prior_cost(self) -> float:
        return float((priors(self.model, self.parameters) ** 2).sum())

    def _squares(self) -> FloatArray:
        """Return the weighted squared error of each echo and voxel, 1 on average where the model holds."""
        m = self.objective
        error2 = (m.magnitude_weight * m.error.real) ** 2 + (m.phase_weight * m.error.imag) ** 2
        return np.asarray(0.5 * error2 * m.robust**2 / self.model.patch.independent_per_voxel)


def minimise(model: LesionModel, p: FloatArray, *, max_cost: float = np.inf) -> FitState:
    """Minimise the cost by Levenberg-Marquardt; give up what does not come below a limit in a few steps."""
    start_centre = p[LAYOUT.centre].copy()
    damping = 1e-3
    objective = evaluate_objective(model, p, slopes=True)
    normal, gradient = _normal_equations(model, p, objective)
    converged, drop = False, np.inf
    for iteration in range(ITERATIONS):
        above = objective.cost - max_cost
        if above > 0 and (iteration == TRIAL_STEPS or (iteration > 1 and above > MAX_GAP_OVER_DROP * drop)):
            break
        step = solved(model, normal, gradient, damping=damping)
        trial = _bounded(p - step, start_centre, model.n_source_parameters)
        new = evaluate_objective(model, trial, slopes=True)
        converged = _parameters_converged(p, trial) or 0 <= objective.cost - new.cost < CONVERGED_COST_DROP
        lower = new.cost < objective.cost
        if lower:
            drop = objective.cost - new.cost
            p, objective = trial, new
        if converged:
            break
        if lower:
            normal, gradient = _normal_equations(model, p, objective)
        damping = max(damping / 5, 1e-7) if lower else 8 * damping
    return FitState(model, p, objective, converged)


def _normal_equations(
    model: LesionModel, p: FloatArray, objective: Objective
) -> tuple[FloatArray, FloatArray]:
    linear = linearise(model, p, objective)
    return linear.normal, gradient_of(model, p, objective, linear)


def _bounded(trial: FloatArray, start_centre: FloatArray, n_source_parameters: int) -> FloatArray:
    trial[LAYOUT.centre] = start_centre + np.clip(
        trial[LAYOUT.centre] - start_centre, -MAX_SHIFT_MM, MAX_SHIFT_MM
    )
    trial[LAYOUT.log_radius] = np.clip(trial[LAYOUT.log_radius], np.log(RADII_MM[0]), np.log(RADII_MM[1]))
    trial[LAYOUT.psf_width2] = np.clip(trial[LAYOUT.psf_width2], 0.0, MAX_PSF_WIDTH2_MM2)
    trial[LAYOUT.log_decay] = np.clip(trial[LAYOUT.log_decay], np.log(DECAY_HZ[0]), np.log(DECAY_HZ[1]))
    trial[LAYOUT.n_common : n_source_parameters] = np.clip(
        trial[LAYOUT.n_common : n_source_parameters], -MAX_HALF_AXIS_MM, MAX_HALF_AXIS_MM
    )
    return trial


def _parameters_converged(p: FloatArray, trial: FloatArray) -> bool:
    """Whether a step changes the source by less than matters: 0.1 % of M, 0.01 mm, 1 % of the radius."""
    change = np.abs(trial[:5] - p[:5])
    return bool(change[0] < 1e-3 * abs(p[LAYOUT.total]) and np.all(change[1:] < 0.01))


def triple(values: FloatArray) -> tuple[float, float, float]:
    """Return three numbers as a tuple."""
    return float(values[0]), float(values[1]), float(values[2])
