"""Structure of a head's tissue: a folded cortical ribbon, and random fields with a power-law spectrum.

All lengths are mm of the head itself, so that a small head has a cortex of the same thickness and fewer folds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy import ndimage

from qsmcmb.phantoms._structure_loops import carry_folds, pial_distance
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
CSF_LEAST_MM = 0.2
"""Least depth of the CSF, mm."""
COARSE_MM = 2.0
"""Spacing of the grid on which folds and slow fields are drawn, mm."""
SLOW_MM = 8.0
"""SD of the Gaussian that smooths the slow fields, mm."""
BEND_MM = 2.5
"""SD of the shift by which a slow field bends the folds, mm."""
MARGIN_MM = 30.0
"""Margin of the field of folds around the brain, mm: carried points lie somewhat outside."""


class Structure(NamedTuple):
    """Maps of a head's tissue on one grid of template mm.

    Parameters
    ----------
    axes : ndarray of shape (2, 3), float32
        Origin and spacing, template mm.
    maps : ndarray of shape (x, y, z, 4), float32
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
    shape = _fast_shape((high - low) / step + 1)
    rng = np.random.default_rng(seed)
    slow = _slow_fields(shape, rng)
    reach = size * np.maximum(np.abs(low - centre_mm), np.abs(high - centre_mm)) + MARGIN_MM
    folds = _band_field(_fast_shape(2 * reach / COARSE_MM), COARSE_MM, rng)
    each = np.ones(3)
    geometry = np.array([
        low - centre_mm, step * each, axes[0] - centre_mm, axes[1], SPACING_MM / COARSE_MM * each, -reach,
        COARSE_MM * each, size * each, BEND_MM * each,
    ])  # fmt: skip
    carried = np.empty((4, *shape), np.float32)
    carry_folds(depth_mm, slow, folds, geometry, carried)
    maps = np.empty((*shape, 4), np.float32)
    numbers = np.array(
        [SPACING_MM, SULCUS_MM, SULCUS_SD_MM, CSF_MM, CSF_SD_MM, CSF_LEAST_MM, (centre_mm[0] - low[0]) / step]
    )
    pial_distance(carried, _fissure(low, step, shape, size), numbers, maps[..., 0])
    for number in (1, 2):
        maps[..., number] = power_law_field(shape, SPACING_MM, rng)
    maps[..., 3] = carried[2]
    return Structure(np.array([low, [step] * 3], np.float32), maps)


def _fast_shape(count: FloatArray) -> tuple[int, int, int]:
    """Return sizes that are fast to transform, not below those given."""
    x, y, z = (int(scipy.fft.next_fast_len(int(np.ceil(n)), real=True)) for n in count)
    return x, y, z


def _slow_fields(shape: tuple[int, int, int], rng: np.random.Generator) -> FloatArray:
    """Return three random fields of SD 1 that change over some centimetres, COARSE_MM apart."""
    coarse = tuple(int(np.ceil(n * SPACING_MM / COARSE_MM)) + 2 for n in shape)
    made = [ndimage.gaussian_filter(rng.standard_normal(coarse), SLOW_MM / COARSE_MM) for _ in range(3)]
    return np.stack([m / m.std() for m in made]).astype(np.float32)


def _fissure(low: FloatArray, step: float, shape: tuple[int, int, int], size: float) -> FloatArray:
    """Return the distance (y, z) along the midline's plane to the interhemispheric fissure, mm; 0 where it is."""
    y = (low[1] + step * np.arange(shape[1]))[:, None]
    z = (low[2] + step * np.arange(shape[2]))[None]
    cy, cz, ry, rz = FISSURE_MM
    within = 1 - np.sqrt(((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
    below = np.where(y < cy + ry, FISSURE_BASE_MM - z, 0)
    return np.asarray(size * np.maximum(np.maximum(within * min(ry, rz), below), 0), dtype=np.float32)
