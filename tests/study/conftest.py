"""A study of two tiny sessions that has run, and what changes its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.studies import Study, make_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a study that has run; a test that changes it takes a copy."""
    study = make_study(tmp_path_factory.mktemp("finished"))
    assert study.run() == 0
    return study


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """Return a finished study of its own."""
    return finished.copy(tmp_path)
