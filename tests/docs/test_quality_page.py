"""The page on quality has every number with the limits that the code has, and a reason for each."""

from __future__ import annotations

from pathlib import Path

from qsmcmb.pipeline.quality_limits import LIMITS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "quality.md"


def in_words(limits: tuple[float | None, float | None]) -> str:
    low, high = limits
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def test_the_page_has_the_limits_of_the_code_with_reasons() -> None:
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("|") and "`" in line.split("|")[2]
    ]
    found = {row[1].strip("`"): (row[0], row[2], row[3]) for row in rows}
    assert found == {
        name: (limit.stage, in_words(limit.good), in_words(limit.usable)) for name, limit in LIMITS.items()
    }
    assert all(len(row[4]) > 20 for row in rows)
