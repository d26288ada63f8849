"""A card for each lesion: its number with the interval, what it rests on, and where to look."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.explanation_records import LesionRecord
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.microbleeds.results.lesion_pictures import LesionPicture
from qsmcmb.reporting.budget import Budget
from qsmcmb.reporting.explain_figures import draw_estimators
from qsmcmb.reporting.explain_page import evidence_lines, lines_of
from qsmcmb.reporting.figures import Panel
from qsmcmb.reporting.lesion_pictures import draw_lesion
from qsmcmb.reporting.page import interval_words, show
from qsmcmb.reporting.reader_words import read_reader_words

__all__ = ["lesion_cards", "total_words"]

MIN_PROBABILITY = 0.01
"""Probability below which a kind is not named on a card."""


def total_words(lesion: Microbleed) -> str:
    """Return a lesion's total susceptibility with its interval.

    Parameters
    ----------
    lesion : Microbleed
        Row of the lesion table.

    Returns
    -------
    str
        Value and 95 % interval without the unit, ppm mm³; n/a where there is no number.

    Examples
    --------
    >>> total_words(Microbleed(1, (0.0, 0.0, 0.0)))
    'n/a'
    """
    total = lesion.total_chi_ppm_mm3
    return "n/a" if total is None else interval_words(total.value, total.low, total.high)


def lesion_cards(
    session: SessionResults,
    lesions: Sequence[Microbleed],
    explanations: Sequence[LesionRecord],
    *,
    panels: Sequence[Panel],
    pictures: Mapping[int, LesionPicture],
    budget: Budget,
) -> list[dict[str, Any]]:
    """Return what the template needs of each lesion's card, in the order of the lesions.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.
    lesions : sequence of Microbleed
        Rows of its lesion table.
    explanations : sequence of LesionRecord
        What their numbers rest on; may be empty.
    panels : sequence of Panel
        Volumes that the pictures show.
    pictures : mapping of int to LesionPicture
        Magnitude and fit by label; may be empty.
    budget : Budget
        What is left of the page's size: definite lesions get their pictures first.

    Returns
    -------
    list of dict
        Texts and pictures; a picture is None where the page has no room for it.

    Examples
    --------
    >>> lesion_cards(session, [], [], panels=[], pictures={}, budget=budget)  # doctest: +SKIP
    """
    records = {record["label"]: record for record in explanations}
    words = read_reader_words(session, lesions)
    te_s = session.record("desc-cmb_burden").get("EchoTime", [])
    drawn: dict[int, dict[str, str | None]] = {}
    for lesion in sorted(lesions, key=lambda m: (m.certainty != "definite", m.label)):
        fit = pictures[lesion.label].slices if lesion.label in pictures else None
        record = records.get(lesion.label)
        image = budget.draw(lambda m=lesion, f=fit: draw_lesion(panels, np.array(m.position_mm), f, te_s))  # type: ignore[misc]
        numbers = None
        if image and record is not None and "fit" in record and not budget.is_light:
            numbers = budget.draw(lambda r=record: draw_estimators(r))  # type: ignore[misc]
        drawn[lesion.label] = {"image": image, "numbers": numbers}
    return [
        {
            **_card(session, lesion, records.get(lesion.label)),
            **drawn[lesion.label],
            "reader": words.get(lesion.label, ""),
        }
        for lesion in lesions
    ]


def _card(session: SessionResults, lesion: Microbleed, record: LesionRecord | None) -> dict[str, Any]:
    """Return the texts of one card."""
    where = [lesion.side, lesion.territory, lesion.mars_region]
    return {
        "label": lesion.label,
        "kind": lesion.kind,
        "certainty": lesion.certainty,
        "total": total_words(lesion),
        "limit": show(lesion.detection_limit_ppm_mm3),
        "where": (", ".join(filter(None, where)) or "place unknown").capitalize(),
        "position": ", ".join(f"{x:.1f}" for x in lesion.position_mm),
        "size": f"{show(lesion.diameter_mm)} mm across, {show(lesion.volume_mm3)} mm³",
        "probabilities": _probabilities(lesion, record),
        "flags": [{"flag": f, "meaning": FLAGS.get(f, "")} for f in lesion.flags],
        "lines": lines_of(record) if record else [],
        "evidence": evidence_lines(record) if record else [],
        "command": _command(session, record),
    }


def _probabilities(lesion: Microbleed, record: LesionRecord | None) -> str:
    """Return the probabilities of the kinds, the largest first."""
    found = {
        entry["name"].removeprefix("p_"): float(entry["value"])
        for entry in (record.get("evidence", []) if record else [])
        if entry["name"].startswith("p_") and isinstance(entry["value"], int | float)
    }
    named = sorted(((p, kind) for kind, p in found.items() if p >= MIN_PROBABILITY), reverse=True)
    if not named:
        return f"microbleed {show(lesion.score, 2)}"
    return ", ".join(f"{kind} {p:.2f}" for p, kind in named)


def _command(session: SessionResults, record: LesionRecord | None) -> str:
    """Return the command that computes the number again."""
    if record and record["command"]:
        return record["command"]
    if not session.participant:
        return (
            "qsmcmb quantify --phase PHASE... --mag MAGNITUDE... --te TIMES --b0 TESLA --points TSV -o TSV "
            "--explain FOLDER"
        )
    words = ["qsmcmb", "run", "BIDS", "OUT", "participant", "--participant-label", session.participant]
    if session.session:
        words += ["--session-label", session.session]
    return shlex.join([*words, "--force", "quantify"])
