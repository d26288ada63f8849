"""Errors of a real scan that are not white: breathing between phase-encoding lines, noise that varies over the head."""

from __future__ import annotations

import numpy as np
import scipy.fft

from qsmcmb.model import Grid
from qsmcmb.phantoms.head_anatomy import HEAD_CENTRE_MM
from qsmcmb.phantoms.recipe import Protocol, Recipe
from qsmcmb.phantoms.scanner import Pose
from qsmcmb.typing import ComplexArray, FloatArray

__all__: tuple[str, ...] = ()

BREATHING_PPM = 0.005
"""Amplitude of the field that breathing makes at the base of the brain, ppm: 0.6 Hz at 3 T."""
BREATH_S, BREATH_SD = 4.0, 0.15
"""Period of a breath, s, and the relative SD of each."""
BREATHING_MM = 160.0
"""Distance towards the vertex over which the field of breathing falls to 0, mm: from 80 mm below the middle."""
REPETITION_S = 0.01
"""Time from the last echo to the next line, s."""
ORDERS = 3
"""Terms of the exponential's series: phases below 0.3 rad are right to 0.0004."""
CENTRAL_NOISE, CENTRAL_MM = 0.6, 55.0
"""Noise in the middle of the head above that at its surface, relative, and the SD of that change, mm: arrays of coils
lie outside, and parallel imaging amplifies noise most in the middle (Pruessmann 1999,
doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S).
"""


def breathing_ppm(count: int, line_s: float, rng: np.random.Generator) -> FloatArray:
    """Return the field of breathing, ppm, at the time of each of the lines of k-space, `line_s` apart."""
    time_breaths = np.arange(count) * line_s / BREATH_S
    rate = 1 + BREATH_SD * np.interp(time_breaths, *_wander(time_breaths[-1], rng))
    cycle = rng.uniform() + np.cumsum(line_s / BREATH_S * rate)
    return np.asarray(BREATHING_PPM * np.sin(2 * np.pi * cycle), dtype=np.float32)


def _wander(breaths: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the number of each breath and its random deviation."""
    number = np.arange(int(breaths) + 2, dtype=float)
    return number, np.clip(rng.standard_normal(number.size), -2, 2)


def breathe(
    image: ComplexArray, share: FloatArray, phase_rad: FloatArray, axes: tuple[int, ...]
) -> ComplexArray:
    """Return an image whose lines of k-space were acquired while the phase fluctuated.

    The line at k holds exp(i phase(k) share(r)), by the series of the exponential in `share`.

    Parameters
    ----------
    image : ndarray of shape (x, y, z)
        Image without breathing.
    share : ndarray of shape (x, y, z)
        Field of breathing at each voxel against that at the base of the brain.
    phase_rad : ndarray of shape (y, z)
        Phase at the base of the brain, rad, in FFT order along the axes that are phase-encoded.
    axes : tuple of int
        These axes.
    """
    total = scipy.fft.fftn(image, axes=axes, workers=-1)
    power, weight = image, np.ones_like(phase_rad, dtype=np.complex64)
    for order in range(1, ORDERS + 1):
        power = power * share
        weight = weight * (1j * phase_rad / order).astype(np.complex64)
        total += weight * scipy.fft.fftn(power, axes=axes, workers=-1)
    return np.asarray(scipy.fft.ifftn(total, axes=axes, overwrite_x=True, workers=-1))


class ScanErrors:
    """The errors of one scan of a head with structure in its tissue; none of other phantoms and without noise.

    Parameters
    ----------
    recipe : Recipe
        The phantom.
    protocol : Protocol
        How it is scanned.
    grid : Grid
        Geometry of the scan.
    pose : Pose
        Pose of the head.
    rng : Generator, optional
        Makes the breaths.
    """

    def __init__(
        self, recipe: Recipe, protocol: Protocol, grid: Grid, pose: Pose, rng: np.random.Generator | None
    ) -> None:
        self.noise: FloatArray | np.float32 = np.float32(1)
        self._ppm: FloatArray | None = None
        if rng is None or not recipe.is_structured:
            return
        self.noise = noise_share(grid, pose, recipe.size)
        self._share = breathing_share(grid, pose)
        _, ny, nz = grid.shape
        # Partitions, or slices, follow each other within each line along the second axis.
        lines = breathing_ppm(ny * nz, max(protocol.te_s) + REPETITION_S, rng).reshape(ny, nz)
        self._axes = (1,) if protocol.two_d else (1, 2)
        self._ppm = np.asarray(scipy.fft.ifftshift(lines, axes=[a - 1 for a in self._axes]))

    def breathe(self, image: ComplexArray, turns: float) -> ComplexArray:
        """Return the image of an echo as breathing leaves it; `turns` is the phase (rad) of 1 ppm."""
        if self._ppm is None:
            return image
        return breathe(image, self._share, np.float32(turns) * self._ppm, self._axes)


def _head_mm(grid: Grid, pose: Pose) -> list[FloatArray]:
    """Return head mm of the voxels along each head axis, each (x, y, z)."""
    index = [np.arange(n, dtype=np.float32).reshape([-1 if a == b else 1 for b in range(3)])
             for a, n in enumerate(grid.shape)]  # fmt: skip
    return [
        np.asarray(x * index[0] + y * index[1] + z * index[2] + o, dtype=np.float32)
        for x, y, z, o in pose.head_affine(grid)
    ]


def breathing_share(grid: Grid, pose: Pose) -> FloatArray:
    """Return the field of breathing at each voxel against that at the base of the brain."""
    z = _head_mm(grid, pose)[2]
    return np.asarray(0.5 - (z - HEAD_CENTRE_MM[2]) / BREATHING_MM, dtype=np.float32)


def noise_share(grid: Grid, pose: Pose, size: float) -> FloatArray:
    """Return the SD of the noise at each voxel against that far outside the head."""
    offset = zip(_head_mm(grid, pose), HEAD_CENTRE_MM, strict=True)
    distance2 = sum((x - c) ** 2 for x, c in offset)
    return np.asarray(1 + CENTRAL_NOISE * np.exp(-distance2 / 2 / (size * CENTRAL_MM) ** 2), dtype=np.float32)
