"""Field form of the lesion fit: a point dipole and a cubic on the unwrapped field, the void left out.

Starts the complex fit and checks it; truncation ringing of the void costs it 5 to 15 %.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.lesion_model import Source
from qsmcmb.microbleeds.neighbourhood import Neighbourhood, polynomials
from qsmcmb.typing import FloatArray
from qsmcmb.units import hz_to_ppm

VOID = 0.6
"""Voxels darker than this part of the local median are in the void."""
START_RADIUS_MM = 1.2
SHIFTS_MM = (-1.0, 0.0, 1.0)


def fit_field_form(near: Neighbourhood, field_hz: FloatArray) -> Source:
    """Return the dipole that fits the field best, its centre searched around the point.

    Parameters
    ----------
    near : Neighbourhood
        The scan around the point.
    field_hz : ndarray
        Field in the neighbourhood's box, Hz.

    Returns
    -------
    Source
        Total susceptibility (ppm mm3) and centre (mm from the point).
    """
    usable = _usable(near)
    xyz = near.coordinates_mm[:, usable]
    values = hz_to_ppm(field_hz[usable].astype(np.float64), near.b0_tesla)
    basis = polynomials(xyz / near.radius_mm, 3)
    projector = np.linalg.pinv(basis)
    values = values - basis @ (projector @ values)
    best = Source(0.0, (0.0, 0.0, 0.0), START_RADIUS_MM)
    explained = -1.0
    for shift in np.stack(np.meshgrid(SHIFTS_MM, SHIFTS_MM, SHIFTS_MM, indexing="ij"), axis=-1).reshape(
        -1, 3
    ):
        kernel = dipole(xyz - shift[:, None], np.array(near.grid.b0_dir))
        kernel = kernel - basis @ (projector @ kernel)
        power = float(kernel @ kernel)
        if power <= 0:
            continue
        moment = float(kernel @ values) / power
        if moment**2 * power > explained:
            explained = moment**2 * power
            best = Source(moment, (float(shift[0]), float(shift[1]), float(shift[2])), START_RADIUS_MM)
    return best


def dipole(xyz: FloatArray, b0_dir: FloatArray) -> FloatArray:
    """Return the field (ppm) of 1 ppm mm3 at (3, n) distances in mm."""
    r2 = np.maximum((xyz**2).sum(axis=0), 0.25)
    along = b0_dir @ xyz
    return np.asarray((3 * along**2 / r2 - 1) / (4 * np.pi * r2**1.5))


def _usable(near: Neighbourhood) -> np.ndarray:
    magnitude = np.abs(near.signal[-1])
    level = np.median(magnitude[near.inside]) if near.inside.any() else 0.0
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    usable = near.inside & (magnitude > VOID * level) & (radius > 1.5 * max(near.grid.voxel_size_mm))
    return usable if usable.sum() > 60 else near.inside
