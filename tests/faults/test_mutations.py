"""A header or a sidecar that is changed at random never gives another map without a word, and never a traceback."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

import qsmcmb as qc
from tests.faults.mutations import SCANS, outcome_of, write_small_scan

FOUND = Path(__file__).with_name("found_mutations.txt")
"""Changes that once were different without a word, or ended in a traceback."""
N_SOAK = 1500
"""Changes of each scan in the long test."""


def found() -> list[tuple[str, int, str]]:
    """Return scan, number and description of each change of the list."""
    lines = (line.split("\t") for line in FOUND.read_text().splitlines() if line and not line.startswith("#"))
    return [(scan, int(number), change) for scan, number, change in lines]


def outcomes(scan: str, numbers: Iterable[int], folder: Path) -> tuple[Counter[str], list[str]]:
    """Return how many changes had each outcome, and all of them in words."""
    te_s, as_integers = SCANS[scan]
    original = write_small_scan(folder / "original", te_s, as_integers=as_integers)
    bids = Path(shutil.copytree(original, folder / "bids"))
    reference = qc.load_scan(original, participant="01")
    counts: Counter[str] = Counter()
    silent, changes = [], []
    for number in numbers:
        what, change = outcome_of(number, original, bids, reference)
        counts[what] += 1
        changes.append(change)
        if what == "different":
            silent.append(f"{scan}\t{change}")
    assert silent == []
    return counts, changes


@pytest.mark.parametrize("scan", SCANS)
def test_changes_are_refused_said_or_without_effect(scan: str, tmp_path: Path) -> None:
    counts, _ = outcomes(scan, range(300 if scan == "three" else 100), tmp_path)
    assert counts["refused"] > 30
    assert counts["said"] >= 1 or scan != "three"
    assert counts["same"] > 15


@pytest.mark.parametrize("scan", sorted({scan for scan, _, _ in found()}))
def test_changes_that_once_were_silent_no_longer_are(scan: str, tmp_path: Path) -> None:
    listed = [(number, change) for name, number, change in found() if name == scan]
    _, changes = outcomes(scan, [number for number, _ in listed], tmp_path)
    assert changes == [f"{number}: {change}" for number, change in listed], (
        "the numbers mean other changes now"
    )


@pytest.mark.soak
@pytest.mark.parametrize("scan", SCANS)
def test_thousands_of_changes(scan: str, tmp_path: Path) -> None:
    outcomes(scan, range(300, 300 + N_SOAK), tmp_path)
