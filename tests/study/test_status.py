"""`qsmcmb status` where files cannot be read: which session or subject, which file, why, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.study import status
from tests.scenes.studies import Study

SIDECAR = "sub-01/ses-1/anat/sub-01_ses-1_echo-2_part-phase_MEGRE.json"
MAP = "sub-01/ses-1/anat/sub-01_ses-1_Chimap.nii.gz"


@pytest.fixture
def moved(study: Study) -> Study:
    """Return the study with a request that names the folder where it lies now."""
    request = study.out / ".qsmcmb/request.json"
    request.write_text(request.read_text().replace(json.loads(request.read_text())["bids"], str(study.bids)))
    return study


def cut_a_sidecar(study: Study) -> Path:
    (study.bids / SIDECAR).write_text("{")
    return study.bids / SIDECAR


def put_a_folder(study: Study) -> Path:
    image = (study.bids / SIDECAR).with_suffix(".nii.gz")
    image.unlink()
    image.mkdir()
    return image


@pytest.mark.parametrize(("change", "code"), [(cut_a_sidecar, "JSON"), (put_a_folder, "FILE")])
def test_a_session_whose_files_cannot_be_read_has_one_row_and_is_to_be_mended_first(
    moved: Study, change: Callable[[Study], Path], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = change(moved)
    assert run_command(["status", str(moved.out)]) == 0
    shown = capsys.readouterr()
    (row,) = (line for line in shown.out.splitlines() if line.startswith("sub-01/ses-1\t"))
    assert row.startswith(f"sub-01/ses-1\tinputs\tfailed\tERROR {code} {path}: ")
    assert "Fix: " in row
    assert "sub-01/ses-2\tload\tdone" in shown.out
    assert "to mend first: sub-01/ses-1. " in shown.err
    assert "to do" not in shown.err


@pytest.mark.parametrize("refusal", ["folder", "permission"])
def test_a_result_that_cannot_be_read_hides_no_other(
    moved: Study, refusal: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = moved.out / MAP
    if refusal == "folder":
        path.unlink()
        path.mkdir()
    else:

        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(status, "keys_of_subject", refuse)
    assert run_command(["status", str(moved.out)]) == 0
    shown = capsys.readouterr()
    found = {"folder": "a folder", "permission": "Permission denied"}[refusal]
    assert f"sub-01\tinputs\tfailed\tERROR FILE {path}: file = {found}; expected a " in shown.out
    assert "to mend first: sub-01. " in shown.err
    if refusal == "folder":
        assert f"sub-01/ses-1\tinvert\tdamaged\t{MAP}: a folder" in shown.out
        assert "to do: sub-01/ses-1. " in shown.err
    assert "sub-01/ses-2\tanatomy\tdone" in shown.out


def test_in_a_run_such_a_result_concerns_its_own_session_alone(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.out / MAP).unlink()
    (study.out / MAP).mkdir()
    assert study.run() == 1
    said = capsys.readouterr().err
    assert f"sub-01/ses-1: invert is damaged: {MAP}: a folder" in said
    assert f"ERROR OUT {study.out / MAP}: file = Is a directory" in said
    assert "sub-01/ses-2: unchanged" in said
