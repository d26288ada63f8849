"""Lesions in a real background: drawn where the scan allows, by its own limit, and measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids_writer import write_raw_scan
from qsmcmb.io.nifti import save_volume
from qsmcmb.model import GreScan, Grid
from qsmcmb.validation import real_background
from qsmcmb.validation.acceptance_criteria import ResultRow
from qsmcmb.validation.background_claims import background_claims, scan_rows
from qsmcmb.validation.real_background import (
    APART_MM,
    Background,
    draw_in_background,
    measure_in_background,
    validate_background,
)


@pytest.fixture
def background(rng: np.random.Generator) -> Background:
    """Return a scan of 3 mm voxels with a smooth receive phase and noise, as if it were real."""
    grid = Grid.isotropic((20, 20, 20), 3.0)
    x, y, z = np.indices(grid.shape) / 20
    signal = 100 * (1 + 0.2 * x) * np.exp(1j * (0.5 + x - 0.7 * y + 0.4 * z**2))
    noise = rng.standard_normal((2, 2, *grid.shape))
    signal = np.stack([signal, 0.9 * signal]) + noise[0] + 1j * noise[1]
    scan = GreScan(
        phase_rad=np.angle(signal).astype(np.float32), magnitude=np.abs(signal).astype(np.float32),
        te_s=(0.002, 0.005), b0_tesla=3.0, grid=grid,
    )  # fmt: skip
    mask = np.ones(grid.shape, bool)
    allowed = np.zeros(grid.shape, bool)
    allowed[5:15, 5:15, 5:15] = True
    return Background(scan, mask, allowed, np.full(grid.shape, 30.0, np.float32))


def test_lesions_lie_apart_and_are_as_strong_as_the_limit_says(
    background: Background, rng: np.random.Generator
) -> None:
    drawn = draw_in_background(background, 50, rng)
    centres = np.array([lesion.centre_mm for lesion, _ in drawn])
    distance = np.linalg.norm(centres[:, None] - centres, axis=2) + 99 * np.eye(len(centres))
    assert len(drawn) > 3
    assert distance.min() > APART_MM
    assert all(limit == 30 and 60 <= lesion.total_chi_ppm_mm3 <= 300 for lesion, limit in drawn)


@pytest.mark.parametrize("sampling", ["k-space", "voxel"])
def test_one_lesion_is_read_within_its_interval(background: Background, sampling: str) -> None:
    (row,) = measure_in_background(background, 1, seed=4, sampling=sampling)
    assert row["limit_ppm_mm3"] == 30
    assert abs(row["estimate_ppm_mm3"] / row["truth_ppm_mm3"] - 1) < 0.08
    assert row["low_ppm_mm3"] < row["truth_ppm_mm3"] < row["high_ppm_mm3"]
    claims = background_claims([{**row, "head": "scan"}])
    assert [c.passed for c in claims] == [True, False, True]
    assert claims[1].here == 100


def row(estimate: float | None, *, flags: str | None = None, head: str = "sub-01") -> ResultRow:
    """Return a lesion of 100 ppm mm3 that was read as `estimate` with an SD of 2."""
    ends = (None, None) if estimate is None else (estimate - 4, estimate + 4)
    return ResultRow(
        head=head, truth_ppm_mm3=100.0, truth_abs_ppm_mm3=100.0, estimate_ppm_mm3=estimate, sd_ppm_mm3=2.0,
        low_ppm_mm3=ends[0], high_ppm_mm3=ends[1], limit_ppm_mm3=20.0, flags=flags,
    )  # fmt: skip


def test_a_number_far_off_counts_unless_it_has_a_flag_of_its_own() -> None:
    rows = [row(101.0), row(107.0, flags="single-echo"), row(107.0, flags="single-echo;poor-fit"), row(None)]
    (figures,) = scan_rows(rows)
    assert (figures["lesions"], figures["measured"], figures["wrong_unflagged"]) == (4, 3, 1)
    assert figures["median_error_percent"] == pytest.approx(7.0)
    assert figures["bias_percent"] == pytest.approx(5.0)
    assert figures["coverage_percent"] == 25.0
    assert figures["half_width_over_error"] == pytest.approx(4 / 7)
    assert {c.quantity: c.passed for c in background_claims(rows)}[
        "wrong by 3 SDs without a flag, sub-01"
    ] is False
    assert [r["scan"] for r in scan_rows([*rows, row(100.0, head="sub-02")])] == [
        "all scans",
        "sub-01",
        "sub-02",
    ]


@pytest.fixture
def few_lesions(monkeypatch: pytest.MonkeyPatch, background: Background) -> None:
    """Leave out the way to the limit map and take one lesion a round: both have tests of their own."""
    monkeypatch.setattr(real_background, "MAX_LESIONS", 1)
    monkeypatch.setattr(
        real_background,
        "find_background",
        lambda scan, mask, report: background._replace(scan=scan, mask=mask),
    )


def write_data_set(folder: Path, scan: GreScan, *, masked: tuple[str, ...]) -> tuple[Path, Path]:
    """Write the scan as two participants, with masks of those named; return the data set and the masks."""
    bids, masks = folder / "bids", folder / "masks"
    # Steep enough to wrap: what does not is taken for something else than phase.
    ramp = np.arange(20, dtype=np.float32).reshape(-1, 1, 1)
    scan = replace(scan, phase_rad=np.angle(np.exp(1j * (scan.phase_rad + ramp))).astype(np.float32))
    for participant in ("01", "02"):
        write_raw_scan(bids, scan, participant, "1")
    for participant in masked:
        place = masks / f"sub-{participant}" / "ses-1" / "anat"
        place.mkdir(parents=True)
        mask = np.ones(scan.grid.shape, np.uint8)
        save_volume(place / f"sub-{participant}_ses-1_desc-brain_mask.nii.gz", mask, scan.grid.affine)
    return bids, masks


@pytest.mark.usefixtures("few_lesions")
def test_the_command_measures_what_has_a_mask_and_says_what_it_skips(
    tmp_path: Path, background: Background, capsys: pytest.CaptureFixture[str]
) -> None:
    bids, masks = write_data_set(tmp_path, background.scan, masked=("01",))
    out = tmp_path / "out"
    command = ["validate", str(out), "--into", str(bids), "--masks", str(masks), "--quick"]
    # One interval that holds the truth is a coverage of 100 %, above the goal.
    assert run_command(command) == 1
    said = capsys.readouterr()
    assert "sub-02/ses-1 skipped: ERROR MASK" in said.err
    assert "median error, sub-01/ses-1 (%)" in said.out
    record = json.loads((out / "validation.json").read_text())
    assert list(record["skipped"]) == ["sub-02/ses-1"]
    assert [s["scan"] for s in record["scans"]] == ["sub-01/ses-1"]
    assert "positions of the lesions" in (out / "index.html").read_text()
    # The second time the round's table is there.
    (table,) = (out / "tables").glob("*.tsv")
    before = table.stat().st_mtime_ns
    assert run_command(command) == 1
    assert table.stat().st_mtime_ns == before


@pytest.mark.usefixtures("few_lesions")
def test_without_any_scan_the_first_reason_is_said(tmp_path: Path, background: Background) -> None:
    bids, masks = write_data_set(tmp_path, background.scan, masked=())
    masks.mkdir()
    with pytest.raises(InvalidInputError, match=r"ERROR MASK .*sub-01"):
        validate_background(tmp_path / "out", bids, masks=masks, rounds=1)


def test_masks_are_for_real_scans_alone(tmp_path: Path) -> None:
    assert run_command(["validate", str(tmp_path / "out"), "--masks", str(tmp_path)]) == 2
