"""Signal loss: total susceptibility from the signal that a lesion costs, a check of the fit without an unwrapped field.

A dark ball of radius a with total susceptibility M takes from the tissue around it the volume

    V = sum(1 - Re S / S_tissue) v = 4/3 pi a^3 + 4/3 pi |c M| (K(|c M| / a^3) - K(|c M| / R^3)),

where v is the voxel's volume, c M the phase at 1 mm on the equator, R the radius of the ball over which is summed, and

    K(x) = integral over w from 0 to x of <1 - cos(w (3 mu^2 - 1))> / w^2,

the mean taken over mu = cos(theta). Where the phase at the ball's surface is far above 2 rad, K is constant and
V = 2 pi / (9 sqrt(3)) gamma B0 TE |M|, gamma in rad/s/T: static dephasing (Yablonskiy and Haacke 1994,
doi:10.1002/mrm.1910320610). The sum does not depend on the point spread, so that this holds for any voxel size,
dephasing within voxels included. |M| and its SD are those of the likelihood of V over M and a, with the fit's radius as
the prior of a; the sign is the fit's.
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
from qsmcmb.units import PPM_MM3, dipole_phase_constant

__all__ = ["SignalLoss", "lost_volume", "measure_signal_loss"]

RADIUS_LOG_SD = 0.35
"""SD of the logarithm of the dark ball's radius about the fit's: a factor of 1.4."""
RADIUS_GRID_SD = np.linspace(-2.5, 2.5, 21)
"""Radii over which the likelihood is summed, in SDs of the logarithm from the fit's."""
EDGE_RAD = 0.3
"""Phase on the equator at the edge of the ball over which is summed, longest echo, rad: further out 1 - cos is below
5 % there."""
MIN_RADIUS_VOXELS = 3.0
"""Least radius of the ball over which is summed, in the voxel's longest edge: the point spread must lie inside."""
SHELL_MM = 2.5
"""Thickness of the shell around that ball from which the tissue's signal is taken, mm."""
MIN_TISSUE_RATIO = 0.15
"""Least ratio of an echo's tissue signal to the first one's: a darker echo adds noise alone."""
MIN_TISSUE_SNR = 3.0
"""Least ratio of an echo's tissue signal to the noise SD."""
MAX_PPM_MM3 = 300.0
"""Largest total susceptibility of the likelihood's grid, ppm mm3; a stronger lesion reads as this."""
MIN_PPM_MM3 = 0.02
"""Smallest total susceptibility of that grid above 0, ppm mm3."""
N_GRID = 600
"""Number of total susceptibilities of that grid, 1.6 % apart."""
MIN_FRACTION_IN_MASK = 0.9
"""Least fraction of the ball in the mask: signal outside it would count as not lost."""
MIN_SHELL_VOXELS = 60
"""Least number of the shell's voxels in the mask: nine harmonics are fitted to them."""


class SignalLoss(NamedTuple):
    """Total susceptibility by the signal loss, with the lost volumes behind it."""

    total_chi_ppm_mm3: float
    """Total susceptibility with the fit's sign, ppm mm3."""
    sd_ppm_mm3: float
    """SD of it, ppm mm3."""
    volume_mm3: FloatArray
    """Lost signal of each usable echo, mm3 of tissue."""
    volume_sd_mm3: FloatArray
    """SD of it from the tissue's heterogeneity, mm3."""
    te_s: FloatArray
    """Echo times of the usable echoes, s."""
    radius_mm: float
    """Radius of the ball over which is summed, mm."""
    per_echo_ppm_mm3: FloatArray
    """Total susceptibility from each usable echo alone, ppm mm3: alike for a point source, whatever the echo time."""

    @property
    def estimate(self) -> Estimate:
        """Total susceptibility with its SD, ppm mm3."""
        return Estimate(self.total_chi_ppm_mm3, self.sd_ppm_mm3, PPM_MM3)


def lost_volume(
    phase_rad_mm3: FloatArray | float, ball_mm: FloatArray | float, radius_mm: float
) -> FloatArray:
    """Return the signal that a dark ball with a dipole's field costs within a radius, as a volume of tissue.

    Parameters
    ----------
    phase_rad_mm3 : array_like
        |c M|: total susceptibility times the phase of 1 ppm mm3 at 1 mm on the equator, rad mm3.
    ball_mm : array_like
        Radius of the dark ball, mm, > 0; broadcast with `phase_rad_mm3`.
    radius_mm : float
        Radius of the ball over which is summed, mm; larger than `ball_mm`.

    Returns
    -------
    ndarray
        Lost volume, mm3, of the broadcast shape.

    Notes
    -----
    V = 4/3 pi (a^3 + |c M| (K(|c M| / a^3) - K(|c M| / R^3))); for a strong source 2 pi / (9 sqrt(3)) 4 pi |c M|.

    References
    ----------
    .. [1] Yablonskiy DA, Haacke EM. Theory of NMR signal behavior in magnetically inhomogeneous tissues: the static
       dephasing regime. Magn Reson Med 1994. doi:10.1002/mrm.1910320610

    Examples
    --------
    >>> strong = lost_volume(1000.0, 1.0, 1e4)
    >>> round(float(strong / (1000.0 * 2 * np.pi / (9 * np.sqrt(3)) * 4 * np.pi)), 2)
    1.0
    """
    phase = np.abs(np.asarray(phase_rad_mm3, dtype=np.float64))
    ball3 = np.asarray(ball_mm, dtype=np.float64) ** 3
    outside = _dephasing_integral(phase / ball3) - _dephasing_integral(phase / radius_mm**3)
    # Interpolation may make a difference of two equal values slightly negative.
    return np.asarray(4 / 3 * np.pi * (ball3 + phase * np.maximum(outside, 0)))


def _dephasing_integral(x: FloatArray) -> FloatArray:
    """Return K(x)."""
    grid, values = _dephasing_table()
    # Below the table the cosine is a parabola: <(3 mu^2 - 1)^2> / 2 is 2/5. Above it K is constant.
    return np.where(x < grid[0], 0.4 * x, np.interp(np.log(np.maximum(x, grid[0])), np.log(grid), values))


@lru_cache(maxsize=1)
def _dephasing_table() -> tuple[FloatArray, FloatArray]:
    """Return K at 2000 points from 0.01 to 1000; the mean over directions is a Fresnel integral."""
    w = np.geomspace(1e-2, 1e3, 2000)
    scale = np.sqrt(6 * w / np.pi)
    sine, cosine = fresnel(scale)
    mean = 1 - (np.exp(-1j * w) * (cosine + 1j * sine) / scale).real
    # Per unit of ln w, in which the points are evenly spaced: dw / w^2 = d(ln w) / w.
    slope = mean / w
    steps = 0.5 * (slope[1:] + slope[:-1]) * np.diff(np.log(w))
    return w, 0.4 * w[0] + np.concatenate([[0.0], np.cumsum(steps)])


def measure_signal_loss(patch: Patch, source: Source) -> SignalLoss | None:
    """Estimate the total susceptibility that explains the signal lost around a fitted lesion.

    Parameters
    ----------
    patch : Patch
        The scan around the lesion.
    source : Source
        The fitted ball: it gives centre (mm), sign, radius (mm, as a prior) and the ball over which is summed.

    Returns
    -------
    SignalLoss or None
        Total susceptibility (ppm mm3) with SD; None where ball or shell lie too far outside the mask, or where no echo
        shows tissue.

    Notes
    -----
    The SD of V is h sqrt(b B (1 + B / S)), with the SD h of the lost signal in the shell, which is coherent over blocks
    of b mm3, and the volumes of ball B and shell S.
    """
    centred = patch.coordinates_mm - np.array(source.centre_mm).reshape(3, 1, 1, 1)
    distance = np.sqrt((centred**2).sum(axis=0))
    constants = np.array(
        [dipole_phase_constant(patch.acquisition.b0_tesla, t) for t in patch.acquisition.te_s]
    )
    radius = _sum_radius(patch, source, float(constants[-1]))
    ball = distance <= radius
    shell = patch.inside & ~ball & (distance < radius + SHELL_MM)
    if (patch.inside & ball).sum() < MIN_FRACTION_IN_MASK * ball.sum() or shell.sum() < MIN_SHELL_VOXELS:
        return None
    lost = _lost_fractions(patch, centred, source.total_chi_ppm_mm3, constants, shell=shell)
    tissue = np.array([np.median(np.abs(s[shell])) for s in patch.signal])
    usable = tissue > MIN_TISSUE_RATIO * tissue[0]
    usable = usable & (tissue > MIN_TISSUE_SNR * patch.acquisition.noise_sd)
    if not usable.any():
        return None
    v = patch.grid.voxel_volume_mm3
    volume = np.array([float(fraction[ball & patch.inside].sum()) * v for fraction in lost])[usable]
    heterogeneity = np.array([float(np.std(fraction[shell])) for fraction in lost])[usable]
    # Tissue is coherent over blocks; its level comes from as many blocks as the shell holds.
    ball_mm3, shell_mm3, block = float(ball.sum()) * v, float(shell.sum()) * v, max(BLOCK_MM**3, v)
    sd = heterogeneity * np.sqrt(block * ball_mm3 * (1 + ball_mm3 / shell_mm3))
    c, sign = constants[usable], float(np.copysign(1, source.total_chi_ppm_mm3))
    total, total_sd = _most_likely_total(volume, sd, c, source.radius_mm, radius_mm=radius)
    per_echo = [
        _most_likely_total(
            volume[e : e + 1], sd[e : e + 1], c[e : e + 1], source.radius_mm, radius_mm=radius
        )[0]
        for e in range(len(c))
    ]
    return SignalLoss(
        total_chi_ppm_mm3=sign * total,
        sd_ppm_mm3=total_sd,
        volume_mm3=volume,
        volume_sd_mm3=sd,
        te_s=np.array(patch.acquisition.te_s)[usable],
        radius_mm=radius,
        per_echo_ppm_mm3=sign * np.array(per_echo),
    )


def _lost_fractions(
    patch: Patch, centred_mm: FloatArray, total_ppm_mm3: float, constants: FloatArray, *, shell: BoolArray
) -> list[FloatArray]:
    """Return the lost fraction of the tissue's signal, 1 - Re S / S_tissue, in each voxel of each echo."""
    xyz = centred_mm.reshape(3, -1)
    # The constants are the phase on the equator at 1 mm: 1 / (4 pi) of the dipole's field is in them already.
    phase = total_ppm_mm3 * 4 * np.pi * point_dipole_field(xyz, np.array(patch.grid.b0_dir))
    phase = phase.reshape(shell.shape)
    basis = _harmonics(xyz / patch.radius_mm).reshape(*shell.shape, -1)
    return [
        1 - _relative_to_tissue(signal, constant * phase, shell, basis).real
        for signal, constant in zip(patch.signal, constants, strict=True)
    ]


def _sum_radius(patch: Patch, source: Source, constant: float) -> float:
    """Return the distance, mm, at which the dipole's phase has fallen to EDGE_RAD, within the patch."""
    voxel = max(patch.grid.voxel_size_mm)
    wanted = (constant * abs(source.total_chi_ppm_mm3) / EDGE_RAD) ** (1 / 3)
    lowest = max(source.radius_mm + voxel, MIN_RADIUS_VOXELS * voxel)
    return float(min(max(wanted, lowest), patch.radius_mm - SHELL_MM))


def _harmonics(xyz: FloatArray) -> FloatArray:
    """Return the nine harmonic polynomials up to the second order at (3, n) points, (n, 9): constant, x, y, z first.

    A background without sources near the lesion is harmonic.
    """
    x, y, z = xyz
    second = [x * y, x * z, y * z, x**2 - y**2, 2 * z**2 - x**2 - y**2]
    return np.concatenate([polynomials(xyz, 1), np.stack(second, axis=1)], axis=1)


def _relative_to_tissue(
    signal: ComplexArray, phase: FloatArray, shell: BoolArray, basis: FloatArray
) -> ComplexArray:
    """Return the ratio of the signal to the tissue's: log magnitude a plane, phase harmonic, both from the shell."""
    plane = basis[..., :4]
    level = np.linalg.lstsq(plane[shell], np.log(np.maximum(np.abs(signal[shell]), 1e-12)), rcond=None)[0]
    background = _background_phase(signal * np.exp(-1j * phase), shell, basis)
    return np.asarray(signal * np.exp(-(plane @ level) - 1j * background))


def _background_phase(signal: ComplexArray, shell: BoolArray, basis: FloatArray) -> FloatArray:
    """Return the harmonic phase, rad, of a signal from which the lesion's phase is taken off.

    Slopes are taken first, from neighbouring voxels, because a product of neighbours has no wraps.
    """
    coefficients = np.zeros(basis.shape[-1])
    for axis in range(3):
        first, second = (np.take(shell, np.arange(s, shell.shape[axis] - 1 + s), axis) for s in (0, 1))
        both = first & second
        products = np.take(signal, np.arange(1, shell.shape[axis]), axis) * np.conj(
            np.take(signal, np.arange(shell.shape[axis] - 1), axis)
        )
        step = np.diff(basis[..., 1 + axis], axis=axis).max()
        coefficients[1 + axis] = np.angle(products[both].sum()) / step
    flattened = signal * np.exp(-1j * (basis @ coefficients))
    mean = np.angle(flattened[shell].sum())
    coefficients[0] = mean
    # What is left lies well within half a turn of the mean, so that its angle has no wraps.
    residual = np.angle(flattened[shell] * np.exp(-1j * mean))
    coefficients += np.linalg.lstsq(basis[shell], residual, rcond=None)[0]
    return np.asarray(basis @ coefficients)


def _most_likely_total(
    volume: FloatArray, sd: FloatArray, constants: FloatArray, ball_mm: float, *, radius_mm: float
) -> tuple[float, float]:
    """Return |M| of least cost over M and the ball's radius, and the SD of M's likelihood about it, ppm mm3."""
    totals = np.concatenate([[0.0], np.geomspace(MIN_PPM_MM3, MAX_PPM_MM3, N_GRID)])
    log_ratios = RADIUS_GRID_SD * RADIUS_LOG_SD
    balls = np.minimum(ball_mm * np.exp(log_ratios), 0.95 * radius_mm)
    cost = (log_ratios[None, :] / RADIUS_LOG_SD) ** 2
    # All echoes show the same tissue, so that their errors are one: the mean over echoes, not their sum.
    for v, s, c in zip(volume, sd, constants, strict=True):
        model = lost_volume(c * totals[:, None], balls[None, :], radius_mm)
        cost = cost + ((v - model) / s) ** 2 / len(volume)
    best = float(totals[np.unravel_index(np.argmin(cost), cost.shape)[0]])
    # The grid is not even: each total counts by the width that it stands for.
    likelihood = np.exp(-0.5 * (cost - cost.min())).sum(axis=1) * np.gradient(totals)
    spread = float(np.sqrt((likelihood * (totals - best) ** 2).sum() / likelihood.sum()))
    return best, spread
