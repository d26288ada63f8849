"""The same candidate at several visits: what a reader sees beside it, and judges with one key.

Twins are found among the detector's own candidates, by the poses of the last comparison: no verdict changes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.change.tracks import Place, SessionView, link_candidates
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.results import SessionResults
from qsmcmb.registration.rigid import RigidTransform
from qsmcmb.study.detector_files import detector_lesions
from qsmcmb.study.longitudinal import RESULTS, comparable_scans, comparison_place
from qsmcmb.typing import FloatArray

__all__ = ["find_twins"]


def find_twins(out: Path, participant: str) -> list[list[tuple[str, int]]]:
    """Return the candidates of a participant that are one at several visits.

    Parameters
    ----------
    out : Path
        Derivatives folder with a comparison of the participant's sessions.
    participant : str
        Label without `sub-`.

    Returns
    -------
    list of list of (str, int)
        For each of them the prefix of the scan and the label in the detector's table, in the order of the sessions;
        none where the sessions were never compared.

    Raises
    ------
    InvalidInputError
        RESULT, TSV, JSON: a table or the comparison's record is damaged.

    Examples
    --------
    >>> find_twins(Path("nowhere"), "01")
    []
    """
    found = []
    for scans in comparable_scans(out, participant):
        record = comparison_place(out, scans[0]).path(f"{RESULTS[0]}.json")
        steps = read_sidecar(record).get("Steps", {}) if record.exists() else {}
        poses = steps.get("longitudinal", {}).get("from_midspace", {})
        views = [_view(out, scan, poses) for scan in scans]
        for group in link_candidates(views):
            if len({k for k, _ in group}) > 1:
                in_order = sorted(group, key=lambda entry: entry[0])
                found.append([(scans[k].place.prefix, lesion.label) for k, lesion in in_order])
    return found


def _view(out: Path, scan: SessionResults, poses: Mapping[str, Any]) -> SessionView:
    """Return a session's candidates in mid-space; none where it was not compared, or shows another head."""
    pose = poses.get(scan.name)
    if pose is None:
        return SessionView(scan.name, [], _stay, _stay, float("nan"), _nothing)
    transform = RigidTransform(np.array(pose["matrix"]), pose["dice"])
    lesions: Sequence[Any] = detector_lesions(out, scan)
    return SessionView(
        scan.name, lesions, transform.inverse().apply, transform.apply, pose["error_mm"], _nothing
    )


def _stay(points_mm: FloatArray) -> FloatArray:
    return points_mm


def _nothing(_: FloatArray) -> Place:
    return Place(None, None)
