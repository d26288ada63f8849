"""Pages: everything escaped, one row per lesion, nothing from elsewhere, what is unknown is n/a."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import numpy as np
import pytest

from qsmcmb.io.tables import write_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate, Grid
from qsmcmb.reporting import lesion_cards, subject_page, subject_session
from qsmcmb.reporting.demo_page import write_demo_page
from qsmcmb.reporting.niivue import niivue_source
from qsmcmb.reporting.page import show, write_page
from qsmcmb.reporting.subject_page import CHANGE_COLUMNS, write_scan_page, write_subject_page
from qsmcmb.reporting.subject_session import COLUMNS
from qsmcmb.reporting.validation_page import write_validation_page

NIIVUE = niivue_source()
EVIL = "<script>alert('x')</script> & \"co\""
Parse = Callable[[str], Any]


@pytest.mark.parametrize(
    ("value", "cell"),
    [(None, "n/a"), (math.nan, "n/a"), (1.23456, "1.23"), (0.000123456, "0.000123"), (1234567.0, "1.23e+06"), (7, "7"),
     ("left", "left"), (True, "True")],
)  # fmt: skip
def test_cells(value: Any, cell: str) -> None:
    assert show(value) == cell


def test_cells_have_as_many_digits_as_asked() -> None:
    assert show(1.23456, 2) == "1.2"
    assert show(0.0) == "0"


def test_a_template_without_its_values_fails(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError):
        write_page(tmp_path / "p.html", "explain.html", title="x")
    assert not (tmp_path / "p.html").exists()


def lesions_of(count: int) -> list[Microbleed]:
    return [
        Microbleed(
            label=n, position_mm=(1.0 * n, -2.25, 3.0), certainty="definite" if n % 2 else "possible", score=0.5,
            total_chi_ppm_mm3=Estimate(2.0 + n, 0.5, "ppm mm3", (1.0 + n, 3.0 + n)) if n != 2 else None,
            total_chi_loss_ppm_mm3=1.5, detection_limit_ppm_mm3=0.7, volume_mm3=12.0, diameter_mm=2.8, r2star_hz=51.0,
            side="left", territory="lobar", flags=(EVIL,),
        )
        for n in range(1, count + 1)
    ]  # fmt: skip


def session_of(count: int, tmp_path: Path, **burden: Any) -> Any:
    """Return what stands for a finished session: a few volumes, a record and a table."""
    grid = Grid.isotropic((10, 9, 8), 2.0)
    volume = np.random.default_rng(1).standard_normal(grid.shape)
    record = {
        "burden_ppm_mm3": 12.345, "burden_low_ppm_mm3": 10.0, "burden_high_ppm_mm3": 15.0, "n_definite": 3,
        "n_possible": 2, "pattern": "lobar", "Warnings": [EVIL], "SourceChecksums": {"bids::a.nii.gz": "sha256:abc"},
        "Sources": ["bids::a.nii.gz", "bids::b.nii.gz"], "Steps": {}, "Input": {"PhaseScale": EVIL},
        "EchoTime": [0.005], "VoxelSize": [2.0, 2.0, 2.0],
        "MagneticFieldStrength": 3.0, "GeneratedBy": [{"Name": "qsmcmb", "Version": "1"}], **burden,
    }  # fmt: skip
    records = {"desc-cmb_burden": record, "Chimap": {"ReferenceRegion": "brain mean"}}
    return SimpleNamespace(
        heading=f"ses-{EVIL}", record=records.__getitem__, lesions=lambda: lesions_of(count),
        canonical=lambda ending: (volume, grid), has=lambda ending: False, participant="01", session="1",
        place=SimpleNamespace(path=lambda ending: tmp_path / ending, prefix="sub-01"),
    )  # fmt: skip


@pytest.fixture
def with_sessions(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def give(*sessions: Any) -> None:
        monkeypatch.setattr(subject_page, "list_results", lambda out, participant: list(sessions))
        # What they draw has tests of its own.
        monkeypatch.setattr(subject_session, "overview", lambda panels, centre: "AAAA")
        monkeypatch.setattr(lesion_cards, "draw_lesion", lambda *_: "AAAA")

    return give


def test_a_subject_page_has_one_row_per_lesion(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    with_sessions(session_of(5, tmp_path))
    page = parse(write_subject_page(tmp_path, "01", notes=[EVIL]).read_text())
    head = page.rows.index(list(COLUMNS.values()))
    rows = page.rows[head + 1 : head + 6]
    cells = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert [c["label"] for c in cells] == ["1", "2", "3", "4", "5"]
    assert cells[0]["total"] == "3.00 (2.00 to 4.00)"
    assert cells[1]["total"] == "n/a"
    assert cells[0]["total_chi_sum_ppm_mm3"] == "n/a"
    assert cells[0]["position"] == "1.0, -2.2, 3.0"
    assert cells[0]["flags"] == EVIL
    # After the table come the inputs: how the phase was read, then the files.
    assert page.rows[head + 6 : head + 8] == [
        ["range of the phase, and what shows it", EVIL],
        ["field strength", "3 T"],
    ]
    assert page.rows[head + 8] == ["file", "sha256"]
    assert page.rows[head + 9 :] == [["bids::a.nii.gz", "sha256:abc"], ["bids::b.nii.gz", ""]]
    assert "Burden 12.3 (10.0 to 15.0) ppm mm³ (95 %); 3 definite, 2 possible; lobar" in page.text


def test_the_pattern_by_the_other_rule_is_said_where_it_differs(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    rules = {"ignored": "strictly lobar", "by-depth": "mixed"}
    with_sessions(
        session_of(1, tmp_path, pattern="strictly lobar", pattern_rule="ignored", pattern_by_rule=rules)
    )
    text = parse(write_subject_page(tmp_path, "01").read_text()).text
    assert "; strictly lobar, mixed with the cerebellum by depth" in text
    with_sessions(
        session_of(
            1,
            tmp_path,
            pattern="mixed",
            pattern_rule="by-depth",
            pattern_by_rule=dict.fromkeys(rules, "mixed"),
        )
    )
    assert "; mixed\n" in parse(write_subject_page(tmp_path, "01").read_text()).text


def test_what_conventional_imaging_would_show_has_a_row_for_each_protocol(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    protocol = {
        "name": EVIL, "b0_tesla": 1.5, "te_s": 0.025, "in_plane_mm": 1.0, "slice_mm": 5.0, "n_visible": 2,
        "n_expected": 2.25, "count_class": "2-4", "lesions": [{}, {}, {}],
    }  # fmt: skip
    with_sessions(session_of(1, tmp_path, conventional={"protocols": [protocol]}))
    page = parse(write_subject_page(tmp_path, "01").read_text())
    assert [EVIL, "1.5 T, TE 25 ms", "1 x 1 x 5 mm", "2 of 3", "2.25", "2-4"] in page.rows


@pytest.mark.parametrize("detail", ["full", "light"])
def test_nothing_of_the_data_becomes_markup(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse, detail: Any
) -> None:
    with_sessions(session_of(2, tmp_path))
    html = write_subject_page(tmp_path, EVIL.replace("/", ""), notes=[EVIL], detail=detail).read_text()
    page = parse(html)
    # Our own scripts and data alone, each element closed where it should be.
    assert html.count("<script") == html.count("</script>") + (
        NIIVUE.count("<script") if detail == "full" else 0
    )
    assert [a.get("type") for a in page.named("script") if a.get("type")] == (
        ["application/octet-stream"] * 3 + ["application/json"] if detail == "full" else []
    )
    assert "<script>alert" not in html
    # As text it is all there: note, warning, name, flags.
    assert page.text.count("alert('x')") >= 5
    assert all("onerror" not in attributes for _, attributes in page.tags)


def policy_of(page: Any) -> dict[str, str]:
    """Return the page's policy by directive."""
    (content,) = (
        a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    return {part.split()[0]: part.partition(" ")[2] for part in content.split("; ")}


@pytest.mark.parametrize("detail", ["full", "light"])
def test_the_policy_lets_nothing_through_but_the_packages_own(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse, detail: Any
) -> None:
    with_sessions(session_of(2, tmp_path))
    html = write_subject_page(tmp_path, "01", detail=detail).read_text()
    policy = policy_of(parse(html))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert "unsafe" not in html.split("</head>")[0]
    assert not {"connect-src", "worker-src", "frame-src"} & set(policy)
    if detail == "full":
        digests = re.findall(r"'sha256-([^']+)'", policy["script-src"])
        texts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        assert digests == [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in texts]
    else:
        assert "script-src" not in policy


def test_a_page_loads_nothing_from_elsewhere(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    with_sessions(session_of(2, tmp_path))
    html = write_subject_page(tmp_path, "01", detail="light").read_text()
    page = parse(html)
    pictures = page.named("img")
    assert len(pictures) == 1 + 2
    assert all((p["src"] or "").startswith("data:image/png;base64,") for p in pictures)
    assert all(p["alt"] for p in pictures)
    assert not page.named("link")
    assert not page.named("iframe")
    assert not re.search(r"url\(|@import", html)
    # A style in an element would need a policy that lets through what anybody wrote.
    assert all("style" not in attributes for _, attributes in page.tags)


def test_definite_lesions_have_their_pictures_first_and_a_page_stays_small(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_sessions(session_of(9, tmp_path))
    picture = "A" * 300_000
    monkeypatch.setattr(lesion_cards, "draw_lesion", lambda *_: picture)
    path = write_subject_page(tmp_path, "01", detail="light")
    page = parse(path.read_text())
    shown = [p["alt"] for p in page.named("img") if (p["alt"] or "").startswith("lesion ")]
    # Five of nine fit: those with odd labels, which are definite.
    assert shown == [f"lesion {n}" for n in (1, 3, 5, 7, 9)]
    assert "4 lesions are without a picture" in page.text
    assert path.stat().st_size < 2_000_000


def test_a_session_without_lesions_says_so(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    with_sessions(session_of(0, tmp_path))
    page = parse(write_subject_page(tmp_path, "01").read_text())
    assert "No candidate was found." in page.text
    assert list(COLUMNS.values()) not in page.rows


def test_rejected_candidates_are_counted_and_closed(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    session = session_of(5, tmp_path)
    found = [replace(m, certainty="rejected") if m.label > 2 else m for m in lesions_of(5)]
    session.lesions = lambda: found
    with_sessions(session)
    html = write_subject_page(tmp_path, "01", detail="light").read_text()
    accepted, _, rest = html.partition('<details class="rejected">')
    rejected = rest[: rest.index("Table of all candidates")]
    assert [part.count("<article") for part in (accepted, rejected)] == [2, 3]
    assert "Rejected candidates: 3" in rejected
    assert (
        "1 visit: 3 definite and 2 possible microbleeds; burden 12.3 (10.0 to 15.0) ppm mm³ (95 %)"
        in accepted
    )


def test_a_readers_verdict_and_comment_stand_on_the_card(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    session = session_of(2, tmp_path)
    (tmp_path / "desc-cmb_review.json").touch()
    judgement = {"verdict": "accept", "comment": EVIL, "moved_to_mm": None}
    read = {"position_mm": [2.2, -2.25, 3.0], "label": 2, "reader": "JD", "judgement": judgement}
    records = session.record
    session.record = lambda name: {"Decisions": [read]} if name == "desc-cmb_review" else records(name)
    with_sessions(session)
    text = parse(write_subject_page(tmp_path, "01", detail="light").read_text()).text
    assert text.count(f"Read by JD, accept: {EVIL}.") == 1
    assert text.index("2: microbleed") < text.index("Read by JD")


def test_what_has_changed_stands_before_the_sessions(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    sessions = [session_of(1, tmp_path) for _ in "12"]
    for n, session in enumerate(sessions, start=1):
        session.heading = f"ses-{n}"
    with_sessions(*sessions)
    folder = tmp_path / "sub-01"
    folder.mkdir()
    row = {
        "lesion": 1, "status": "increased", "baseline_session": "ses-1", "followup_session": "ses-2",
        "interval_years": 1.5, "change_ppm_mm3": 6.7, "change_percent": 87.1, "mdc_ppm_mm3": 1.8,
        "status_probability": 0.99,
    }  # fmt: skip
    new = {**row, "lesion": 2, "status": "incident", "change_percent": None}
    write_tsv(folder / "sub-01_desc-cmb_longitudinal.tsv", [row, new], CHANGE_COLUMNS)
    labels = [
        {"lesion": lesion, "session_id": f"ses-{n}", "labels": label}
        for lesion, n, label in ((1, 1, "4"), (1, 2, "1+3"), (2, 1, None), (2, 2, "2"))
    ]
    write_tsv(folder / "sub-01_desc-cmb_course.tsv", labels, list(labels[0]))
    text = parse(
        write_subject_page(tmp_path, "01", failures={"ses-3": EVIL}, detail="light").read_text()
    ).text
    order = [
        "ses-3: no results",
        "2 visits, 1.5 years: 1 new, 1 grown; burden 12.3 (10.0 to 15.0) to 12.3 (10.0 to 15.0) ppm mm³ (95 %)",
        "Change over time",
        "Lesion 1: label 4 in ses-1, label 1+3 in ses-2",
        "increased (probability 0.99), change 6.7 ppm mm³ (87.1 %), minimum detectable change 1.8 ppm mm³",
        "Lesion 2: no lesion of its table in ses-1, label 2 in ses-2",
        "incident (probability 0.99), change 6.7 ppm mm³, minimum",
        "Burden 12.3 (10.0 to 15.0)",
        "Inputs and methods of ses-1",
    ]
    at = [text.index(words) for words in order]
    assert at == sorted(at)


def test_changes_have_one_row_each_with_units(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    with_sessions()
    folder = tmp_path / "sub-01"
    folder.mkdir()
    changes = [
        {
            "lesion": 1,
            "status": "stable",
            "baseline_ppm_mm3": 4.123456,
            "change_ppm_mm3": 0.1,
            "p_value": 0.5,
        },
        {"lesion": 2, "status": "incident", "flags": EVIL},
    ]
    write_tsv(folder / "sub-01_desc-cmb_longitudinal.tsv", changes, CHANGE_COLUMNS)
    page = parse(write_subject_page(tmp_path, "01").read_text())
    header, *rows = page.rows
    assert len(header) == len(CHANGE_COLUMNS)
    assert "baseline (ppm mm³)" in header
    assert len(rows) == 2
    cells = [dict(zip(CHANGE_COLUMNS, row, strict=True)) for row in rows]
    assert cells[0]["baseline_ppm_mm3"] == "4.12"
    assert cells[0]["status"] == "stable"
    assert cells[1]["followup_ppm_mm3"] == "n/a"
    assert cells[1]["flags"] == EVIL


def test_a_scans_page_is_named_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parse: Parse
) -> None:
    monkeypatch.setattr(subject_page, "SessionResults", lambda *_: session_of(1, tmp_path))
    given: list[Any] = []
    monkeypatch.setattr(subject_session, "overview", lambda *panels: given.append(panels) or "AAAA")
    out = tmp_path / "my scan"
    out.mkdir()
    page = parse(write_scan_page(out).read_text())
    assert page.text.strip().startswith("my scan")
    ((panels, centre),) = given
    assert [p.title.split(" (")[0] for p in panels] == [
        "susceptibility",
        "SWI",
        "minimum intensity",
        "local field",
    ]
    # The middle of what the map covers.
    assert centre == [4, 4, 3]
    assert list(COLUMNS.values()) in page.rows


def test_the_demonstration_has_a_row_per_lesion_with_intervals(tmp_path: Path, parse: Parse) -> None:
    sessions = ("15T", "3T")
    rows = [
        {"lesion": n, "kind": kind, "truth_ppm_mm3": t, "cv": 0.0123, "cv_volume": None,
         **{f"{s}_{c}": v for s in sessions for c, v in
            (("ppm_mm3", t), ("low_ppm_mm3", t - 1), ("high_ppm_mm3", t + 1), ("volume_mm3", 9.0))}}
        for n, kind, t in ((1, "microbleed", 4.0), (2, "calcification", -6.0))
    ]  # fmt: skip
    write_tsv(tmp_path / "demo.tsv", rows, list(rows[0]))
    record = {
        "detected": {"15T": {"found": 1, "of": 2}, "3T": {"found": 2, "of": 2}}, "median_cv_total_chi": 0.0123,
        "median_cv_visible_volume": 0.61,
    }  # fmt: skip
    (tmp_path / "demo.json").write_text(json.dumps(record))
    page = parse(write_demo_page(tmp_path).read_text())
    assert page.rows[0] == ["lesion", "kind", "true", "15T (95 %)", "3T (95 %)", "CV (%)", "CV of volume (%)"]
    assert page.rows[1:] == [
        ["1", "microbleed", "4", "4 (3 to 5)", "4 (3 to 5)", "1.2", "n/a"],
        ["2", "calcification", "-6", "-6 (-7 to -5)", "-6 (-7 to -5)", "1.2", "n/a"],
    ]
    assert "total susceptibility 1.2 %" in page.text
    assert "1 of 2 at 15T, 2 of 2 at 3T" in page.text


def validation_tables(out: Path, published: str | None) -> None:
    claims = [
        {"source": "here", "quantity": EVIL, "published": published, "here": 1.23456, "limit": "at most 2", "passed": p,
         "note": None}
        for p in ("yes", "no", "yes")
    ]  # fmt: skip
    write_tsv(out / "claims.tsv", claims, list(claims[0]))
    lesions = [
        {"experiment": e, "kind": k, "session": "3T", "truth_ppm_mm3": 4.0, "estimate_ppm_mm3": 4.2, "low_ppm_mm3": 4.0,
         "high_ppm_mm3": 4.4}
        for e, k in (("fields", "microbleed"), ("te", "microbleed"), ("te", "vein"))
    ]  # fmt: skip
    write_tsv(out / "lesions.tsv", lesions, list(lesions[0]))


@pytest.mark.parametrize("published", [None, "1.1"])
def test_the_validation_counts_its_limits_and_marks_what_is_missed(
    tmp_path: Path, parse: Parse, published: str | None
) -> None:
    validation_tables(tmp_path, published)
    html = write_validation_page(tmp_path, title="t", lead=EVIL).read_text()
    page = parse(html)
    assert "2 of 3 limits met." in page.text
    assert ("published" in page.rows[0]) == (published is not None)
    assert len(page.rows) == 4
    assert [a.get("class") for a in page.named("tr")] == [None, None, "warn", None]
    cells = dict(zip(page.rows[0], page.rows[1], strict=True))
    assert cells["here"] == "1.23"
    assert cells["quantity"] == EVIL
    assert cells["pass"] == "yes"
    assert cells["note"] == ""
    assert not page.named("script")
    assert "Errors by size" not in page.text


def test_the_validation_shows_classes_and_conditions_where_they_are(tmp_path: Path, parse: Parse) -> None:
    validation_tables(tmp_path, None)
    classes = [{"class": "2 to 5", "lesions": 7, "median_percent": 1.23456}]
    write_tsv(tmp_path / "classes.tsv", classes, list(classes[0]))
    study = [{"condition": "te: 10", "t2s_mm3": 10.0, "qsm_mean_ppm": None, "total_over_truth": 1.0}]
    write_tsv(tmp_path / "study.tsv", study, list(study[0]))
    page = parse(write_validation_page(tmp_path).read_text())
    assert ["2 to 5", "7", "1.23"] in page.rows
    assert ["te: 10", "10", "n/a", "1"] in page.rows
    assert len(page.named("img")) == 2


@pytest.mark.parametrize(("experiment", "drawn"), [("fields", 1), ("other", 2)])
def test_lesions_of_the_main_experiments_are_drawn_or_else_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, drawn: int
) -> None:
    from qsmcmb.reporting import validation_page

    validation_tables(tmp_path, None)
    table = tmp_path / "lesions.tsv"
    table.write_text(table.read_text().replace("fields", experiment))
    given: list[Any] = []
    monkeypatch.setattr(validation_page, "truth_plot", lambda rows: given.append(list(rows)) or "AAAA")
    write_validation_page(tmp_path)
    assert len(given[0]) == drawn
    assert all(r["kind"] == "microbleed" for r in given[0])


def test_the_reason_of_a_verdict_stands_beside_it(
    tmp_path: Path, with_sessions: Callable[..., None], parse: Parse
) -> None:
    session = session_of(1, tmp_path)
    (tmp_path / "desc-quality.json").touch()
    measures = [
        {"Description": name, "Value": value, "Unit": "ppm mm3", "Good": [None, 3], "Verdict": verdict}
        for name, value, verdict in (("Noise", 4.0, "look"), ("Limit", 48.0, "bad"))
    ]
    quality = {"Verdict": "bad", "Stages": {"quantify": {"Measures": measures, "FallBacks": []}}}
    records = session.record
    session.record = lambda name: quality if name == "desc-quality" else records(name)
    with_sessions(session)
    page = parse(write_subject_page(tmp_path, "01", detail="light").read_text())
    assert page.rows[1][-1] == "bad: Limit 48 ppm mm³ (good: at most 3); and 1 more"
    assert "Limit 48 ppm mm³ (good: at most 3), bad; Noise 4 ppm mm³ (good: at most 3), look" in page.text
