"""Forms of the rating scales MARS and BOMBS: numbers of microbleeds by region, certainty and side, with totals.

Every microbleed stands in one cell. Those on the midline or without a side have columns of their own, those without a
region a row in their territory, those without a territory a row of their own, so that the totals are those of the
lesion table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.anatomy.regions import BOMBS_TERRITORY, MARS_TERRITORY, TERRITORIES
from qsmcmb.io.records import ColumnDescription
from qsmcmb.lesion import Microbleed

__all__ = (
    "BOMBS_SIZES",
    "FORM_SIDES",
    "UNASSIGNED",
    "FormRow",
    "RatingForm",
    "bombs_form",
    "form_columns",
    "mars_form",
)

FORM_SIDES = ("right", "left", "midline", "unknown")
"""Sides of a form; the last two are not in the published ones."""
UNASSIGNED = "unassigned"
"""Territory or region of a microbleed that has none."""
TOTAL = "total"
"""Region of the rows that hold a territory's sum."""
ALL = "all"
"""Territory of the row that holds the sum of all."""
BOMBS_SIZES = ("<5 mm", "5-10 mm", ">10 mm", "unknown")
"""Sizes by visible diameter; the last two are not in the published form."""
SIZE_LIMITS_MM = (5.0, 10.0)
"""Diameters, mm, from which the second size begins, and up to which it reaches."""
CERTAINTIES = {"mars": ("definite", "possible"), "bombs": ("certain", "uncertain")}
"""Words of each scale for certainty."""
FormRow = dict[str, str | int]
"""Territory, region, of BOMBS size, and the number of microbleeds in each column."""


class RatingForm(NamedTuple):
    """A filled form.

    Parameters
    ----------
    rows : list of dict
        Rows in the order of the published form.
    notes : tuple of str
        Microbleeds that the published form has no cell for.

    Examples
    --------
    >>> RatingForm(rows=[], notes=()).notes
    ()
    """

    rows: list[FormRow]
    notes: tuple[str, ...]


class _Cell(NamedTuple):
    """Position of a microbleed in a form."""

    territory: str
    region: str
    size: str
    column: str


def mars_form(lesions: Sequence[Microbleed]) -> RatingForm:
    """Return the form of the Microbleed Anatomical Rating Scale.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Microbleeds that are definite or possible, each once.

    Returns
    -------
    RatingForm
        A row for each of the 13 regions, for what has no region, and for the total of each territory and of all.

    References
    ----------
    Gregoire SM, Chaudhary UJ, Brown MM, et al. The Microbleed Anatomical Rating Scale (MARS): reliability of a tool to
    map brain microbleeds. Neurology 2009;73:1759-1766. doi:10.1212/WNL.0b013e3181c34a7d

    Examples
    --------
    >>> lesion = Microbleed(1, (9.0, 0.0, 5.0), certainty="definite", side="right", mars_region="thalamus")
    >>> rows = mars_form([lesion]).rows
    >>> [row["definite_right"] for row in rows if row["region"] == "thalamus"], rows[-1]["total"]
    ([1], 1)
    """
    cells = [
        _Cell(*_place(m.mars_region, m.territory, MARS_TERRITORY), "", f"{m.certainty}_{_side(m)}")
        for m in lesions
    ]
    return RatingForm(_rows("mars", cells, ("",)), _notes(lesions, cells))


def bombs_form(lesions: Sequence[Microbleed]) -> RatingForm:
    """Return the form of the Brain Observer Microbleed Scale.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Microbleeds that are definite or possible, each once.

    Returns
    -------
    RatingForm
        A row for each region and size, for what has no region, and for the total of each territory and of all.

    References
    ----------
    Cordonnier C, Potter GM, Jackson CA, et al. Improving interrater agreement about brain microbleeds: development of
    the Brain Observer MicroBleed Scale (BOMBS). Stroke 2009;40:94-99. doi:10.1161/STROKEAHA.108.526996

    Examples
    --------
    >>> lesion = Microbleed(1, (9.0, 0.0, 5.0), side="right", bombs_region="thalamus", diameter_mm=6.0)
    >>> [row["size"] for row in bombs_form([lesion]).rows if row["region"] == "thalamus" and row["total"]]
    ['5-10 mm']
    """
    cells = [
        _Cell(
            *_place(m.bombs_region, m.territory, BOMBS_TERRITORY), _size(m), f"{m.bombs_certainty}_{_side(m)}"
        )
        for m in lesions
    ]
    sized = (
        (sum(c.size == BOMBS_SIZES[2] for c in cells), "larger than 10 mm, which the scale leaves out"),
        (sum(c.size == BOMBS_SIZES[3] for c in cells), "without a visible diameter"),
    )
    return RatingForm(_rows("bombs", cells, BOMBS_SIZES), _notes(lesions, cells, sized))


def form_columns(scale: str) -> dict[str, ColumnDescription]:
    """Return the JSON record that describes each column of a form.

    Parameters
    ----------
    scale : {"mars", "bombs"}
        The scale.

    Returns
    -------
    dict
        Description of each column, in the table's order.

    Examples
    --------
    >>> list(form_columns("mars"))[:4]
    ['territory', 'region', 'definite_right', 'definite_left']
    """
    columns: dict[str, ColumnDescription] = {
        "territory": {
            "Description": f"Territory; {ALL} for the sum of all, {UNASSIGNED} where it is unknown"
        },
        "region": {
            "Description": f"Region of the scale; {TOTAL} for the sum over the territory, {UNASSIGNED} where it is "
            "unknown"
        },
    }
    if scale == "bombs":
        columns["size"] = {"Description": "Size by visible diameter"}
    columns |= {
        f"{certainty}_{side}": {"Description": f"Number of {certainty} microbleeds, {_WORDS[side]}"}
        for certainty in CERTAINTIES[scale]
        for side in FORM_SIDES
    }
    columns["total"] = {"Description": "Number of microbleeds in the row"}
    return columns


_WORDS = {
    "right": "right side",
    "left": "left side",
    "midline": "on the midline",
    "unknown": "of unknown side",
}


def _place(region: str | None, territory: str | None, territory_of: Mapping[str, str]) -> tuple[str, str]:
    """Return territory and region of a microbleed in a form."""
    if region is not None and region in territory_of:
        return territory_of[region], region
    return (territory if territory in TERRITORIES else UNASSIGNED), UNASSIGNED


def _side(lesion: Microbleed) -> str:
    """Return the side of a microbleed in a form."""
    return lesion.side if lesion.side in FORM_SIDES else "unknown"


def _size(lesion: Microbleed) -> str:
    """Return the size of a microbleed in the form of BOMBS."""
    if lesion.diameter_mm is None:
        return BOMBS_SIZES[3]
    return BOMBS_SIZES[int(np.searchsorted(SIZE_LIMITS_MM, lesion.diameter_mm, side="right"))]


def _lines(scale: str) -> Iterator[tuple[str, str]]:
    """Yield territory and region of the rows of a form, in its order."""
    territory_of = MARS_TERRITORY if scale == "mars" else BOMBS_TERRITORY
    for territory in dict.fromkeys(territory_of.values()):
        yield from ((territory, region) for region, t in territory_of.items() if t == territory)
        yield from ((territory, UNASSIGNED), (territory, TOTAL))
    yield from ((UNASSIGNED, UNASSIGNED), (ALL, TOTAL))


def _rows(scale: str, cells: Sequence[_Cell], sizes: Sequence[str]) -> list[FormRow]:
    """Return the rows of a form, a total being the sum of what it is of."""
    rows = []
    for territory, region in _lines(scale):
        for size in sizes:
            here = [
                c.column
                for c in cells
                if territory in (c.territory, ALL) and region in (c.region, TOTAL) and c.size == size
            ]
            row: FormRow = {"territory": territory, "region": region, **({"size": size} if size else {})}
            for certainty in CERTAINTIES[scale]:
                row |= {f"{certainty}_{side}": here.count(f"{certainty}_{side}") for side in FORM_SIDES}
            rows.append({**row, "total": len(here)})
    return rows


def _notes(
    lesions: Sequence[Microbleed], cells: Sequence[_Cell], more: Sequence[tuple[int, str]] = ()
) -> tuple[str, ...]:
    """Return sentences on the microbleeds that the published form has no cell for."""
    counts = (
        (sum(_side(m) == "midline" for m in lesions), "on the midline, where the scale has no side"),
        (sum(_side(m) == "unknown" for m in lesions), "of unknown side"),
        (sum(c.region == UNASSIGNED and c.territory != UNASSIGNED for c in cells), "of unknown region"),
        (sum(c.territory == UNASSIGNED for c in cells), "of unknown territory"),
        *more,
        (sum(m.total_chi_ppm_mm3 is None for m in lesions), "without a number, which the burden leaves out"),
    )
    return tuple(f"{n} microbleed{'s' * (n > 1)} {what}" for n, what in counts if n)
