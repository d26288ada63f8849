"""Field form of the lesion fit: a point dipole, or a ball that can be seen into, and a cubic on the unwrapped field.

Starts the complex fit and checks it; truncation ringing of the void costs it 5 to 15 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.core.point_dipole import dipole
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.model import Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm, ppm_to_hz

VOID = 0.6
"""Voxels darker than this part of the local median are in the void."""
START_RADIUS_MM = 1.2
SHIFTS_MM = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
BALLS_MM = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
CORE = 0.6
"""Part of a ball's radius within which it shows whether it keeps its signal."""


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
    return _best_ball(near, field_hz, usable_voxels(near), (0.0,))._replace(radius_mm=START_RADIUS_MM)


def fit_ball_form(near: Neighbourhood, field_hz: FloatArray) -> Source | None:
    """Return the ball that fits the field best, inside and out, where it keeps its signal.

    Its inside has the field of the others alone, and a lesion of some millimetres whose signal is kept (a solution,
    an iron deposit) shows that. Parameters as for `fit_field_form`.

    Returns
    -------
    Source or None
        None where the ball is dark, as bleeds are.
    """
    magnitude = np.abs(near.signal[-1])
    level = VOID * np.median(magnitude[near.inside])
    ball = _best_ball(near, field_hz, near.inside & (magnitude > level), BALLS_MM)
    offset = near.coordinates_mm - np.array(ball.centre_mm).reshape(3, 1, 1, 1)
    reach = max(CORE * ball.radius_mm, CORE * max(near.grid.voxel_size_mm))
    core = near.inside & ((offset**2).sum(axis=0) < reach**2)
    return ball if core.any() and np.median(magnitude[core]) > level else None


def _best_ball(
    near: Neighbourhood, field_hz: FloatArray, usable: BoolArray, radii_mm: Sequence[float]
) -> Source:
    """Return the ball, among some radii and centres around the point, that explains the usable voxels' field best."""
    left = field_left(near, field_hz, usable)
    best, explained = Source(0.0, (0.0, 0.0, 0.0), radii_mm[0]), -1.0
    for shift in SHIFTS_MM:
        offset = left.xyz - shift[:, None]
        outside = dipole(offset, np.array(near.grid.b0_dir))
        distance2 = (offset**2).sum(axis=0)
        kernels = [np.where(distance2 > r**2, outside, 0.0) if r else outside for r in radii_mm]
        ball = best_kernel(left, np.stack(kernels))
        if ball.explained > explained:
            explained = ball.explained
            best = Source(
                ball.strength, (float(shift[0]), float(shift[1]), float(shift[2])), radii_mm[ball.number]
            )
    return best


def with_background(near: Neighbourhood, source: Source) -> Neighbourhood:
    """Return a neighbourhood that knows its background: a cubic through what a source leaves of the field."""
    usable = usable_voxels(near)
    xyz = near.coordinates_mm[:, usable]
    offset = xyz - np.array(source.centre_mm)[:, None]
    own = source.total_chi_ppm_mm3 * dipole(offset, np.array(near.grid.b0_dir))
    values = near.field_hz[usable] - ppm_to_hz(own, near.b0_tesla)
    return replace(near, background=np.linalg.pinv(polynomials(xyz / near.radius_mm, 3)) @ values)


class Residue(NamedTuple):
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


def field_left(near: Neighbourhood, field_hz: FloatArray, usable: BoolArray) -> Residue:
    """Return what a cubic leaves of the field (Hz) at usable voxels."""
    xyz = near.coordinates_mm[:, usable]
    values = hz_to_ppm(field_hz[usable].astype(np.float64), near.b0_tesla)
    basis = polynomials(xyz / near.radius_mm, 3)
    projector = np.linalg.pinv(basis)
    return Residue(xyz, values - basis @ (projector @ values), basis, projector)


def best_kernel(left: Residue, kernels: FloatArray) -> BestKernel:
    """Return which of (n, voxel) fields of unit strength explains the rest of the field best, a cubic beside it."""
    kernels = kernels - (kernels @ left.projector.T) @ left.basis.T
    power = np.maximum((kernels**2).sum(axis=1), 1e-30)
    along = kernels @ left.values
    best = int((along**2 / power).argmax())
    return BestKernel(best, float(along[best] / power[best]), float(along[best] ** 2 / power[best]))


def usable_voxels(near: Neighbourhood) -> np.ndarray:
    magnitude = np.abs(near.signal[-1])
    level = np.median(magnitude[near.inside]) if near.inside.any() else 0.0
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    usable = near.inside & (magnitude > VOID * level) & (radius > 1.5 * max(near.grid.voxel_size_mm))
    return usable if usable.sum() > 60 else near.inside
