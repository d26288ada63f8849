"""From recipe to scans: field on a fine grid, signal with intravoxel dephasing, k-space crop, offset, noise."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from scipy.spatial.transform import Rotation

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.anatomy import VEIN_PPM, Anatomy, make_anatomy
from qsmcmb.phantoms.lesions import PhantomLesion, ball_field, draw_lesions
from qsmcmb.phantoms.recipe import Protocol, Recipe
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

FINE = 2
"""Fine voxels per scan voxel along each axis."""
SUB = 6
"""Points per fine voxel and axis around a lesion."""
NEAR_MM = 4.0
PAD = 1.25
SLAB = 16
HEAD_CENTRE_MM = np.array([0.0, -17.0, 8.0])


class TruthRow(NamedTuple):
    """Truth of one lesion in one session: scanner RAS+ mm, radius (mm), contrast (ppm), total susceptibility."""

    id: int
    kind: str
    a_mm: float
    shape: str
    dchi_ppm: float
    S_ppm_mm3: float
    x_mm: float
    y_mm: float
    z_mm: float


class PhantomSession(NamedTuple):
    """One simulated session with its truth."""

    label: str
    scan: GreScan
    lesions: tuple[TruthRow, ...]
    brain: BoolArray


class _Pose(NamedTuple):
    rotation: FloatArray
    centre: FloatArray
    shift: FloatArray

    def to_world(self, head_mm: FloatArray) -> FloatArray:
        """Map (n, 3) head points to scanner mm."""
        return np.asarray((head_mm - self.centre) @ self.rotation.T + self.centre + self.shift)

    def to_head(self, world_mm: FloatArray) -> FloatArray:
        """Map (3, ...) scanner points to head mm."""
        centred = world_mm - (self.centre + self.shift).reshape(3, *[1] * (world_mm.ndim - 1))
        back = np.tensordot(self.rotation.T.astype(np.float32), centred, axes=1)
        return np.asarray(back + self.centre.reshape(3, *[1] * (world_mm.ndim - 1)), dtype=np.float32)


def lesions_of(recipe: Recipe, anatomy: Anatomy | None = None) -> tuple[PhantomLesion, ...]:
    """Return the lesions of a recipe, head mm."""
    places = (anatomy or make_anatomy(recipe)).lesion_places()
    return draw_lesions(recipe.lesions, places, np.random.default_rng([recipe.seed, 3]))


def build_phantom(
    recipe: Recipe, *, report: Callable[[str, str, float], None] | None = None
) -> list[PhantomSession]:
    """Simulate all sessions of a recipe.

    Parameters
    ----------
    recipe : Recipe
        From `read_recipe`.
    report : callable, optional
        Progress, called with (session, "simulate", seconds); 0 seconds when it starts.

    Returns
    -------
    list of PhantomSession
    """
    anatomy = make_anatomy(recipe)
    lesions = lesions_of(recipe, anatomy)
    sessions = []
    for number, protocol in enumerate(recipe.sessions):
        name, start = f"sub-{recipe.subject}/ses-{protocol.label}", time.perf_counter()
        if report:
            report(name, "simulate", 0.0)
        rng = np.random.default_rng([recipe.seed, 4, number])
        sessions.append(_simulate(recipe, protocol, anatomy, lesions, rng))
        if report:
            report(name, "simulate", time.perf_counter() - start)
    return sessions


def checksum_of(recipe: Recipe) -> str:
    """Return the sha256 of the truth of all sessions, rounded to what the tables show."""
    lesions = lesions_of(recipe)
    digest = hashlib.sha256()
    for protocol in recipe.sessions:
        for row in truth_rows(lesions, _pose(recipe, protocol)):
            cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row)
            digest.update(("\t".join(cells) + "\n").encode())
    return digest.hexdigest()


def _pose(recipe: Recipe, protocol: Protocol) -> _Pose:
    rotation = Rotation.from_euler("xyz", protocol.rotation_deg, degrees=True).as_matrix()
    return _Pose(rotation, _centre(recipe), np.array(protocol.shift_mm))


def _centre(recipe: Recipe) -> FloatArray:
    return HEAD_CENTRE_MM if recipe.kind == "head" else np.zeros(3)


def truth_rows(lesions: tuple[PhantomLesion, ...], pose: _Pose) -> tuple[TruthRow, ...]:
    """Return the truth table of one session."""
    where = pose.to_world(np.array([m.centre_mm for m in lesions]))
    return tuple(
        TruthRow(
            i + 1, m.kind, m.balls[0].radius_mm, "sphere" if len(m.balls) == 1 else "two", m.balls[0].dchi_ppm,
            m.total_chi_ppm_mm3, float(p[0]), float(p[1]), float(p[2]),
        )
        for i, (m, p) in enumerate(zip(lesions, where, strict=True))
    )  # fmt: skip


def _grid(recipe: Recipe, protocol: Protocol) -> Grid:
    shape = tuple(2 * round(f / recipe.voxel_mm / 2) for f in recipe.fov_mm)
    tilt = Rotation.from_euler("x", protocol.tilt_deg, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt * recipe.voxel_mm
    affine[:3, 3] = _centre(recipe) - affine[:3, :3] @ (np.array(shape) / 2)
    return Grid.from_affine((shape[0], shape[1], shape[2]), affine)


def _finer(grid: Grid) -> Grid:
    affine = np.array(grid.affine)
    affine[:3, :3] /= FINE
    nx, ny, nz = grid.shape
    return Grid.from_affine((nx * FINE, ny * FINE, nz * FINE), affine)


class _Volumes(NamedTuple):
    chi_ppm: FloatArray
    signal: FloatArray
    r2star_hz: FloatArray
    brain: BoolArray


def _simulate(
    recipe: Recipe,
    protocol: Protocol,
    anatomy: Anatomy,
    lesions: tuple[PhantomLesion, ...],
    rng: np.random.Generator,
) -> PhantomSession:
    grid = _grid(recipe, protocol)
    fine, pose = _finer(grid), _pose(recipe, protocol)
    volumes = _paint(anatomy, fine, pose)
    # Air is the zero of the padded volume: the field of what is not air is the same up to a constant.
    chi = volumes.chi_ppm - volumes.chi_ppm[0, 0, 0]
    field_ppm = _field(chi, fine)
    decay_hz = volumes.r2star_hz * np.float32(0.4 + 0.2 * protocol.b0_tesla)
    offset_rad, gain = _receiver(grid)
    phase = np.empty((len(protocol.te_s), *grid.shape), np.float32)
    magnitude = np.empty_like(phase)
    for echo, te_s in enumerate(protocol.te_s):
        turns = np.float32(2 * np.pi * GAMMA_MHZ_PER_T * protocol.b0_tesla * te_s)
        fine_signal = volumes.signal * np.exp(-decay_hz * np.float32(te_s)) * np.exp(1j * turns * field_ppm)
        fine_signal = fine_signal.astype(np.complex64)
        for lesion in lesions:
            _add_lesion(fine_signal, lesion, fine, pose, turns=float(turns))
        scan = _crop_k_space(fine_signal, grid.shape) * gain * np.exp(1j * offset_rad)
        noise = rng.standard_normal((2, *grid.shape), dtype=np.float32) / np.float32(protocol.snr)
        scan = scan + noise[0] + 1j * noise[1]
        phase[echo], magnitude[echo] = np.angle(scan), 1000 * np.abs(scan)
    name = f"sub-{recipe.subject}/ses-{protocol.label}"
    out = GreScan(phase, magnitude, protocol.te_s, protocol.b0_tesla, grid, name)
    return PhantomSession(
        protocol.label, out, truth_rows(lesions, pose), volumes.brain[::FINE, ::FINE, ::FINE]
    )


def _paint(anatomy: Anatomy, fine: Grid, pose: _Pose) -> _Volumes:
    """Return the tissue on the fine grid, slab by slab, veins added by their volume."""
    volumes = _Volumes(
        np.empty(fine.shape, np.float32), np.empty(fine.shape, np.float32), np.empty(fine.shape, np.float32),
        np.empty(fine.shape, bool),
    )  # fmt: skip
    for start in range(0, fine.shape[0], SLAB):
        stop = min(start + SLAB, fine.shape[0])
        axes: list[Any] = [np.arange(start, stop), np.arange(fine.shape[1]), np.arange(fine.shape[2])]
        voxel = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        world = np.tensordot(fine.affine[:3, :3].astype(np.float32), voxel, axes=1)
        world += fine.affine[:3, 3].astype(np.float32).reshape(3, 1, 1, 1)
        for volume, values in zip(volumes, anatomy.tissue(pose.to_head(world)), strict=True):
            volume[start:stop] = values
    points, amounts = anatomy.veins()
    if len(points):
        part = _deposit(fine, pose.to_world(points), amounts)
        volumes.chi_ppm[...] += part * (VEIN_PPM - volumes.chi_ppm)
        volumes.r2star_hz[...] += part * 40.0
    return volumes


def _deposit(fine: Grid, points_mm: FloatArray, amounts_mm3: FloatArray) -> FloatArray:
    """Return the part of each voxel that small amounts at points fill, spread over the eight nearest voxels."""
    part = np.zeros(fine.shape, np.float32)
    voxel = fine.to_voxel(points_mm)
    low = np.floor(voxel).astype(int)
    rest = voxel - low
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(np.array(corner) == 1, rest, 1 - rest), axis=1) * amounts_mm3
        index = low + corner
        valid = ((index >= 0) & (index < fine.shape)).all(axis=1)
        np.add.at(part, tuple(index[valid].T), (weight[valid] / fine.voxel_volume_mm3).astype(np.float32))
    return np.minimum(part, 1.0)


def _field(chi_ppm: FloatArray, grid: Grid) -> FloatArray:
    """Return the field on a padded grid; scipy's transforms, so that no plan of this size is kept."""
    padded = [scipy.fft.next_fast_len(int(PAD * n), real=True) for n in grid.shape]
    shape = (padded[0], padded[1], padded[2] + padded[2] % 2)
    spectrum = scipy.fft.rfftn(chi_ppm, s=shape, workers=-1)
    spectrum *= dipole_kernel_k(shape, grid.voxel_size_mm, grid.b0_dir)
    nx, ny, nz = grid.shape
    return np.ascontiguousarray(scipy.fft.irfftn(spectrum, s=shape, workers=-1)[:nx, :ny, :nz])


def _add_lesion(
    signal: ComplexArray, lesion: PhantomLesion, fine: Grid, pose: _Pose, *, turns: float
) -> None:
    """Multiply the lesion's field and void in: exact at SUB points per axis near it, at voxel centres elsewhere."""
    to_voxel_axes = np.linalg.inv(fine.affine[:3, :3] / fine.voxel_size_mm[0])
    size = fine.voxel_size_mm[0]
    direction = np.array(fine.b0_dir)
    centre = fine.to_voxel(pose.to_world(lesion.centre_mm[None]))[0]
    shifts = []
    for ball in lesion.balls:
        world = pose.to_world(np.array(ball.centre_mm)[None]) - pose.to_world(lesion.centre_mm[None])
        shifts.append(to_voxel_axes @ world[0])
    # A dipole of S ppm mm3 turns the phase by less than 0.002 rad beyond this distance.
    far = int(np.ceil((abs(lesion.total_chi_ppm_mm3) * turns / (2 * np.pi * 0.002)) ** (1 / 3) / size))
    near = int(np.ceil(NEAR_MM / size))
    first = np.maximum(np.rint(centre).astype(int) - far, 0)
    last = np.minimum(np.rint(centre).astype(int) + far + 1, fine.shape)
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    axes = [(np.arange(a, b) - c) * size for a, b, c in zip(first, last, centre, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    factor = _lesion_factor(xyz, lesion, shifts, direction, turns)
    core = tuple(
        slice(max(0, round(float(c)) - near - int(a)), round(float(c)) + near + 1 - int(a))
        for c, a in zip(centre, first, strict=True)
    )
    inner = xyz[(slice(None), *core)]
    steps = ((np.arange(SUB) + 0.5) / SUB - 0.5) * size
    total = np.zeros(inner.shape[1:], complex)
    for sub in np.ndindex(SUB, SUB, SUB):
        total += _lesion_factor(
            inner + steps[list(sub)].reshape(3, 1, 1, 1), lesion, shifts, direction, turns
        )
    factor[core] = total / SUB**3
    signal[box] *= factor.astype(np.complex64)


def _lesion_factor(
    xyz: FloatArray, lesion: PhantomLesion, shifts: list[FloatArray], b0_dir: FloatArray, turns: float
) -> ComplexArray:
    field = np.zeros(xyz.shape[1:])
    dark = np.zeros(xyz.shape[1:], bool)
    for ball, shift in zip(lesion.balls, shifts, strict=True):
        offset = xyz - shift.reshape(3, 1, 1, 1)
        field += ball_field(offset, ball, b0_dir)
        dark |= (offset**2).sum(axis=0) <= ball.radius_mm**2
    return np.where(dark, 0, np.exp(1j * turns * field))


def _crop_k_space(fine: ComplexArray, shape: tuple[int, int, int]) -> ComplexArray:
    """Keep the central part of k-space: what a scan of this voxel size acquires."""
    spectrum = scipy.fft.fftn(fine, workers=-1)
    index = [np.r_[0 : n // 2, m - n // 2 : m] for n, m in zip(shape, fine.shape, strict=True)]
    low = spectrum[np.ix_(*index)]
    return np.asarray(scipy.fft.ifftn(low, workers=-1) * (low.size / fine.size))


def _receiver(grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return the receive phase (rad) and sensitivity: smooth, the same in all sessions."""
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    offset = 0.6 + 1.1 * x - 0.8 * y + 0.5 * z + 0.7 * x * y - 0.6 * z**2
    gain = 1 + 0.15 * x - 0.1 * y + 0.2 * (x**2 + y**2)
    return offset, gain
