"""One subject's damaged results stop no other subject's page."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsmcmb.reporting import subject_page
from qsmcmb.study.pages import compare_and_report


@pytest.mark.parametrize("content", ["{", "{}", '{"MagneticFieldStrength": "three"}'])
def test_damaged_results_of_one_subject(content: str, tmp_path: Path) -> None:
    for session in ("1", "2"):
        anat = tmp_path / f"sub-01/ses-{session}/anat"
        anat.mkdir(parents=True)
        (anat / f"sub-01_ses-{session}_desc-cmb_burden.json").write_text(content)
    (tmp_path / "sub-02").mkdir()
    said: list[str] = []
    assert compare_and_report(tmp_path, ["01", "02"], say=said.append)
    errors = [line for line in said if line.startswith("ERROR ")]
    assert errors
    assert all("01" in line for line in errors)
    assert f"page: {tmp_path / 'sub-02.html'}" in said
    page = (tmp_path / "sub-01.html").read_text()
    assert "no results" in page
    assert "ses-2" in page


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(5, "Input/output error", "map.nii.gz"), "ERROR IO map.nii.gz: "),
        (ZeroDivisionError("a"), "ERROR BUG "),
    ],
)
def test_what_a_page_cannot_show_has_a_code(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anat = tmp_path / "sub-01/ses-1/anat"
    anat.mkdir(parents=True)
    (anat / "sub-01_ses-1_desc-cmb_burden.json").write_text("{}")

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(subject_page, "read_scan", fail)
    messages: list[str] = []
    assert compare_and_report(tmp_path, ["01"], say=messages.append)
    (line,) = [line for line in messages if "is not shown" in line]
    assert line.startswith(said)
