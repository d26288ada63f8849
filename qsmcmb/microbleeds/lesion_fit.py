"""Lesion fit in the complex domain: the scan's own signal around a lesion, formed and sampled as the scanner does.

The lesion is a dark ball with the field of a dipole, formed on a sub-voxel grid and taken through the point
spread of a k-space crop; tissue magnitude, R2*, receive phase and background field around it are low-order
polynomials. Least squares over all echoes gives the total susceptibility with free centre and radius. Where the
core does not fit, two equal balls with a free axis take the ball's place. The field form (dipole on an unwrapped
field map) starts it and stands by as a check.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds._lesion_signal_loops import lesion_signal
from qsmcmb.microbleeds.neighbourhood import Neighbourhood, polynomials
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import dipole_phase_constant

SUBVOXEL_MM = 0.4
MAX_SHIFT_MM = 2.5
RADIUS_PRIOR_MM = 1.2
RADIUS_PRIOR_LOG_SD = 0.35
TEXTURE = 0.08
"""Tissue texture and clutter, relative to the signal: what the polynomials cannot follow."""
ITERATIONS = 15
ROBUST = 2.5
"""Residuals beyond this many SDs count less."""
MODEL_ERROR = 0.07
"""Relative SD for the choice of the model: real lesions are neither balls nor pairs of balls."""
CORE_MM = 3.0
CORE_RESIDUAL = 0.95
"""Above this weighted residual within CORE_MM one ball does not describe the lesion."""
TRIAL_STEPS = 4
PAIR_GAIN = 15.0
"""Least drop of the cost for a pair: the evidence that three more parameters must bring."""
MAX_HALF_AXIS_MM = 3.0
PAIR_SHRINK = 0.8
"""Radius of two balls that fill the volume of one, and half their distance when they touch."""


class Source(NamedTuple):
    """A ball: total susceptibility (ppm mm3), centre (mm from the neighbourhood's middle), radius (mm)."""

    total_chi_ppm_mm3: float
    centre_mm: tuple[float, float, float]
    radius_mm: float

    def row(self) -> list[float]:
        """Return the row that the loop reads."""
        return [self.total_chi_ppm_mm3, *self.centre_mm, self.radius_mm]


class LesionFit(NamedTuple):
    """Result of one fit."""

    source: Source
    sd_ppm_mm3: float
    noise_sd_ppm_mm3: float
    """SD from noise and clutter alone, without the choice of the model."""
    residual: float
    """Root mean square of the weighted residual; about 1 where the model holds."""
    converged: bool
    core_residual: float
    """The same within 3 mm of the centre, all echoes."""
    cost: float
    half_axis_mm: tuple[float, float, float] | None = None
    """From the centre to each of two balls; None for one ball."""


class PointSpread:
    """Sampling of a sub-voxel grid by a k-space crop: a sinc of the voxel along each axis."""

    def __init__(self, near: Neighbourhood) -> None:
        size = near.grid.voxel_size_mm
        self.factor = [max(2, round(v / SUBVOXEL_MM)) for v in size]
        self.axes_mm: list[FloatArray] = []
        self.matrices: list[FloatArray] = []
        for coarse, v, factor in zip(near.axes_mm, size, self.factor, strict=True):
            offsets = ((np.arange(factor) + 0.5) / factor - 0.5) * v
            fine = (coarse[:, None] + offsets).ravel()
            self.axes_mm.append(fine)
            sinc = np.sinc((coarse[:, None] - fine[None, :]) / v) / factor
            self.matrices.append(sinc.astype(np.float32))
        self.edge_mm = float(min(v / f for v, f in zip(size, self.factor, strict=True)))

    def sample(self, fine: ComplexArray) -> ComplexArray:
        """Return (echo, x, y, z) voxels of a fine (echo, ...) signal that is 0 far away."""
        mx, my, mz = self.matrices
        step = fine @ mz.T
        step = np.einsum("exyz,jy->exjz", step, my, optimize=True)
        return np.einsum("exjz,ix->eijz", step, mx, optimize=True)


class ComplexModel:
    """Signal model around one lesion.

    Parameters: M, centre (3), log radius; for a pair the half axis (3); then the background's.
    """

    def __init__(self, near: Neighbourhood, fixed: list[Source], *, pair: bool = False) -> None:
        self.near = near
        self.pair = pair
        self.n_source = 8 if pair else 5
        self.spread = PointSpread(near)
        self.fixed = fixed
        self.constants = np.array([dipole_phase_constant(near.b0_tesla, t) for t in near.te_s])
        self.b0_dir = np.array(near.grid.b0_dir)
        inside = near.inside
        xyz = near.coordinates_mm[:, inside] / near.radius_mm
        te = np.asarray(near.te_s) / max(near.te_s)
        linear, quadratic, cubic = (polynomials(xyz, order) for order in (1, 2, 3))
        echoes = len(te)
        phase_columns = [np.tile(cubic[None], (echoes, 1, 1)) * te[:, None, None]]
        amplitude_columns = [np.tile(quadratic[None], (echoes, 1, 1))]
        if echoes > 1:
            phase_columns.insert(0, np.tile(linear[None], (echoes, 1, 1)))
            amplitude_columns.append(np.tile(linear[None], (echoes, 1, 1)) * te[:, None, None])
        self.phase_basis = np.concatenate(phase_columns, axis=2).reshape(
            -1, sum(c.shape[2] for c in phase_columns)
        )
        width = sum(c.shape[2] for c in amplitude_columns)
        self.amplitude_basis = np.concatenate(amplitude_columns, axis=2).reshape(-1, width)
        self.data = near.signal[:, inside].reshape(-1)
        self.noise = near.noise

    def sources(self, p: FloatArray) -> list[Source]:
        """Return the lesion's balls."""
        radius = float(np.exp(p[4]))
        if not self.pair:
            return [Source(p[0], (p[1], p[2], p[3]), radius)]
        return [Source(p[0] / 2, _triple(p[1:4] + sign * p[5:8]), radius) for sign in (1, -1)]

    def lesion(self, p: FloatArray) -> ComplexArray:
        """Return the lesion's factor on the signal, all echoes and voxels of the ball in one axis."""
        rows = [s.row() for s in (*self.sources(p), *self.fixed)]
        x, y, z = self.spread.axes_mm
        fine = np.empty((len(self.constants), x.size, y.size, z.size), np.complex64)
        args = (self.b0_dir, self.constants, self.spread.edge_mm, fine)
        lesion_signal(np.array(rows), x, y, z, *args)
        return 1.0 + self.spread.sample(fine)[:, self.near.inside].reshape(-1)

    def background(self, p: FloatArray) -> ComplexArray:
        """Return tissue signal times background phase."""
        n = self.phase_basis.shape[1]
        phase, amplitude = np.split(p[self.n_source :], [n])
        out: ComplexArray = np.exp(self.amplitude_basis @ amplitude + 1j * (self.phase_basis @ phase))
        return out

    def start(self, source: Source) -> FloatArray:
        """Return one ball's parameters from a source and from polynomials fitted to what it leaves."""
        first = np.array([source.total_chi_ppm_mm3, *source.centre_mm, np.log(source.radius_mm)])
        empty = np.zeros(self.phase_basis.shape[1] + self.amplitude_basis.shape[1])
        factor = self.lesion(np.concatenate([first, empty]))
        rest = self.data * np.exp(-1j * np.angle(factor))
        trust = np.clip(2 * np.abs(factor) - 1, 0, 1) * np.abs(self.data)
        # The unwrapped field takes the turns out; what is left is a smooth phase around 0.
        guide = self.near.background_phase_guide(trust).reshape(-1)
        left = np.angle(rest * np.exp(-1j * guide))
        mean = np.angle((trust * np.exp(1j * left)).sum())
        left = np.angle(np.exp(1j * (left - mean))) + mean + guide
        weight = trust**2
        phase = _weighted_solve(self.phase_basis, left, weight)
        amplitude = _weighted_solve(
            self.amplitude_basis, np.log(np.maximum(np.abs(self.data), 1e-12)), weight
        )
        return np.concatenate([first, phase, amplitude])


def _weighted_solve(basis: FloatArray, values: FloatArray, weight: FloatArray) -> FloatArray:
    weighted = basis * weight[:, None]
    normal = basis.T @ weighted
    normal[np.diag_indices_from(normal)] *= 1 + 1e-9
    solution: FloatArray = np.linalg.solve(
        normal + 1e-12 * np.trace(normal) * np.eye(len(normal)), weighted.T @ values
    )
    return solution


STEPS = np.array([0.02, 0.02, 0.02, 0.02, 0.03, 0.05, 0.05, 0.05])
# Half of the 26 directions of a cube: an axis has no sign.
AXES = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)], dtype=float) - 1.0


def fit_lesion(near: Neighbourhood, source: Source, *, fixed: list[Source] | None = None) -> LesionFit:
    """Fit one lesion.

    Parameters
    ----------
    near : Neighbourhood
        The scan around the lesion.
    source : Source
        Where to start.
    fixed : list of Source, optional
        Neighbours, held as they are.

    Returns
    -------
    LesionFit
        The SD comes from the residuals, clustered by blocks of voxels so that texture counts as what it is:
        correlated.
    """
    model = ComplexModel(near, fixed or [])
    one, fitted = _optimise(model, model.start(source))
    if one.core_residual <= CORE_RESIDUAL or abs(one.source.total_chi_ppm_mm3) < 3 * one.sd_ppm_mm3:
        return one
    two = _fit_pair(near, fitted, fixed or [], best_cost=one.cost)
    return two if two.cost < one.cost - PAIR_GAIN else one


def _fit_pair(near: Neighbourhood, one: FloatArray, fixed: list[Source], *, best_cost: float) -> LesionFit:
    """Fit two equal balls in place of the ball of parameters `one`, started from the best of 13 axes."""
    model = ComplexModel(near, fixed, pair=True)
    radius = PAIR_SHRINK * float(np.exp(one[4]))
    axes = radius * AXES / np.linalg.norm(AXES, axis=1)[:, None]
    starts = [np.concatenate([one[:4], [np.log(radius)], axis, one[5:]]) for axis in axes]
    best = min(starts, key=lambda p: _evaluate(model, p).cost)
    return _optimise(model, best, give_up_above=best_cost)[0]


def _optimise(
    model: ComplexModel, p: FloatArray, *, give_up_above: float = np.inf
) -> tuple[LesionFit, FloatArray]:
    """Minimise the cost by Levenberg-Marquardt; after a few steps give up what is not below a limit."""
    start_centre = p[1:4].copy()
    damping = 1e-3
    state = _evaluate(model, p)
    residual, jacobian = _linearise(model, p, state)
    converged = False
    for iteration in range(ITERATIONS):
        if iteration == TRIAL_STEPS and state.cost > give_up_above:
            break
        normal = jacobian.T @ jacobian
        gradient = jacobian.T @ residual
        step = np.linalg.solve(
            normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(len(p)), -gradient
        )
        trial = p + step
        trial[1:4] = start_centre + np.clip(trial[1:4] - start_centre, -MAX_SHIFT_MM, MAX_SHIFT_MM)
        trial[4] = np.clip(trial[4], np.log(0.3), np.log(6.0))
        trial[5 : model.n_source] = np.clip(trial[5 : model.n_source], -MAX_HALF_AXIS_MM, MAX_HALF_AXIS_MM)
        new = _evaluate(model, trial)
        converged = _settled(p, trial) or 0 <= state.cost - new.cost < 1e-4 * abs(state.cost)
        if new.cost < state.cost:
            p, state = trial, new
            residual, jacobian = _linearise(model, p, state)
            damping = max(damping / 5, 1e-7)
        else:
            damping *= 8
        if converged:
            break
    noise_sd = _clustered_sd(model.near, residual, jacobian)
    sd = float(np.hypot(noise_sd, MODEL_ERROR * p[0]))
    fitted = Source(float(p[0]), _triple(p[1:4]), float(np.exp(p[4])))
    rms = float(np.sqrt(np.mean(residual[:-1] ** 2)))
    axis = _triple(p[5:8]) if model.pair else None
    core = _core_residual(model, state, fitted)
    return LesionFit(fitted, sd, noise_sd, rms, converged, core, state.cost, axis), p


def _triple(values: FloatArray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _core_residual(model: ComplexModel, state: _State, source: Source) -> float:
    near = model.near
    xyz = near.coordinates_mm[:, near.inside] - np.array(source.centre_mm)[:, None]
    core = (xyz**2).sum(axis=0) < CORE_MM**2
    error = state.error.reshape(len(near.te_s), -1)[:, core]
    return float(np.sqrt(np.mean(np.abs(error) ** 2))) if core.any() else 0.0


def _settled(p: FloatArray, trial: FloatArray) -> bool:
    """Whether a step changes the source by less than matters: 0.1 % of M, 0.01 mm, 1 % of the radius."""
    change = np.abs(trial[:5] - p[:5])
    return bool(change[0] < 1e-3 * abs(p[0]) and np.all(change[1:] < 0.01))


class _State(NamedTuple):
    cost: float
    background: ComplexArray
    factor: ComplexArray
    weight: FloatArray
    error: ComplexArray


def _evaluate(model: ComplexModel, p: FloatArray) -> _State:
    """Return the cost and what its linearisation needs."""
    background = model.background(p)
    factor = model.lesion(p)
    signal = background * factor
    weight = 1 / np.sqrt(model.noise**2 + (TEXTURE * np.abs(signal)) ** 2)
    error = (signal - model.data) * weight
    distance2 = np.abs(error) ** 2 / ROBUST**2
    prior = (p[4] - np.log(RADIUS_PRIOR_MM)) / RADIUS_PRIOR_LOG_SD
    # The weight depends on the model: its logarithm keeps a darker model from looking better.
    cost = float(ROBUST**2 * np.log1p(distance2).sum() + prior**2 - 2 * np.log(weight).sum())
    # Cauchy's weights: veins and borders are far out and count less.
    robust = 1 / np.sqrt(1 + distance2)
    return _State(cost, background, factor, weight * robust, error * robust)


def _linearise(model: ComplexModel, p: FloatArray, state: _State) -> tuple[FloatArray, FloatArray]:
    """Return the weighted residual and its Jacobian; the last row is the radius prior."""
    columns = []
    scaled = state.background * state.weight
    for i, h in enumerate(STEPS[: model.n_source]):
        q = p.copy()
        q[i] += h * max(1.0, abs(p[0]) if i == 0 else 1.0)
        columns.append((model.lesion(q) - state.factor) / (q[i] - p[i]) * scaled)
    weighted = (scaled * state.factor)[:, None]
    complex_jacobian = np.concatenate(
        [np.stack(columns, axis=1), 1j * weighted * model.phase_basis, weighted * model.amplitude_basis],
        axis=1,
    )
    jacobian = np.concatenate([complex_jacobian.real, complex_jacobian.imag, np.zeros((1, len(p)))])
    jacobian[-1, 4] = 1 / RADIUS_PRIOR_LOG_SD
    prior = (p[4] - np.log(RADIUS_PRIOR_MM)) / RADIUS_PRIOR_LOG_SD
    return np.concatenate([state.error.real, state.error.imag, [prior]]), jacobian


def _clustered_sd(near: Neighbourhood, residual: FloatArray, jacobian: FloatArray) -> float:
    """SD of M by the sandwich estimator over blocks of about 3.5 mm."""
    voxels = near.block_labels()
    blocks = np.concatenate([np.tile(voxels, 2 * len(near.te_s)), [voxels.max() + 1]])
    scores = np.zeros((int(blocks.max()) + 1, jacobian.shape[1]))
    np.add.at(scores, blocks, jacobian * residual[:, None])
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    covariance = bread @ (scores.T @ scores) @ bread
    return float(np.sqrt(max(covariance[0, 0], bread[0, 0])))
