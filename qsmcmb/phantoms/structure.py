"""Structure of a head's tissue: a folded cortical ribbon, and random fields with a power-law spectrum.

All lengths are mm of the head itself, so that a small head has a cortex of the same thickness and fewer folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy import ndimage

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

SPACING_MM = 0.8
"""Spacing of the maps, mm: what a voxel of 1.6 mm resolves."""
EXPONENT = 3.0
"""Exponent of the power spectrum, power per volume of k-space against spatial frequency: as the local field and the
magnitude of a real crop of 0.47 x 0.47 x 1 mm fall off between wavelengths of 9 and 2 mm.
"""
LONGEST_MM = 25.0
"""Wavelength, mm, above which the power spectrum is flat: background removal hides what is longer."""
FOLD_MM = 22.0
"""Wavelength of the cortical folds, mm: two sulci, and a gyrus of about 11 mm between each pair."""
FOLD_BAND = 0.18
"""Relative width of the folds' band of wavelengths: a narrow one makes a labyrinth, as on a cortex."""
SULCUS_MM, SULCUS_SD_MM = 16.0, 4.0
"""Depth of the sulci and its SD, mm."""
CSF_MM, CSF_SD_MM = 0.9, 0.4
"""Depth of the CSF over the gyri, half the width of the sulci, and its SD, mm."""
FISSURE_MM = (-10.0, 2.0, 40.0, 24.0)
"""y and z of the middle and radii along y and z, template mm, of the ellipse that the interhemispheric fissure leaves
out: the corpus callosum and what lies below it.
"""
FISSURE_BASE_MM = -8.0
"""Height below which there is no interhemispheric fissure behind the front, template mm."""
COARSE_MM = 2.0
"""Spacing of the grid on which slow fields are drawn, mm."""


class Structure(NamedTuple):
    """Maps of a head's tissue on one grid of template mm.

    Parameters
    ----------
    axes : ndarray of shape (2, 3), float32
        Origin and spacing, template mm.
    maps : ndarray of shape (4, x, y, z), float32
        Distance below the pial surface (mm; negative in CSF), two random fields of SD 1 with a power-law spectrum, and
        a slow random field of SD 1.
    """

    axes: FloatArray
    maps: FloatArray


def power_law_field(
    shape: tuple[int, int, int], spacing_mm: float, rng: np.random.Generator, *, exponent: float = EXPONENT,
    longest_mm: float = LONGEST_MM,
) -> FloatArray:  # fmt: skip
    """Return a random field of SD 1 whose power spectrum falls as a power of the spatial frequency.

    P(k) = (k^2 + 1 / longest_mm^2)^(-exponent / 2)
    """
    amplitude = (_frequency2(shape, spacing_mm) + longest_mm**-2) ** (-exponent / 4)
    return _shaped_noise(shape, amplitude, rng)


def _band_field(shape: tuple[int, int, int], spacing_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return a random field of SD 1 of wavelengths about FOLD_MM."""
    k = np.sqrt(_frequency2(shape, spacing_mm)) * FOLD_MM
    return _shaped_noise(shape, np.exp(-(((k - 1) / FOLD_BAND) ** 2) / 2), rng)


def _frequency2(shape: tuple[int, int, int], spacing_mm: float) -> FloatArray:
    """Return the squared spatial frequency of a real transform, 1/mm2."""
    x, y = (np.fft.fftfreq(n, spacing_mm).astype(np.float32) for n in shape[:2])
    z = np.fft.rfftfreq(shape[2], spacing_mm).astype(np.float32)
    return np.asarray(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)


def _shaped_noise(shape: tuple[int, int, int], amplitude: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return white noise of a spectrum's shape, SD 1."""
    spectrum = scipy.fft.rfftn(rng.standard_normal(shape, dtype=np.float32), workers=-1)
    field = scipy.fft.irfftn(spectrum * amplitude, s=shape, workers=-1)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def make_structure(
    depth_mm: FloatArray, axes: FloatArray, centre_mm: FloatArray, size: float, seed: list[int]
) -> Structure:
    """Return the structure of a head.

    Parameters
    ----------
    depth_mm : ndarray of shape (x, y, z)
        Depth of the template below the brain's surface, template mm.
    axes : ndarray of shape (2, 3)
        Its origin and spacing, template mm.
    centre_mm : ndarray of shape (3,)
        Middle of the brain, template mm.
    size : float
        Ratio of the head's size to the template's.
    seed : list of int
        Makes the structure.
    """
    inside = np.argwhere(depth_mm > -axes[1].max())
    low, high = (axes[0] + axes[1] * i for i in (inside.min(axis=0), inside.max(axis=0)))
    step = SPACING_MM / size
    count = np.ceil((high - low) / step).astype(int) + 1
    shape = tuple(scipy.fft.next_fast_len(int(n), real=True) for n in count)
    own = np.array([low, [step] * 3], np.float32)
    template_mm = [
        (low[a] + step * np.arange(n, dtype=np.float32)).reshape([-1 if a == b else 1 for b in range(3)])
        for a, n in enumerate(shape)
    ]
    rng = np.random.default_rng(seed)
    slow = _slow_fields(shape, rng)
    index = [(x - axes[0, a]) / axes[1, a] for a, x in enumerate(template_mm)]
    depth = size * _at(depth_mm, np.broadcast_arrays(*index), 1)
    pial = _pial_distance(depth, template_mm, centre_mm, size, slow, rng)
    random = [power_law_field(shape, SPACING_MM, rng) for _ in range(2)]
    return Structure(own, np.stack([pial, *random, slow[0]]))


def _slow_fields(shape: tuple[int, ...], rng: np.random.Generator) -> list[FloatArray]:
    """Return three random fields of SD 1 that change over some centimetres, on the grid of the maps."""
    coarse = tuple(int(np.ceil(n * SPACING_MM / COARSE_MM)) + 1 for n in shape)
    index = np.meshgrid(
        *(np.arange(n, dtype=np.float32) * np.float32(SPACING_MM / COARSE_MM) for n in shape), indexing="ij"
    )
    made = []
    for _ in range(3):
        noise = ndimage.gaussian_filter(rng.standard_normal(coarse), 8.0 / COARSE_MM)
        made.append(_at((noise / noise.std()).astype(np.float32), index, 1))
    return made


def _at(volume: FloatArray, index: Sequence[FloatArray], order: int) -> FloatArray:
    """Return a volume at fractional indices."""
    return np.asarray(ndimage.map_coordinates(volume, index, order=order, mode="nearest", output=np.float32))


def _pial_distance(
    depth: FloatArray, template_mm: list[FloatArray], centre_mm: FloatArray, size: float,
    slow: list[FloatArray], rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    """Return the distance below the pial surface, mm: of the hull, of the sulci and of the interhemispheric fissure.

    Sulci are the sheets on which a random field of one wavelength, drawn on the surface and carried inwards, is zero.
    """
    offset = [size * (x - c) for x, c in zip(template_mm, centre_mm, strict=True)]
    radius = np.sqrt(sum(o**2 for o in offset)) + 1e-3
    stretch = 1 + depth / radius
    reach = [float(np.abs(o).max()) + 30.0 for o in offset]
    count = tuple(scipy.fft.next_fast_len(int(2 * r / COARSE_MM), real=True) for r in reach)
    folds = _band_field(count, COARSE_MM, rng)
    # A shift of a slow field bends the sheets.
    index = [(o * stretch + 2.5 * s + r) / COARSE_MM for o, s, r in zip(offset, slow, reach, strict=True)]
    made = _at(folds, index, 3)
    gradient = np.sqrt(sum(g**2 for g in np.gradient(made, SPACING_MM)))
    sheet = np.abs(made) / np.maximum(gradient, 0.02)
    bottom = SULCUS_MM + SULCUS_SD_MM * slow[1]
    sulcus = np.sqrt(sheet**2 + np.maximum(depth - bottom, 0) ** 2)
    x, y, z = template_mm
    cy, cz, ry, rz = FISSURE_MM
    within = 1 - np.sqrt(((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
    below = np.where(y < cy + ry, FISSURE_BASE_MM - z, 0)
    short = size * np.maximum(np.maximum(within * min(ry, rz), below), 0)
    fissure = np.sqrt((size * x + 1.0 * slow[2]) ** 2 + short**2)
    csf = np.maximum(CSF_MM + CSF_SD_MM * slow[2], 0.2)
    return np.asarray(np.minimum(np.minimum(depth, sulcus), fissure) - csf, dtype=np.float32)
