"""Point lists of 3D Slicer: markups (.mrk.json) and the older .fcsv, both with the frame that they state."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.reading import read_regular

__all__ = ("Markups", "read_fcsv", "read_markups")

FRAMES = {"RAS": 1.0, "LPS": -1.0, "0": 1.0, "1": -1.0}
"""Sign of x and y by the name of the frame; older files have its number."""
UNPLACED = ("undefined", "preview")
"""States of a control point that has no position yet."""


class Markups(NamedTuple):
    """Points of a file of 3D Slicer.

    Parameters
    ----------
    points_mm : list of tuple of float
        Scanner RAS+, mm.
    notes : tuple of str
        What was changed on reading.

    Examples
    --------
    >>> Markups([(1.0, 2.0, 3.0)], ()).notes
    ()
    """

    points_mm: list[tuple[float, float, float]]
    notes: tuple[str, ...]


def read_markups(path: Path) -> Markups:
    """Read the control points of all point lists in a markups file.

    Parameters
    ----------
    path : Path
        `.mrk.json` or `.json`.

    Returns
    -------
    Markups
        Points that are placed, in the file's order.

    Raises
    ------
    InvalidInputError
        JSON, or POINTS: no markups, other shapes than points, a frame or unit that is not known.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> nodes = [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [{"position": [1, 2, 3]}]}]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.mrk.json").write_text(json.dumps({"markups": nodes}))
    ...     read_markups(Path(folder) / "a.mrk.json").points_mm
    [(-1.0, -2.0, 3.0)]
    """
    nodes = read_sidecar(path).get("markups")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise _refuse(path, "markups", nodes, "the markups of 3D Slicer", "save the point list as .mrk.json")
    points, n_left, signs = [], 0, set()
    for node in nodes:
        sign = _sign(path, node)
        signs.add(sign)
        for point in node.get("controlPoints") or []:
            if not isinstance(point, dict) or point.get("positionStatus") in UNPLACED:
                n_left += 1
                continue
            points.append(_scanner(path, point.get("position"), sign))
    return Markups(points, _notes(path, lps=-1.0 in signs, n_left=n_left))


def _sign(path: Path, node: Mapping[str, Any]) -> float:
    """Return the sign that turns a node's x and y into the scanner's, once the node is a list of points in mm."""
    if node.get("type", "Fiducial") != "Fiducial":
        raise _refuse(
            path, "type", node["type"], "Fiducial", "save the list of points alone, one point per lesion"
        )
    if node.get("coordinateUnits", "mm") not in ("mm", ["mm", "mm", "mm"]):
        raise _refuse(path, "coordinateUnits", node["coordinateUnits"], "mm", "save the list in mm")
    return _frame(path, "coordinateSystem", node.get("coordinateSystem"))


def _frame(path: Path, field: str, name: object) -> float:
    sign = FRAMES.get(str(name).strip().upper())
    if sign is None:
        raise _refuse(
            path, field, name, "RAS or LPS", "save the list again in 3D Slicer, which states the frame"
        )
    return sign


def _scanner(path: Path, position: Any, sign: float) -> tuple[float, float, float]:
    """Return a position in scanner RAS+ mm."""
    is_triple = isinstance(position, list) and len(position) == 3
    if not is_triple or not all(isinstance(v, int | float) and np.isfinite(v) for v in position):
        raise _refuse(path, "position", position, "three numbers in mm", "place the point again")
    x, y, z = (float(v) for v in position)
    return sign * x, sign * y, z


def read_fcsv(path: Path) -> Markups:
    """Read the points of a .fcsv file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Markups
        Points in the file's order.

    Raises
    ------
    InvalidInputError
        POINTS: no frame, no columns x, y and z, or no numbers.

    Examples
    --------
    >>> import tempfile
    >>> text = "# CoordinateSystem = LPS\\n# columns = id,x,y,z,label\\n1,1,2,3,F-1\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.fcsv").write_text(text)
    ...     read_fcsv(Path(folder) / "a.fcsv").points_mm
    [(-1.0, -2.0, 3.0)]
    """
    try:
        lines = read_regular(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refuse(path, "file", error, "a .fcsv file of 3D Slicer", "save the list again") from error
    comments = [line[1:].partition("=") for line in lines if line.startswith("#")]
    stated = {key.strip().lower(): value.strip() for key, _, value in comments}
    sign = _frame(path, "CoordinateSystem", stated.get("coordinatesystem"))
    columns = [c.strip().lower() for c in stated.get("columns", "").split(",")]
    if not {"x", "y", "z"} <= set(columns):
        raise _refuse(path, "columns", ", ".join(columns), "x, y and z", "save the list again in 3D Slicer")
    indices = [columns.index(c) for c in "xyz"]
    points = []
    for cells in csv.reader(line for line in lines if line.strip() and not line.startswith("#")):
        points.append(_scanner(path, _numbers(cells, indices), sign))
    return Markups(points, _notes(path, lps=sign < 0, n_left=0))


def _numbers(cells: list[str], indices: list[int]) -> list[float] | list[str]:
    """Return the cells at indices as numbers, or all cells where they are none."""
    try:
        return [float(cells[i]) for i in indices]
    except (ValueError, IndexError):
        return cells


def _notes(path: Path, *, lps: bool, n_left: int) -> tuple[str, ...]:
    notes = [f"{path.name}: read as LPS; x and y negated for scanner RAS+"] if lps else []
    if n_left:
        notes.append(f"{path.name}: {n_left} points are not placed; left out")
    return tuple(notes)


def _refuse(path: Path, field: str, found: object, expected: str, fix: str) -> InvalidInputError:
    return InvalidInputError("POINTS", path, field=field, found=found, expected=expected, fix=fix)
