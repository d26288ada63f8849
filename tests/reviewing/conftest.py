"""A tiny study with twelve candidates in its first session and none in its second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.reviews import candidate, scans_of, write_candidates
from tests.scenes.studies import Study, make_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a study that has run; a test that changes it takes a copy."""
    study = make_study(tmp_path_factory.mktemp("reviewed"))
    assert study.run() == 0
    first, second = scans_of(study)
    write_candidates(study, first, [candidate(n) for n in range(1, 13)])
    write_candidates(study, second, [])
    return study


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """Return the study as one of its own."""
    return finished.copy(tmp_path)
