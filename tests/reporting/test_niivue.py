"""The vendored viewer is what its authors publish, and its licence lies beside it."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path

from qsmcmb.reporting.niivue import NIIVUE_FILE, NIIVUE_SHA256, NIIVUE_VERSION, niivue_source

NOTICES = (Path(__file__).resolve().parents[2] / "THIRD_PARTY.md").read_text(encoding="utf-8")


def test_the_file_is_as_published() -> None:
    found = (files("qsmcmb.reporting") / NIIVUE_FILE).read_bytes()
    assert hashlib.sha256(found).hexdigest() == NIIVUE_SHA256
    assert hashlib.sha256(niivue_source().encode()).hexdigest() == NIIVUE_SHA256


def test_version_checksum_and_licence_are_named() -> None:
    assert f"NiiVue {NIIVUE_VERSION}" in NOTICES
    assert re.findall(r"sha256 `([0-9a-f]{64})`", NOTICES) == [NIIVUE_SHA256]
    licence = (files("qsmcmb.reporting") / NIIVUE_FILE).parent / "LICENSE"  # type: ignore[attr-defined]
    assert f"NiiVue {NIIVUE_VERSION}" in licence.read_text(encoding="utf-8")


def test_it_may_stand_inside_a_page_and_evaluates_no_text() -> None:
    source = niivue_source()
    assert "</script" not in source
    assert "<!--" not in source
    assert not re.search(r"\bnew Function\b|[^\w.$]eval\(", source)
