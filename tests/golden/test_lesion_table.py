"""The golden lesion table holds, and holds what it should."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.lesion_table import LESIONS, leaves, make, stored

TOLERANCE = 1e-5
SMALLEST = 1e-6
"""Absolute tolerance (ppm mm3, mm, 1): at the point on nothing the total is as small as its rounding is large."""
SINGLE_PRECISION_TOLERANCE = 3e-4
"""SDs and widths come from normal matrices that are formed in single precision: other
processors, emulated, are up to 9e-5 apart."""
SINGLE_PRECISION = ("sd", "sd_ppm_mm3", "low_ppm_mm3", "high_ppm_mm3", "limit_ppm_mm3", "psf_width2_mm2")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return make()


def is_single_precision(path: str) -> bool:
    return any(part.endswith(SINGLE_PRECISION) for part in path.split("."))


def test_every_number_is_as_stored(made: dict[str, Any]) -> None:
    now, then = leaves(made), leaves(stored())
    assert now.keys() == then.keys()
    words = {k: v for k, v in then.items() if not isinstance(v, float)}
    assert {k: now[k] for k in words} == words
    for tolerance, single in ((TOLERANCE, False), (SINGLE_PRECISION_TOLERANCE, True)):
        keys = [k for k in then.keys() - words.keys() if is_single_precision(k) == single]
        assert len(keys) > 50
        expected = {k: then[k] for k in keys}
        assert {k: now[k] for k in keys} == pytest.approx(expected, rel=tolerance, abs=SMALLEST)


def test_the_golden_numbers_are_true(made: dict[str, Any]) -> None:
    rows = made["rows"]
    truth = [LESIONS[0][0], LESIONS[1][0] + LESIONS[2][0], LESIONS[3][0], LESIONS[0][0]]
    for row, total in zip(rows[:4], truth, strict=True):
        assert row["total_chi_low_ppm_mm3"] < total < row["total_chi_high_ppm_mm3"]
        assert row["total_chi_ppm_mm3"] == pytest.approx(total, rel=0.01)
        assert row["total_chi_loss_ppm_mm3"] == pytest.approx(total, rel=0.06)
    assert [r["shape"] for r in rows[:5]] == ["ball", "pair", "ball", "ball", "ball"]
    assert [r["kind"] for r in rows[:3]] == ["microbleed", "microbleed", "calcification"]
    assert [r.get("flags") for r in rows] == [
        "same-lesion",
        None,
        "near-mask-edge",
        "same-lesion",
        "near-mask-edge;not-above-noise",
        "outside-volume",
    ]
    assert made["fits"][5] is None
