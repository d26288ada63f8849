"""One session on the page of a subject, from its derivatives alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.io.quality_records import quality_findings
from qsmcmb.io.records import QUALITY
from qsmcmb.io.results import SessionResults, canonical_axes
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.examined import EXAMINED_TABLE, read_examined
from qsmcmb.microbleeds.results.explanation_records import LesionRecord
from qsmcmb.microbleeds.results.lesion_pictures import PICTURES, LesionPicture, read_pictures
from qsmcmb.microbleeds.siderosis.table import SIDEROSIS_TABLE, describe_area
from qsmcmb.reporting.budget import Budget
from qsmcmb.reporting.figures import CHI_WINDOW_PPM, Panel, overview, percentile_window
from qsmcmb.reporting.lesion_cards import lesion_cards, total_words
from qsmcmb.reporting.methods_text import describe_methods
from qsmcmb.reporting.page import interval_words, show, unit_words
from qsmcmb.reporting.quality_table import quality_rows

__all__ = ["COLUMNS", "Scan", "read_scan", "session_words"]

MAX_MISSED = 10
"""Points that are no candidates on a page: the table holds the others."""
COLUMNS = {
    "label": "label", "kind": "kind", "certainty": "certainty", "score": "score", "total": "total chi (ppm mm³, 95 %)",
    "total_chi_sum_ppm_mm3": "map sum (ppm mm³)",
    "total_chi_loss_ppm_mm3": "signal loss (ppm mm³)",
    "detection_limit_ppm_mm3": "detection limit (ppm mm³)", "volume_mm3": "visible volume (mm³)",
    "diameter_mm": "diameter (mm)",
    "r2star_hz": "R2* (1/s)", "side": "side", "territory": "territory", "position": "x, y, z (mm)", "source": "source",
    "flags": "flags",
}  # fmt: skip
TEXT = ("kind", "certainty", "side", "territory", "source", "flags")


class Scan(NamedTuple):
    """One session read once: its table, images and pictures.

    Parameters
    ----------
    session : SessionResults
        Results on disk.
    lesions : list of Microbleed
        Rows of the lesion table.
    panels : dict of str to Panel
        Images by the end of their names, axes near RAS+, each with its window.
    pictures : dict of int to LesionPicture
        Magnitude and fit by label; empty for results of earlier versions.

    Examples
    --------
    >>> read_scan(session).panels["Chimap"].title  # doctest: +SKIP
    'susceptibility (ppm)'
    """

    session: SessionResults
    lesions: list[Microbleed]
    panels: dict[str, Panel]
    pictures: dict[int, LesionPicture]


def read_scan(session: SessionResults) -> Scan:
    """Read what a page shows of a session.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.

    Returns
    -------
    Scan
        Table, images and pictures.

    Raises
    ------
    InvalidInputError
        A table, image or record is missing or damaged.

    Examples
    --------
    >>> read_scan(session)  # doctest: +SKIP
    """
    pictures = read_pictures(session.place.path(f"{PICTURES}.npz"))
    return Scan(session, session.lesions(), _panels(session), pictures)


def session_words(scan: Scan, budget: Budget) -> dict[str, Any]:
    """Return what the template needs of one session.

    Parameters
    ----------
    scan : Scan
        The session.
    budget : Budget
        What is left of the page's size.

    Returns
    -------
    dict
        Texts and pictures.

    Raises
    ------
    InvalidInputError
        A record of the session is missing or damaged.

    Examples
    --------
    >>> session_words(scan, budget)  # doctest: +SKIP
    """
    session, lesions, panels = scan.session, scan.lesions, scan.panels
    record = session.record("desc-cmb_burden")
    centre = [int(c) for c in np.argwhere(panels["Chimap"].data != 0).mean(axis=0)]
    shown = [panels[e] for e in ("Chimap", "desc-swi_T2starw", "desc-local_fieldmap")]
    whole = shown if budget.is_light else list(panels.values())
    explanations = _explanations(session)
    cards = lesion_cards(
        session, lesions, explanations, panels=_card_panels(scan), pictures=scan.pictures, budget=budget
    )
    return {
        "name": session.heading,
        "burden": interval_words(*(record[f"burden{end}_ppm_mm3"] for end in ("", "_low", "_high"))),
        "n_definite": record["n_definite"],
        "n_possible": record["n_possible"],
        "pattern": _pattern(record),
        "limit": record.get("below_detection_limit", {}).get("statement", ""),
        "conventional": _conventional(record),
        "warnings": record.get("Warnings", []),
        "quality": _quality(session),
        "overview": budget.draw(lambda: overview(whole, centre)),
        "reference": session.record("Chimap")["ReferenceRegion"] + " is 0",
        "header": list(COLUMNS.values()),
        "text": [i for i, name in enumerate(COLUMNS) if name in TEXT],
        "rows": [[_cell(lesion, name) for name in COLUMNS] for lesion in lesions],
        "cards": [card for card in cards if card["certainty"] != "rejected"],
        "rejected": [card for card in cards if card["certainty"] == "rejected"],
        "hidden": sum(card["image"] is None for card in cards),
        "missed": _missed(session),
        "siderosis": _siderosis(session),
        "methods": describe_methods(record, explanations),
        "inputs": _inputs(record),
        "scan_facts": _scan_facts(record),
    }


def _inputs(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the input files with their checksums."""
    sums = record.get("SourceChecksums", {})
    return [(name, sums.get(name, "")) for name in record.get("Sources", [])]


def _scan_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how the input was read: what says the range of the phase, its sign, field strength and direction."""
    stated = record.get("Input", {})
    words = {
        "PhaseUnits": "unit of the stored phase", "PhaseScale": "range of the phase, and what shows it",
        "PhaseSign": "sign of the phase", "PhaseFiltered": "phase filtered by the scanner",
    }  # fmt: skip
    facts = [(words.get(name, name), str(value)) for name, value in stated.items()]
    if "MagneticFieldStrength" in record:
        origin = record.get("MagneticFieldStrengthSource")
        tesla = f"{record['MagneticFieldStrength']:.4g} T"
        facts.append(("field strength", f"{tesla}, from {origin}" if origin else tesla))
    if "B0Direction" in record:
        direction = ", ".join(f"{v:.3f}" for v in record["B0Direction"])
        facts.append(
            ("direction of B0, voxel axes", f"{direction}, from {record.get('B0DirectionSource', 'unknown')}")
        )
    return facts


def _quality(session: SessionResults) -> dict[str, Any] | None:
    """Return verdict and table of a scan's quality; None where an earlier version left no record."""
    if not session.place.path(f"{QUALITY}.json").exists():
        return None
    record = session.record(QUALITY)
    findings = [found._replace(text=unit_words(found.text)) for found in quality_findings(record)]
    return {"verdict": record["Verdict"], "rows": quality_rows(record), "findings": findings}


def _pattern(record: dict[str, Any]) -> str:
    """Return the pattern, and that by the other rule for the cerebellum where it differs."""
    rule = record.get("pattern_rule")
    words = {"ignored": "with the cerebellum ignored", "by-depth": "with the cerebellum by depth"}
    others = [
        f"{pattern} {words[other]}"
        for other, pattern in record.get("pattern_by_rule", {}).items()
        if other != rule and pattern != record["pattern"]
    ]
    return ", ".join([str(record["pattern"]), *others])


def _conventional(record: dict[str, Any]) -> list[list[str]]:
    """Return what conventional imaging would have shown, a row for each protocol; none of an earlier version."""
    protocols = record.get("conventional", {}).get("protocols", [])
    return [
        [
            str(p["name"]), f"{show(p['b0_tesla'])} T, TE {1000 * p['te_s']:.4g} ms",
            f"{show(p['in_plane_mm'])} x {show(p['in_plane_mm'])} x {show(p['slice_mm'])} mm",
            f"{p['n_visible']} of {len(p['lesions'])}", show(p["n_expected"]), str(p["count_class"]),
        ]
        for p in protocols
    ]  # fmt: skip


def _missed(session: SessionResults) -> list[str]:
    """Return the strongest points that the detector looked at and that are no candidates; none of an older version."""
    path = session.place.path(f"{EXAMINED_TABLE}.tsv")
    if not path.exists():
        return []
    failed = [p for p in read_examined(path) if p.label is None and p.kind == "microbleed"]
    return [point.description for point in failed[:MAX_MISSED]]


def _siderosis(session: SessionResults) -> list[str]:
    """Return the areas that may be superficial siderosis; none where the scan or an older version has no table."""
    path = session.place.path(f"{SIDEROSIS_TABLE}.tsv")
    return [describe_area(row) for row in read_tsv(path)] if path.exists() else []


def _explanations(session: SessionResults) -> list[LesionRecord]:
    """Return the explanations of a session's lesions; none where an earlier version left none, or other keys."""
    if not session.place.path("desc-cmb_explain.json").exists():
        return []
    records: list[LesionRecord] = session.record("desc-cmb_explain")["Lesions"]
    current = all("psf_and_shape_sd" in record["fit"] for record in records if "fit" in record)
    return records if current else []


def _panels(session: SessionResults) -> dict[str, Panel]:
    """Return the images of a session by the end of their names, the map first."""
    chi, grid = session.canonical("Chimap")
    swi, _ = session.canonical("desc-swi_T2starw")
    mip, _ = session.canonical("desc-minIP_T2starw")
    local, _ = session.canonical("desc-local_fieldmap")
    spread = float(np.percentile(np.abs(local[local != 0]), 98)) if local.any() else 1.0
    panels = {
        "Chimap": Panel("susceptibility (ppm)", chi, grid, CHI_WINDOW_PPM),
        "desc-swi_T2starw": Panel("SWI", swi, grid, percentile_window(swi)),
        "desc-minIP_T2starw": Panel("minimum intensity", mip, grid, percentile_window(mip)),
        "desc-local_fieldmap": Panel("local field (Hz)", local, grid, (-spread, spread)),
    }
    if session.has("R2starmap"):
        r2star, _ = session.canonical("R2starmap")
        panels["R2starmap"] = Panel("R2* (1/s)", r2star, grid, (0.0, 60.0))
    return panels


def _card_panels(scan: Scan) -> list[Panel]:
    """Return map, magnitude and field as the cards show them; SWI in place of a magnitude that nobody stored."""
    panels = scan.panels
    middle = _magnitude(scan) or panels["desc-swi_T2starw"]
    return [panels["Chimap"], middle, panels["desc-local_fieldmap"]]


def _magnitude(scan: Scan) -> Panel | None:
    """Return the magnitude around the lesions on the grid of the images; None where none is stored."""
    if not scan.pictures:
        return None
    grid = scan.session.grid("Chimap")
    whole = np.full(grid.shape, np.nan, np.float32)
    for picture in scan.pictures.values():
        box = tuple(slice(s, s + n) for s, n in zip(picture.start, picture.magnitude.shape, strict=True))
        whole[box] = picture.magnitude
    data, turned = canonical_axes(whole, grid)
    return Panel("magnitude, last echo", data, turned, percentile_window(whole[np.isfinite(whole)], 98.0))


def _cell(lesion: Microbleed, name: str) -> str:
    """Return a lesion's cell of a column of the page."""
    if name == "total":
        return total_words(lesion)
    if name == "position":
        return ", ".join(f"{x:.1f}" for x in lesion.position_mm)
    if name == "flags":
        return ";".join(lesion.flags) or "n/a"
    return show(getattr(lesion, name))
