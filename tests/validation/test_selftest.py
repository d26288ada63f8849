"""The self test: its certificate and exit code, and the whole of it where time is no matter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.validation.acceptance_criteria import at_most
from qsmcmb.validation.selftest import SelfTest, _dipole_claim, _unwrapping_claim

ROW = {
    "experiment": "selftest", "session": "3T", "kind": "microbleed", "truth_ppm_mm3": 4.0, "estimate_ppm_mm3": 4.1,
    "low_ppm_mm3": 3.8, "high_ppm_mm3": 4.4,
}  # fmt: skip


@pytest.mark.parametrize(("here", "code"), [(1.0, 0), (3.0, 1)])
def test_a_missed_limit_is_the_exit_code_and_in_the_certificate(
    here: float,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = SelfTest([at_most("selftest", "error (%)", "", here, 2.0)], [ROW])
    monkeypatch.setattr("qsmcmb.validation.selftest.run_selftest", lambda **_: result)
    assert run_command(["selftest", str(tmp_path)]) == code
    record = json.loads((tmp_path / "certificate.json").read_text())
    assert record["Passed"] is (code == 0)
    assert record["Results"][0]["limit"] == "at most 2"
    assert "error (%)" in (tmp_path / "index.html").read_text()
    assert "error (%)" in capsys.readouterr().out


def test_formulas_of_the_selftest_hold() -> None:
    assert _dipole_claim().passed
    assert _unwrapping_claim().passed


@pytest.mark.soak
def test_this_installation_passes(tmp_path: Path) -> None:
    assert run_command(["selftest", str(tmp_path)]) == 0
