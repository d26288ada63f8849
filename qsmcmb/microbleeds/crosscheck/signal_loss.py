"""Total susceptibility from the signal that a lesion costs: a check of the fit that needs no unwrapped field.

A dark ball of radius a with total susceptibility M takes from the tissue around it

    V = sum(1 - Re S / S_tissue) v = 4/3 pi a^3 + 4/3 pi |cM| (K(|cM| / a^3) - K(|cM| / R^3)),

where cM is the phase at 1 mm on the equator, R the radius of the ball over which is summed, and K one tabulated
function: K(x) = integral over w from 0 to x of <1 - cos(w (3 mu^2 - 1))> / w^2, the mean taken over mu. Far above
2 rad at the ball's surface K is constant and V is (2 pi / 9 sqrt 3) gamma B0 TE |M|. The sum does not depend on the
point spread, so this holds for any voxel size, dephasing within voxels included.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import fresnel

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.patch import BLOCK_MM, Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Estimate
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import dipole_phase_constant

RADIUS_LOG_SD = 0.35
"""How well the fit knows the dark ball's radius."""
EDGE_RAD = 0.3
"""Phase on the equator at the edge of the ball over which is summed, longest echo."""
MIN_RADIUS_VOXELS = 3.0
SHELL_MM = 2.5
FAINTEST = 0.15
"""An echo whose tissue is darker than this part of the first one's says nothing more."""
MAX_PPM_MM3 = 300.0
MIN_FRACTION_IN_MASK = 0.9
MIN_SHELL_VOXELS = 60


class SignalLoss(NamedTuple):
    """What the lost signal says: total susceptibility with SD, ppm mm3, and what went in."""

    total_chi_ppm_mm3: float
    sd_ppm_mm3: float
    volume_mm3: FloatArray
    """Lost signal in mm3 of tissue, per usable echo."""
    volume_sd_mm3: FloatArray
    te_s: FloatArray
    radius_mm: float
    """Of the ball over which is summed."""
    per_echo_ppm_mm3: FloatArray
    """The same from each echo alone: alike for a point source, whatever the echo time."""

    @property
    def estimate(self) -> Estimate:
        """Value and SD as one record."""
        return Estimate(self.total_chi_ppm_mm3, self.sd_ppm_mm3, "ppm mm3")


def lost_volume(
    phase_rad_mm3: FloatArray | float, ball_mm: FloatArray | float, radius_mm: float
) -> FloatArray:
    """Return the signal (mm3 of tissue) that a dark ball with a dipole's field costs within a radius.

    Parameters
    ----------
    phase_rad_mm3 : array_like
        |cM|: total susceptibility times the phase of 1 ppm mm3 at 1 mm.
    ball_mm : array_like
        Radius of the dark ball, mm.
    radius_mm : float
        Radius of the ball over which is summed, mm; larger than `ball_mm`.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> strong = lost_volume(1000.0, 1.0, 1e4)
    >>> round(float(strong) / (1000.0 * 2 * np.pi / (9 * np.sqrt(3)) * 4 * np.pi), 2)
    1.0
    """
    phase = np.abs(np.asarray(phase_rad_mm3, dtype=np.float64))
    ball3 = np.asarray(ball_mm, dtype=np.float64) ** 3
    outside = _dephased(phase / ball3) - _dephased(phase / radius_mm**3)
    return np.asarray(4 / 3 * np.pi * (ball3 + phase * np.maximum(outside, 0)))


def _dephased(x: FloatArray) -> FloatArray:
    grid, values = _table()
    # Below the table the cosine is a parabola: <(3 mu^2 - 1)^2> / 2 is 2/5. Above it K is constant.
    return np.where(x < grid[0], 0.4 * x, np.interp(np.log(np.maximum(x, grid[0])), np.log(grid), values))


@lru_cache(maxsize=1)
def _table() -> tuple[FloatArray, FloatArray]:
    """Return K at 2000 points from 0.01 to 1000; the mean over directions is a Fresnel integral."""
    w = np.geomspace(1e-2, 1e3, 2000)
    scale = np.sqrt(6 * w / np.pi)
    sine, cosine = fresnel(scale)
    mean = 1 - (np.exp(-1j * w) * (cosine + 1j * sine) / scale).real
    slope = mean / w  # per unit of ln w
    steps = 0.5 * (slope[1:] + slope[:-1]) * np.diff(np.log(w))
    return w, 0.4 * w[0] + np.concatenate([[0.0], np.cumsum(steps)])


def measure_signal_loss(patch: Patch, source: Source) -> SignalLoss | None:
    """Return the total susceptibility that explains the signal lost around a fitted lesion.

    Parameters
    ----------
    patch : Patch
        The scan around the lesion.
    source : Source
        The fitted ball: it gives centre, sign, the radius (as a prior) and the ball over which is summed.

    Returns
    -------
    SignalLoss or None
        None where the surroundings do not tell the tissue's signal.
    """
    centred = patch.coordinates_mm - np.array(source.centre_mm).reshape(3, 1, 1, 1)
    distance = np.sqrt((centred**2).sum(axis=0))
    constants = np.array(
        [dipole_phase_constant(patch.acquisition.b0_tesla, t) for t in patch.acquisition.te_s]
    )
    radius = _summed_radius(patch, source, float(constants[-1]))
    ball = distance <= radius
    shell = patch.inside & ~ball & (distance < radius + SHELL_MM)
    if (patch.inside & ball).sum() < MIN_FRACTION_IN_MASK * ball.sum() or shell.sum() < MIN_SHELL_VOXELS:
        return None
    phase = (
        source.total_chi_ppm_mm3
        * 4
        * np.pi
        * point_dipole_field(centred.reshape(3, -1), np.array(patch.grid.b0_dir))
    )
    phase = phase.reshape(ball.shape)
    basis = _harmonics(centred.reshape(3, -1) / patch.radius_mm).reshape(*ball.shape, -1)
    lost = []
    for signal, constant in zip(patch.signal, constants, strict=True):
        relative = _relative_to_tissue(signal, constant * phase, shell, basis)
        lost.append(1 - relative.real)
    tissue = np.array([np.median(np.abs(s[shell])) for s in patch.signal])
    usable = (tissue > FAINTEST * tissue[0]) & (tissue > 3 * patch.acquisition.noise_sd)
    if not usable.any():
        return None
    v = patch.grid.voxel_volume_mm3
    volume = np.array([float(part[ball & patch.inside].sum()) * v for part in lost])[usable]
    heterogeneity = np.array([float(np.std(part[shell])) for part in lost])[usable]
    # Texture is coherent over blocks; the tissue's level comes from as many blocks as the shell holds.
    ball_mm3, shell_mm3, block = float(ball.sum()) * v, float(shell.sum()) * v, max(BLOCK_MM**3, v)
    sd = heterogeneity * np.sqrt(block * ball_mm3 * (1 + ball_mm3 / shell_mm3))
    c, sign = constants[usable], float(np.copysign(1, source.total_chi_ppm_mm3))
    total, total_sd = _invert(volume, sd, c, source.radius_mm, radius_mm=radius)
    alone = [
        _invert(volume[e : e + 1], sd[e : e + 1], c[e : e + 1], source.radius_mm, radius_mm=radius)[0]
        for e in range(len(c))
    ]
    te_s = np.array(patch.acquisition.te_s)[usable]
    return SignalLoss(sign * total, total_sd, volume, sd, te_s, radius, sign * np.array(alone))


def _summed_radius(patch: Patch, source: Source, constant: float) -> float:
    """Return where the dipole's phase has fallen to EDGE_RAD, within what the neighbourhood holds."""
    voxel = max(patch.grid.voxel_size_mm)
    wanted = (constant * abs(source.total_chi_ppm_mm3) / EDGE_RAD) ** (1 / 3)
    lowest = max(source.radius_mm + voxel, MIN_RADIUS_VOXELS * voxel)
    return float(min(max(wanted, lowest), patch.radius_mm - SHELL_MM))


def _harmonics(xyz: FloatArray) -> FloatArray:
    """Return (n, 9): what a background without sources near here is made of, up to the second order."""
    x, y, z = xyz
    second = [x * y, x * z, y * z, x**2 - y**2, 2 * z**2 - x**2 - y**2]
    return np.concatenate([polynomials(xyz, 1), np.stack(second, axis=1)], axis=1)


def _relative_to_tissue(
    signal: ComplexArray, phase: FloatArray, shell: BoolArray, basis: FloatArray
) -> ComplexArray:
    """Return the signal over the tissue's: magnitude a plane, phase harmonic, both from the shell."""
    plane = basis[..., :4]
    level = np.linalg.lstsq(plane[shell], np.log(np.maximum(np.abs(signal[shell]), 1e-12)), rcond=None)[0]
    background = _background_phase(signal * np.exp(-1j * phase), shell, basis)
    return np.asarray(signal * np.exp(-(plane @ level) - 1j * background))


def _background_phase(signal: ComplexArray, shell: BoolArray, basis: FloatArray) -> FloatArray:
    """Return the phase of a signal whose lesion's phase is out: slopes first, from neighbours, free of wraps."""
    coefficients = np.zeros(basis.shape[-1])
    for axis in range(3):
        first, second = (np.take(shell, np.arange(s, shell.shape[axis] - 1 + s), axis) for s in (0, 1))
        both = first & second
        pairs = np.take(signal, np.arange(1, shell.shape[axis]), axis) * np.conj(
            np.take(signal, np.arange(shell.shape[axis] - 1), axis)
        )
        step = np.diff(basis[..., 1 + axis], axis=axis).max()
        coefficients[1 + axis] = np.angle(pairs[both].sum()) / step
    rest = signal * np.exp(-1j * (basis @ coefficients))
    mean = np.angle(rest[shell].sum())
    coefficients[0] = mean
    left = np.angle(rest[shell] * np.exp(-1j * mean))
    coefficients += np.linalg.lstsq(basis[shell], left, rcond=None)[0]
    return np.asarray(basis @ coefficients)


def _invert(
    volume: FloatArray, sd: FloatArray, constants: FloatArray, ball_mm: float, *, radius_mm: float
) -> tuple[float, float]:
    """Return |M| and its SD: least squares over M and the ball's radius, the fit's radius as a prior."""
    moments = np.concatenate([[0.0], np.geomspace(0.02, MAX_PPM_MM3, 600)])
    logs = np.linspace(-2.5, 2.5, 21) * RADIUS_LOG_SD
    balls = np.minimum(ball_mm * np.exp(logs), 0.95 * radius_mm)
    cost = (logs[None, :] / RADIUS_LOG_SD) ** 2
    # Texture is the same tissue in every echo: the mean over echoes, not their sum.
    for v, s, c in zip(volume, sd, constants, strict=True):
        model = lost_volume(c * moments[:, None], balls[None, :], radius_mm)
        cost = cost + ((v - model) / s) ** 2 / len(volume)
    best = float(moments[np.unravel_index(np.argmin(cost), cost.shape)[0]])
    likely = np.exp(-0.5 * (cost - cost.min())).sum(axis=1) * np.gradient(moments)
    spread = float(np.sqrt((likely * (moments - best) ** 2).sum() / likely.sum()))
    return best, spread
