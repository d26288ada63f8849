"""Tables over all sessions come from the records on disk alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.tables import read_tsv
from qsmcmb.pipeline.quality_limits import quality_columns
from tests.scenes.studies import Study

FIRST = ["participant_id", "session_id", "acquisition", "reconstruction", "run"]


def group(study: Study) -> int:
    """Run the group level; the raw data are gone."""
    shutil.rmtree(study.bids / "sub-01")
    return run_command(["run", str(study.bids), str(study.out), "group"])


def rows(out: Path, ending: str) -> list[dict[str, str | None]]:
    """Return a table of the group."""
    return read_tsv(out / f"group_desc-cmb_{ending}.tsv")


def test_tables_hold_every_row_of_every_session(study: Study) -> None:
    assert group(study) == 0
    lesions, burdens = rows(study.out, "lesions"), rows(study.out, "burden")
    for session in ("ses-1", "ses-2"):
        anat = study.out / f"sub-01/{session}/anat"
        own = read_tsv(anat / f"sub-01_{session}_desc-cmb_lesions.tsv")
        assert [
            {k: v for k, v in row.items() if k not in FIRST}
            for row in lesions
            if row["session_id"] == session
        ] == own
        record = json.loads((anat / f"sub-01_{session}_desc-cmb_burden.json").read_text())
        (burden,) = [row for row in burdens if row["session_id"] == session]
        assert float(str(burden["burden_ppm_mm3"])) == pytest.approx(record["burden_ppm_mm3"])
        assert burden["n_warnings"] == str(len(record["Warnings"]))
    for ending in ("lesions", "burden", "warnings"):
        path = study.out / f"group_desc-cmb_{ending}.tsv"
        header = path.read_text().splitlines()[0].split("\t")
        assert header[:5] == FIRST
        described = json.loads(path.with_suffix(".json").read_text())
        assert set(header) <= set(described)
    qualities = read_tsv(study.out / "group_desc-quality.tsv")
    for row in qualities:
        name = f"sub-01_{row['session_id']}_desc-quality.json"
        own = json.loads((study.out / "sub-01" / row["session_id"] / "anat" / name).read_text())
        for stage, record in own["Stages"].items():
            assert row[f"verdict_{stage}"] == record["Verdict"]
    # The tiny scan has one magnitude for all echoes.
    assert [(row["session_id"], row["verdict_load"]) for row in qualities] == [
        ("ses-1", "look"),
        ("ses-2", "look"),
    ]
    assert set(qualities[0]) == set(FIRST) | set(quality_columns())
    # Nothing of a tiny scan fits the template.
    assert qualities[0]["verdict_anatomy"] == "look"
    page = (study.out / "group.html").read_text()
    assert "1 subject, 2 sessions; none failed." in page
    # Nobody states when the scans were taken.
    assert {row["years"] for row in burdens} == {None}
    assert "Not drawn: 1 subject without a date of every scan." in page
    assert 'href="sub-01.html"' in page


def test_a_damaged_and_a_failed_session_are_named(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = study.out / "sub-01/ses-2/anat/sub-01_ses-2_desc-cmb_burden.json"
    damaged.write_text(damaged.read_text()[:40])
    manifest = study.out / ".qsmcmb/manifest/sub-01_ses-1.json"
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**record, "error": "ERROR GZ-CRC a.nii.gz: <b>", "exit_code": 65}))
    assert group(study) == 1
    kinds = {row["kind"]: row["session_id"] for row in rows(study.out, "warnings")}
    assert (kinds["damaged"], kinds["error"]) == ("ses-2", "ses-1")
    assert [row["session_id"] for row in rows(study.out, "burden")] == ["ses-1"]
    assert "&lt;b&gt;" in (study.out / "group.html").read_text()
    assert "damaged: sub-01_ses-2" in capsys.readouterr().err


def test_a_folder_without_results_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids, out = str(tmp_path / "bids"), str(tmp_path / "out")
    (tmp_path / "bids").mkdir()
    assert run_command(["run", bids, out, "group"]) == 66
    assert "NO-MATCH" in capsys.readouterr().err
    assert run_command(["run", bids, out, "session"]) == 2
