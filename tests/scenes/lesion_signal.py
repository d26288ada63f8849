"""Complex signal of balls in tissue with what happens inside a voxel: finer cells, summed or cropped in k-space."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T, dipole_phase_constant

TE_S = (0.006, 0.013, 0.020)
B0_TESLA = 3.0
B0_DIR = np.array([0.6, 0.0, 0.8])
VOXELS = 20
CELLS = 6
"""Fine cells per voxel and axis."""
BALL_PPM = 1.3
RADIUS_MM = 8.0

Weight = Callable[[FloatArray], FloatArray]
"""What is left of k-space at frequencies over the Nyquist frequency."""


class LesionScene(NamedTuple):
    """Signal (echo, x, y, z) around a lesion, on voxels of 1 mm, and the field that its first two echoes tell (Hz).

    `inside` is a ball of `RADIUS_MM` around the middle; `noise` the SD of one channel.
    """

    grid: Grid
    te_s: tuple[float, ...]
    signal: ComplexArray
    field_hz: FloatArray
    inside: BoolArray
    axes_mm: tuple[FloatArray, FloatArray, FloatArray]
    noise: float


def everything(k: FloatArray) -> FloatArray:
    """Return 1: k-space without a filter."""
    return np.ones_like(k)


def balls_at_points(
    balls: FloatArray, points: FloatArray, constants: FloatArray, inside: FloatArray
) -> ComplexArray:
    """Return the factor (echo, point) of sharp balls on the signal of tissue.

    A row of `balls` is total (ppm mm3), centre (3) and radius (mm); `constants` are the phase (rad) of 1 ppm mm3 at
    1 mm on the equator, by echo; `inside` the signal in a ball over the tissue's, by echo.
    """
    out = np.ones((len(constants), len(points)), complex)
    for total, cx, cy, cz, radius in balls:
        offset = points - np.array([cx, cy, cz])
        r = np.linalg.norm(offset, axis=1)
        field = total * (3 * (offset @ B0_DIR / r) ** 2 - 1) / r**3
        for e, constant in enumerate(constants):
            out[e] *= np.where(r > radius, np.exp(1j * constant * field), inside[e])
    return out


def looped(
    loop: Callable[..., None],
    rows: FloatArray,
    points: FloatArray,
    weight: FloatArray,
    *args: FloatArray | float,
    n: int,
) -> ComplexArray:
    """Return what a compiled loop over points fills, (n, echo, point), everything given in single precision.

    `args` are the direction of B0, the constants, the core (2, echo) and the width of the edge (mm).
    """
    *arrays, edge = args
    single = [np.asarray(a, np.float32) for a in (rows, points, weight, *arrays)]
    # Nothing is left as it was.
    out = np.full((2, n, np.size(arrays[1]), len(points)), np.nan, np.float32)
    loop(*single, np.float32(edge), out)
    return np.asarray(out[0] + 1j * out[1])


def cylinder_at_points(
    row: FloatArray, points: FloatArray, constants: FloatArray, inside: FloatArray
) -> ComplexArray:
    """Return the factor (echo, point) of a sharp infinite cylinder, by its field in cylinder coordinates.

    `row` is susceptibility times cross-section (ppm mm2), a point on the axis (3), radius (mm) and the axis (3); the
    others are as for balls.
    """
    strength, centre, radius, axis = row[0], row[1:4], row[4], row[5:8]
    dchi = strength / (np.pi * radius**2)
    offset = points - centre
    across = offset - np.outer(offset @ axis, axis)
    rho = np.linalg.norm(across, axis=1)
    b_across = B0_DIR - (B0_DIR @ axis) * axis
    cos_phi = across @ b_across / (rho * max(float(np.linalg.norm(b_across)), 1e-9))
    sin2 = b_across @ b_across
    outside_ppm = dchi / 2 * (radius / rho) ** 2 * sin2 * (2 * cos_phi**2 - 1)
    inside_ppm = dchi / 6 * (3 * (B0_DIR @ axis) ** 2 - 1)
    turn = 4 * np.pi * constants[:, None]
    far, patch = np.exp(1j * turn * outside_ppm), np.exp(1j * turn * inside_ppm)
    return np.asarray(np.where(rho > radius, far, inside[:, None] * patch))


def cropped_balls(
    balls: FloatArray, weight: Weight = everything, *, decay_hz: float = 1e4, tilt_hz_per_mm: float = 0.0
) -> LesionScene:
    """Return unit tissue with balls, formed on fine cells, cropped in k-space to 1 mm and seen through a filter.

    A tilt is a background field that rises along the first axis. There is no noise; 0.01 is what a reader would state.
    """
    n = VOXELS * CELLS
    axis = (np.arange(n) - n / 2) / CELLS
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + 1e-4
    constants = 2 * np.pi * GAMMA_MHZ_PER_T * B0_TESLA * np.array(TE_S) / (4 * np.pi)
    fine = balls_at_points(balls, points, constants, np.exp(-decay_hz * np.array(TE_S))).reshape(-1, n, n, n)
    te = np.array(TE_S)[:, None, None, None]
    fine = fine * np.exp(2j * np.pi * tilt_hz_per_mm * te * axis[:, None, None])
    spectrum = np.fft.fftn(fine, axes=(1, 2, 3))
    keep = np.r_[0 : VOXELS // 2, n - VOXELS // 2 : n]
    window = weight(2 * np.fft.fftfreq(VOXELS))
    kept = spectrum[np.ix_(range(len(TE_S)), keep, keep, keep)]
    kept *= window[:, None, None] * window[:, None] * window
    signal = np.fft.ifftn(kept, axes=(1, 2, 3)) / CELLS**3
    voxels = np.arange(VOXELS) - VOXELS / 2
    x, y, z = np.meshgrid(voxels, voxels, voxels, indexing="ij")
    grid = Grid((VOXELS,) * 3, (1.0, 1.0, 1.0), (0.6, 0.0, 0.8))
    level = np.exp(-2j * np.pi * tilt_hz_per_mm * (TE_S[1] - TE_S[0]) * x)
    field = np.angle(signal[1] * signal[0].conj() * level) / (2 * np.pi * (TE_S[1] - TE_S[0]))
    field = field + tilt_hz_per_mm * x
    inside = x**2 + y**2 + z**2 <= RADIUS_MM**2
    return LesionScene(
        grid,
        TE_S,
        signal.astype(np.complex64),
        field.astype(np.float32),
        inside,
        (voxels, voxels, voxels),
        0.01,
    )


def ball_in_sloping_tissue(
    total: float, *, te_s: tuple[float, ...] = (0.008, 0.016, 0.024), snr: float = 100.0
) -> LesionScene:
    """Return a ball of 1.3 ppm at (0.2, -0.3, 0.1) mm in tissue with sloping magnitude, phase and an offset.

    Each voxel is the mean of 4 x 4 x 4 cells, with noise; the field is not filled in.
    """
    sub, half = 4, 9
    steps = (np.arange(sub) + 0.5) / sub - 0.5
    line = np.arange(-half, half + 1, dtype=float)
    fine = np.add.outer(line, steps).ravel()
    x, y, z = np.meshgrid(fine, fine, fine, indexing="ij", sparse=True)
    along, r2 = 0.6 * (y + 0.3) + 0.8 * (z - 0.1), (x - 0.2) ** 2 + (y + 0.3) ** 2 + (z - 0.1) ** 2
    ball2 = ball_radius_mm(total) ** 2
    field = total * (3 * along**2 / r2 - 1) / r2**1.5
    smooth = 0.3 * x + 0.1 * y * z / 4
    rng, signal = np.random.default_rng(4), []
    for t in te_s:
        phase = dipole_phase_constant(B0_TESLA, t) * field + 60 * t * smooth + 1.0
        whole = np.where(r2 > ball2, (1 + 0.01 * x) * np.exp(1j * phase - 20 * t), 0)
        n = line.size
        noise = rng.standard_normal((2, n, n, n)) / snr
        signal.append(whole.reshape(n, sub, n, sub, n, sub).mean(axis=(1, 3, 5)) + noise[0] + 1j * noise[1])
    xyz = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    inside = (xyz**2).sum(axis=0) <= RADIUS_MM**2
    grid = Grid.isotropic((line.size,) * 3, 1.0, b0_dir=(0.0, 0.6, 0.8))
    return LesionScene(
        grid, te_s, np.array(signal), np.zeros(inside.shape), inside, (line, line, line), 1 / snr
    )


def ball_radius_mm(total: float) -> float:
    """Return the radius of a ball of 1.3 ppm with this total (ppm mm3)."""
    return float((3 * abs(total) / (4 * np.pi * BALL_PPM)) ** (1 / 3))
