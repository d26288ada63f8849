"""The figure of totals over the sessions: times, intervals, limits, and which lesions it draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qsmcmb.io.tables import write_json
from qsmcmb.reporting import change_chart as chart_module
from qsmcmb.reporting.change_chart import change_chart
from qsmcmb.reporting.page import interval_words

Draw = Callable[..., Any]
EVIL = "2<img src=x>$x_1$ and so on"


def row(
    lesion: int, status: str, change: float, pair: tuple[str, str] = ("ses-1", "ses-2")
) -> dict[str, Any]:
    """Return a row of the longitudinal table as it is read: text alone."""
    return {
        "lesion": str(lesion), "status": status, "baseline_session": pair[0], "followup_session": pair[1],
        "interval_years": "1.5", "baseline_ppm_mm3": "4.0", "baseline_sd_ppm_mm3": "0.5",
        "followup_ppm_mm3": str(4.0 + change), "followup_sd_ppm_mm3": "0.25", "change_ppm_mm3": str(change),
        "mdc_ppm_mm3": "1.25",
    }  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a longitudinal table with a trend beside it."""
    burden = {"burden_ppm_mm3": 12.0, "burden_low_ppm_mm3": 11.0, "burden_high_ppm_mm3": 13.5}
    names = ("ses-1", "ses-2")
    trend = {
        "sessions": [{"session_id": name, "years": 1.5 * n} for n, name in enumerate(names)],
        "burden": [{"session_id": name, **burden} for name in names],
        "n_lesions": 3,
    }
    write_json(tmp_path / "sub-1_desc-cmb_trend.json", trend)
    return tmp_path / "sub-1_desc-cmb_longitudinal.tsv"


@pytest.fixture
def figure_of(drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return what draws rows and hands the figure out."""

    def draw(table: Path, rows: list[dict[str, Any]]) -> Any:
        monkeypatch.setattr(chart_module, "picture_of", lambda *a: change_chart(*a).picture, raising=False)
        return drawn(chart_module, "picture_of", table, rows)

    return draw


def test_burden_and_changed_lesions_have_intervals_and_limits(table: Path, figure_of: Draw) -> None:
    figure = figure_of(table, [row(1, "stable", 0.2), row(2, "increased", 5.0), row(3, "incident", 3.0)])
    burden, grown, new = figure.axes
    assert [axis.get_title() for axis in figure.axes] == [
        "burden of 3 lesions",
        "lesion 2: grown",
        "lesion 3: new",
    ]
    assert all("ppm mm" in axis.get_ylabel() for axis in figure.axes)
    assert all(axis.get_xlabel() == "years since ses-1" for axis in figure.axes)
    assert list(grown.lines[0].get_xdata()) == [0.0, 1.5]
    assert list(grown.lines[0].get_ydata()) == [4.0, 9.0]
    # The band is first, then the intervals.
    band, intervals = (c.get_paths() for c in grown.collections)
    assert band[0].get_extents().extents.tolist() == pytest.approx([0.0, 2.75, 1.5, 5.25])
    assert intervals[0].vertices[:, 1].tolist() == pytest.approx([4.0 - 1.96 * 0.5, 4.0 + 1.96 * 0.5])
    assert burden.collections[0].get_paths()[0].vertices[:, 1].tolist() == [11.0, 13.5]
    assert grown.get_ylim()[0] == new.get_ylim()[0] == 0.0


def test_without_times_sessions_stand_one_after_the_other(tmp_path: Path, figure_of: Draw) -> None:
    evil = {**row(7, "decreased", -2.0, ("ses-1", EVIL)), "interval_years": None}
    (axis,) = figure_of(tmp_path / "sub-1_desc-cmb_longitudinal.tsv", [evil]).axes
    assert list(axis.lines[0].get_xdata()) == [0.0, 1.0]
    labels = axis.get_xticklabels()
    assert [label.get_text() for label in labels] == ["ses-1", f"{EVIL[:11]}…"]
    assert not any(label.get_parse_math() for label in labels)


def test_the_largest_changes_are_drawn_and_counted(table: Path) -> None:
    rows = [row(n, "increased", 2.0 + n) for n in range(1, 13)]
    chart = change_chart(table, rows)
    assert chart is not None
    assert chart.words == (
        "12 lesions have changed by more than their limit. The 7 that changed most beside their limit are drawn."
    )
    assert len(chart.picture) < 80_000


def test_nothing_is_drawn_where_there_is_nothing(table: Path, tmp_path: Path) -> None:
    stable = [row(1, "stable", 0.1)]
    chart = change_chart(table, stable)
    assert chart is not None
    assert chart.words == "No lesion has changed by more than its limit."
    chart = change_chart(table, [*stable, row(2, "not_evaluable", 9.0)])
    assert chart is not None
    assert chart.words.endswith("limit. Of 2 lesions 1 cannot be evaluated.")
    assert change_chart(tmp_path / "sub-2_desc-cmb_longitudinal.tsv", stable) is None
    assert change_chart(tmp_path / "sub-2_desc-cmb_longitudinal.tsv", []) is None
    write_json(tmp_path / "sub-1_desc-cmb_trend.json", {"sessions": [], "burden": [{}, {}], "n_lesions": 0})
    assert change_chart(table, []) is None


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((48.0, 45.12, 51.0), "48.0 (45.1 to 51.0)"), ((250.4, 225.0, 275.0), "250 (225 to 275)"),
     ((5.2, 2.0, 130.0), "5.2 (2.0 to 130.0)"), ((0.0, 0.0, 0.4), "0.000 (0.000 to 0.400)"),
     ((4.0, None, None), "4 (no interval)")],
)  # fmt: skip
def test_a_value_and_its_interval_have_the_same_decimals(numbers: Any, words: str) -> None:
    assert interval_words(*numbers) == words
