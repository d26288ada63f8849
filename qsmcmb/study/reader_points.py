"""Measurement of lesions that readers have added or moved: the fit of `qsmcmb quantify` at their points, with the maps
of the run.

What was measured is held in ``OUT/.qsmcmb/reader-points/<prefix>.json`` with the key of the scan's measurement, so that
a verdict that is taken back and given again is not measured twice; its pictures lie in ``<prefix>/<point>.npz``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.lesion_table import Cell, lesion_row
from qsmcmb.io.reading import read_regular
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import write_json
from qsmcmb.study.manifest import FOLDER, Manifest
from qsmcmb.study.request import read_request
from qsmcmb.study.scan_plan import place_of_scan
from qsmcmb.study.source import digest_of
from qsmcmb.typing import Triple

if TYPE_CHECKING:
    from qsmcmb.microbleeds.results.lesion_pictures import LesionPicture

__all__ = ["MeasuredPoint", "find_session", "measure_reader_points"]


class MeasuredPoint(NamedTuple):
    """Rows of one point that was measured.

    Parameters
    ----------
    lesion : dict
        Row of the lesion table, its label that of the point's order.
    evidence : dict
        Row of the evidence table.
    explanation : dict
        Explanation of the lesion's number.
    voxels : list of list of int
        Visible voxels of the lesion, their indices on the scan's grid.
    picture : LesionPicture or None
        Magnitude around it and slices of its fit; None where the file of an earlier measurement is gone.

    Examples
    --------
    >>> MeasuredPoint({"label": 1}, {}, {}, [], None).lesion["label"]
    1
    """

    lesion: dict[str, Cell]
    evidence: dict[str, Cell]
    explanation: dict[str, Any]
    voxels: list[list[int]]
    picture: LesionPicture | None


def find_session(out: Path, scan: SessionResults) -> SessionFiles:
    """Return the images behind the results of a scan, in the data set of the last run.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.

    Returns
    -------
    SessionFiles
        Its images.

    Raises
    ------
    InvalidInputError
        RESULT: the folder has no request of a run, or the data set has no such scan any more.

    Examples
    --------
    >>> find_session(Path("derivatives/qsmcmb"), scan)  # doctest: +SKIP
    """
    bids, options, _ = read_request(out)
    sessions = (scan.session,) if scan.session else ()
    found = list_sessions(bids, participants=(scan.participant,), sessions=sessions, filters=options.filters)
    for session in found:
        if place_of_scan(out, session).prefix == scan.place.prefix:
            return session
    raise InvalidInputError(
        "RESULT", bids, field=scan.place.prefix, found="no such scan", expected="the images of the run",
        fix="restore the data set, or run `qsmcmb run` where it lies now",
    )  # fmt: skip


def measure_reader_points(
    out: Path, scan: SessionResults, manifest: Manifest, points_mm: Sequence[Triple]
) -> list[MeasuredPoint]:
    """Measure points of readers in a scan.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.
    manifest : Manifest
        Its manifest.
    points_mm : sequence of tuple of float
        Points, scanner RAS+ mm.

    Returns
    -------
    list of MeasuredPoint
        Measurement of each point, in their order.

    Raises
    ------
    InvalidInputError
        RESULT: the data set of the run is gone. Every gate of the stages.

    Examples
    --------
    >>> measure_reader_points(out, scan, manifest, [(12.0, -30.5, 8.0)])  # doctest: +SKIP
    """
    from qsmcmb.microbleeds.results.lesion_pictures import read_pictures, write_pictures

    path = out / FOLDER / "reader-points" / f"{scan.place.prefix}.json"
    pictures = path.with_suffix("")
    key = manifest.steps["quantify"].key if "quantify" in manifest.steps else ""
    held = _read(path, key)
    names = [digest_of(json.dumps([round(v, 3) for v in p]).encode()) for p in points_mm]
    missing = {n: p for n, p in zip(names, points_mm, strict=True) if n not in held}
    if missing:
        measured = _measure(out, scan, list(missing.values()))
        pictures.mkdir(parents=True, exist_ok=True)
        for name, found in zip(missing, measured, strict=True):
            held[name] = {key: value for key, value in found._asdict().items() if key != "picture"}
            if found.picture is not None:
                write_pictures(pictures / f"{name}.npz", {1: found.picture})
        write_json(path, {"key": key, "points": held})
        # Read again: the numbers are rounded on their way, and a repeated call must give the same ones.
        held = _read(path, key)
    return [
        MeasuredPoint(**held[name], picture=read_pictures(pictures / f"{name}.npz").get(1)) for name in names
    ]


def _read(path: Path, key: str) -> dict[str, Any]:
    """Return what was measured before, by the point; nothing of another measurement of the scan."""
    try:
        record = json.loads(read_regular(path))
        return dict(record["points"]) if record["key"] == key else {}
    except (InvalidInputError, OSError, ValueError, KeyError, TypeError):
        return {}


def _measure(out: Path, scan: SessionResults, points_mm: Sequence[Triple]) -> list[MeasuredPoint]:
    """Return the measurement of points, by the methods and in the mask of the run."""
    from qsmcmb.microbleeds.results.explanation import explain_lesion
    from qsmcmb.microbleeds.results.lesion_pictures import picture_lesions
    from qsmcmb.pipeline.load import load_scan
    from qsmcmb.pipeline.points import ScanMaps, measure_points

    _, options, _ = read_request(out)
    loaded = load_scan(find_session(out, scan), **asdict(options.config.input))
    mask, _ = scan.image("desc-brain_mask")
    kinds = ["microbleed"] * len(points_mm)
    maps = ScanMaps(scan.image("Chimap")[0], scan.image("desc-detectionlimit_map")[0])
    table, fits, sums, fitted_scan = measure_points(
        loaded, np.array(points_mm), kinds=kinds, mask=mask > 0, config=options.config, maps=maps
    )
    labels = table.labels if table.labels is not None else np.zeros(mask.shape, np.int32)
    found = []
    rows = zip(table.lesions, table.evidence_rows(), fits, sums, table.evidence, strict=True)
    for lesion, evidence, fit, total, known in rows:
        explained = explain_lesion(lesion, fit, total, evidence=known)
        voxels = np.argwhere(labels == lesion.label).tolist()
        picture = picture_lesions([explained], fitted_scan)[lesion.label]
        found.append(MeasuredPoint(lesion_row(lesion), evidence, dict(explained.record), voxels, picture))
    return found
