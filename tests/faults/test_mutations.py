"""A header or a sidecar that is changed at random never gives another map without a word, and never a traceback."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

import qsmcmb as qc
from tests.faults.mutations import outcome_of, write_small_scan

FOUND: tuple[int, ...] = ()
"""Numbers of changes that once were different without a word, or ended in a traceback."""


def outcomes(numbers: Iterable[int], folder: Path) -> Counter[str]:
    original = write_small_scan(folder / "original")
    bids = Path(shutil.copytree(original, folder / "bids"))
    reference = qc.load_scan(original, participant="01")
    counts: Counter[str] = Counter()
    silent = []
    for number in numbers:
        what, change = outcome_of(number, original, bids, reference)
        counts[what] += 1
        if what == "different":
            silent.append(change)
    assert silent == []
    return counts


def test_changes_are_refused_said_or_without_effect(tmp_path: Path) -> None:
    counts = outcomes([*FOUND, *range(300)], tmp_path)
    assert counts["refused"] > 100
    assert counts["said"] > 1
    assert counts["same"] > 50


@pytest.mark.soak
def test_ten_thousand_changes(tmp_path: Path) -> None:
    outcomes(range(300, 10_300), tmp_path)
