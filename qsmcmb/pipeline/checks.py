"""Faults of a scan that its own results show: reported to the user, nothing is corrected."""

from __future__ import annotations

import numpy as np

from qsmcmb.field_mapping.phase_sign import sign_looks_inverted
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping.singularities import find_singularities

__all__ = ["find_field_faults", "find_map_faults"]

MAX_BRAIN_LITRES = 2.1
"""Volume, L, of the largest brains: a larger mask has scalp or neck in it."""
MIN_SIGNAL_FRACTION = 0.3
"""Fraction of the brain's median magnitude below which phase is noise."""
ECHO_WARNINGS = {
    1: ("one echo: R2* is n/a, the receive phase is not removed",),
    2: ("two echoes: R2* and field SD have no residual to check them",),
}
"""Warnings by the number of echoes."""


def find_field_faults(
    scan: GreScan, phase_rad: FloatArray, brain: BoolArray, *, mask_made: bool
) -> tuple[str, ...]:
    """Return warnings about the echoes, the mask and the phase.

    Parameters
    ----------
    scan : GreScan
        The scan.
    phase_rad : ndarray of shape scan.grid.shape
        Wrapped phase of the first echo without the receive phase, rad.
    brain : ndarray of bool
        Brain mask.
    mask_made : bool
        Whether the mask was made from the scan; the user's own is not judged.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> volume = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> find_field_faults(scan, scan.phase_rad[0], np.ones(grid.shape, bool), mask_made=True)
    ('one echo: R2* is n/a, the receive phase is not removed',)
    """
    mask_warnings = _mask_warnings(brain, scan) if mask_made else ()
    return (
        ECHO_WARNINGS.get(scan.n_echoes, ()) + mask_warnings + _singularity_warnings(phase_rad, brain, scan)
    )


def find_map_faults(
    scan: GreScan, chi_ppm: FloatArray, r2star_hz: FloatArray | None, mask: BoolArray
) -> tuple[str, ...]:
    """Return warnings about the susceptibility map.

    Parameters
    ----------
    scan : GreScan
        The scan.
    chi_ppm : ndarray of shape scan.grid.shape
        Susceptibility, ppm.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s, where it is known.
    mask : ndarray of bool
        Where the map is defined.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> find_map_faults(scan, 0 * ones, None, ones > 0)
    ()
    """
    if r2star_hz is None or not sign_looks_inverted(chi_ppm, r2star_hz, mask, scan.grid):
        return ()
    return (
        "where R2* is highest the tissue is diamagnetic: the phase sign may be inverted (--phase-sign -1)",
    )


def _mask_warnings(brain: BoolArray, scan: GreScan) -> tuple[str, ...]:
    litres = float(brain.sum()) * scan.grid.voxel_volume_mm3 / 1e6
    if litres <= MAX_BRAIN_LITRES:
        return ()
    return (
        f"the mask holds {litres:.1f} L, more than a brain: scalp or neck is in it; give a mask (--mask)",
    )


def _singularity_warnings(phase_rad: FloatArray, brain: BoolArray, scan: GreScan) -> tuple[str, ...]:
    magnitude = scan.magnitude[0]
    bright = brain & (magnitude > MIN_SIGNAL_FRACTION * np.median(magnitude[brain]))
    if not bright.any():
        return ()
    found = find_singularities(phase_rad, bright, scan.grid)
    if not found.n_lines:
        return ()
    return (
        f"phase has {found.n_lines} fringe lines with open ends, up to {found.longest_mm:.0f} mm long: no unwrapping "
        "is right there; combine the channels anew (MCPC-3D-S) or take the voxels around the lines out of the mask",
    )
