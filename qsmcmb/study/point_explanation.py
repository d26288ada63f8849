"""Why a point was not found: the nearest points that the detector looked at, each with the gate that it failed."""

from __future__ import annotations

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import describe_image_box
from qsmcmb.io.results import SessionResults
from qsmcmb.microbleeds.detection.examined import EXAMINED_TABLE, ExaminedPoint, nearest_points, read_examined
from qsmcmb.typing import FloatArray

__all__ = ("explain_point",)

SHOWN = 6
"""Points that are shown around one: those of a lesion and its neighbours."""


def _examined_points(session: SessionResults) -> list[ExaminedPoint]:
    """Return the points that the detector looked at in a scan."""
    path = session.place.path(f"{EXAMINED_TABLE}.tsv")
    if not path.exists():
        command = "qsmcmb run BIDS OUT participant --force detect" if session.participant else "qsmcmb recon"
        raise InvalidInputError(
            "RESULT", path, field="file", found="no such file", expected="the points that the detector looked at",
            fix=f"run `{command}` again; with --points or --labels give --detect, too",
        )  # fmt: skip
    return read_examined(path)


def explain_point(session: SessionResults, where_mm: FloatArray) -> list[str]:
    """Return what the detector saw around a point of a scan, line by line.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.
    where_mm : ndarray of shape (3,)
        Point, scanner RAS+ mm.

    Returns
    -------
    list of str
        Scan and point first, then the points nearest to it, each with the gate that it failed.

    Raises
    ------
    InvalidInputError
        POINTS: the point lies outside the image. RESULT: the scan has no such table. TSV: the table is damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> from qsmcmb.io.place import Place
    >>> explain_point(SessionResults(Place(Path("nowhere")), "", ""), np.zeros(3))
    Traceback (most recent call last):
    qsmcmb.errors.InvalidInputError: ...
    """
    points = _examined_points(session)
    x, y, z = where_mm
    limit_ppm_mm3, grid = session.image("desc-detectionlimit_map")
    voxel = np.rint(grid.to_voxel(where_mm)).astype(int)
    if not (np.all(voxel >= 0) and np.all(voxel < grid.shape)):
        covered = describe_image_box(grid.affine, grid.shape)
        raise InvalidInputError(
            "POINTS", session.place.path("desc-detectionlimit_map.nii.gz"), field="X Y Z",
            found=f"{x:g} {y:g} {z:g} mm, outside the image, which spans {covered}",
            expected="a point in scanner RAS+ mm",
            fix="turn voxel indices into mm by the image's affine; negate X and Y of LPS",
        )  # fmt: skip
    limit = float(limit_ppm_mm3[tuple(voxel)])
    state = "outside the mask of the map" if limit == 0 else f"detection limit {limit:.2g} ppm mm3"
    lines = [f"{session.heading}: point {x:.1f} {y:.1f} {z:.1f} mm, {state}"]
    for away_mm, point in nearest_points(points, where_mm, SHOWN):
        lines.append(f"  {away_mm:.1f} mm away, {point.description}")
    return lines if len(lines) > 1 else [*lines, "  the detector has looked at no point of this scan"]
