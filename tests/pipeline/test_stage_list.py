"""One list of stages: configuration, progress, provenance, documentation and defaults say the same."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb import (
    background_removal,
    dipole_inversion,
    field_mapping,
    masking,
    relaxometry,
    susceptibility_weighting,
    unwrapping,
)  # fmt: skip
from qsmcmb.cli import background, fieldmap, invert, r2star, swi, unwrap
from qsmcmb.cli.console import Progress
from qsmcmb.cli.main import app
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import STAGES, Config, StageConfig, make_config
from qsmcmb.pipeline.points import measure_points
from qsmcmb.pipeline.provenance import provenance_of
from qsmcmb.stages import ALL_STAGES, POINT_STAGES, SCAN_STAGES, SHARES, SUBJECT_STAGES
from qsmcmb.study.pages import compare_and_report

DOCS = Path(__file__).parents[2] / "docs" / "explanation" / "pipeline.md"
HEADS = {
    "mask": (masking, qc.mask_brain),
    "unwrap": (unwrapping, qc.unwrap),
    "fieldmap": (field_mapping, qc.map_field),
    "background": (background_removal, qc.remove_background),
    "invert": (dipole_inversion, qc.invert),
    "r2star": (relaxometry, qc.map_r2star),
}
COMMANDS = (unwrap, fieldmap, background, invert, r2star, swi)


class Ear:
    """Hears what a run reports."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []

    def __call__(self, _: str, stage: str, seconds: float) -> None:
        (self.done if seconds else self.begun).append(stage)


def left_after(planned: Sequence[str], reported: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of progress over some stages."""
    with Progress(planned) as bar:
        for stage in reported:
            bar.report("scan", stage, 0.1)
    return capsys.readouterr().err.splitlines()[-1]


def test_names_are_distinct_and_shares_positive() -> None:
    assert len(SHARES) == len(ALL_STAGES)
    assert all(share > 0 for share in SHARES.values())


def test_configuration_has_a_table_for_each_stage_with_methods() -> None:
    tables = tomllib.loads(make_config().to_toml())
    assert list(tables) == list(STAGES) == [s.name for s in SCAN_STAGES if s.methods]
    assert {name: table["method"] for name, table in tables.items()} == {
        s.name: s.default for s in SCAN_STAGES if s.methods
    }


@pytest.mark.parametrize("stage", HEADS)
def test_python_function_and_pipeline_have_one_default(stage: str) -> None:
    family, head = HEADS[stage]
    assert inspect.signature(head).parameters["method"].default == family.DEFAULT == STAGES[stage].default
    assert STAGES[stage].methods is family.METHODS


@pytest.mark.parametrize("command", COMMANDS, ids=lambda m: m.__name__.rpartition(".")[2])
def test_command_and_pipeline_have_one_default(command: ModuleType) -> None:
    name = command.__name__.rpartition(".")[2]
    (registered,) = [c for c in app.registered_commands if c.callback and c.callback.__name__ == name]
    assert registered.callback is not None
    assert inspect.signature(registered.callback).parameters["method"].default == STAGES[name].default


def test_options_have_one_default() -> None:
    """An option's default is that of the signature: in the configuration, and for whoever calls the method."""
    for stage, (methods, _) in STAGES.items():
        for name, target in methods.items():
            module, _, function = target.partition(":")
            parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
            bound = make_config({stage: {"method": name}}).bound(stage)
            assert bound.pop("method") == name
            assert {k: parameters[k].default for k in bound} == bound
    assert set(inspect.signature(qc.make_swi).parameters) >= set(make_config().bound("swi")) - {"method"}
    assert STAGES["swi"].default == susceptibility_weighting.DEFAULT


def test_a_run_reports_what_progress_expects(spheres: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fixture's run of one session with points, as its log has it."""
    (log,) = (spheres / "out" / "logs").glob("*.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (session,) = [e for e in events if e["event"] == "session"]
    expected = make_config().scan_stages(detect=False)
    assert tuple(session["seconds"]) == expected
    assert "left" not in left_after(expected, list(session["seconds"]), capsys)
    assert "left" in left_after(expected, list(session["seconds"])[:-1], capsys)


def test_pages_report_what_progress_expects(spheres: Path, tmp_path: Path) -> None:
    shutil.copytree(spheres / "out", tmp_path / "out")
    ear = Ear()
    assert not compare_and_report(tmp_path / "out", ["sphere"], say=str, report=ear)
    assert ear.begun == ear.done == [stage.name for stage in SUBJECT_STAGES]


def test_points_report_what_progress_expects(spheres: Path) -> None:
    scan = qc.load_scan(spheres / "bids", participant="sphere")
    ear = Ear()
    table = measure_points(scan, np.zeros((0, 3)), report=ear).table
    assert ear.begun == ear.done == list(POINT_STAGES)
    recorded = [s.name for s in SCAN_STAGES if s.at_points and s.default]
    assert [name for name, _ in table.provenance.steps] == recorded


def test_stages_that_others_replace_are_not_expected() -> None:
    whole = make_config().scan_stages(detect=True)
    assert whole == tuple(s.name for s in SCAN_STAGES)
    total = make_config({"invert": {"method": "tfi"}}).scan_stages(detect=False)
    assert set(whole) - set(total) == {"background", "detect"}


def steps_of(echoes: int = 2, config: Config | None = None, **given: bool) -> dict[str, dict[str, object]]:
    grid = Grid.isotropic((8, 8, 8), 1.0)
    volume = np.zeros((echoes, *grid.shape), np.float32)
    scan = GreScan(volume, volume, tuple(0.004 * (i + 1) for i in range(echoes)), 3.0, grid)
    return dict(provenance_of(scan, config or make_config(), **given).steps)


def test_provenance_has_every_stage_that_ran() -> None:
    steps = steps_of()
    assert list(steps) == [s.name for s in SCAN_STAGES if s.default]
    assert {name: step["method"] for name, step in steps.items()} == {
        s.name: s.default for s in SCAN_STAGES if s.default
    }
    changed = replace(make_config(), stages={**make_config().stages, "r2star": StageConfig("arlo")})
    assert steps_of(config=changed)["r2star"] == {"method": "arlo"}


@pytest.mark.parametrize(
    ("stage", "given", "reason"),
    [
        ("mask", {"mask_given": True}, "the mask was given"),
        ("r2star", {"echoes": 1}, "one echo shows no decay"),
        ("detect", {"detected": False}, "the points were given"),
    ],
)
def test_provenance_says_what_did_not_run(stage: str, given: dict[str, int], reason: str) -> None:
    steps = steps_of(**given)
    assert steps[stage] == {"method": "none", "reason": reason}
    assert [name for name, step in steps.items() if step["method"] == "none"] == [stage]


def test_documentation_lists_the_stages_and_their_defaults() -> None:
    rows = [line.split("|") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    table = {cells[1].strip(): cells[3].strip().strip("`") for cells in rows}
    assert list(table)[:2] == ["stage", "read"]
    assert list(table)[2:] == [s.name for s in SCAN_STAGES]
    for stage in SCAN_STAGES:
        assert table[stage.name] == (stage.default if stage.methods else "")


def test_time_left_of_several_scans_is_forecast_from_those_that_are_finished(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first scan takes 100 s, for its loops are compiled, each later one 10 s."""
    now = 0.0
    monkeypatch.setattr("qsmcmb.cli.console.time.perf_counter", lambda: now)
    said = []
    with Progress(["mask", "invert"] * 6, 6) as bar:
        for scan, seconds in enumerate((100.0, 10.0, 10.0, 10.0)):
            for stage in ("mask", "invert"):
                now += seconds / 2
                bar.report(str(scan), stage, seconds / 2)
            said.append(capsys.readouterr().err.splitlines())
            bar.finish(str(scan))
    assert said[0][0] == "0: mask 50.0 s, time left not known yet"
    assert said[1][0].endswith("s left")
    # Two of six scans are left.
    assert said[3][1] == "3: invert 5.0 s, about 20 s left"


def test_scans_at_the_same_time_take_less(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("qsmcmb.cli.console.time.perf_counter", lambda: now)
    with Progress(["mask"] * 8, 8) as bar:
        for pair in range(2):
            now += 10.0
            for scan in (f"{pair}a", f"{pair}b"):
                bar.report(scan, "mask", 10.0)
                bar.finish(scan)
    assert capsys.readouterr().err.splitlines()[-1] == "1b: mask 10.0 s, about 20 s left"
