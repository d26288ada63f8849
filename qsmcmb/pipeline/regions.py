"""The structures of a scan's head: carried over from the region map, by R2* or, for one echo, by the magnitude."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.anatomy.head_regions import HeadRegions, locate_regions
from qsmcmb.lesion import Microbleed
from qsmcmb.model import GreScan
from qsmcmb.registration.rigid import Image
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["NOT_REGISTERED", "cerebellum_depths", "find_regions"]

NOT_REGISTERED = (
    "territory and region of all lesions are n/a: the scan does not fit the template's brain "
    "(part of a head, no head, or another orientation); give a segmentation for them"
)
"""Warning where the registration failed."""
MAX_R2STAR_HZ = 80.0
"""R2* above which nothing more is seen of tissue, 1/s: veins, and signal that air takes."""
DARKEST = 0.05
"""Least magnitude that counts, relative to the brain's median: its logarithm has no end below."""


def find_regions(scan: GreScan, brain: BoolArray, r2star_hz: FloatArray | None) -> HeadRegions | None:
    """Find the structures of a scan's head.

    Parameters
    ----------
    scan : GreScan
        The scan.
    brain : ndarray of shape scan.grid.shape, bool
        Brain mask.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s; None where there is none yet.

    Returns
    -------
    HeadRegions or None
        None where the scan does not fit the template.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> find_regions(scan, ones > 0, None) is None
    True
    """
    if not brain.any():
        return None
    if r2star_hz is None and scan.n_echoes > 1 and scan.decay_known:
        r2star_hz = map_r2star(scan.magnitude, brain, te_s=scan.te_s)
    if r2star_hz is not None:
        values = np.clip(np.nan_to_num(r2star_hz), 0, MAX_R2STAR_HZ)
    else:
        total = np.sqrt((scan.magnitude.astype(np.float32) ** 2).sum(axis=0))
        values = np.log(np.maximum(total, max(DARKEST * float(np.median(total[brain])), 1e-30)))
    return locate_regions(Image(values.astype(np.float32), brain, scan.grid, scan.name))


def cerebellum_depths(lesions: Sequence[Microbleed], regions: HeadRegions | None) -> dict[int, str]:
    """Return the depth of lesions in the cerebellum.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Lesions.
    regions : HeadRegions or None
        Structures of the head.

    Returns
    -------
    dict of int to str
        Superficial or deep, by the lesion's label, where it lies in the cerebellum.

    Examples
    --------
    >>> cerebellum_depths([Microbleed(1, (0.0, 0.0, 0.0))], None)
    {}
    """
    if regions is None or not lesions:
        return {}
    locations = regions.locate(np.array([m.position_mm for m in lesions]))
    return {
        m.label: p.cerebellum_depth for m, p in zip(lesions, locations, strict=True) if p.cerebellum_depth
    }
