"""A scheduler and two workers as processes of their own, as a cluster has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenes.cluster import Processes


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a scheduler with two workers."""
    started = Processes(tmp_path_factory.mktemp("cluster"))
    started.worker()
    started.worker()
    yield started
    started.end()
