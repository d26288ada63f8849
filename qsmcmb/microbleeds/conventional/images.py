"""Image of a fitted source as a conventional scan takes it, by the forward model of the lesion fit.

The fitted source keeps its total susceptibility, shape and orientation to B0; the decay inside grows with the field
strength. Its factor on the signal of uniform tissue is formed on cells smaller than a voxel and taken through k-space
of the other scan, or through its slice profile. Slices lie across the axis of the image that is nearest to B0; within
them the image is zero-filled to twice the matrix, as scanners show it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.conventional.protocols import ConventionalProtocol
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import PointSpread
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, ROW_CENTRE, ROW_RADIUS, SourceShape
from qsmcmb.model import Grid
from qsmcmb.typing import ComplexArray, FloatArray, Triple
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = ("SourceModel", "blooming_mm3", "form_signal", "slice_axis", "source_of_fit")

ZERO_FILLING = 2
"""Ratio of the shown matrix to the acquired one within the slice."""
MARGIN_MM = 8.0
"""Tissue around the void that is formed, mm: two widths of the filter of the phase."""
MAX_REACH_MM = 20.0
"""Largest distance from the source's centre that is formed, mm."""


class SourceModel(NamedTuple):
    """Fitted source, free of the scan that it was fitted in."""

    rows: FloatArray
    """Bodies as the shape's loop reads them, centres in mm from the source's, (n, k)."""
    shape: SourceShape
    """Shape of the bodies."""
    total_chi_ppm_mm3: float
    """Total susceptibility, ppm mm3."""
    decay_hz_per_tesla: float
    """R2* inside above the tissue's, 1/s per tesla."""
    b0_dir: Triple
    """Direction of B0 in voxel axes, a unit vector."""


def source_of_fit(state: FitState) -> SourceModel:
    """Return the source of a fit.

    Parameters
    ----------
    state : FitState
        State in which the fit has ended.

    Returns
    -------
    SourceModel
        Its bodies around their own centre.
    """
    grid, acquisition = state.model.patch.grid, state.model.patch.acquisition
    rows = state.rows
    rows[:, ROW_CENTRE] -= state.parameters[LAYOUT.centre]
    return SourceModel(
        rows=rows,
        shape=state.model.shape,
        total_chi_ppm_mm3=float(state.parameters[LAYOUT.total]),
        decay_hz_per_tesla=state.decay_hz / acquisition.b0_tesla,
        b0_dir=grid.b0_dir,
    )


def slice_axis(source: SourceModel) -> int:
    """Return the axis of the image across which conventional slices lie: the one nearest to B0.

    Parameters
    ----------
    source : SourceModel
        The source.

    Returns
    -------
    int
        Axis, 0 to 2.
    """
    return int(np.argmax(np.abs(source.b0_dir)))


def blooming_mm3(total_chi_ppm_mm3: float, *, b0_tesla: float, te_s: float) -> float:
    """Return the volume whose signal a strong point source takes.

    Parameters
    ----------
    total_chi_ppm_mm3 : float
        Total susceptibility, ppm mm3.
    b0_tesla : float
        Field strength, T.
    te_s : float
        Echo time, s.

    Returns
    -------
    float
        Volume, mm3: the integral of the lost fraction of the signal, the dark body included.

    Notes
    -----
    With the total susceptibility M::

        V = 2 pi / (9 sqrt(3)) 2 pi gamma B0 TE |M| = 0.1078 B0 TE |M|      (T, ms, ppm mm3)

    It holds once the phase at the body's surface is some radians; the void that is seen is larger or smaller, by the
    threshold and by the voxels.

    References
    ----------
    Yablonskiy DA, Haacke EM. Theory of NMR signal behavior in magnetically inhomogeneous tissues: the static dephasing
    regime. Magn Reson Med 1994;32:749-763. doi:10.1002/mrm.1910320610

    Examples
    --------
    >>> round(blooming_mm3(2.0, b0_tesla=3.0, te_s=0.02), 2)
    12.94
    """
    phase_rate = 2 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * te_s
    return float(2 * np.pi / (9 * np.sqrt(3)) * phase_rate * abs(total_chi_ppm_mm3))


def form_signal(
    source: SourceModel, protocol: ConventionalProtocol, offset_mm: float
) -> tuple[ComplexArray, Grid]:
    """Return the signal around a source as a conventional scan has it, without noise.

    Parameters
    ----------
    source : SourceModel
        The source.
    protocol : ConventionalProtocol
        The scan.
    offset_mm : float
        Distance of the middle of the nearest slice from the source's centre, mm.

    Returns
    -------
    signal : ndarray of shape grid.shape, complex
        Signal, 1 in the tissue; the source's centre lies on the middle voxel but for the offset.
    grid : Grid
        Its voxels: zero-filled within the slice, a slice's distance across.
    """
    across = slice_axis(source)
    size, windows = [protocol.in_plane_mm / ZERO_FILLING] * 3, [KSpaceWindow(edge=1 / ZERO_FILLING)] * 3
    size[across], windows[across] = protocol.spacing_mm, KSpaceWindow()
    profile = SliceProfile(across, protocol.slice_mm / protocol.spacing_mm) if protocol.two_d else None
    reach_mm = _reach_mm(source, protocol)
    half = [int(np.ceil(reach_mm / v)) for v in size]
    shape = (2 * half[0] + 1, 2 * half[1] + 1, 2 * half[2] + 1)
    axes = [v * np.arange(-n, n + 1.0) for n, v in zip(half, size, strict=True)]
    axes[across] = axes[across] + offset_mm
    grid = replace(Grid.from_affine(shape, np.diag([*size, 1.0])), b0_dir=source.b0_dir)
    patch = Patch(
        acquisition=Acquisition(
            te_s=(protocol.te_s,), b0_tesla=protocol.b0_tesla, noise_sd=1 / protocol.snr,
            windows=(windows[0], windows[1], windows[2]), slice_profile=profile,
        ),
        grid=grid, signal=np.ones((1, *shape), np.complex64), field_hz=np.zeros(shape, np.float32),
        inside=np.ones(shape, bool), axes_mm=(axes[0], axes[1], axes[2]), radius_mm=reach_mm, fraction_in_mask=1.0,
        box=(slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])),
    )  # fmt: skip
    spread = PointSpread(
        patch, source.total_chi_ppm_mm3, np.zeros(3), float(source.rows[:, ROW_RADIUS].max())
    )
    decay_hz = source.decay_hz_per_tesla * protocol.b0_tesla
    change = spread.factor(source.rows, decay_hz, 0.0, shape=source.shape)
    return np.asarray(1 + change.reshape(shape)), grid


def _reach_mm(source: SourceModel, protocol: ConventionalProtocol) -> float:
    """Return the distance from the source's centre that is formed, mm."""
    void = blooming_mm3(source.total_chi_ppm_mm3, b0_tesla=protocol.b0_tesla, te_s=protocol.te_s)
    extent = float((np.linalg.norm(source.rows[:, ROW_CENTRE], axis=1) + source.rows[:, ROW_RADIUS]).max())
    return min(MARGIN_MM + max(extent, (3 * void / (4 * np.pi)) ** (1 / 3)), MAX_REACH_MM)
