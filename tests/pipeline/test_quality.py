"""A sound head is good at every stage; a spoiled one says so at the stage where the fault begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.anatomy.head_regions import HeadRegions
from qsmcmb.core.noise import noise_from_magnitude
from qsmcmb.io.place import Place
from qsmcmb.io.quality_records import QualityRecord
from qsmcmb.model import GreScan
from qsmcmb.phantoms.build import build_phantom
from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe
from qsmcmb.pipeline import subject
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.quality import quality_of
from qsmcmb.pipeline.quality_limits import LIMITS
from qsmcmb.pipeline.scan_result import ScanResult
from qsmcmb.reporting.quality_table import quality_rows
from qsmcmb.study.steps import SCAN_STEPS
from qsmcmb.typing import BoolArray

NONE = np.zeros((0, 3))


def head(voxel_mm: float) -> GreScan:
    """Return a small head at 3 T, without lesions."""
    recipe = read_recipe("smallhead")
    sessions = tuple(s for s in recipe.sessions if s.label == "3T")
    (session,) = build_phantom(replace(recipe, voxel_mm=voxel_mm, lesions=LesionRecipe(), sessions=sessions))
    return session.scan


@pytest.fixture(scope="module")
def sound() -> ScanResult:
    """Return all results of a head of 1 mm."""
    return subject.run_scan(head(1.0), points_mm=NONE)


@pytest.fixture(scope="module")
def coarse() -> GreScan:
    """Return a head of 2 mm, which is quickly run: good at every stage but the detection limit."""
    return head(2.0)


def verdicts(record: QualityRecord) -> dict[str, str]:
    return {m["Name"]: m["Verdict"] for stage in record["Stages"].values() for m in stage["Measures"]}


def test_a_sound_head_is_good_at_every_stage(sound: ScanResult) -> None:
    record = quality_of(sound)
    assert record["Verdict"] == "good"
    assert {stage["Verdict"] for stage in record["Stages"].values()} == {"good"}
    # The dark decides about the sign, so that R2* is not asked; it has no lesion.
    without = {name for name, verdict in verdicts(record).items() if verdict == "n/a"}
    assert without == {"iron_contrast_ppm", "poor_fit_fraction"}
    assert set(verdicts(record)) == set(LIMITS)
    assert len(record["SNR"]) == len(record["EchoResidual"]) == sound.scan.n_echoes


def five_times_the_noise(scan: GreScan, brain: BoolArray) -> GreScan:
    sd = noise_from_magnitude(scan.magnitude[0], brain) * np.sqrt(24)
    rng = np.random.default_rng(3)
    signal = scan.magnitude * np.exp(1j * scan.phase_rad)
    signal += rng.normal(0, sd, signal.shape) + 1j * rng.normal(0, sd, signal.shape)
    return replace(
        scan, magnitude=np.abs(signal).astype(np.float32), phase_rad=np.angle(signal).astype(np.float32)
    )


def one_echo_turned(scan: GreScan, _: BoolArray) -> GreScan:
    phase = scan.phase_rad.copy()
    phase[2] = np.angle(np.exp(1j * (phase[2] + 1.2)))
    return replace(scan, phase_rad=phase)


def inverted(scan: GreScan, _: BoolArray) -> GreScan:
    return replace(scan, phase_rad=-scan.phase_rad)


def one_echo(scan: GreScan, _: BoolArray) -> GreScan:
    return replace(scan, phase_rad=scan.phase_rad[2:3], magnitude=scan.magnitude[2:3], te_s=scan.te_s[2:3])


def same(scan: GreScan, _: BoolArray) -> GreScan:
    return scan


class Spoiled(NamedTuple):
    """A fault, the stage where it begins, and numbers that show it."""

    change: Callable[[GreScan, BoolArray], GreScan]
    stage: str
    numbers: dict[str, str]
    larger_by: int = 0


SPOILED = {
    "nothing": Spoiled(same, "quantify", {"snr_first_echo": "good", "rim_field_ppb": "good"}),
    "noise five times as high": Spoiled(five_times_the_noise, "load", {"snr_first_echo": "look"}),
    "mask too large": Spoiled(same, "mask", {"dark_fraction": "look", "rim_field_ppb": "bad"}, larger_by=2),
    "one echo with another phase": Spoiled(
        one_echo_turned, "fieldmap", {"echo_residual_rad": "bad", "field_sd_ppb": "bad"}
    ),
    "inverted sign": Spoiled(inverted, "invert", {"dark_contrast_sd": "bad"}),
    "one echo alone": Spoiled(one_echo, "load", {"n_echoes": "look"}),
}
"""Each fault; with nothing changed, a coarse scan shows its detection limit alone."""


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_scan_says_so_where_the_fault_begins(
    name: str, coarse: GreScan, sound: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The registration of the sound head serves all: it takes longer than everything else.
    monkeypatch.setattr(subject, "find_regions", lambda *_: sound.regions)
    spoiled, brain = SPOILED[name], subject.map_scan_field(coarse).mask
    mask = ndimage.binary_dilation(brain, iterations=spoiled.larger_by) if spoiled.larger_by else None
    record = quality_of(subject.run_scan(spoiled.change(coarse, brain), mask=mask, points_mm=NONE))
    late = [stage for stage, found in record["Stages"].items() if found["Verdict"] not in ("good", "n/a")]
    assert late[0] == spoiled.stage
    assert {number: verdicts(record)[number] for number in spoiled.numbers} == spoiled.numbers
    assert record["Verdict"] != "good"


def test_a_stage_that_gave_up_says_what_was_done_instead(sound: ScanResult) -> None:
    record = quality_of(replace(sound, regions=None))
    anatomy = record["Stages"]["anatomy"]
    assert anatomy["Verdict"] == "look"
    assert anatomy["FallBacks"] == ["scan and template do not fit: territory and region are n/a"]
    rows = [row for row in quality_rows(record) if row.stage == "anatomy"]
    assert [(row.what, row.verdict) for row in rows] == [(anatomy["FallBacks"][0], "look")]


def test_every_file_of_a_scan_belongs_to_a_step(sound: ScanResult, tmp_path: Path) -> None:
    regions = HeadRegions(
        np.ones(sound.scan.grid.shape, np.int32), sound.masks.brain, sound.scan.grid, 0.95, 0.5
    )
    written = write_scan(Place(tmp_path), replace(sound, regions=regions, examined=()))
    made = [made for step in SCAN_STEPS for made in step.makes]
    assert [p.name for p in written if not any(p.name.split(".")[0].endswith(m) for m in made)] == []
    record = json.loads((tmp_path / "desc-quality.json").read_text())
    assert list(record["Stages"]) == [
        "load", "mask", "unwrap", "fieldmap", "background", "invert", "r2star", "quantify", "anatomy"
    ]  # fmt: skip
