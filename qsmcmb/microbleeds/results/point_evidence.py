"""Evidence of all points of a scan before any is fitted: each is screened, its surroundings are described."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.crosscheck.head_frame import find_head_frame
from qsmcmb.microbleeds.fit.screening import Screening, screen_candidate
from qsmcmb.microbleeds.results.evidence import Evidence, gather_evidence
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

__all__ = ["describe_points", "screen_points"]


def screen_points(
    patches: Sequence[Patch | None], positions_mm: FloatArray, *, reach_mm: float
) -> list[Screening | None]:
    """Screen all points by signal and field map.

    Parameters
    ----------
    patches : sequence of Patch or None
        The scan around each point; None where too little of it lies in the mask.
    positions_mm : ndarray of shape (n, 3)
        The points along the axes of the voxels, mm.
    reach_mm : float
        Distance, mm, up to which other points' dipoles are fitted beside a point's.

    Returns
    -------
    list of Screening or None
        None where there is no patch.
    """

    def screen(i: int) -> Screening | None:
        patch = patches[i]
        if patch is None:
            return None
        others_mm = np.delete(positions_mm, i, axis=0) - positions_mm[i]
        return screen_candidate(patch, others_mm[np.linalg.norm(others_mm, axis=1) <= reach_mm])

    return run_each(screen, range(len(patches)))


def describe_points(
    patches: Sequence[Patch | None],
    screened: Sequence[Screening | None],
    fields: ScanFields,
    grid: Grid,
    *,
    points_mm: FloatArray,
    scores: Sequence[float | None],
) -> list[Evidence | None]:
    """Gather the evidence of all points.

    Parameters
    ----------
    patches, screened : sequence
        The scan around each point, and what signal and field map say of it; None where too little lies in the mask.
    fields : ScanFields
        Mask and susceptibility map of the scan.
    grid : Grid
        Geometry of the scan.
    points_mm : ndarray of shape (n, 3)
        The points, scanner RAS+ mm.
    scores : sequence of float or None
        Detector's score of each.

    Returns
    -------
    list of Evidence or None
        The figures of the fit are None.
    """
    if all(patch is None for patch in patches):
        return [None] * len(patches)
    frame = find_head_frame(fields, grid)

    def describe(i: int) -> Evidence | None:
        patch, found = patches[i], screened[i]
        if patch is None or found is None:
            return None
        return gather_evidence(patch, found, fields, frame, point_mm=points_mm[i], detector_score=scores[i])

    return run_each(describe, range(len(patches)))
