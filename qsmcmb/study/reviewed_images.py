"""Label image, pictures and region table of a scan with the verdicts of its readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qsmcmb.anatomy.region_table import REGION_COLUMNS, measure_regions, without_lesions
from qsmcmb.io.nifti import read_volume, save_volume
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import write_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.lesion_pictures import LesionPicture, read_pictures, write_pictures
from qsmcmb.study.detector_files import DetectorFiles
from qsmcmb.study.reader_points import find_session
from qsmcmb.study.request import read_request
from qsmcmb.typing import IntArray

if TYPE_CHECKING:
    from qsmcmb.anatomy.head_regions import HeadRegions

__all__ = ["write_labels", "write_lesion_pictures", "write_region_table"]

LABELS, FIT_PICTURES, REGIONS = "desc-cmb_dseg.nii.gz", "desc-cmb_pictures.npz", "desc-regions_stats.tsv"


def write_labels(
    files: DetectorFiles,
    scan: SessionResults,
    gone: Sequence[int],
    voxels: Mapping[int, Sequence[Sequence[int]]],
) -> list[str]:
    """Write the label image with the lesions at readers' points; a candidate that was moved leaves its old voxels.

    Parameters
    ----------
    files : DetectorFiles
        The detector's own files.
    scan : SessionResults
        Results of the scan.
    gone : sequence of int
        Labels whose voxels are left.
    voxels : mapping of int to sequence
        Voxels by label of what readers have added or moved.

    Returns
    -------
    list of str
        Ends of the names that were written.

    Examples
    --------
    >>> write_labels(files, scan, [], {7: [[1, 2, 3]]})  # doctest: +SKIP
    ['desc-cmb_dseg.nii.gz']
    """
    if LABELS not in files.names():
        return []
    if not gone and not voxels:
        files.restore(LABELS)
        return [LABELS]
    volume = read_volume(files.path(LABELS))
    labels = np.rint(volume.values()).astype(np.int32)
    labels[np.isin(labels, gone)] = 0
    for label, found in voxels.items():
        for voxel in found:
            if labels[tuple(voxel)] == 0:
                labels[tuple(voxel)] = label
    save_volume(scan.place.path(LABELS), labels, volume.affine)
    return [LABELS]


def write_lesion_pictures(
    files: DetectorFiles, scan: SessionResults, pictures: Mapping[int, LesionPicture | None]
) -> list[str]:
    """Write the pictures of the lesions, with those at readers' points.

    Parameters
    ----------
    files : DetectorFiles
        The detector's own files.
    scan : SessionResults
        Results of the scan.
    pictures : mapping of int to LesionPicture or None
        Picture by label of what readers have added or moved; None leaves the lesion without one.

    Returns
    -------
    list of str
        Ends of the names that were written.

    Examples
    --------
    >>> write_lesion_pictures(files, scan, {})  # doctest: +SKIP
    ['desc-cmb_pictures.npz']
    """
    if FIT_PICTURES not in files.names():
        return []
    if not pictures:
        files.restore(FIT_PICTURES)
        return [FIT_PICTURES]
    all_pictures = {**read_pictures(files.path(FIT_PICTURES)), **pictures}
    shown = {label: picture for label, picture in all_pictures.items() if picture is not None}
    write_pictures(scan.place.path(FIT_PICTURES), shown)
    return [FIT_PICTURES]


def write_region_table(
    out: Path,
    files: DetectorFiles,
    scan: SessionResults,
    before: Sequence[Microbleed],
    after: Sequence[Microbleed],
) -> list[str]:
    """Write the region table anew where other voxels are lesions now; the label image is written before.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    files : DetectorFiles
        The detector's own files.
    scan : SessionResults
        Results of the scan.
    before, after : sequence of Microbleed
        Rows of the detector's table, and of the table with verdicts.

    Returns
    -------
    list of str
        Ends of the names that were written.

    Raises
    ------
    InvalidInputError
        RESULT: the data set of the run is gone.

    Examples
    --------
    >>> write_region_table(Path("derivatives/qsmcmb"), files, scan, [], [])  # doctest: +SKIP
    ['desc-regions_stats.tsv']
    """
    if REGIONS not in files.names() or LABELS not in files.names():
        return []
    # The detection limit is 0 outside the map alone, and NaN where it is not known.
    inside = scan.image("desc-detectionlimit_map")[0] != 0
    tissue = without_lesions(inside, _labels(scan.place.path(LABELS)), after)
    if np.array_equal(tissue, without_lesions(inside, _labels(files.path(LABELS)), before)):
        files.restore(REGIONS)
        return [REGIONS]
    regions = _structures(out, scan)
    if regions is None:
        return []
    r2star_hz = scan.image("R2starmap")[0] if scan.has("R2starmap") else None
    rows = measure_regions(regions, scan.image("Chimap")[0], r2star_hz, tissue)
    write_tsv(scan.place.path(REGIONS), rows, list(REGION_COLUMNS))
    return [REGIONS]


def _labels(path: Path) -> IntArray:
    return np.rint(read_volume(path).values()).astype(np.int32)


def _structures(out: Path, scan: SessionResults) -> HeadRegions | None:
    """Return the structures of the head as the run has found them."""
    from qsmcmb.pipeline.load import load_scan
    from qsmcmb.pipeline.regions import find_regions
    from qsmcmb.study.scan import segmentation_of

    _, options, _ = read_request(out)
    session = find_session(out, scan)
    loaded = load_scan(session, **asdict(options.config.input))
    brain = scan.image("desc-brain_mask")[0] > 0
    r2star_hz = scan.image("R2starmap")[0] if scan.has("R2starmap") else None
    return find_regions(loaded, brain, r2star_hz, segmentation_of(session, options, loaded.grid))
