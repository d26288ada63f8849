"""One candidate lesion, and the columns of the lesion table: the one list of them."""

from __future__ import annotations

__all__ = (
    "KINDS",
    "LESION_COLUMNS",
    "READER_COLUMNS",
    "Column",
    "LocatedSource",
    "Microbleed",
    "column",
    "read_kind",
    "with_parameters",
)

from dataclasses import dataclass, field, fields
from typing import NamedTuple, Protocol

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Estimate
from qsmcmb.units import PPM_MM3

KINDS = ("microbleed", "calcification", "vein", "iron", "artefact", "other")
"""Kinds that a candidate may have."""
KIND_SYNONYMS = {
    "microbleed": (
        "cmb", "cmbs", "mb", "microbleeds", "cerebralmicrobleed", "cerebralmicrobleeds", "microhaemorrhage",
        "microhemorrhage", "microhaemorrhages", "microhemorrhages",
    ),
    "calcification": ("calcifications", "calcium"),
    "vein": ("veins",),
    "artefact": ("artifact", "artefacts", "artifacts"),
}  # fmt: skip
"""Other words that readers write for a kind, in small letters without signs."""


def read_kind(word: str, where: object) -> str:
    """Return the kind that a reader's word means.

    Parameters
    ----------
    word : str
        Kind, or another word for it; capitals and signs don't count.
    where : object
        Where it stands, for messages.

    Returns
    -------
    str
        One of `KINDS`.

    Raises
    ------
    InvalidInputError
        POINTS for any other word.

    Examples
    --------
    >>> read_kind("CMB", "a.tsv"), read_kind("micro-bleed", "a.tsv")
    ('microbleed', 'microbleed')
    """
    plain = "".join(c for c in word.lower() if c.isalnum())
    for kind in KINDS:
        if plain == kind or plain in KIND_SYNONYMS.get(kind, ()):
            return kind
    raise InvalidInputError(
        "POINTS", where, field="kind", found=repr(word), expected=f"one of {', '.join(KINDS)}, or n/a",
        fix="correct the kind, or write n/a",
    )  # fmt: skip


class LocatedSource(Protocol):
    """Anything with a place and a total susceptibility."""

    @property
    def position_mm(self) -> tuple[float, float, float]:
        """Centre, scanner RAS+ mm."""

    @property
    def total_chi_ppm_mm3(self) -> Estimate | None:
        """Total susceptibility, ppm mm3; None where there is no number."""

    @property
    def diameter_mm(self) -> float | None:
        """Visible diameter, mm; None where unknown."""


class Column(NamedTuple):
    """Meaning, unit and legal words of a column of a table.

    Parameters
    ----------
    description : str
        Noun phrase.
    unit : str, optional
        Unit; empty for none.
    levels : tuple of str, optional
        Words that the column may have; empty for any.
    is_number : bool, optional
        Whether a cell holds a number.

    Examples
    --------
    >>> Column("Visible volume", "mm3").unit
    'mm3'
    """

    description: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    is_number: bool = True


def column(description: str, unit: str = "", levels: tuple[str, ...] = ()) -> dict[str, Column]:
    """Return the metadata of a record's field that becomes a column.

    Parameters
    ----------
    description : str
        Noun phrase.
    unit : str, optional
        Unit; empty for none.
    levels : tuple of str, optional
        Words that the column may have; empty for any.

    Returns
    -------
    dict
        Metadata for `dataclasses.field`.

    Examples
    --------
    >>> column("Visible volume", "mm3")["column"].unit
    'mm3'
    """
    return {"column": Column(description, unit, levels)}


@dataclass(frozen=True)
class Microbleed:
    """Hold one candidate with all that is known about it; None where unknown.

    Its fields are the columns of the lesion table (`*_desc-cmb_lesions.tsv`) in their order; `position_mm` becomes
    three columns, `total_chi_ppm_mm3` four. There is no other list of the columns.

    Examples
    --------
    >>> lesion = Microbleed(label=1, position_mm=(0.0, 0.0, 0.0), total_chi_ppm_mm3=Estimate(2.0, 0.1, "ppm mm3"))
    >>> lesion.total_chi_ppm_mm3.high
    2.196
    """

    label: int = field(metadata=column("Number of the candidate in the label image"))
    position_mm: tuple[float, float, float] = field(metadata=column("Centre, scanner RAS+", "mm"))
    kind: str = field(
        default="microbleed",
        metadata=column(
            "What the candidate is",
            levels=KINDS,
        ),
    )
    certainty: str = field(
        default="possible",
        metadata=column("Certainty in the words of MARS", levels=("definite", "possible", "rejected")),
    )
    bombs_certainty: str = field(
        default="uncertain",
        metadata=column("Certainty in the words of BOMBS", levels=("certain", "uncertain")),
    )
    score: float | None = field(
        default=None, metadata=column("Probability of being a microbleed, calibrated on phantoms, 0 to 1")
    )
    total_chi_ppm_mm3: Estimate | None = field(
        default=None,
        metadata=column(
            "Total susceptibility by the lesion fit: excess over the tissue displaced, integrated", PPM_MM3
        ),
    )
    total_chi_sum_ppm_mm3: float | None = field(
        default=None, metadata=column("Map sum, corrected by the inversion's own response", PPM_MM3)
    )
    total_chi_sum_raw_ppm_mm3: float | None = field(
        default=None, metadata=column("Map sum as it is", PPM_MM3)
    )
    total_chi_loss_ppm_mm3: float | None = field(
        default=None,
        metadata=column(
            "Total susceptibility from the signal loss, with the sign of the lesion fit", PPM_MM3
        ),
    )
    detection_limit_ppm_mm3: float | None = field(
        default=None,
        metadata=column(
            "Smallest total susceptibility that the scan could show here (5 SD of noise and clutter in the local "
            "field; the value of the detection limit map); n/a where no local field was made, as by `quantify`",
            PPM_MM3,
        ),
    )
    volume_mm3: float | None = field(
        default=None, metadata=column("Visible volume on the magnitude of the longest echo", "mm3")
    )
    diameter_mm: float | None = field(
        default=None, metadata=column("Apparent diameter on the magnitude of the longest echo", "mm")
    )
    r2star_hz: float | None = field(default=None, metadata=column("Median R2* in the lesion", "1/s"))
    side: str | None = field(
        default=None, metadata=column("Side of the head", levels=("left", "right", "midline"))
    )
    territory: str | None = field(
        default=None, metadata=column("Territory", levels=("lobar", "deep", "infratentorial"))
    )
    mars_region: str | None = field(
        default=None, metadata=column("Region of the Microbleed Anatomical Rating Scale")
    )
    bombs_region: str | None = field(
        default=None, metadata=column("Region of the Brain Observer Microbleed Scale")
    )
    source: str = field(
        default="detector", metadata=column("Who placed the candidate", levels=("detector", "reader"))
    )
    flags: tuple[str, ...] = field(
        default=(), metadata=column("What to know before using the row, separated by semicolons")
    )
    fit_noise_limit_ppm_mm3: float | None = field(
        default=None, metadata=column("5 SD of the noise and clutter of this lesion's own fit", PPM_MM3)
    )
    shape: str | None = field(
        default=None, metadata=column("Shape that was fitted", levels=("ball", "spheroid", "pair", "free"))
    )


def with_parameters(summary: str, record: type) -> str:
    r"""Return a docstring whose Parameters section comes from the columns of a record's fields.

    Parameters
    ----------
    summary : str
        The docstring, with a section of examples.
    record : type
        Dataclass whose fields are made with `column`.

    Returns
    -------
    str
        The docstring with the section before its examples.

    Examples
    --------
    >>> "R2* in the lesion, 1/s." in with_parameters("Hold.\n\n    Examples\n", Microbleed)
    True
    """
    lines = ["    Parameters", "    ----------"]
    for entry in fields(record):
        described: Column = entry.metadata["column"]
        levels = f": {', '.join(described.levels)}" if described.levels else ""
        unit = f", {described.unit}" if described.unit else ""
        lines += [f"    {entry.name} : {entry.type}", f"        {described.description}{levels}{unit}."]
    return summary.replace("    Examples\n", "\n".join(lines) + "\n\n    Examples\n", 1)


Microbleed.__doc__ = with_parameters(Microbleed.__doc__ or "", Microbleed)

_AXES = {"x_mm": "first axis", "y_mm": "second axis", "z_mm": "third axis"}
_ESTIMATE = {
    "total_chi_sd_ppm_mm3": "Standard deviation of total_chi_ppm_mm3",
    "total_chi_low_ppm_mm3": "Lower end of the 95 % interval",
    "total_chi_high_ppm_mm3": "Upper end of the 95 % interval",
}
_TEXT_TYPES = ("str", "str | None", "tuple[str, ...]")


def _table_columns() -> dict[str, Column]:
    """Return the columns that the fields of a Microbleed become, in their order."""
    columns: dict[str, Column] = {}
    for entry in fields(Microbleed):
        own: Column = entry.metadata["column"]._replace(is_number=entry.type not in _TEXT_TYPES)
        if entry.name == "position_mm":
            described = {name: f"{own.description}, {axis}" for name, axis in _AXES.items()}
        else:
            described = {entry.name: own.description}
        if entry.name == "total_chi_ppm_mm3":
            described |= _ESTIMATE
        columns |= {name: own._replace(description=text) for name, text in described.items()}
    return columns


LESION_COLUMNS = _table_columns()
"""Columns of the lesion table (`*_desc-cmb_lesions.tsv`) by name, in their order."""
READER_COLUMNS = {
    "reader": Column(
        "Reader whose verdict the row holds; several that agree are joined by +", is_number=False
    )
}
"""Column that a table has besides those of `LESION_COLUMNS` once verdicts are applied."""
