"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

# As in the measurement itself, before NumPy is loaded: where two workers share two cores, threads of BLAS spin while
# they wait for each other, and a fit took ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# What a test says does not depend on how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_collection_finish() -> None:
    """Spare the collector what lives to the end: it looked through it over and over while loops were compiled."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real scans and simulated heads; skip where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"shared data not found at {SHARED_DATA}: real scans and heads are not tested")
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(20240611)


@pytest.fixture(autouse=True)
def _quiet_as_compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let loops that run as Python (`make coverage`) divide by zero without a word, as the compiled ones do."""
    quiet = request.node.get_closest_marker("loops") and os.environ.get("NUMBA_DISABLE_JIT") == "1"
    with np.errstate(all="ignore" if quiet else None):
        yield
