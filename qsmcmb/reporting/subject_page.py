"""One self-contained page per subject, from the derivatives alone: it can be made years later."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import QsmcmbError
from qsmcmb.io.entities import natural_key
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.examined import EXAMINED_TABLE, read_examined
from qsmcmb.microbleeds.results.explanation_records import LesionRecord
from qsmcmb.reporting.explain_figures import draw_estimators
from qsmcmb.reporting.explain_page import evidence_lines, lines_of
from qsmcmb.reporting.figures import CHI_WINDOW_PPM, Panel, close_up, overview, percentile_window
from qsmcmb.reporting.forms_page import write_forms_page
from qsmcmb.reporting.methods_text import describe_comparison, describe_methods
from qsmcmb.reporting.page import show, write_page

__all__ = ["write_scan_page", "write_subject_page"]

MAX_PICTURES = 40
"""Lesions with a picture, definite ones first: bounds the size of a page."""
MAX_MISSED = 10
"""Points that are no candidates on a page: the table holds the others."""
COLUMNS = {
    "label": "label", "kind": "kind", "certainty": "certainty", "score": "score", "total": "total chi (95 %)",
    "total_chi_sum_ppm_mm3": "map sum", "total_chi_loss_ppm_mm3": "signal loss",
    "detection_limit_ppm_mm3": "detection limit", "volume_mm3": "visible volume (mm3)", "diameter_mm": "diameter (mm)",
    "r2star_hz": "R2* (1/s)", "side": "side", "territory": "territory", "position": "x, y, z (mm)", "source": "source",
    "flags": "flags",
}  # fmt: skip
TEXT = ("kind", "certainty", "side", "territory", "source", "flags")
CHANGE_COLUMNS = (
    "lesion", "status", "baseline_session", "followup_session", "interval_years", "baseline_ppm_mm3",
    "followup_ppm_mm3", "change_ppm_mm3", "change_sd_ppm_mm3", "change_percent", "mdc_ppm_mm3", "p_value", "flags",
)  # fmt: skip


def write_subject_page(
    out: Path,
    participant: str,
    *,
    notes: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    say: Callable[[str], None] | None = None,
) -> Path:
    """Write OUT/sub-<label>.html.

    Parameters
    ----------
    out : path
        Derivatives folder.
    participant : str
        Label without `sub-`.
    notes : sequence of str, optional
        Messages of the run.
    failures : mapping of str to str, optional
        Error by the name of each session that has failed.
    without : collection of str, optional
        Scans that are left out, by the prefix of their names.
    say : callable, optional
        Hears of each session whose results cannot be shown: the page says so, and shows the others.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OSError
        The page cannot be written.

    Examples
    --------
    >>> write_subject_page(Path("derivatives/qsmcmb"), "01")  # doctest: +SKIP
    """
    tables = (out / f"sub-{participant}").glob(f"sub-{participant}*_desc-cmb_longitudinal.tsv")
    results = [s for s in list_results(out, participant) if s.place.prefix not in without]
    page = f"sub-{participant}.html"
    failed = dict(failures or {})
    sessions, comparisons, forms = [], [], None
    with _or_failure(failed, "forms", say):
        forms = write_forms_page(
            out / f"sub-{participant}_forms.html", results, title=f"sub-{participant}", back=page
        )
    for scan in results:
        with _or_failure(failed, scan.heading, say):
            sessions.append(_session(scan))
    for table in sorted(tables, key=lambda p: natural_key(p.name)):
        with _or_failure(failed, table.name, say):
            comparisons.append(_comparison(table, participant))
    return write_page(
        out / page, "subject.html", title=f"sub-{participant}", notes=notes, failures=failed,
        forms=forms and forms.name, sessions=sessions, comparisons=comparisons,
        change_header=[c.replace("_", " ").replace("ppm mm3", "(ppm mm3)") for c in CHANGE_COLUMNS],
    )  # fmt: skip


def write_scan_page(out: Path) -> Path:
    """Write OUT/report.html of a single scan.

    Parameters
    ----------
    out : path
        Folder that `qsmcmb recon` wrote.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InvalidInputError
        A record of the scan is missing.

    Examples
    --------
    >>> write_scan_page(Path("out"))  # doctest: +SKIP
    """
    session = SessionResults(Place(out), "", "")
    title = out.resolve().name
    forms = write_forms_page(out / "forms.html", [session], title=title, back="report.html")
    return write_page(
        out / "report.html", "subject.html", title=title, notes=(), failures={}, forms=forms and forms.name,
        sessions=[_session(session)], comparisons=[], change_header=[],
    )  # fmt: skip


@contextlib.contextmanager
def _or_failure(failed: dict[str, str], name: str, say: Callable[[str], None] | None) -> Iterator[None]:
    """Make an error of the block a failure that the page shows: one damaged result hides no other."""
    try:
        yield
    except Exception as error:
        failed[name] = str(error) if isinstance(error, QsmcmbError) else f"{type(error).__name__}: {error}"
        if say:
            say(f"{name} cannot be shown: {failed[name]}")


def _comparison(table: Path, participant: str) -> dict[str, Any]:
    """Return the changes of one longitudinal table, and which scans it compares."""
    entities = table.name.removeprefix(f"sub-{participant}_").removesuffix("desc-cmb_longitudinal.tsv")
    beside = table.with_suffix(".json")
    return {
        "name": entities.rstrip("_").replace("_", ", "),
        "rows": [[_change_cell(row.get(c)) for c in CHANGE_COLUMNS] for row in read_tsv(table)],
        "methods": describe_comparison(read_sidecar(beside) if beside.exists() else {}),
    }


def _session(session: SessionResults) -> dict[str, Any]:
    record, lesions = session.record("desc-cmb_burden"), session.lesions()
    panels = _panels(session)
    centre = np.argwhere(panels[0].data != 0).mean(axis=0)
    pictured = sorted(lesions, key=lambda m: (m.certainty != "definite", m.label))[:MAX_PICTURES]
    close = [panels[0], panels[1], panels[3]]
    sums = record.get("SourceChecksums", {})
    explanations = _explanations(session)
    return {
        "name": session.heading,
        "burden": f"{show(record['burden_ppm_mm3'])} ppm mm3 ({show(record['burden_low_ppm_mm3'])} to "
        f"{show(record['burden_high_ppm_mm3'])})",
        "n_definite": record["n_definite"],
        "n_possible": record["n_possible"],
        "pattern": _pattern(record),
        "conventional": _conventional(record),
        "warnings": record.get("Warnings", []),
        "overview": overview(panels, [int(c) for c in centre]),
        "reference": session.record("Chimap")["ReferenceRegion"] + " is 0",
        "header": list(COLUMNS.values()),
        "text": [i for i, name in enumerate(COLUMNS) if name in TEXT],
        "rows": [[_cell(lesion, name) for name in COLUMNS] for lesion in lesions],
        "lesions": [
            {
                "label": lesion.label,
                "image": close_up(close, np.array(lesion.position_mm)),
                "caption": f"{lesion.label}: {lesion.kind}, {lesion.certainty}, {_cell(lesion, 'total')} ppm mm3",
            }
            for lesion in pictured
        ],
        "missed": _missed(session),
        "hidden": len(lesions) - len(pictured),
        "explained": _explained(explanations, {lesion.label for lesion in pictured}),
        "methods": describe_methods(record, explanations),
        "inputs": [(name, sums.get(name, "")) for name in record.get("Sources", [])],
    }


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


def _explanations(session: SessionResults) -> list[LesionRecord]:
    """Return the explanations of a session's lesions; none where an earlier version left none, or other keys."""
    if not session.place.path("desc-cmb_explain.json").exists():
        return []
    records: list[LesionRecord] = session.record("desc-cmb_explain")["Lesions"]
    current = all("psf_and_shape_sd" in record["fit"] for record in records if "fit" in record)
    return records if current else []


def _explained(explanations: Sequence[LesionRecord], labels: set[int]) -> list[dict[str, Any]]:
    """Return what each pictured lesion's number rests on."""
    return [
        {
            "label": record["label"],
            "lines": lines_of(record),
            "evidence": evidence_lines(record),
            "flags": record["flags"],
            "numbers": draw_estimators(record) if "fit" in record else None,
        }
        for record in explanations
        if record["label"] in labels
    ]


def _panels(session: SessionResults) -> list[Panel]:
    chi, grid = session.canonical("Chimap")
    swi, _ = session.canonical("desc-swi_T2starw")
    mip, _ = session.canonical("desc-minIP_T2starw")
    local, _ = session.canonical("desc-local_fieldmap")
    spread = float(np.percentile(np.abs(local[local != 0]), 98)) if local.any() else 1.0
    panels = [
        Panel("susceptibility (ppm)", chi, grid, CHI_WINDOW_PPM),
        Panel("SWI", swi, grid, percentile_window(swi)),
        Panel("minimum intensity", mip, grid, percentile_window(mip)),
        Panel(f"local field (+-{spread:.2g} Hz)", local, grid, (-spread, spread)),
    ]
    if session.has("R2starmap"):
        r2star, _ = session.canonical("R2starmap")
        panels.append(Panel("R2* (0-60 1/s)", r2star, grid, (0.0, 60.0)))
    return panels


def _cell(lesion: Microbleed, name: str) -> str:
    """Return a lesion's cell of a column of the page."""
    if name == "total":
        total = lesion.total_chi_ppm_mm3
        if total is None:
            return "n/a"
        return f"{show(total.value)} ({show(total.low)} to {show(total.high)})"
    if name == "position":
        return ", ".join(f"{x:.1f}" for x in lesion.position_mm)
    if name == "flags":
        return ";".join(lesion.flags) or "n/a"
    return show(getattr(lesion, name))


def _change_cell(value: str | None) -> str:
    try:
        return show(float(value)) if value is not None else "n/a"
    except ValueError:
        return str(value)
