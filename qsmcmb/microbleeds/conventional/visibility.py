"""Whether a reader would have seen a lesion on a conventional image, and how large its void is there.

The void is the connected region that is darker than a fraction of the tissue's level and holds the darkest voxel. A
reader counts it when its diameter in the slice that shows most of it is 2 mm or more (Greenberg et al. 2009), and when
its contrast to noise is 5 or more (Rose 1948):

    contrast to noise = (1 - mean signal of the void in that slice over the tissue's) SNR sqrt(number of voxels).

Where the slices lie is chance, so that each source is looked at with its centre at four positions between two slices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.special import ndtri

from qsmcmb.microbleeds.conventional.images import SourceModel, form_signal, slice_axis
from qsmcmb.microbleeds.conventional.protocols import ConventionalProtocol
from qsmcmb.model import Grid
from qsmcmb.susceptibility_weighting.swi import make_swi, project_minimum
from qsmcmb.typing import FloatArray

__all__ = ("N_POSITIONS", "ReadingRule", "Visibility", "look_at_source")

N_POSITIONS = 4
"""Number of positions of a source between two slices, at equal distances."""
PROJECTION_MM = 8.0
"""Thickness of the minimum-intensity projection, mm, as of this package's own."""


class ReadingRule(NamedTuple):
    """Limits from which a reader sees a lesion."""

    dark_ratio: float
    """Ratio of a voxel's signal to the tissue's below which it belongs to the void, 0 to 1."""
    min_diameter_mm: float
    """Least diameter of a lesion that is counted, mm."""
    min_contrast_to_noise: float
    """Least contrast to noise of a void that is seen."""


class Visibility(NamedTuple):
    """Visibility of one lesion with one protocol to a reader, over the positions of the slices."""

    visible_fraction: float
    """Fraction of the positions at which the lesion is counted."""
    diameter_mm: float | None
    """Mean diameter of the void where it is counted, mm; None where it never is."""
    void_mm3: float
    """Mean volume of the void over all positions, mm3; 0 where nothing is dark."""
    contrast_to_noise: float
    """Mean contrast to noise over all positions; 0 where nothing is dark."""


class _Void(NamedTuple):
    """Void on one image."""

    diameter_mm: float
    volume_mm3: float
    contrast_to_noise: float


_NOTHING = _Void(0.0, 0.0, 0.0)


def look_at_source(source: SourceModel, protocol: ConventionalProtocol, rule: ReadingRule) -> Visibility:
    """Return what a reader sees of a source.

    Parameters
    ----------
    source : SourceModel
        The fitted source.
    protocol : ConventionalProtocol
        The scan.
    rule : ReadingRule
        Limits from which a reader sees a lesion.

    Returns
    -------
    Visibility
        Fraction of the positions, diameter (mm), volume (mm3) and contrast to noise.

    References
    ----------
    Greenberg SM, Vernooij MW, Cordonnier C, et al. Cerebral microbleeds: a guide to detection and interpretation.
    Lancet Neurol 2009;8:165-174. doi:10.1016/S1474-4422(09)70013-4

    Rose A. The sensitivity performance of the human eye on an absolute scale. J Opt Soc Am 1948;38:196-208.
    doi:10.1364/JOSA.38.000196
    """
    across = slice_axis(source)
    steps = (np.arange(N_POSITIONS) + 0.5) / N_POSITIONS - 0.5
    voids = []
    for step in steps:
        signal, grid = form_signal(source, protocol, float(step * protocol.spacing_mm))
        image, level = _shown(np.asarray(signal), grid, protocol)
        voids.append(_measure(image / level, grid, across, protocol=protocol, rule=rule))
    seen = [
        v
        for v in voids
        if v.diameter_mm >= rule.min_diameter_mm and v.contrast_to_noise >= rule.min_contrast_to_noise
    ]
    return Visibility(
        visible_fraction=len(seen) / N_POSITIONS,
        diameter_mm=float(np.mean([v.diameter_mm for v in seen])) if seen else None,
        void_mm3=float(np.mean([v.volume_mm3 for v in voids])),
        contrast_to_noise=float(np.mean([v.contrast_to_noise for v in voids])),
    )


def _shown(signal: np.ndarray, grid: Grid, protocol: ConventionalProtocol) -> tuple[FloatArray, float]:
    """Return the image that is read, and the level of the tissue on it."""
    magnitude = np.abs(signal).astype(np.float32)
    if protocol.sequence == "gre":
        return magnitude, 1.0
    phase = np.angle(signal).astype(np.float32)
    swi = make_swi(phase[None], magnitude[None], np.ones(grid.shape, bool), grid)
    if protocol.sequence == "swi":
        return swi, 1.0
    thickness = max(PROJECTION_MM, protocol.spacing_mm)
    n_slices = max(1, round(thickness / protocol.spacing_mm))
    return project_minimum(swi, grid, thickness_mm=thickness), 1 - _least_of(n_slices) / protocol.snr


@lru_cache(maxsize=32)
def _least_of(count: int) -> float:
    """Return how far the least of some normal values lies below their mean, SDs: Blom's approximation."""
    return float(ndtri((count - 0.375) / (count + 0.25))) if count > 1 else 0.0


def _measure(
    image: FloatArray, grid: Grid, across: int, *, protocol: ConventionalProtocol, rule: ReadingRule
) -> _Void:
    """Return the void on an image whose tissue is 1."""
    labels, count = ndimage.label(image < rule.dark_ratio)
    if not count:
        return _NOTHING
    void = labels == labels[np.unravel_index(np.argmin(image), image.shape)]
    in_plane = tuple(axis for axis in range(3) if axis != across)
    voxels = void.sum(axis=in_plane)
    best = int(np.argmax(voxels))
    pixel_mm2 = grid.voxel_volume_mm3 / grid.voxel_size_mm[across]
    area_mm2 = float(voxels[best]) * pixel_mm2
    inside = np.take(image, best, axis=across)[np.take(void, best, axis=across)]
    # Pixels of a zero-filled image are not independent: acquired voxels are counted, one at least.
    independent = max(1.0, area_mm2 / protocol.in_plane_mm**2)
    contrast = float(1 - np.mean(inside, dtype=np.float64)) * protocol.snr * float(np.sqrt(independent))
    return _Void(2 * float(np.sqrt(area_mm2 / np.pi)), float(void.sum()) * grid.voxel_volume_mm3, contrast)
