"""Points that the detector looked at, each with the gate that it failed: why a lesion was not found.

A point is the centre of a region of the susceptibility map, or a peak of the matched dipole filter. It passes gates one
after another; the first that it fails is recorded with the value found and the value needed. Candidates go on to
screening and fit, whose verdict is their gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Column, with_parameters
from qsmcmb.typing import FloatArray

__all__ = [
    "EXAMINED_COLUMNS",
    "EXAMINED_TABLE",
    "MAX_EXAMINED",
    "ExaminedPoint",
    "Gate",
    "nearest_points",
    "read_examined",
]

EXAMINED_TABLE = "desc-cmb_candidates"
"""End of the name of the table of examined points, without extension."""
MAX_EXAMINED = 400
"""Largest number of points that are recorded, candidates first, then those of the largest total susceptibility."""


class Gate(StrEnum):
    """Gate that a point failed; its value is the word in the column `gate`.

    Examples
    --------
    >>> str(Gate.TOO_LARGE), Gate.TOO_LARGE.unit, Gate.TOO_LARGE.meaning
    ('too-large', 'mm', 'its region of the map is larger than a microbleed')
    """

    meaning: str
    """Clause that explains the gate."""
    unit: str
    """Unit of the values found and needed."""
    relation: str
    """Relation that the value found must have to the value needed: "at least" or "at most"."""

    def __new__(cls, word: str, meaning: str, unit: str, relation: str) -> Gate:
        """Return a gate of this word."""
        gate = str.__new__(cls, word)
        gate._value_ = word
        gate.meaning, gate.unit, gate.relation = meaning, unit, relation
        return gate

    TOO_SMALL = "too-small", "its region of the map has too few voxels", "voxels", "at least"
    TOO_LARGE = "too-large", "its region of the map is larger than a microbleed", "mm", "at most"
    ELONGATED = "elongated", "its region of the map is long, as a vein's", "", "at most"
    WEAK_DIPOLE = "weak-dipole", "the local field shows no clear dipole", "SD", "at least"
    OTHER_SIGN = (
        "other-sign",
        "a stronger dipole of the other sign lies beside it",
        "times as strong",
        "at most",
    )
    NOT_DARK = "not-dark", "the magnitude is hardly darker than around it", "", "at least"
    NOT_ROUND = "not-round", "map and magnitude go on around it as at the point itself", "", "at most"
    SCORE = "score", "size, darkness, roundness and depth together are too small", "", "at least"
    NEAR_BETTER = "near-better", "a candidate of a higher score lies beside it", "mm", "at least"
    BEYOND_CAP = "beyond-cap", "there are as many better candidates as a scan may have", "rank", "at most"
    NAMED_BY_READER = "named-by-reader", "a reader's point takes its place", "mm", "at least"
    NO_DIPOLE = "no-dipole", "screening: neither field map nor signal shows a dipole", "SD", "at least"
    NOT_COMPACT = (
        "not-compact",
        "screening: the signal does not show the field map's dipole",
        "SD",
        "at least",
    )
    UNLIKELY = "unlikely", "what is seen before the fit makes it hardly a lesion", "probability", "at least"
    NOT_ABOVE_NOISE = "not-above-noise", "the fit's total susceptibility may be 0", "SD", "at least"
    NO_NUMBER = "no-number", "the fit gives no number", "", "at least"
    OTHER_KIND = "other-kind", "the evidence says that it is no microbleed", "probability", "at least"


def _column(description: str, unit: str = "", levels: tuple[str, ...] = ()) -> dict[str, Column]:
    """Return the metadata of a field that becomes a column."""
    return {"column": Column(description, unit, levels)}


@dataclass(frozen=True)
class ExaminedPoint:
    """A point that the detector looked at; its fields are the columns of `desc-cmb_candidates.tsv`.

    Examples
    --------
    >>> point = ExaminedPoint((1.0, 2.0, 3.0), gate=Gate.TOO_LARGE, found=14.0, needed=11.0)
    >>> point.verdict
    'too-large: its region of the map is larger than a microbleed (14 mm; needed at most 11 mm)'
    >>> ExaminedPoint.from_row(point.row()) == point
    True
    """

    position_mm: tuple[float, float, float] = field(metadata=_column("Centre, scanner RAS+", "mm"))
    kind: str = field(
        default="microbleed",
        metadata=_column("Kind by the sign of the susceptibility", levels=("microbleed", "calcification")),
    )
    test: str = field(
        default="map",
        metadata=_column(
            "Tests that found the point: map, a region of the susceptibility map; threshold, one above a higher "
            "threshold; dipole, a peak of the matched dipole filter; several joined by +"
        ),
    )
    gate: Gate | None = field(
        default=None, metadata=_column("First gate that the point failed; n/a for a microbleed of the table")
    )
    found: float | None = field(default=None, metadata=_column("Value found at the gate, in its unit"))
    needed: float | None = field(default=None, metadata=_column("Value needed at the gate, in its unit"))
    label: int | None = field(default=None, metadata=_column("Label in the lesion table, for candidates"))
    score: float | None = field(default=None, metadata=_column("Detector's score, 0 to 1"))
    total_ppm_mm3: float | None = field(
        default=None,
        metadata=_column("Total susceptibility by the region's sum, or by the dipole filter", "ppm mm3"),
    )
    significance: float | None = field(
        default=None, metadata=_column("Output of the dipole filter over its SD")
    )
    extent_mm: float | None = field(
        default=None, metadata=_column("Largest extent of the region along an axis", "mm")
    )
    elongation: float | None = field(
        default=None, metadata=_column("Ratio of the region's largest to smallest principal SD")
    )
    darkening: float | None = field(
        default=None, metadata=_column("Loss of magnitude against the surroundings, as a fraction of these")
    )
    shell_ratio: float | None = field(
        default=None,
        metadata=_column(
            "Largest contrast 4 mm around the point over that at it: of the map; of a dipole, the geometric mean of "
            "magnitude and map"
        ),
    )
    depth_mm: float | None = field(default=None, metadata=_column("Depth below the brain's surface", "mm"))

    @property
    def verdict(self) -> str:
        """Gate with the values found and needed."""
        gate = self.gate
        if gate is None:
            return "passed every gate"
        unit = f" {gate.unit}" if gate.unit else ""
        values = ""
        if self.found is not None and self.needed is not None:
            values = f" ({self.found:.3g}{unit}; needed {gate.relation} {self.needed:.3g}{unit})"
        return f"{gate}: {gate.meaning}{values}"

    @property
    def description(self) -> str:
        """Position, tests, figures and the gate that the point failed."""
        x, y, z = self.position_mm
        named = f"row {self.label} of the lesion table" if self.label else f"{self.kind} by {self.test}"
        figures = [f"{self.total_ppm_mm3:.2g} ppm mm3"] if self.total_ppm_mm3 is not None else []
        if self.significance is not None:
            figures.append(f"dipole of {self.significance:.1f} SD")
        if self.score is not None:
            figures.append(f"score {self.score:.2f}")
        return f"{x:.1f} {y:.1f} {z:.1f}: {named} ({', '.join(figures)}): {self.verdict}"

    def row(self) -> dict[str, Any]:
        """Return the point as a row of the table.

        Returns
        -------
        dict
            Value by column, None where unknown.
        """
        x, y, z = self.position_mm
        gate = None if self.gate is None else str(self.gate)
        given: dict[str, Any] = {"x_mm": x, "y_mm": y, "z_mm": z, "gate": gate}
        return {name: given[name] if name in given else getattr(self, name) for name in EXAMINED_COLUMNS}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ExaminedPoint:
        """Return the point of a row of the table.

        Parameters
        ----------
        row : mapping
            Value or text by column; None where unknown.

        Returns
        -------
        ExaminedPoint
            The point.
        """
        known: dict[str, Any] = {
            name: float(row[name]) if column.is_number else row[name]
            for name, column in EXAMINED_COLUMNS.items()
            if row.get(name) is not None
        }
        x, y, z = (known.pop(name) for name in ("x_mm", "y_mm", "z_mm"))
        if "gate" in known:
            known["gate"] = next(gate for gate in Gate if gate == known["gate"])
        if "label" in known:
            known["label"] = int(known["label"])
        return cls((x, y, z), **known)


ExaminedPoint.__doc__ = with_parameters(ExaminedPoint.__doc__ or "", ExaminedPoint)


def _columns() -> dict[str, Column]:
    """Return the columns that the fields of an examined point become, in their order."""
    columns: dict[str, Column] = {}
    for entry in fields(ExaminedPoint):
        is_number = entry.type not in ("str", "Gate | None")
        column: Column = entry.metadata["column"]._replace(is_number=is_number)
        if entry.name == "position_mm":
            axes = {"x_mm": "first axis", "y_mm": "second axis", "z_mm": "third axis"}
            columns |= {n: column._replace(description=f"{column.description}, {a}") for n, a in axes.items()}
        else:
            columns[entry.name] = column
    return columns


EXAMINED_COLUMNS = _columns()
"""Columns of `*_desc-cmb_candidates.tsv` by name, in their order."""


def read_examined(path: Path) -> list[ExaminedPoint]:
    """Read the points of a scan's table.

    Parameters
    ----------
    path : Path
        `*_desc-cmb_candidates.tsv`.

    Returns
    -------
    list of ExaminedPoint
        Points in the table's order.

    Raises
    ------
    InvalidInputError
        TSV: the table is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.tables import write_tsv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "desc-cmb_candidates.tsv"
    ...     write_tsv(path, [ExaminedPoint((1.0, 2.0, 3.0)).row()], list(EXAMINED_COLUMNS))
    ...     read_examined(path)[0].position_mm
    (1.0, 2.0, 3.0)
    """
    try:
        return [ExaminedPoint.from_row(row) for row in read_tsv(path)]
    except (KeyError, ValueError, StopIteration) as error:
        raise InvalidInputError(
            "TSV", path, field="rows", found=repr(error), expected="the table as qsmcmb wrote it",
            fix="run the session again",
        ) from error  # fmt: skip


def nearest_points(
    points: Sequence[ExaminedPoint], where_mm: FloatArray, count: int
) -> list[tuple[float, ExaminedPoint]]:
    """Return the points nearest to a position.

    Parameters
    ----------
    points : sequence of ExaminedPoint
        Points of one scan.
    where_mm : ndarray of shape (3,)
        Position, scanner RAS+ mm.
    count : int
        Largest number of points, >= 1.

    Returns
    -------
    list of (float, ExaminedPoint)
        Distance in mm, and point; the nearest first.

    Examples
    --------
    >>> points = [ExaminedPoint((0.0, 0.0, 9.0)), ExaminedPoint((0.0, 0.0, 2.0))]
    >>> [distance for distance, _ in nearest_points(points, np.zeros(3), 1)]
    [2.0]
    """
    if not points:
        return []
    away_mm = np.linalg.norm(np.array([p.position_mm for p in points]) - where_mm, axis=1)
    return [(float(away_mm[i]), points[i]) for i in np.argsort(away_mm, kind="stable")[:count]]
