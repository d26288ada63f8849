"""The guide to the page of a study shows the page as it is."""

from __future__ import annotations

import re
from pathlib import Path

from qsmcmb.cohorts.outliers import MAD_TO_SD, MAX_Z
from qsmcmb.reporting.burden_axis import FieldStyle, field_style
from qsmcmb.reporting.change_chart import MAX_LESIONS
from tests.docs.group_page import FOLDER, PARTS, draw_change, write_study

GUIDE = FOLDER.with_suffix(".md").read_text(encoding="utf-8")


def test_pictures_are_those_that_the_script_draws() -> None:
    shown = set(re.findall(r"\(group-page/(\w+)\.png\)", GUIDE))
    assert shown == {path.stem for path in FOLDER.glob("*.png")} == {*PARTS, "change"}


def test_the_study_of_the_pictures_is_that_of_the_text(tmp_path: Path) -> None:
    html = write_study(tmp_path / "out").read_text(encoding="utf-8")
    assert "9 subjects, 18 sessions; 1 failed or damaged." in html
    assert "17 good, 1 bad" in html
    headings = {str(heading) for part in PARTS.values() for heading in part if heading}
    assert headings <= set(re.findall(r"<h2>(.*?)</h2>", html))
    chart = draw_change(tmp_path)
    assert chart is not None
    assert chart.words == "2 lesions have changed by more than their limit."


def test_numbers_of_the_guide_are_those_of_the_code() -> None:
    assert f"more than {MAX_Z:g} robust SDs" in GUIDE
    assert f"{MAD_TO_SD:g} times the median absolute deviation" in GUIDE
    assert MAX_LESIONS == 7
    shapes = {name: field_style(name) for name in ("1.5 T", "3 T", "7 T")}
    assert all(
        isinstance(style, FieldStyle) and f"{style.shape} {name}" in GUIDE for name, style in shapes.items()
    )
