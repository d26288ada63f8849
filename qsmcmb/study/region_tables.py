"""The region table of finished scans by other labels: from the maps on disk, nothing is computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.anatomy.region_table import REGION_COLUMNS, measure_regions, without_lesions
from qsmcmb.anatomy.segmentation import read_segmentation
from qsmcmb.cohorts.scan_rows import SCAN_COLUMNS, named_scan
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.lesion_table import column_sidecar
from qsmcmb.io.results import SessionResults
from qsmcmb.study.segmentations import find_segmentation

__all__ = ["measure_scan_regions", "region_columns"]


def region_columns(scans: Sequence[SessionResults]) -> dict[str, Any]:
    """Return the columns of a table over scans, each with its description.

    Parameters
    ----------
    scans : sequence of SessionResults
        Finished scans.

    Returns
    -------
    dict
        Columns in their order; those that name the scan are left out for `recon`.

    Examples
    --------
    >>> from qsmcmb.io.place import Place
    >>> list(region_columns([SessionResults(Place(Path("out")), "", "")]))[0]
    'structure'
    """
    named = {n: {"Description": text} for n, text in SCAN_COLUMNS.items()} if _is_study(scans) else {}
    return {**named, **column_sidecar(REGION_COLUMNS)}


def measure_scan_regions(scans: Sequence[SessionResults], labels: Path) -> list[dict[str, Any]]:
    """Measure the structures of a segmentation on the maps of finished scans.

    Parameters
    ----------
    scans : sequence of SessionResults
        Finished scans.
    labels : Path
        Segmentation of the one scan, or a derivatives folder with one of each.

    Returns
    -------
    list of dict
        One row for each scan, structure and side.

    Raises
    ------
    InvalidInputError
        SEGMENTATION for an image where there are several scans, and every gate of `read_segmentation`.

    Examples
    --------
    >>> measure_scan_regions([], Path("nowhere.nii.gz"))
    []
    """
    if len(scans) > 1 and not labels.is_dir():
        raise InvalidInputError(
            "SEGMENTATION", labels, field="scans", found=", ".join(s.place.prefix for s in scans),
            expected="the one scan that it lies on",
            fix="choose it by --participant-label and --session-label, or give --labels a derivatives folder with an "
            "image of each",
        )  # fmt: skip
    return [row for scan in scans for row in _measure(scan, labels, is_study=_is_study(scans))]


def _is_study(scans: Sequence[SessionResults]) -> bool:
    """Return whether the scans are those of a data set."""
    return any(scan.participant for scan in scans)


def _measure(scan: SessionResults, labels: Path, *, is_study: bool) -> list[dict[str, Any]]:
    """Return the rows of one scan."""
    chi_ppm, grid = scan.image("Chimap")
    path = labels
    if labels.is_dir():
        path = find_segmentation(labels, scan.participant, scan.session or None, scan.entities)
    given = read_segmentation(path, grid, whole_brain=False)
    # The detection limit is 0 outside the map alone, and NaN where it is not known.
    inside = scan.image("desc-detectionlimit_map")[0] != 0
    if scan.has("desc-cmb_dseg"):
        voxels = np.rint(scan.image("desc-cmb_dseg")[0]).astype(np.int32)
        inside = without_lesions(inside, voxels, scan.lesions())
    r2star_hz = scan.image("R2starmap")[0] if scan.has("R2starmap") else None
    named = named_scan(scan) if is_study else {}
    found = measure_regions(given.regions, chi_ppm, r2star_hz, np.asarray(inside))
    if not found:
        raise InvalidInputError(
            "SEGMENTATION", path, field="place of the labels", found="no voxel of them lies in the map",
            expected="labels on the head", fix="register the segmentation's image to the scan",
        )  # fmt: skip
    return [{**named, **row} for row in found]
