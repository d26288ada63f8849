"""Simulated scans of a head that is painted once, with any lesions, and the truth beside them.

Painting and the field of everything but the lesions are the costly part and don't depend on the lesions: the field of a
lesion is known in closed form and is added to it; within a few mm the lesion's factor on the signal is averaged over
points finer than the grid. All goes through the same sampling, so that nothing is approximated.

Memory: 4 volumes of the fine grid while a scan is formed, 7 while the field is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms._signal_loops import tissue_signal
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.anatomy import Anatomy
from qsmcmb.phantoms.head_anatomy import VEIN_PPM
from qsmcmb.phantoms.lesion_signal import NearSignal, insert_lesion
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.recipe import Protocol, Recipe
from qsmcmb.phantoms.scan_errors import ScanErrors
from qsmcmb.phantoms.scanner import (
    Pose,
    Sampler,
    box_average,
    finer,
    grid_of,
    noise_sd,
    pose_of,
    receiver,
    sample_mask,
)
from qsmcmb.phantoms.truth import PhantomSession, TruthMaps, siderosis_rows, truth_rows
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = ("TissueScan",)

NEGLIGIBLE_RAD = 0.002
"""Phase of a lesion at the longest echo, rad, that is left out: far below the noise."""
NEGLIGIBLE_PPM = 1e-4
"""Field of a lesion, ppm, that is left out of the truth maps: far below any field's error."""
SMALL_TURN_RAD = 0.01
"""Phase of 1 ppm, rad, at which the signal's phase is the mean field: small enough for the sine to be linear."""
PAD = 1.25
"""Ratio of the padded volume's size to the grid's: copies of the head lie a quarter of it away."""
SLAB = 16
"""Planes that are painted or formed at once: memory stays small beside the volumes."""
VEIN_DECAY_HZ = 40.0
"""R2* of a full voxel of vein above the tissue's, 1/s, at 3 T."""


class _Volumes(NamedTuple):
    """Susceptibility (ppm), signal, R2* (1/s) and brain on the fine grid."""

    chi_ppm: FloatArray
    signal: FloatArray
    r2star_hz: FloatArray
    brain: BoolArray


class TissueScan:
    """The lesion-free head of one session on the fine grid.

    Parameters
    ----------
    recipe : Recipe
        The phantom.
    protocol : Protocol
        The session; one of the recipe's or any other.
    anatomy : Anatomy, optional
        The recipe's, where it is at hand.

    References
    ----------
    Marques JP, Bowtell R. Application of a Fourier-based method for rapid calculation of field inhomogeneity due to
    spatial variation of magnetic susceptibility. Concepts Magn Reson B 2005;25B:65-78. doi:10.1002/cmr.b.20034

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> water = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
    >>> TissueScan(water, water.sessions[0]).grid.shape
    (10, 10, 10)
    """

    def __init__(self, recipe: Recipe, protocol: Protocol, anatomy: Anatomy | None = None) -> None:
        self.recipe, self.protocol = recipe, protocol
        self.grid = grid_of(recipe, protocol)
        self.pose = pose_of(recipe, protocol)
        self._fine = finer(self.grid)
        self._anatomy = anatomy or make_anatomy(recipe)
        self._volumes = paint_volumes(self._anatomy, self._fine, self.pose)
        # Air is the zero of the padded volume: the field of what is not air is the same up to a constant.
        chi = self._volumes.chi_ppm
        self._field_ppm = _field(chi - chi[0, 0, 0], self._fine)

    def scan(
        self,
        lesions: Sequence[PhantomLesion],
        *,
        rng: np.random.Generator | None = None,
        protocol: Protocol | None = None,
    ) -> PhantomSession:
        """Return the session with lesions in it.

        The signal of a point at echo time TE is s exp(-R2* TE) exp(i 2 pi gamma B0 TE dB/B0), averaged over the voxel
        as sampling k-space does, times the receiver's gain and phase, with complex normal noise. A head with structure
        in its tissue breathes while it is scanned, and its noise varies over the head.

        Parameters
        ----------
        lesions : sequence of PhantomLesion
            Head mm; not within MAX_NEAR_MM of each other.
        rng : Generator, optional
            Makes the noise; none without it.
        protocol : Protocol, optional
            Other echo times, noise or sampling in the same pose, field strength and voxel.

        Returns
        -------
        PhantomSession
            Scan and truth.

        References
        ----------
        Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data. Magn Reson Med 1995;34:910-914.
        doi:10.1002/mrm.1910340618

        Examples
        --------
        >>> from dataclasses import replace
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> water = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
        >>> TissueScan(water, water.sessions[0]).scan([]).scan.n_echoes
        4
        """
        protocol = protocol or self.protocol
        turns = [2 * np.pi * GAMMA_MHZ_PER_T * protocol.b0_tesla * te for te in protocol.te_s]
        field_ppm = self._field_ppm.copy()
        negligible_ppm = NEGLIGIBLE_RAD / max(turns)
        echoes = np.array([protocol.te_s, turns])
        factors = [
            insert_lesion(
                field_ppm, lesion, self._fine, pose=self.pose, echoes=echoes, negligible_ppm=negligible_ppm
            )
            for lesion in lesions
        ]
        decay_hz = self._volumes.r2star_hz * np.float32(0.4 + 0.2 * protocol.b0_tesla)
        offset_rad, gain = receiver(self.grid)
        errors = ScanErrors(self.recipe, protocol, self.grid, self.pose, rng)
        sampler = Sampler(self.grid, protocol)
        sd = np.float32(noise_sd(self.grid, protocol))
        phase = np.empty((len(turns), *self.grid.shape), np.float32)
        magnitude = np.empty_like(phase)
        for echo, te_s in enumerate(protocol.te_s):
            self._sample_echo(sampler, field_ppm, decay_hz, (te_s, turns[echo], echo), factors)
            image = errors.breathe(sampler.image() * (gain * np.exp(1j * offset_rad)), turns[echo])
            if rng is not None:
                white = rng.standard_normal((2, *self.grid.shape), dtype=np.float32) * sd
                image = image + sampler.noise(white[0] + 1j * white[1]) * errors.noise
            phase[echo], magnitude[echo] = np.angle(image), 1000 * np.abs(image)
        name = f"sub-{self.recipe.subject}/ses-{protocol.label}"
        out = GreScan(
            phase_rad=phase, magnitude=magnitude, te_s=protocol.te_s, b0_tesla=protocol.b0_tesla, grid=self.grid,
            name=name,
        )  # fmt: skip
        brain = sample_mask(self._volumes.brain, self.grid)
        siderosis = siderosis_rows(self._anatomy.siderosis(), self.pose)
        return PhantomSession(protocol.label, out, truth_rows(lesions, self.pose), brain, siderosis)

    def truth_maps(self, lesions: Sequence[PhantomLesion] = ()) -> TruthMaps:
        """Return the truth on the scan's grid.

        Parameters
        ----------
        lesions : sequence of PhantomLesion, optional
            Head mm.

        Returns
        -------
        TruthMaps
            Susceptibility, local field, brain and territories.

        Examples
        --------
        >>> from dataclasses import replace
        >>> from qsmcmb.phantoms.recipe import read_recipe
        >>> water = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
        >>> int(TissueScan(water, water.sessions[0]).truth_maps().territory.max())
        0
        """
        volumes = self._volumes
        chi = box_average(volumes.chi_ppm, self.grid)
        inside = _field(np.where(volumes.brain, volumes.chi_ppm, 0), self._fine)
        for lesion in lesions:
            # The phase of a turn that is small everywhere is the field, averaged over the fine voxel.
            small = np.array([[0.0], [SMALL_TURN_RAD]])
            core, factor = insert_lesion(
                inside,
                _all_bright(lesion),
                self._fine,
                pose=self.pose,
                echoes=small,
                negligible_ppm=NEGLIGIBLE_PPM,
            )
            inside[core] += factor[0].imag / np.float32(SMALL_TURN_RAD)
            _add_bodies(chi, lesion, self.grid, self.pose)
        brain = sample_mask(volumes.brain, self.grid)
        voxels = np.moveaxis(np.indices(self.grid.shape, dtype=np.float32), 0, -1)
        affine = self.pose.head_affine(self.grid).astype(np.float32)
        head_mm = np.moveaxis(voxels @ affine[:, :3].T + affine[:, 3], -1, 0)
        territory = self._anatomy.territory(head_mm) * brain
        local = box_average(inside, self.grid)
        return TruthMaps(chi, np.where(brain, local, 0), brain, territory.astype(np.int32))

    def _sample_echo(
        self, sampler: Sampler, field_ppm: FloatArray, decay_hz: FloatArray, echo: tuple[float, float, int],
        factors: Sequence[NearSignal],
    ) -> None:  # fmt: skip
        """Form the signal of one echo slab by slab and hand it to the sampler."""
        te_s, turns, number = echo
        for start in range(0, self._fine.shape[0], SLAB):
            planes = slice(start, min(start + SLAB, self._fine.shape[0]))
            slab = np.empty(field_ppm[planes].shape, np.complex64)
            tissue_signal(
                self._volumes.signal[planes], decay_hz[planes], field_ppm[planes], np.float32(te_s),
                np.float32(turns), slab,
            )  # fmt: skip
            for box, factor in factors:
                first, last = max(box[0].start, planes.start), min(box[0].stop, planes.stop)
                if first < last:
                    part = factor[number, first - box[0].start : last - box[0].start]
                    slab[first - start : last - start, box[1], box[2]] *= part
            sampler.add_slab(start, slab)


def _all_bright(lesion: PhantomLesion) -> PhantomLesion:
    """Return a lesion of an irregular shape with all its signal, so that its inside shows its field; others as is."""
    if not lesion.form:
        return lesion
    bright = [b._replace(signal=1.0, decay_hz=0.0, decay_hz_per_tesla=0.0) for b in lesion.balls]
    return lesion._replace(balls=tuple(bright))


def _add_bodies(chi_ppm: FloatArray, lesion: PhantomLesion, grid: Grid, pose: Pose) -> None:
    """Spread each body's susceptibility over the scan's voxels, by points a fine fraction of its radius apart."""
    for ball in lesion.balls:
        line = (np.arange(24) + 0.5) / 12 - 1
        unit = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        points = unit[(unit**2).sum(axis=1) <= 1] * ball.radius_mm
        axis = np.array(ball.axis)
        points = points + np.outer(points @ axis, axis) * (ball.stretch - 1) + np.array(ball.centre_mm)
        voxel = np.rint(grid.to_voxel(pose.to_world(points))).astype(int)
        valid = ((voxel >= 0) & (voxel < grid.shape)).all(axis=1)
        amount = np.float32(ball.total_chi_ppm_mm3 / len(points) / grid.voxel_volume_mm3)
        np.add.at(chi_ppm, tuple(voxel[valid].T), amount)


def paint_volumes(anatomy: Anatomy, fine: Grid, pose: Pose) -> _Volumes:
    """Return the tissue on the fine grid, slab by slab, veins added by their volume."""
    volumes = _Volumes(
        np.empty(fine.shape, np.float32), np.empty(fine.shape, np.float32), np.empty(fine.shape, np.float32),
        np.empty(fine.shape, bool),
    )  # fmt: skip
    affine = pose.head_affine(fine)
    y, z = (np.arange(n)[:, None] if a == 0 else np.arange(n)[None] for a, n in enumerate(fine.shape[1:]))
    for start in range(0, fine.shape[0], SLAB):
        x = np.arange(start, min(start + SLAB, fine.shape[0]))
        head_mm = np.empty((3, len(x), *fine.shape[1:]), np.float32)
        for axis, (ax, ay, az, origin) in enumerate(affine):
            np.add(
                (ax * x + origin).astype(np.float32)[:, None, None],
                (ay * y + az * z).astype(np.float32),
                out=head_mm[axis],
            )
        for volume, values in zip(volumes, anatomy.tissue(head_mm), strict=True):
            volume[x[0] : x[-1] + 1] = values
    points, amounts = anatomy.veins()
    if len(points):
        voxels, part = _deposit(fine, pose.to_world(points), amounts)
        volumes.chi_ppm[voxels] += part * (VEIN_PPM - volumes.chi_ppm[voxels])
        volumes.r2star_hz[voxels] += part * VEIN_DECAY_HZ
    return volumes


def _deposit(
    fine: Grid, points_mm: FloatArray, amounts_mm3: FloatArray
) -> tuple[tuple[IntArray, ...], FloatArray]:
    """Return voxels and the fraction of each that small amounts at points fill, spread over the eight nearest."""
    voxel = fine.to_voxel(points_mm)
    low = np.floor(voxel).astype(int)
    rest = voxel - low
    indices, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        index = low + corner
        valid = ((index >= 0) & (index < fine.shape)).all(axis=1)
        weight = np.prod(np.where(np.array(corner) == 1, rest, 1 - rest), axis=1) * amounts_mm3
        indices.append(np.ravel_multi_index(tuple(index[valid].T), fine.shape))
        weights.append(weight[valid] / fine.voxel_volume_mm3)
    flat, position = np.unique(np.concatenate(indices), return_inverse=True)
    part = np.bincount(position, np.concatenate(weights))
    return np.unravel_index(flat, fine.shape), np.minimum(part, 1.0).astype(np.float32)


def _field(chi_ppm: FloatArray, grid: Grid) -> FloatArray:
    """Return the field on a padded grid; scipy's transforms, so that no plan of this size stays in memory."""
    padded = [scipy.fft.next_fast_len(int(PAD * n), real=True) for n in grid.shape]
    shape = (padded[0], padded[1], padded[2] + padded[2] % 2)
    spectrum = scipy.fft.rfftn(chi_ppm, s=shape, workers=-1)
    spectrum *= dipole_kernel_k(shape, grid.voxel_size_mm, grid.b0_dir)
    nx, ny, nz = grid.shape
    field = scipy.fft.irfftn(spectrum, s=shape, overwrite_x=True, workers=-1)
    return np.ascontiguousarray(field[:nx, :ny, :nz])
