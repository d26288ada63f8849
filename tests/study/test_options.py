"""What a run's mask method needs besides the scan: its package is asked for before the first session."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsmcmb.core.packages import hidden
from qsmcmb.errors import MissingPackageError
from qsmcmb.masking import METHODS, PACKAGES
from qsmcmb.pipeline.config import make_config
from qsmcmb.study.options import StudyOptions, check_packages
from tests.scenes.studies import make_study

LEARNED = make_config({"mask": {"method": "deepbet"}})


def test_a_missing_package_is_said_once_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path)
    study.config.write_text('[mask]\nmethod = "deepbet"\n')
    with hidden("deepbet"):
        assert study.run() == 69
        (said,) = capsys.readouterr().err.splitlines()
        assert study.run("--dry-run") == 69
        masks = ("--derivatives", f"masks={study.bids}", "--mask-from", "masks")
        assert study.run(*masks, "--dry-run") == 0
    assert said.startswith("ERROR PACKAGE deepbet: installed = no")
    assert 'pip install "qsmcmb[deepbet]"' in said
    assert not list(study.out.rglob("*.json*"))


def test_only_methods_that_need_a_package_ask_for_it() -> None:
    with hidden("deepbet"):
        for method in METHODS.keys() - PACKAGES:
            check_packages(StudyOptions(make_config({"mask": {"method": method}})))
        check_packages(StudyOptions(LEARNED, mask_root=Path("masks")))
        with pytest.raises(MissingPackageError, match="deepbet"):
            check_packages(StudyOptions(LEARNED))
