"""Lesion on a fine grid: its far field in closed form, its factor on the signal near it averaged over finer points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import Box, box_axes_mm
from qsmcmb.model import Grid
from qsmcmb.phantoms._signal_loops import add_dipoles, lesion_factor
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.scanner import Pose
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__: tuple[str, ...] = ()

POINTS_PER_AXIS = 6
"""Points per fine voxel and axis around a lesion: 216 points resolve the dephasing beside its surface."""
MIN_NEAR_MM = 4.0
"""Least distance from a lesion, mm, to which the signal is averaged over such points: past its surface."""
MAX_NEAR_MM = 9.0
"""Largest distance from a lesion, mm, to which it is: the field is smooth there at any echo time, and time grows with
the third power.
"""
MAX_MARGIN_MM = 6.0
"""Largest distance from the surface of a larger lesion, mm, to which it is."""
SMOOTH_RAD = 0.25
"""Phase across a fine voxel, rad, below which its centre stands for it: dephasing costs 0.3 % of the signal then."""


class NearSignal(NamedTuple):
    """A lesion's factor on the signal of each echo in a box of the fine grid; outside it the phase says all."""

    box: Box
    """Where the factor acts."""
    factor: ComplexArray
    """(echo, x, y, z)."""


def insert_lesion(
    field_ppm: FloatArray,
    lesion: PhantomLesion,
    fine: Grid,
    *,
    pose: Pose,
    echoes: FloatArray,
    negligible_ppm: float,
) -> NearSignal:
    """Add a lesion's far field in position, and return its factor on the signal near it.

    Parameters
    ----------
    field_ppm : ndarray of shape fine.shape
        Field, ppm; changed in place, but for the box of the factor.
    lesion : PhantomLesion
        The lesion, head mm.
    fine : Grid
        Fine grid.
    pose : Pose
        Pose of the head.
    echoes : ndarray of shape (2, n)
        Echo times (s), and the phase of 1 ppm at each (rad).
    negligible_ppm : float
        Field, ppm, that is left out.

    Returns
    -------
    NearSignal
        Box around the lesion, and the factor on each echo's signal in it.
    """
    turns = echoes[1]
    size = np.array(fine.voxel_size_mm)
    centre = fine.to_voxel(pose.to_world(lesion.centre_mm[None]))[0]
    dipoles, bodies = _in_voxel_axes(lesion, fine, pose, echoes)
    strength = lesion.total_abs_ppm_mm3 / (2 * np.pi)
    # Parts of an irregular shape may lie far from its centre.
    spread = float(np.linalg.norm(bodies[:, :3], axis=1).max()) if lesion.form else 0.0
    far = (strength / negligible_ppm) ** (1 / 3) + spread
    extent = np.linalg.norm(bodies[:, :3], axis=1) + bodies[:, 6]
    least, most = MIN_NEAR_MM, max(MAX_NEAR_MM, extent.max() + MAX_MARGIN_MM)
    smooth = (3 * strength * max(turns) * size.max() / SMOOTH_RAD) ** 0.25
    reach = float(np.clip(smooth, least, most)) + spread
    reach = max(reach, float(extent.max()) + float(size.max()))
    box, axes = _box(centre, max(far, reach), fine)
    core, core_axes = _box(centre, reach, fine)
    inner = np.array([[c.start - b.start, c.stop - b.start] for c, b in zip(core, box, strict=True)])
    b0_dir = np.array(fine.b0_dir)
    add_dipoles(field_ppm[box], *axes, dipoles, b0_dir, inner)
    factor = np.ones((len(turns), *(a.size for a in core_axes)), np.complex64)
    steps = ((np.arange(POINTS_PER_AXIS) + 0.5) / POINTS_PER_AXIS - 0.5) * size[:, None]
    lesion_factor(*core_axes, steps, dipoles, bodies, np.concatenate([b0_dir, turns]), factor)
    return NearSignal(core, factor)


def _box(
    centre: FloatArray, reach_mm: float, grid: Grid
) -> tuple[Box, tuple[FloatArray, FloatArray, FloatArray]]:
    """Return the box within reach of a point and its axes, mm from the point."""
    slices = []
    for c, v, n in zip(centre, grid.voxel_size_mm, grid.shape, strict=True):
        half = int(np.ceil(reach_mm / v))
        middle = round(float(c))
        first, last = min(max(middle - half, 0), n), min(max(middle + half + 1, 0), n)
        slices.append(slice(first, last))
    box = (slices[0], slices[1], slices[2])
    return box, box_axes_mm(grid, centre, box)


def _in_voxel_axes(
    lesion: PhantomLesion, grid: Grid, pose: Pose, echoes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return dipoles (n, 5) and bodies (m, 8 + echoes) of a lesion in mm along the voxel axes, from its centre.

    The last column of the dipoles is the index of the body.
    """
    te_s, turns = echoes
    tesla_s = turns / (2 * np.pi * GAMMA_MHZ_PER_T)
    turn = (grid.affine[:3, :3] / grid.voxel_size_mm).T @ pose.rotation
    dipoles, bodies = [], []
    for index, ball in enumerate(lesion.balls):
        position = turn @ (np.array(ball.centre_mm) - lesion.centre_mm)
        rows = ball.dipoles()
        rows[:, 1:] = rows[:, 1:] @ turn.T + position
        dipoles.append(np.column_stack([rows, np.full(len(rows), index)]))
        axis = turn @ np.array(ball.axis)
        signal = ball.signal * np.exp(-ball.decay_hz * te_s - ball.decay_hz_per_tesla * tesla_s)
        bodies.append([*position, *axis, ball.radius_mm * ball.stretch, ball.radius_mm, *signal])
    return np.concatenate(dipoles), np.array(bodies)
