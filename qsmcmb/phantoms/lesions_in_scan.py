"""Lesions put into a real scan: its own signal between the voxels, times the lesions' factor, sampled again.

    S'(v) = S(v) + sum over r of h(v - r) s(r) (F(r) - 1),

with the scan's signal S at voxel v, the same signal s between the voxels by the scan's own k-space, the lesions' factor
F on points of at most 0.75 mm (averaged over 216 points in each near a lesion), and the point spread h: what a crop of
k-space makes of the fine signal, or the mean over the voxel. Where F is 1 the scan stays as it is. Inside a ball
nothing is left, but the noise of the receiver: what the factor takes of it is put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.signal

from qsmcmb.core.noise import noise_from_magnitude
from qsmcmb.errors import ConfigError
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.lesion_signal import NearSignal, insert_lesion
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.scanner import Pose, fine_factors
from qsmcmb.phantoms.truth import PhantomSession, truth_rows
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = ("SAMPLINGS", "put_lesions")

SAMPLINGS = ("k-space", "voxel")
"""Ways in which a scan's voxels sample the fine signal: k-space cropped as a scanner does, or the voxel's mean."""
NEGLIGIBLE_RAD = 0.002
"""Phase of a lesion at the longest echo, rad, that is left out: far below the noise."""
IN_PLACE = Pose(rotation=np.eye(3), centre=np.zeros(3), shift=np.zeros(3))
"""Pose of lesions whose positions are scanner coordinates."""


def put_lesions(
    scan: GreScan,
    lesions: Sequence[PhantomLesion],
    mask: BoolArray,
    *,
    rng: np.random.Generator,
    sampling: str = "k-space",
    label: str = "",
) -> PhantomSession:
    """Put lesions into a real scan.

    Parameters
    ----------
    scan : GreScan
        The scan, its phase growing with the field.
    lesions : sequence of PhantomLesion
        Lesions, scanner RAS+ mm, deep enough in the volume for their field to be small at its border.
    mask : ndarray of shape scan.grid.shape, bool
        Brain, where the noise is estimated.
    rng : Generator
        Makes the noise where a lesion takes the signal.
    sampling : {"k-space", "voxel"}, optional
        What a voxel is of the fine signal: k-space cropped, or the mean over the voxel.
    label : str, optional
        Label of the session.

    Returns
    -------
    PhantomSession
        The scan with the lesions in it, and their truth; `brain` is the mask.

    Raises
    ------
    ConfigError
        An unknown sampling; the known ones are listed.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> from qsmcmb.phantoms.lesions import Ball
    >>> ones = np.ones((1, 16, 16, 16), np.float32)
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> scan = GreScan(phase_rad=0 * ones, magnitude=ones, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> ball = PhantomLesion("microbleed", (Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=2.0, dchi_ppm=0.5),))
    >>> made = put_lesions(scan, [ball], ones[0] > 0, rng=np.random.default_rng(1), sampling="voxel").scan
    >>> bool(made.magnitude[0, 8, 8, 8] < 0.2)
    True
    """
    if sampling not in SAMPLINGS:
        raise ConfigError(f"sampling {sampling!r}; expected one of: {', '.join(SAMPLINGS)}")
    fine, factors = _finer(scan.grid)
    echoes = _echoes(scan)
    turns = np.array([2 * np.pi * GAMMA_MHZ_PER_T * scan.b0_tesla * te for te in echoes.te_s])
    field_ppm = np.zeros(fine.shape, np.float32)
    near = [
        insert_lesion(
            field_ppm, lesion, fine, pose=IN_PLACE, echoes=np.array([echoes.te_s, turns]),
            negligible_ppm=NEGLIGIBLE_RAD / max(turns),
        )
        for lesion in lesions
    ]  # fmt: skip
    phase, magnitude = np.empty_like(echoes.phase_rad), np.empty_like(echoes.magnitude)
    for echo in range(echoes.n_echoes):
        signal = echoes.magnitude[echo] * np.exp(1j * echoes.phase_rad[echo])
        change = _change(signal, field_ppm * turns[echo], near, echo, fine.shape)
        sampled = _crop_k_space(change, scan.grid.shape) if sampling == "k-space" else _means(change, factors)
        made = signal + sampled
        noise_sd = noise_from_magnitude(echoes.magnitude[echo], mask)
        made = made + _lost_noise(signal, made, rng) * noise_sd
        phase[echo], magnitude[echo] = np.angle(made), np.abs(made)
    if scan.phase_difference:
        phase = np.angle(np.exp(1j * (phase[1:] - phase[:1]))).astype(phase.dtype)
        magnitude = magnitude[:1]
    # What the scan is stays: a phase difference, filtered phase, one magnitude for all echoes.
    out = replace(scan, phase_rad=phase, magnitude=magnitude)
    return PhantomSession(label, out, truth_rows(lesions, IN_PLACE), mask)


def _echoes(scan: GreScan) -> GreScan:
    """Return the scan itself; of a phase difference both echoes, the first of which has a phase of 0."""
    if scan.difference_te_s is None:
        return scan
    return replace(
        scan, phase_rad=np.concatenate([0 * scan.phase_rad, scan.phase_rad]),
        magnitude=np.repeat(scan.magnitude, 2, axis=0), te_s=scan.difference_te_s, difference_te_s=None,
    )  # fmt: skip


def _finer(grid: Grid) -> tuple[Grid, tuple[int, int, int]]:
    """Return a fine grid with an odd number of voxels in each of the scan's along each axis, and these numbers.

    The first voxels' centres are one point, and fine voxels fill the scan's without a rest.
    """
    x, y, z = (factor + 1 - factor % 2 for factor in fine_factors(grid))
    affine = np.array(grid.affine)
    affine[:3, :3] /= (x, y, z)
    nx, ny, nz = (n * factor for n, factor in zip(grid.shape, (x, y, z), strict=True))
    return Grid.from_affine((nx, ny, nz), affine), (x, y, z)


def _means(fine: ComplexArray, factors: tuple[int, int, int]) -> ComplexArray:
    """Return the mean of a fine signal over each voxel of the scan."""
    for axis, factor in enumerate(factors):
        # The voxel begins half its width before its centre.
        start_first = np.moveaxis(np.roll(fine, factor // 2, axis=axis), axis, 0)
        fine = np.moveaxis(start_first.reshape(-1, factor, *start_first.shape[1:]).mean(axis=1), 0, axis)
    return fine


def _change(
    signal: ComplexArray, phase_rad: FloatArray, near: Sequence[NearSignal], echo: int, shape: tuple[int, ...]
) -> ComplexArray:
    """Return the change of the signal that the lesions make, on the fine grid."""
    factor = np.exp(1j * phase_rad).astype(np.complex64)
    for box, own in near:
        factor[box] *= own[echo]
    factor -= 1
    for axis, n in enumerate(shape):
        signal = scipy.signal.resample(signal, n, axis=axis)
    return np.asarray(factor * signal)


def _crop_k_space(fine: ComplexArray, shape: tuple[int, ...]) -> ComplexArray:
    """Return the samples at the scan's voxels of what a scan of its k-space acquires of a fine signal."""
    for axis, n in enumerate(shape):
        fine = scipy.signal.resample(fine, n, axis=axis)
    return fine


def _lost_noise(before: ComplexArray, after: ComplexArray, rng: np.random.Generator) -> ComplexArray:
    """Return complex noise of the SD that the lesions' factor has taken from unit noise."""
    ratio = np.abs(after) / np.maximum(np.abs(before), 1e-12)
    sd = np.sqrt(np.clip(1 - ratio**2, 0, 1))
    white = rng.standard_normal((2, *before.shape))
    return np.asarray(sd * (white[0] + 1j * white[1]))
