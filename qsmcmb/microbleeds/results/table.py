"""Lesion table: one row per candidate, every column with its meaning and unit.

The fields of `qsmcmb.lesion.Microbleed` are the columns; there is no other list of them. A new column is a field there,
with description and unit, and a value in `results.measurement.assemble_lesion`; what only the whole scan shows comes in
by `SceneContext`, which `qsmcmb.pipeline.lesions` fills. `docs/outputs.md` explains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.model import Estimate, Provenance
from qsmcmb.typing import IntArray
from qsmcmb.units import PPM_MM3

if TYPE_CHECKING:
    import pandas

__all__ = ["MicrobleedTable", "column_sidecar", "lesion_from_row", "lesion_row"]


def lesion_row(lesion: Microbleed) -> dict[str, Any]:
    """Return a lesion as a row of the lesion table.

    Parameters
    ----------
    lesion : Microbleed
        The candidate.

    Returns
    -------
    dict
        Value of each column, in their order; None where unknown.

    Examples
    --------
    >>> row = lesion_row(Microbleed(1, (1.0, 2.0, 3.0)))
    >>> row["x_mm"], row["total_chi_ppm_mm3"]
    (1.0, None)
    """
    x, y, z = lesion.position_mm
    total = lesion.total_chi_ppm_mm3
    given = {
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "total_chi_ppm_mm3": total.value if total else None,
        "total_chi_sd_ppm_mm3": _known(total.sd) if total else None,
        "total_chi_low_ppm_mm3": _known(total.low) if total else None,
        "total_chi_high_ppm_mm3": _known(total.high) if total else None,
        "flags": ";".join(lesion.flags) or None,
    }
    return {name: given[name] if name in given else getattr(lesion, name) for name in LESION_COLUMNS}


def lesion_from_row(row: dict[str, Any]) -> Microbleed:
    """Return the lesion that a row of the lesion table describes.

    Parameters
    ----------
    row : dict
        Value of each column; None where unknown. Columns that a table of an older release lacks are unknown.

    Returns
    -------
    Microbleed
        The lesion, with its 95 % interval as in the row.

    Examples
    --------
    >>> lesion = Microbleed(1, (1.0, 2.0, 3.0), flags=("poor-fit",))
    >>> lesion_from_row(lesion_row(lesion)) == lesion
    True
    """
    plain = {k: v for k, v in row.items() if k in Microbleed.__dataclass_fields__ and v is not None}
    value = row.get("total_chi_ppm_mm3")
    total = None
    if value is not None:
        low, high, sd = (row[f"total_chi_{name}_ppm_mm3"] for name in ("low", "high", "sd"))
        # Of filtered phase the number alone is known.
        total = (
            Estimate(value, math.nan, PPM_MM3) if sd is None else Estimate(value, sd, PPM_MM3, (low, high))
        )
    plain |= {
        "position_mm": (row["x_mm"], row["y_mm"], row["z_mm"]),
        "total_chi_ppm_mm3": total,
        "label": int(row["label"]),
        "flags": tuple((row.get("flags") or "").split(";")) if row.get("flags") else (),
    }
    return Microbleed(**plain)


def _known(value: float) -> float | None:
    """Return a number, or None where it is not one."""
    return None if math.isnan(value) else value


def column_sidecar() -> dict[str, Any]:
    """Return the JSON record that describes each column with its unit.

    Returns
    -------
    dict
        Description, Units and Levels of each column, as BIDS wants them.

    Examples
    --------
    >>> column_sidecar()["total_chi_ppm_mm3"]["Units"]
    'ppm mm3'
    """
    out: dict[str, Any] = {}
    for name, column in LESION_COLUMNS.items():
        out[name] = {"Description": column.description}
        if column.unit:
            out[name]["Units"] = column.unit
        if column.levels:
            out[name]["Levels"] = {level: level for level in column.levels}
    return out


@dataclass(frozen=True)
class MicrobleedTable:
    """Lesions of one scan with their label image and provenance.

    Examples
    --------
    >>> table = MicrobleedTable((Microbleed(1, (1.0, 2.0, 3.0)),))
    >>> float(table.to_dataframe()["x_mm"][0])
    1.0
    """

    lesions: tuple[Microbleed, ...]
    """Candidates, in the order of the points."""
    labels: IntArray | None = None
    """Label image of the visible lesions on the scan's grid; None where there is none."""
    provenance: Provenance = field(default_factory=Provenance)
    """Inputs, methods and versions behind the numbers."""
    warnings: tuple[str, ...] = ()
    """What the user must know of the scan and its reading."""

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.lesions)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict per lesion, as `lesion_row` makes it.

        Returns
        -------
        list of dict
            Value by column, None where unknown.
        """
        return [lesion_row(lesion) for lesion in self.lesions]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per lesion, columns in their fixed order; unknown cells are missing values.
        """
        import pandas

        return pandas.DataFrame(self.rows(), columns=list(LESION_COLUMNS))
