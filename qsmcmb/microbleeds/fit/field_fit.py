"""Field form of the lesion fit: a point dipole, or a ball that can be seen into, and a cubic on the unwrapped field.

Starts the complex fit and checks it; truncation ringing of the void costs it 5 to 15 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm, ppm_to_hz

VOID = 0.6
"""Voxels darker than this part of the local median are in the void."""
START_RADIUS_MM = 1.2
SEARCH_SHIFTS_MM = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
SEARCH_RADII_MM = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
CORE = 0.6
"""Part of a ball's radius within which it shows whether it keeps its signal."""


def fit_point_dipole(patch: Patch, field_hz: FloatArray) -> Source:
    """Return the dipole that fits the field best, its centre searched around the point.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    field_hz : ndarray
        Field in the neighbourhood's box, Hz.

    Returns
    -------
    Source
        Total susceptibility (ppm mm3) and centre (mm from the point).
    """
    return _search_ball(patch, field_hz, voxels_outside_void(patch), (0.0,))._replace(
        radius_mm=START_RADIUS_MM
    )


def fit_signal_retaining_ball(patch: Patch, field_hz: FloatArray) -> Source | None:
    """Return the ball that fits the field best, inside and out, where it keeps its signal.

    Its inside has the field of the others alone, and a lesion of some millimetres whose signal is kept (a solution,
    an iron deposit) shows that. Parameters as for `fit_point_dipole`.

    Returns
    -------
    Source or None
        None where the ball is dark, as bleeds are.
    """
    magnitude = np.abs(patch.signal[-1])
    level = VOID * np.median(magnitude[patch.inside])
    ball = _search_ball(patch, field_hz, patch.inside & (magnitude > level), SEARCH_RADII_MM)
    offset = patch.coordinates_mm - np.array(ball.centre_mm).reshape(3, 1, 1, 1)
    reach = max(CORE * ball.radius_mm, CORE * max(patch.grid.voxel_size_mm))
    core = patch.inside & ((offset**2).sum(axis=0) < reach**2)
    return ball if core.any() and np.median(magnitude[core]) > level else None


def _search_ball(patch: Patch, field_hz: FloatArray, usable: BoolArray, radii_mm: Sequence[float]) -> Source:
    """Return the ball, among some radii and centres around the point, that explains the usable voxels' field best."""
    left = detrend_field(patch, field_hz, usable)
    best, explained = Source(0.0, (0.0, 0.0, 0.0), radii_mm[0]), -1.0
    for shift in SEARCH_SHIFTS_MM:
        offset = left.xyz - shift[:, None]
        outside = point_dipole_field(offset, np.array(patch.grid.b0_dir))
        distance2 = (offset**2).sum(axis=0)
        kernels = [np.where(distance2 > r**2, outside, 0.0) if r else outside for r in radii_mm]
        ball = best_kernel(left, np.stack(kernels))
        if ball.explained > explained:
            explained = ball.explained
            best = Source(
                ball.strength, (float(shift[0]), float(shift[1]), float(shift[2])), radii_mm[ball.number]
            )
    return best


def with_fitted_field(patch: Patch, source: Source) -> Patch:
    """Return a neighbourhood that knows its background: a cubic through what a source leaves of the field."""
    usable = voxels_outside_void(patch)
    xyz = patch.coordinates_mm[:, usable]
    offset = xyz - np.array(source.centre_mm)[:, None]
    own = source.total_chi_ppm_mm3 * point_dipole_field(offset, np.array(patch.grid.b0_dir))
    values = patch.field_hz[usable] - ppm_to_hz(own, patch.acquisition.b0_tesla)
    return replace(patch, background=np.linalg.pinv(polynomials(xyz / patch.radius_mm, 3)) @ values)


class DetrendedField(NamedTuple):
    """Field (ppm) that a cubic leaves at some voxels (3, n; mm), and what takes the cubic off."""

    xyz: FloatArray
    values: FloatArray
    basis: FloatArray
    projector: FloatArray


class BestKernel(NamedTuple):
    """Which of some fields explains the data best: its number, its strength, and how much of them (squared ppm)."""

    number: int
    strength: float
    explained: float


def detrend_field(patch: Patch, field_hz: FloatArray, usable: BoolArray) -> DetrendedField:
    """Return what a cubic leaves of the field (Hz) at usable voxels."""
    xyz = patch.coordinates_mm[:, usable]
    values = hz_to_ppm(field_hz[usable].astype(np.float64), patch.acquisition.b0_tesla)
    basis = polynomials(xyz / patch.radius_mm, 3)
    projector = np.linalg.pinv(basis)
    return DetrendedField(xyz, values - basis @ (projector @ values), basis, projector)


def best_kernel(left: DetrendedField, kernels: FloatArray) -> BestKernel:
    """Return which of (n, voxel) fields of unit strength explains the rest of the field best, a cubic beside it."""
    kernels = kernels - (kernels @ left.projector.T) @ left.basis.T
    power = np.maximum((kernels**2).sum(axis=1), 1e-30)
    along = kernels @ left.values
    best = int((along**2 / power).argmax())
    return BestKernel(best, float(along[best] / power[best]), float(along[best] ** 2 / power[best]))


def voxels_outside_void(patch: Patch) -> np.ndarray:
    magnitude = np.abs(patch.signal[-1])
    level = np.median(magnitude[patch.inside]) if patch.inside.any() else 0.0
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    usable = patch.inside & (magnitude > VOID * level) & (radius > 1.5 * max(patch.grid.voxel_size_mm))
    return usable if usable.sum() > 60 else patch.inside
