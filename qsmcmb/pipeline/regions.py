"""The structures of a scan's head: the user's segmentation, or the region map carried over to the scan.

The region map is registered by R2* or, for one echo, by the magnitude. Where a segmentation has no gyri, it gives the
lobes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qsmcmb.anatomy.head_regions import HeadRegions, locate_regions
from qsmcmb.anatomy.segmentation import Segmentation, fill_lobes, labelled_box
from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import Microbleed
from qsmcmb.masking.brain import bright
from qsmcmb.model import GreScan
from qsmcmb.registration.rigid import Image
from qsmcmb.relaxometry.r2star import map_r2star
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["NOT_REGISTERED", "cerebellum_depths", "find_region_faults", "find_regions", "with_segmentation"]

NOT_REGISTERED = (
    "territory and region of all lesions are n/a: the scan does not fit the template's brain "
    "(part of a head, no head, or another orientation); give a segmentation for them"
)
"""Warning where the registration failed."""
MIN_IN_HEAD = 0.5
"""Least fraction of a segmentation's brain that must show signal: air and bleeds take far less of it."""
MAX_OUTSIDE = 0.15
"""Fraction of a segmentation's brain outside the brain mask from which it may lie beside the scan: a shift by 10 mm."""
MAX_R2STAR_HZ = 80.0
"""R2* above which nothing more is seen of tissue, 1/s: veins, and signal that air takes."""
DARKEST = 0.05
"""Least magnitude that counts, relative to the brain's median: its logarithm has no end below."""


def find_regions(
    scan: GreScan,
    brain: BoolArray,
    r2star_hz: FloatArray | None,
    segmentation: Segmentation | None = None,
) -> HeadRegions | None:
    """Find the structures of a scan's head.

    Parameters
    ----------
    scan : GreScan
        The scan.
    brain : ndarray of shape scan.grid.shape, bool
        Brain mask.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s; None where there is none yet.
    segmentation : Segmentation, optional
        The user's; wins over the region map, which gives it lobes where it has none.

    Returns
    -------
    HeadRegions or None
        None where there is no segmentation and the scan does not fit the template.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> find_regions(scan, ones > 0, None) is None
    True
    """
    if segmentation is not None and segmentation.has_lobes:
        return segmentation.regions
    by_template = _register(scan, brain, r2star_hz)
    if segmentation is None:
        return by_template
    return segmentation.regions if by_template is None else fill_lobes(segmentation.regions, by_template)


def _register(scan: GreScan, brain: BoolArray, r2star_hz: FloatArray | None) -> HeadRegions | None:
    """Return the structures of the region map on a scan; None where it does not fit the template."""
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


def with_segmentation(scan: GreScan, segmentation: Segmentation | None) -> GreScan:
    """Return the scan with what must be said of the user's segmentation among its warnings.

    Parameters
    ----------
    scan : GreScan
        The scan.
    segmentation : Segmentation or None
        The user's, on the scan's grid.

    Returns
    -------
    GreScan
        The same images.

    Raises
    ------
    InvalidInputError
        SEGMENTATION where it lies beside the head, with the box of the labels and that of the head.

    Examples
    --------
    >>> from pathlib import Path
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 2.0)
    >>> magnitude = np.zeros((1, *grid.shape), np.float32)
    >>> magnitude[:, 8:] = 1
    >>> scan = GreScan(phase_rad=0 * magnitude, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> labels = (magnitude[0] > 0).astype(np.int32)
    >>> given = Segmentation(Path("a.nii"), HeadRegions(labels, labels < 0, grid, None, None), ("a.nii: a note",))
    >>> with_segmentation(scan, given).warnings
    ('a.nii: a note',)
    """
    if segmentation is None:
        return scan
    labels, grid = segmentation.regions.labels, scan.grid
    head = bright(np.nan_to_num(scan.magnitude), grid)
    share = float(head[labels > 0].mean())
    if share < MIN_IN_HEAD:
        place = f", {labelled_box(head, grid)}" if head.any() else ""
        raise InvalidInputError(
            "SEGMENTATION", segmentation.path, field="place of the labels",
            found=f"{labelled_box(labels > 0, grid)}; {100 * share:.0f} % of them where the scan shows signal",
            expected=f"labels on the head{place}",
            fix="register the segmentation's image to the scan, and write the segmentation in the scan's space",
        )  # fmt: skip
    return replace(scan, warnings=(*scan.warnings, *segmentation.notes))


def find_region_faults(
    lesions: Sequence[Microbleed], regions: HeadRegions | None, brain: BoolArray
) -> tuple[str, ...]:
    """Return warnings about the structures of a head.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Lesions of the scan.
    regions : HeadRegions or None
        Structures of the head; None where there are none.
    brain : ndarray of bool
        Brain mask.

    Returns
    -------
    tuple of str
        Lesions without a region, and a segmentation that may lie beside the brain.

    Examples
    --------
    >>> find_region_faults([], None, np.ones((4, 4, 4), bool))
    ()
    """
    if regions is None:
        return (NOT_REGISTERED,) if lesions else ()
    if regions.dice is not None:
        return ()
    faults = []
    outside = float(1 - brain[regions.labels > 0].mean())
    if outside > MAX_OUTSIDE:
        faults.append(
            f"{100 * outside:.0f} % of the segmentation's brain lie outside the brain mask: look at both on the "
            "magnitude; the segmentation must be registered to the scan"
        )
    if any(m.territory == "lobar" and m.mars_region is None for m in lesions):
        faults.append(
            "the lobe of some lesions is n/a: the segmentation has no gyri, and the scan does not fit the template; "
            "give aparc+aseg, or SynthSeg's output with --parc"
        )
    return tuple(faults)


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
