"""Field fit: a point dipole, or a ball that retains its signal, and a cubic on the unwrapped field map.

    f(r) = M (3 cos^2 theta - 1) / (4 pi r^3) + cubic(r)

in ppm, linear in the total susceptibility M and in the cubic's coefficients; the centre is searched on a grid of 1 mm.
A ball that retains its signal shows its inside, too, where its own field is 0 (the Lorentz sphere is taken off). The
field fit starts the lesion fit and gives its background field. It is no estimate of its own: truncation ringing of the
void makes it err by 5 to 15 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.fit.levenberg_marquardt import triple
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm, ppm_to_hz

__all__ = [
    "NO_POINTS",
    "SEARCH_SHIFTS_MM",
    "BestKernel",
    "DetrendedField",
    "best_kernel",
    "detrend_field",
    "fit_point_dipole",
    "fit_signal_retaining_ball",
    "retains_signal",
    "voxels_outside_void",
    "with_fitted_field",
]

VOID_FRACTION = 0.6
"""Fraction of the patch's median magnitude at the longest echo below which a voxel is in the void."""
START_RADIUS_MM = 1.2
"""Radius that goes with a fitted dipole, mm: of a usual microbleed. It only lays out the cells of
the lesion fit."""
SEARCH_SHIFTS_MM = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Shifts of a centre from the point, mm, (27, 3): points lie within about 2 mm, and the fit moves on from there."""
SEARCH_RADII_MM = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
"""Radii of a signal-retaining ball, mm: from a voxel and a half to the largest that fits into a patch."""
CORE_FRACTION = 0.6
"""Fraction of a ball's radius within which its magnitude shows whether it retains its signal: the edge is dephased."""
MIN_CENTRE_DISTANCE_VOXELS = 1.5
"""Distance from the point, in longest edges of a voxel, below which a voxel is left out: there no dipole holds."""
NO_POINTS = np.zeros((0, 3))
"""Other points of a field in which there are none, mm."""
MIN_VOXELS = 60
"""Least number of voxels outside the void, three times the cubic's coefficients; with fewer all voxels are used."""


def fit_point_dipole(patch: Patch, field_hz: FloatArray) -> Source:
    """Fit a point dipole and a cubic to the field outside the void, its centre searched around the point.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    field_hz : ndarray of shape patch.inside.shape
        Total field in the patch's box, Hz.

    Returns
    -------
    Source
        Total susceptibility (ppm mm3) and centre (mm from the point); its radius is START_RADIUS_MM.

    Examples
    --------
    >>> from qsmcmb.microbleeds.signal.acquisition import Acquisition
    >>> from qsmcmb.model import Grid
    >>> grid, axis = Grid.isotropic((9, 9, 9), 1.0), np.arange(9) - 4.0
    >>> xyz = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    >>> dipole = point_dipole_field(xyz.reshape(3, -1), np.array(grid.b0_dir)).reshape(grid.shape)
    >>> patch = Patch(
    ...     acquisition=Acquisition(te_s=(0.02,), b0_tesla=3.0, noise_sd=0.01),
    ...     grid=grid,
    ...     signal=np.ones((1, *grid.shape), complex),
    ...     field_hz=ppm_to_hz(2.0 * dipole, 3.0),
    ...     inside=(xyz**2).sum(axis=0) <= 16,
    ...     axes_mm=(axis, axis, axis),
    ...     radius_mm=4.0,
    ...     fraction_in_mask=1.0,
    ...     box=(slice(0, 9), slice(0, 9), slice(0, 9)),
    ... )
    >>> round(fit_point_dipole(patch, patch.field_hz).total_chi_ppm_mm3, 3)
    2.0
    """
    source = _search_ball(patch, field_hz, voxels_outside_void(patch), (0.0,))
    return source._replace(radius_mm=START_RADIUS_MM)


def fit_signal_retaining_ball(patch: Patch, field_hz: FloatArray) -> Source | None:
    """Fit a ball that retains its signal and a cubic to the field, inside and out.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    field_hz : ndarray of shape patch.inside.shape
        Total field in the patch's box, Hz.

    Returns
    -------
    Source or None
        Total susceptibility (ppm mm3), centre (mm from the point) and radius (mm); None where the ball is dark
        inside, as bleeds are.
    """
    # Bright voxels at the point are used, too: they tell a ball from a dipole.
    magnitude, level = _last_echo(patch)
    ball = _search_ball(patch, field_hz, patch.inside & (magnitude > level), SEARCH_RADII_MM)
    return ball if retains_signal(patch, ball) else None


def retains_signal(patch: Patch, source: Source) -> bool:
    """Return whether the middle of a body keeps its signal to the last echo.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    source : Source
        The body.

    Returns
    -------
    bool
        False where its middle lies outside the patch.
    """
    offset = patch.coordinates_mm - np.array(source.centre_mm).reshape(3, 1, 1, 1)
    reach = max(CORE_FRACTION * source.radius_mm, CORE_FRACTION * max(patch.grid.voxel_size_mm))
    core = patch.inside & ((offset**2).sum(axis=0) < reach**2)
    magnitude, level = _last_echo(patch)
    return bool(core.any() and np.median(magnitude[core]) > level)


def _last_echo(patch: Patch) -> tuple[FloatArray, float]:
    """Return the last echo's magnitude in the patch's box, and the level below which it is a void."""
    magnitude = np.abs(patch.signal[-1])
    return magnitude, float(VOID_FRACTION * np.median(magnitude[patch.inside]))


def _search_ball(patch: Patch, field_hz: FloatArray, usable: BoolArray, radii_mm: Sequence[float]) -> Source:
    """Return the ball, among some radii and centres around the point, that explains the usable voxels' field best."""
    detrended = detrend_field(patch, field_hz, usable)
    best, explained = Source(0.0, (0.0, 0.0, 0.0), radii_mm[0]), -1.0
    for shift in SEARCH_SHIFTS_MM:
        offset = detrended.xyz - shift[:, None]
        outside = point_dipole_field(offset, np.array(patch.grid.b0_dir))
        distance2 = (offset**2).sum(axis=0)
        # A ball's own field is 0 inside; radius 0 stands for a point dipole.
        kernels = [np.where(distance2 > r**2, outside, 0.0) if r else outside for r in radii_mm]
        ball = best_kernel(detrended, np.stack(kernels))
        if ball.explained > explained:
            explained = ball.explained
            best = Source(ball.strength, triple(shift), radii_mm[ball.number])
    return best


def with_fitted_field(patch: Patch, source: Source) -> Patch:
    """Return a patch with its background field: a cubic through what a source leaves of the field map.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    source : Source
        The fitted dipole.

    Returns
    -------
    Patch
        Its `background` is set, Hz.
    """
    usable = voxels_outside_void(patch)
    xyz = patch.coordinates_mm[:, usable]
    offset = xyz - np.array(source.centre_mm)[:, None]
    lesion_ppm = source.total_chi_ppm_mm3 * point_dipole_field(offset, np.array(patch.grid.b0_dir))
    values = patch.field_hz[usable] - ppm_to_hz(lesion_ppm, patch.acquisition.b0_tesla)
    # Coordinates over the patch's radius, as `Patch.background` is defined.
    return replace(patch, background=np.linalg.pinv(polynomials(xyz / patch.radius_mm, 3)) @ values)


class DetrendedField(NamedTuple):
    """Field at some voxels without the cubic that fits it best, and what takes a cubic off."""

    xyz: FloatArray
    """Positions, mm from the point, (3, n)."""
    values: FloatArray
    """Field without the cubic, ppm, (n,)."""
    basis: FloatArray
    """Monomials up to the third order, and the dipoles of other points, (n, 20 or more)."""
    projector: FloatArray
    """Pseudoinverse of the basis, (20 or more, n)."""


class BestKernel(NamedTuple):
    """Kernel, of several, that explains a field best."""

    number: int
    """Index of the kernel among those given."""
    strength: float
    """Least-squares factor on the kernel: ppm mm3 where that is a field of 1 ppm mm3, ppm mm2 for a line's."""
    explained: float
    """Drop of the field's sum of squares by the kernel at this strength, squared ppm."""


def detrend_field(
    patch: Patch, field_hz: FloatArray, usable: BoolArray, *, others_mm: FloatArray = NO_POINTS
) -> DetrendedField:
    """Return a field at usable voxels without the cubic that fits it best.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    field_hz : ndarray of shape patch.inside.shape
        Field in the patch's box, Hz.
    usable : ndarray of bool, shape patch.inside.shape
        Voxels to use.
    others_mm : ndarray of shape (n, 3), optional
        Points, mm from the patch's, whose dipoles are taken off with the cubic.

    Returns
    -------
    DetrendedField
        Detrended field, ppm.
    """
    xyz = patch.coordinates_mm[:, usable]
    # In double precision: differences of large numbers are taken.
    values = hz_to_ppm(field_hz[usable].astype(np.float64), patch.acquisition.b0_tesla)
    basis = polynomials(xyz / patch.radius_mm, 3)
    if len(others_mm):
        basis = np.column_stack([basis, *(_dipole_beside(patch, xyz, other) for other in others_mm)])
    projector = np.linalg.pinv(basis)
    return DetrendedField(
        xyz=xyz, values=values - basis @ (projector @ values), basis=basis, projector=projector
    )


def _dipole_beside(patch: Patch, xyz: FloatArray, centre_mm: FloatArray) -> FloatArray:
    """Return the field of a dipole of 1 ppm mm3 at some voxels, ppm; 0 so near to it that no dipole holds."""
    offset = xyz - centre_mm[:, None]
    beyond = (offset**2).sum(axis=0) > (MIN_CENTRE_DISTANCE_VOXELS * max(patch.grid.voxel_size_mm)) ** 2
    return np.where(beyond, point_dipole_field(offset, np.array(patch.grid.b0_dir)), 0.0)


def best_kernel(detrended: DetrendedField, kernels: FloatArray) -> BestKernel:
    """Return the kernel that explains a detrended field best, a cubic free beside it.

    Parameters
    ----------
    detrended : DetrendedField
        The field.
    kernels : ndarray of shape (kernel, n)
        Fields of unit strength at its voxels, ppm.

    Returns
    -------
    BestKernel
        Number, strength and power of the kernel that explains most.

    Notes
    -----
    With the cubic taken off the kernel g, too, the strength is g.f / g.g and the sum of squares falls by (g.f)^2 / g.g.
    """
    kernels = kernels - (kernels @ detrended.projector.T) @ detrended.basis.T
    # A kernel that a cubic makes has no power left, and explains nothing.
    power = np.maximum((kernels**2).sum(axis=1), 1e-30)
    product = kernels @ detrended.values
    best = int((product**2 / power).argmax())
    return BestKernel(best, float(product[best] / power[best]), float(product[best] ** 2 / power[best]))


def voxels_outside_void(patch: Patch) -> BoolArray:
    """Return which voxels show tissue around a lesion: inside the patch, bright enough, and not at the point.

    Parameters
    ----------
    patch : Patch
        The scan around the point.

    Returns
    -------
    ndarray of bool, shape patch.inside.shape
        All of the patch's voxels where fewer than MIN_VOXELS are left.
    """
    # The void is largest at the longest echo.
    magnitude = np.abs(patch.signal[-1])
    level = np.median(magnitude[patch.inside]) if patch.inside.any() else 0.0
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    bright = magnitude > VOID_FRACTION * level
    usable = patch.inside & bright & (radius > MIN_CENTRE_DISTANCE_VOXELS * max(patch.grid.voxel_size_mm))
    return usable if usable.sum() > MIN_VOXELS else patch.inside
