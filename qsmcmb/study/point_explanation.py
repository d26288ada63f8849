"""Why a point was not found: the nearest points that the detector looked at, each with the gate that it failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.frame import describe_image_box
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.microbleeds.detection.examined import EXAMINED_TABLE, ExaminedPoint, nearest_points, read_examined
from qsmcmb.study.selection import participants_of
from qsmcmb.typing import FloatArray

__all__ = ("explain_point", "sessions_of")

SHOWN = 6
"""Points that are shown around one: those of a lesion and its neighbours."""


def sessions_of(
    out: Path, participants: Sequence[str] | None, sessions: Sequence[str] | None
) -> list[SessionResults]:
    """Return the finished scans of a folder of `run`, or the one of `recon`.

    Parameters
    ----------
    out : Path
        Folder of results.
    participants : sequence of str or None
        Labels, with or without `sub-`; all by default.
    sessions : sequence of str or None
        Labels, with or without `ses-`; all by default.

    Returns
    -------
    list of SessionResults
        At least one.

    Raises
    ------
    NothingMatchedError
        NO-MATCH, with the labels there are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "desc-cmb_burden.json").touch()
    ...     sessions_of(Path(folder), None, None)[0].name
    'scan'
    """
    single = SessionResults(Place(out), "", "")
    if single.place.path("desc-cmb_burden.json").exists() and not (participants or sessions):
        return [single]
    found = [s for p in participants_of(out, participants) for s in list_results(out, p)]
    wanted = [s.removeprefix("ses-") for s in sessions or ()]
    chosen = [s for s in found if not wanted or s.session in wanted]
    if not chosen or set(wanted) - {s.session for s in chosen}:
        there = sorted({s.session for s in found if s.session})
        raise NothingMatchedError(
            "NO-MATCH", out, field="sessions", found=", ".join(wanted),
            expected=f"finished sessions: {', '.join(there) or 'there are none with a label'}",
            fix="correct the labels, or run `qsmcmb run` first",
        )  # fmt: skip
    return chosen


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
