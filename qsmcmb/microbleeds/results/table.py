"""The lesion table: one row per candidate, every column with its meaning and unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from qsmcmb.model import Estimate, Microbleed, Provenance
from qsmcmb.typing import IntArray

if TYPE_CHECKING:
    import pandas


class Column(NamedTuple):
    """Meaning, unit ("" for none) and legal words of a column."""

    description: str
    unit: str = ""
    levels: tuple[str, ...] = ()


MOMENT = "ppm mm3"
COLUMNS: dict[str, Column] = {
    "label": Column("Number of the candidate in the label image"),
    "x_mm": Column("Centre, scanner RAS+, first axis", "mm"),
    "y_mm": Column("Centre, scanner RAS+, second axis", "mm"),
    "z_mm": Column("Centre, scanner RAS+, third axis", "mm"),
    "kind": Column(
        "What the candidate is", "", ("microbleed", "calcification", "vein", "iron", "artefact", "other")
    ),
    "certainty": Column("Certainty in the words of MARS", "", ("definite", "possible", "rejected")),
    "bombs_certainty": Column("Certainty in the words of BOMBS", "", ("certain", "uncertain")),
    "score": Column("Detector's score, 0 to 1"),
    "total_chi_ppm_mm3": Column(
        "Total susceptibility by the lesion fit: excess over the tissue displaced, integrated", MOMENT
    ),
    "total_chi_sd_ppm_mm3": Column("Standard deviation of total_chi_ppm_mm3", MOMENT),
    "total_chi_low_ppm_mm3": Column("Lower end of the 95 % interval", MOMENT),
    "total_chi_high_ppm_mm3": Column("Upper end of the 95 % interval", MOMENT),
    "total_chi_sum_ppm_mm3": Column("Map sum, corrected by the inversion's own response", MOMENT),
    "total_chi_sum_raw_ppm_mm3": Column("Map sum as it is", MOMENT),
    "total_chi_loss_ppm_mm3": Column("From the signal loss, with the sign of the lesion fit", MOMENT),
    "detection_limit_ppm_mm3": Column(
        "Smallest total susceptibility that the scan could show here (5 SD of noise and clutter)", MOMENT
    ),
    "volume_mm3": Column("Visible volume on the magnitude of the longest echo", "mm3"),
    "diameter_mm": Column("Apparent diameter on the magnitude of the longest echo", "mm"),
    "r2star_hz": Column("Median R2* in the lesion", "1/s"),
    "side": Column("Side of the head", "", ("left", "right", "midline")),
    "territory": Column("Territory", "", ("lobar", "deep", "infratentorial")),
    "mars_region": Column("Region of the Microbleed Anatomical Rating Scale"),
    "bombs_region": Column("Region of the Brain Observer Microbleed Scale"),
    "source": Column("Who placed the candidate", "", ("detector", "reader")),
    "flags": Column("What to know before using the row, separated by semicolons"),
}


def lesion_row(lesion: Microbleed) -> dict[str, Any]:
    """Return a lesion as a row; None where unknown."""
    x, y, z = lesion.position_mm
    moment = lesion.total_chi_ppm_mm3
    given = {
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "total_chi_ppm_mm3": moment.value if moment else None,
        "total_chi_sd_ppm_mm3": moment.sd if moment else None,
        "total_chi_low_ppm_mm3": moment.low if moment else None,
        "total_chi_high_ppm_mm3": moment.high if moment else None,
        "flags": ";".join(lesion.flags) or None,
    }
    return {name: given[name] if name in given else getattr(lesion, name) for name in COLUMNS}


def lesion_from_row(row: dict[str, Any]) -> Microbleed:
    """Return the lesion that a row of a table describes; unknown cells are None."""
    plain = {k: v for k, v in row.items() if k in Microbleed.__dataclass_fields__ and v is not None}
    value = row.get("total_chi_ppm_mm3")
    moment = None
    if value is not None:
        interval = (row["total_chi_low_ppm_mm3"], row["total_chi_high_ppm_mm3"])
        moment = Estimate(value, row["total_chi_sd_ppm_mm3"], MOMENT, interval)
    plain |= {
        "position_mm": (row["x_mm"], row["y_mm"], row["z_mm"]),
        "total_chi_ppm_mm3": moment,
        "label": int(row["label"]),
        "flags": tuple((row.get("flags") or "").split(";")) if row.get("flags") else (),
    }
    return Microbleed(**plain)


def column_sidecar() -> dict[str, Any]:
    """Return the JSON record that describes each column with its unit."""
    out: dict[str, Any] = {}
    for name, column in COLUMNS.items():
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
    labels: IntArray | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __len__(self) -> int:
        return len(self.lesions)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict per lesion, columns in their fixed order."""
        return [lesion_row(lesion) for lesion in self.lesions]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame; unknown cells are missing values."""
        import pandas

        return pandas.DataFrame(self.rows(), columns=list(COLUMNS))
