"""The results of a scan with readers' verdicts in them: lesions, burden, forms, explanations, quality, and what
`reviewed_images` writes.

They are always made from the detector's own files and the decisions, so that a verdict that is taken back leaves
nothing behind. Rows with a verdict have the reader's name in the last column, `reader`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.anatomy.rating_forms import bombs_form, form_columns, mars_form
from qsmcmb.anatomy.regions import MARS_TERRITORY, STRUCTURES
from qsmcmb.core.methods import call_method
from qsmcmb.io.lesion_table import Cell, column_sidecar, lesion_from_row
from qsmcmb.io.reading import read_regular
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv, write_json, write_tsv
from qsmcmb.lesion import LESION_COLUMNS, READER_COLUMNS
from qsmcmb.microbleeds.conventional.recorded_source import recorded_sources
from qsmcmb.microbleeds.results.burden import rated_microbleeds
from qsmcmb.microbleeds.results.lesion_pictures import LesionPicture
from qsmcmb.microbleeds.results.references import BURDEN_METHODS
from qsmcmb.pipeline.quality import with_lesions
from qsmcmb.study.detector_files import SAME_LESION_MM, DetectorFiles, distance_mm
from qsmcmb.study.judgement import Judgement
from qsmcmb.study.reader_log import images_id
from qsmcmb.study.reader_points import MeasuredPoint, measure_reader_points
from qsmcmb.study.review_decisions import Decision, Review, read_review
from qsmcmb.study.reviewed_images import write_labels, write_lesion_pictures, write_region_table
from qsmcmb.typing import Triple

__all__ = ["apply_review", "reapply"]

Row = dict[str, Cell]


@dataclass
class _Tables:
    """Contents that verdicts change, as they are on the way from the detector's files to the results."""

    lesions: list[Row]
    evidence: list[Row]
    explanations: list[dict[str, Any]]
    voxels: dict[int, list[list[int]]] = field(default_factory=dict)
    pictures: dict[int, LesionPicture | None] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)


class _Match(NamedTuple):
    """A decision with the row that it is on, or the point that it adds."""

    decision: Decision
    label: int | None
    point_mm: Triple | None


def apply_review(out: Path, scan: SessionResults, review: Review | None) -> list[str]:
    """Make the results of a scan those of its review; without decisions they become the detector's own again.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.
    review : Review or None
        Decisions.

    Returns
    -------
    list of str
        Warnings.

    Raises
    ------
    InvalidInputError
        RESULT: the detector's files are damaged. Every gate of the measurement at a reader's point.

    Examples
    --------
    >>> apply_review(Path("derivatives/qsmcmb"), scan, review)  # doctest: +SKIP
    """
    files = DetectorFiles(out, scan)
    if review is None or not review.decisions:
        files.put_back()
        return _disputes(scan, review)
    files.put_aside()
    warnings = _disputes(scan, review)
    tables = _read_tables(files)
    matches, lost = _match(tables.lesions, review.decisions)
    warnings += [f"{scan.place.prefix}: {text}" for text in lost]
    points = [m.point_mm for m in matches if m.point_mm is not None]
    measured = iter(measure_reader_points(out, scan, files.manifest, points) if points else [])
    for match in matches:
        if match.point_mm is not None:
            label = _enter_measured(tables, match, next(measured))
        else:
            assert match.label is not None
            label = match.label
        _enter_verdict(tables, label, match.decision)
    files.record(_write(out, files, scan, tables, review))
    return warnings


def reapply(out: Path, scan: SessionResults) -> list[str]:
    """Apply the decisions of the last `--apply` to results that do not hold them: those that a run has just written.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.

    Returns
    -------
    list of str
        Warnings; decisions on other images are not applied, and stay.

    Raises
    ------
    InvalidInputError
        REVIEW: the file of decisions is damaged.

    Examples
    --------
    >>> reapply(Path("derivatives/qsmcmb"), scan)  # doctest: +SKIP
    """
    review = read_review(scan.place)
    if review is None or DetectorFiles(out, scan).holds_verdicts:
        return []
    images = images_id(scan)
    if review.images != images:
        return [
            f"readers' verdicts are on other images ({review.images}) than these ({images}) and are not applied; "
            "they stay in *_desc-cmb_review.*"
        ]
    return apply_review(out, scan, review)


def _disputes(scan: SessionResults, review: Review | None) -> list[str]:
    """Return a warning where readers differ and nobody has decided."""
    count = len(review.disputed) if review else 0
    if not count:
        return []
    return [f"{scan.place.prefix}: readers differ on {count} candidates, whose rows stay the detector's"]


def _read_tables(files: DetectorFiles) -> _Tables:
    """Return the detector's own tables."""
    there = files.names()
    lesions: list[Row] = [dict(row) for row in read_tsv(files.path("desc-cmb_lesions.tsv"))]
    evidence: list[Row] = []
    explanations: list[dict[str, Any]] = []
    if "desc-cmb_evidence.tsv" in there:
        evidence = [dict(row) for row in read_tsv(files.path("desc-cmb_evidence.tsv"))]
    if "desc-cmb_explain.json" in there:
        explanations = list(_record(files, "desc-cmb_explain.json")["Lesions"])
    return _Tables(lesions, evidence, explanations)


def _record(files: DetectorFiles, ending: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(read_regular(files.path(ending)))
    return record


def _match(rows: Sequence[Row], decisions: Sequence[Decision]) -> tuple[list[_Match], list[str]]:
    """Return each decision with the row at its point; an accepted one without a row becomes a point to measure."""
    matches, lost = [], []
    for decision in decisions:
        near = _nearest(rows, decision)
        moved = decision.judgement.moved_to_mm
        accepted = decision.judgement.verdict == "accept"
        if near is not None:
            matches.append(_Match(decision, near, moved if accepted else None))
        elif accepted:
            matches.append(_Match(decision, None, moved or decision.position_mm))
        elif decision.judgement.verdict == "reject" and decision.label is not None:
            at = ", ".join(f"{v:.1f}" for v in decision.position_mm)
            lost.append(f"the candidate that {decision.reader} has rejected at {at} mm is no longer there")
    return matches, lost


def _nearest(rows: Sequence[Row], decision: Decision) -> int | None:
    """Return the label of the row that a decision is on: of the same label and point, or the nearest one."""
    if decision.label is None:
        return None
    away = {int(float(str(r["label"]))): distance_mm(_point_of(r), decision.position_mm) for r in rows}
    same = away.get(decision.label, np.inf)
    nearest = decision.label if same < SAME_LESION_MM else min(away, key=away.__getitem__, default=None)
    return nearest if nearest is not None and away[nearest] <= SAME_LESION_MM else None


def _point_of(row: Mapping[str, Cell]) -> Triple:
    x, y, z = (float(str(row[name])) for name in ("x_mm", "y_mm", "z_mm"))
    return x, y, z


def _enter_measured(tables: _Tables, match: _Match, measured: MeasuredPoint) -> int:
    """Enter what was measured at a reader's point: in place of the candidate that was moved, or as a new row."""
    label = match.label
    if label is None:
        label = 1 + max((int(float(str(r["label"]))) for r in tables.lesions), default=0)
    else:
        tables.gone.append(label)
    for rows, found in (
        (tables.lesions, measured.lesion), (tables.evidence, measured.evidence),
        (tables.explanations, measured.explanation),
    ):  # fmt: skip
        if rows or found is measured.lesion:
            _replace_row(rows, label, {**found, "label": label})
    tables.voxels[label], tables.pictures[label] = measured.voxels, measured.picture
    return label


def _replace_row(rows: list[dict[str, Any]], label: int, row: dict[str, Any]) -> None:
    """Put a row in the place of the one with its label, or at the end."""
    at = next((n for n, r in enumerate(rows) if int(float(str(r["label"]))) == label), None)
    if at is None:
        rows.append(row)
    else:
        rows[at] = row


def _enter_verdict(tables: _Tables, label: int, decision: Decision) -> None:
    """Enter a verdict into the row of a candidate, and into its explanation."""
    row = next(r for r in tables.lesions if int(float(str(r["label"]))) == label)
    row.update(_cells(row, decision.judgement), reader=decision.reader)
    for record in tables.explanations:
        if record["label"] == label:
            record.update(kind=row["kind"], certainty=row["certainty"])


def _cells(row: Mapping[str, Cell], judgement: Judgement) -> Row:
    """Return the cells that a verdict changes: kind and certainty, and the region where the reader corrects it."""
    cells: Row = {}
    if judgement.verdict == "accept":
        definite = judgement.certainty == "definite"
        cells = {
            "kind": "microbleed", "certainty": judgement.certainty,
            "bombs_certainty": "certain" if definite else "uncertain", "source": "reader",
        }  # fmt: skip
    elif judgement.verdict == "reject":
        # A calcification is a lesion, too, as the detector's own: no count of microbleeds holds it.
        is_lesion = judgement.kind == "calcification"
        cells = {
            "kind": judgement.kind, "certainty": "definite" if is_lesion else "rejected",
            "bombs_certainty": "certain" if is_lesion else "uncertain", "source": "reader",
        }  # fmt: skip
    if judgement.region is not None and judgement.region != row.get("mars_region"):
        of_bombs = {s.bombs for s in STRUCTURES.values() if s.mars == judgement.region}
        before = row.get("bombs_region")
        cells |= {
            "mars_region": judgement.region, "territory": MARS_TERRITORY[judgement.region],
            "bombs_region": of_bombs.pop() if len(of_bombs) == 1 else before if before in of_bombs else None,
        }  # fmt: skip
    return cells


def _write(
    out: Path, files: DetectorFiles, scan: SessionResults, tables: _Tables, review: Review
) -> list[str]:
    """Write the tables; return the ends of the names that were written. The burden's record comes last."""
    there, place = files.names(), scan.place
    columns = [*LESION_COLUMNS, *READER_COLUMNS]
    said = {
        "Readers": list(review.readers),
        "Decisions": len(review.decisions),
        "Disputed": len(review.disputed),
    }
    write_tsv(place.path("desc-cmb_lesions.tsv"), tables.lesions, columns)
    described = column_sidecar(READER_COLUMNS)
    write_json(
        place.path("desc-cmb_lesions.json"),
        {**_record(files, "desc-cmb_lesions.json"), **described, "Review": said},
    )
    written = ["desc-cmb_lesions.tsv", "desc-cmb_lesions.json"]
    if tables.evidence:
        write_tsv(place.path("desc-cmb_evidence.tsv"), tables.evidence, list(tables.evidence[0]))
        written.append("desc-cmb_evidence.tsv")
    if "desc-cmb_explain.json" in there:
        explained = _record(files, "desc-cmb_explain.json")
        write_json(place.path("desc-cmb_explain.json"), {**explained, "Lesions": tables.explanations})
        written.append("desc-cmb_explain.json")
    lesions = [lesion_from_row(row) for row in tables.lesions]
    written += _write_forms(files, scan, rated_microbleeds(lesions))
    written += write_labels(files, scan, tables.gone, tables.voxels)
    written += write_lesion_pictures(files, scan, tables.pictures)
    before = [lesion_from_row(row) for row in read_tsv(files.path("desc-cmb_lesions.tsv"))]
    written += write_region_table(out, files, scan, before, lesions)
    if "desc-quality.json" in there:
        write_json(
            place.path("desc-quality.json"), with_lesions(_record(files, "desc-quality.json"), lesions)
        )
        written.append("desc-quality.json")
    record = _record(files, "desc-cmb_burden.json")
    write_json(
        place.path("desc-cmb_burden.json"), {**record, **_burden(files, tables, record), "Review": said}
    )
    return [*written, "desc-cmb_burden.json"]


def _write_forms(files: DetectorFiles, scan: SessionResults, rated: Any) -> list[str]:
    """Write the forms of both scales; return the ends of the names."""
    written = []
    for scale, form in (("mars", mars_form(rated)), ("bombs", bombs_form(rated))):
        table, beside = f"desc-{scale}_form.tsv", f"desc-{scale}_form.json"
        if table in files.names():
            record = {k: v for k, v in _record(files, beside).items() if k != "Warnings"}
            write_tsv(scan.place.path(table), form.rows, list(form_columns(scale)))
            notes = {"Warnings": list(form.notes)} if form.notes else {}
            write_json(scan.place.path(beside), {**record, **notes})
            written += [table, beside]
    return written


def _burden(files: DetectorFiles, tables: _Tables, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the burden's keys that verdicts change."""
    chosen = dict(files.manifest.steps["anatomy"].parameters["burden"])
    method = str(chosen.pop("method"))
    lesions = [lesion_from_row(row) for row in tables.lesions]
    sources = recorded_sources(tables.explanations, before)
    found: dict[str, Any] = call_method(
        BURDEN_METHODS, method, chosen, lesions,
        context={
            "sources": sources,
            "cerebellum_depths": _cerebellum_depths(tables),
            "detection_limit": None,
            "fits": None,
        },
    )  # fmt: skip
    # The scan's own: no verdict changes them. Results of an older version lack what conventional images are made of.
    own = {
        "detection_limit_median_ppm_mm3",
        "below_detection_limit",
        *(["conventional"] if sources is None else []),
    }
    return {k: v for k, v in found.items() if k not in own}


def _cerebellum_depths(tables: _Tables) -> dict[int, str]:
    """Return the depth of the candidates in the cerebellum, as the run has recorded it."""
    return {r["label"]: r["cerebellum_depth"] for r in tables.explanations if r.get("cerebellum_depth")}
