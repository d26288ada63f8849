"""A phantom small enough to run, and rows of results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.validation.acceptance_criteria import ResultRow

LESIONS = LesionRecipe(
    microbleeds=3,
    distribution="series",
    range_ppm_mm3=(4.0, 16.0),
    two_balls=0.0,
    apart_mm=10.0,
    jitter_mm=0.5,
)
SESSIONS = (
    Protocol(label="3T", b0_tesla=3.0, te_s=(0.006, 0.014, 0.022), snr=150.0),
    Protocol(label="7T", b0_tesla=7.0, te_s=(0.004, 0.008, 0.012), snr=150.0),
)
RECIPE = Recipe(
    name="tiny",
    title="Tiny",
    kind="spheres",
    seed=5,
    subject="tiny",
    voxel_mm=1.0,
    fov_mm=(56.0, 56.0, 48.0),
    lesions=LESIONS,
    sessions=SESSIONS,
)
VISIBLE_MM3 = {"15T": 10.0, "3T": 18.0, "7T": 34.0}


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """Return a recipe of three balls in water at two field strengths."""
    return RECIPE


@pytest.fixture
def lesion() -> Callable[..., ResultRow]:
    """Return a function that makes the row of a lesion of a known truth and estimate."""
    return _lesion


def _lesion(session: str, number: int, truth: float, estimate: float, **more: Any) -> ResultRow:
    return {
        "experiment": "fields", "head": "h", "session": session, "kind": "microbleed" if truth > 0 else "calcification",
        "shape": "sphere", "lesion": float(number), "truth_ppm_mm3": truth, "estimate_ppm_mm3": estimate,
        "low_ppm_mm3": estimate - 0.05 * abs(truth), "high_ppm_mm3": estimate + 0.05 * abs(truth),
        "sd_ppm_mm3": 0.025 * abs(truth), "equal_te_mm3": VISIBLE_MM3.get(session, 10.0), "seconds": 0.3, **more,
    }  # fmt: skip
