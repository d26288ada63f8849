"""The page of a group: every scan with its interval, subjects over time and fields, outliers, quality, failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.io.quality_records import Finding
from qsmcmb.reporting import cohort_figures
from qsmcmb.reporting.burden_axis import BurdenAxis, field_style
from qsmcmb.reporting.forest_table import forest_table
from qsmcmb.reporting.group_page import GroupRows, write_group_page
from qsmcmb.study.group import write_group
from tests.scenes.browser import browser, open_page
from tests.scenes.cohorts import write_cohort_study, write_scan_results

EVIL = "<img src=x onerror=alert(1)>$x_1$ & \"q\" 'a'"
Parse = Callable[[str], Any]


def burden(subject: str, session: int, value: float, **more: Any) -> dict[str, Any]:
    """Return a row of the table of burdens."""
    return {
        "participant_id": f"sub-{subject}", "session_id": f"ses-{session}", "b0_tesla": 3.0, "burden_ppm_mm3": value,
        "burden_low_ppm_mm3": 0.9 * value, "burden_high_ppm_mm3": 1.1 * value, "years": None, "n_definite": 1,
        "n_possible": 0, "n_warnings": 0, **more,
    }  # fmt: skip


def page_of(
    folder: Path, burdens: list[dict[str, Any]], findings: list[list[Finding]] | None = None, **more: Any
) -> str:
    """Return the page of some burdens; the quality of all is good where no finding says otherwise."""
    found = findings or [[] for _ in burdens]
    qualities = [
        {**row, "verdict": own[0].verdict if own else "good", "verdict_load": "good", "snr_first_echo": 40.0}
        for row, own in zip(burdens, found, strict=True)
    ]
    rows = GroupRows(burdens, qualities, found, more.pop("messages", []))
    columns = {"verdict": {"Description": "Worst"}, "snr_first_echo": {"Description": "SNR", "Units": "mm3"}}
    return write_group_page(folder / "group.html", rows, quality_columns=columns).read_text(encoding="utf-8")


def test_the_summary_counts_what_there_is(tmp_path: Path, parse: Parse) -> None:
    rows = [
        burden("1", 1, 4.0),
        burden("1", 2, 48.0, run="1"),
        burden("1", 2, 8.0, run="2"),
        burden("2", 1, 0.0),
    ]
    findings = [[], [Finding("bad", "a")], [Finding("look", "b")], [Finding("look", "c")]]
    messages = [{"participant_id": "sub-3", "session_id": "ses-1", "kind": "error", "text": EVIL}]
    page = parse(page_of(tmp_path, rows, findings, messages=messages))
    assert (
        "2 subjects, 3 sessions, 4 scans; 1 failed or damaged. Burden: median 6 ppm mm³, from 0 to 48; 1 scan without "
        "a microbleed. Quality: 1 good, 2 look, 1 bad."
    ) in page.text
    assert ["sub-3, ses-1", "error", EVIL] in page.rows
    assert ["sub-1, ses-2, run-1", "bad", "a"] in page.rows
    # The worst first.
    decided = [row[0] for row in page.rows if len(row) == 3 and row[1] in ("bad", "look")]
    assert decided == ["sub-1, ses-2, run-1", "sub-1, ses-2, run-2", "sub-2, ses-1"]


def test_scans_of_a_subject_stand_together_the_largest_subject_first() -> None:
    rows = [
        burden("a", 1, 1.0),
        burden("b", 1, 5.0),
        burden("b", 2, 50.0),
        burden("c", 1, 20.0, b0_tesla=6.98),
    ]
    table = forest_table(rows)
    assert [(row.subject, row.session, row.is_first) for row in table.rows] == [
        ("sub-b", "ses-1", True),
        ("sub-b", "ses-2", False),
        ("sub-c", "ses-1", True),
        ("sub-a", "ses-1", True),
    ]
    assert table.fields == [("square", "3 T", 3), ("diamond", "7 T", 1)]
    assert table.rows[1].burden == "50.0 (45.0 to 55.0)"
    # Positions grow with the burden, and the interval lies around it.
    by_burden = sorted(table.rows, key=lambda row: float(row.burden.split()[0]))
    assert [row.at for row in by_burden] == sorted(row.at for row in table.rows)
    for row in table.rows:
        assert row.ends is not None
        assert row.ends[0] < row.at < row.ends[1] <= table.width


def test_the_axis_is_that_of_the_figures() -> None:
    from matplotlib.figure import Figure

    for burdens in ([0.0, 0.3, 40.0], [3.0, 4.0], [0.0], []):
        axis, axes = BurdenAxis.of(burdens), Figure().subplots()
        axis.apply(axes)
        for value in np.linspace(0, axis.top, 7):
            drawn = axes.transAxes.inverted().transform(axes.transData.transform((0, value)))[1]
            assert axis.position(value) == pytest.approx(drawn, abs=1e-6)
    assert BurdenAxis.of([0.0, 0.3, 40.0]).is_log
    assert not BurdenAxis.of([3.0, 4.0]).is_log


def test_an_endless_interval_runs_out_of_the_picture() -> None:
    wide = burden("b", 1, 4.0, burden_low_ppm_mm3=-9.0, burden_high_ppm_mm3=1e6)
    row, other = forest_table([wide, burden("a", 1, 3.0)]).rows
    assert row.is_cut
    assert not other.is_cut
    bare = {"participant_id": "sub-1", "burden_ppm_mm3": None}
    (unknown,) = forest_table([bare]).rows
    assert (unknown.burden, unknown.ends, unknown.field) == ("n/a", None, "unknown field")


def test_field_strengths_differ_in_shape_and_colour() -> None:
    styles = [field_style(name) for name in ("1.5 T", "3 T", "7 T", "9.4 T", "unknown field")]
    for part in zip(*styles, strict=True):
        assert len(set(part)) == len(styles)


def test_subjects_are_drawn_over_time_where_it_is_known(drawn: Callable[..., Any]) -> None:
    rows = [
        burden(EVIL, 1, 4.0, years=0.0), burden(EVIL, 2, 8.0, years=1.5, b0_tesla=7.0), burden("2", 1, 3.0),
        burden("2", 2, 3.0), burden("3", 1, 9.0, years=0.0),
    ]  # fmt: skip
    (axes,) = drawn(cohort_figures, "course_plot", rows).axes
    assert axes.get_xlabel().endswith("(years)")
    assert "ppm mm" in axes.get_ylabel()
    line = next(line for line in axes.lines if line.get_linestyle() == "-")
    assert list(line.get_xdata()) == [0.0, 1.5]
    assert list(line.get_ydata()) == [4.0, 8.0]
    # Text of the data is no formula of the figure.
    (name,) = axes.texts
    assert name.get_text() == f"sub-{EVIL}"[:23] + "…"
    assert not name.get_parse_math()
    assert cohort_figures.course_plot(rows[2:]) == ""


def test_a_subjects_field_strengths_are_joined(drawn: Callable[..., Any]) -> None:
    rows = [burden("1", 1, 4.0, b0_tesla=1.5), burden("1", 2, 5.0, b0_tesla=2.894), burden("2", 1, 9.0)]
    (axes,) = drawn(cohort_figures, "burden_plot", rows).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1.5 T\n1 scan", "3 T\n2 scans"]
    joined = [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "-"]
    assert [4.0, 5.0] in joined


def test_the_ratio_of_fields_is_that_of_scans_nearest_in_time(tmp_path: Path, parse: Parse) -> None:
    rows = [
        burden("1", 1, 10.0, b0_tesla=1.5, years=0.0), burden("1", 2, 10.4, b0_tesla=7.0, years=0.1),
        burden("1", 3, 30.0, b0_tesla=7.0, years=5.0), burden("2", 1, 9.0), burden("2", 2, 9.0),
    ]  # fmt: skip
    text = parse(page_of(tmp_path, rows)).text
    assert "1 subject scanned at several field strengths" in text
    assert "over that at the lowest is 1.04, in scans up to 0.1 years apart." in text
    assert "Not drawn: 1 subject without a date of every scan." in text


def test_outliers_are_named_with_their_numbers(tmp_path: Path, parse: Parse) -> None:
    rows = [burden(str(n), 1, 4.0 + 0.3 * n) for n in range(12)] + [burden(EVIL, 1, 900.0)]
    page = parse(page_of(tmp_path, rows))
    (row,) = [row for row in page.rows if len(row) == 5 and row[1] == "Burden"]
    assert row[0] == f"sub-{EVIL}, ses-1"
    assert row[2] == "900 ppm mm³"
    assert float(row[4]) > 3.5
    assert "Rule: more than 3.5 robust SDs" in page.text
    # Scans of another field strength are no yardstick for a quality number.
    quality = [{**r, "verdict": "good", "snr_first_echo": 40.0 + n} for n, r in enumerate(rows)]
    quality[0]["snr_first_echo"] = 900.0
    rows[0]["b0_tesla"] = 7.0
    columns = {"snr_first_echo": {"Description": "SNR"}}
    write_group_page(tmp_path / "b.html", GroupRows(rows, quality, [[]] * 13, []), quality_columns=columns)
    assert not [r for r in parse((tmp_path / "b.html").read_text()).rows if "SNR" in r]
    rows[0]["b0_tesla"] = 3.0
    write_group_page(tmp_path / "b.html", GroupRows(rows, quality, [[]] * 13, []), quality_columns=columns)
    assert [r[0] for r in parse((tmp_path / "b.html").read_text()).rows if "SNR" in r] == ["sub-0, ses-1"]


def test_names_of_a_study_stay_text_and_lead_where_they_should(tmp_path: Path, parse: Parse) -> None:
    html = page_of(tmp_path, [burden(EVIL, 1, 4.0), burden("2#%", 1, 2.0)], [[Finding("bad", EVIL)], []])
    page = parse(html)
    assert "<img src=x" not in html
    assert all("onerror" not in attributes and "style" not in attributes for _, attributes in page.tags)
    assert page.text.count("onerror=alert(1)") >= 3
    links = [a["href"] for a in page.named("a")]
    assert "sub-2%23%25.html" in links
    assert all(re.fullmatch(r"sub-[\w.%'-]+\.html", str(link)) for link in links), links
    assert "script-src" not in html
    assert any(str(a.get("content")).startswith("default-src 'none'") for a in page.named("meta"))


@pytest.mark.parametrize("messages", [[], [{"participant_id": "sub-1", "kind": "error", "text": "no phase"}]])
def test_a_group_without_results_says_so(
    tmp_path: Path, parse: Parse, messages: list[dict[str, Any]]
) -> None:
    text = parse(page_of(tmp_path, [], messages=messages)).text
    assert "No session has results." in text
    assert ("1 failed or damaged" in text) == bool(messages)
    assert "Burden of every scan" not in text


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages of studies of all kinds."""
    folder = tmp_path_factory.mktemp("studies")
    outs = {name: folder / name / "out" for name in ("one", "large", "none", "mixed")}
    write_cohort_study(outs["one"], subjects=1, sessions=1)
    write_cohort_study(outs["large"], subjects=200)
    write_cohort_study(outs["none"], subjects=4, lesions=0.0, incidence=0.0)
    write_cohort_study(outs["mixed"], subjects=12)
    write_scan_results(outs["mixed"], EVIL.replace("/", ""), 0, [250.0], b0_tesla=2.894, snr=2.0)
    damaged = outs["mixed"] / "sub-0003/ses-2/anat/sub-0003_ses-2_desc-cmb_burden.json"
    damaged.write_text(
        damaged.read_text().replace('"burden_low_ppm_mm3": ', '"burden_low_ppm_mm3": "x", "y": ')
    )
    for out in outs.values():
        write_group(out)
    return {name: out / "group.html" for name, out in outs.items()}


def test_a_page_of_two_hundred_subjects_stays_small(studies: dict[str, Path], parse: Parse) -> None:
    assert studies["large"].stat().st_size < 1_000_000
    assert (
        sum(row[0].startswith("sub-") and len(row) == 11 for row in parse(studies["large"].read_text()).rows)
        == 600
    )


def test_a_number_that_is_none_makes_the_scan_damaged(studies: dict[str, Path], parse: Parse) -> None:
    page = parse(studies["mixed"].read_text())
    assert [row[:2] for row in page.rows if len(row) == 3 and row[1] == "damaged"] == [
        ["sub-0003, ses-2", "damaged"]
    ]
    assert "bad" in [row[1] for row in page.rows if row[0].startswith("sub-<img")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.mark.parametrize("name", ["one", "large", "none", "mixed"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
def test_a_browser_shows_it_whole(
    studies: dict[str, Path], chromium: Any, name: str, width: int, height: int
) -> None:
    with open_page(chromium, studies[name].as_uri(), width=width, height=height) as found:
        assert found.errors == found.requests == found.page.evaluate("window.violations") == []
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # The table scrolls in itself, and its last column is not cut.
        table = found.page.locator("table.forest")
        assert table.evaluate("t => t.clientHeight <= 0.8 * innerHeight")
        assert table.evaluate("t => t.scrollWidth <= t.clientWidth") or name == "mixed"
        mark = found.page.locator(".forest tbody svg g").first
        assert mark.evaluate("m => m.getBoundingClientRect().width") > 5


def test_on_paper_the_table_is_whole(studies: dict[str, Path], chromium: Any) -> None:
    # A4 across, margins of 10 mm.
    with open_page(chromium, studies["large"].as_uri(), width=1047, height=720) as found:
        found.page.emulate_media(media="print")
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        table = found.page.locator("table.forest")
        assert table.evaluate("t => t.scrollHeight <= t.clientHeight && t.clientHeight > 5000")
