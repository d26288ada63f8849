"""Stored phase becomes the radians that it stands for, or is refused with an option that mends it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qsmcmb.cli.arguments import expand_lists
from qsmcmb.cli.main import app
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.input_options import InputOptions, make_input_options
from qsmcmb.io.nifti import Volume
from qsmcmb.io.phase_scaling import TWO_PI, PhaseData, phase_scale, sign_notes, to_radians
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate, GreScan, Grid
from qsmcmb.pipeline.checks import find_lesion_faults
from qsmcmb.pipeline.config import make_config
from qsmcmb.typing import AnyArray, FloatArray

SHAPE = (24, 22, 20)
TE_S = (0.005, 0.010, 0.015)


def head() -> tuple[FloatArray, FloatArray]:
    """Return unwrapped phase and magnitude of a bright block with a smooth field, noise around it."""
    rng = np.random.default_rng(5)
    x, y, z = (a - (n - 1) / 2 for a, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    magnitude = np.where((abs(x) < 8) & (abs(y) < 8) & (abs(z) < 7), 100.0, 1.0)
    field_hz = 9 * x + 4 * y + 20 * np.exp(-(x**2 + y**2 + z**2) / 8)
    phase = np.stack([TWO_PI * te * field_hz + 0.5 for te in TE_S])
    # Noise everywhere, and whole turns at random where there is nothing else.
    phase += np.where(magnitude > 50, 0.02, 20.0) * rng.standard_normal(phase.shape)
    return phase, np.broadcast_to(magnitude, phase.shape)


UNWRAPPED, MAGNITUDE = head()
WRAPPED = np.angle(np.exp(1j * UNWRAPPED))


def volume(values: AnyArray, slope: float = 1.0, inter: float = 0.0, name: str = "phase.nii") -> Volume:
    return Volume(
        path=Path(name), data=values, slope=slope, inter=inter, affine=np.eye(4), sha256="", warnings=(),
        oriented=True,
    )  # fmt: skip


def read(
    stored: list[Volume], units: str | None, *, strict: bool = True, **stated: object
) -> tuple[FloatArray, str]:
    """Return the phase of stored volumes, rad, and the reason."""
    magnitude = [volume(m) for m in MAGNITUDE]
    data = PhaseData(stored, magnitude, TE_S, 3.0)
    options = make_input_options(stated)
    scale = phase_scale(data, units=units, options=options, strict=strict)
    return np.stack([to_radians(v.values(), scale, options.sign) for v in stored]), scale.why


def stored_as(
    change: Callable[[FloatArray], AnyArray], slope: float = 1.0, inter: float = 0.0
) -> list[Volume]:
    return [volume(change(p), slope, inter, f"echo-{i + 1}.nii") for i, p in enumerate(WRAPPED)]


def difference(phase: FloatArray) -> float:
    return float(np.abs(np.angle(np.exp(1j * (phase - WRAPPED)))).max())


FORMS: dict[str, tuple[list[Volume], str | None]] = {
    "Siemens, slope 2 and intercept -4096": (
        stored_as(lambda w: np.round((w / np.pi + 1) * 2048).clip(0, 4095).astype(np.int16), 2.0, -4096.0),
        None,
    ),
    "Siemens, centred, slope 1": (
        stored_as(lambda w: np.round((w / np.pi + 1) * 2048).clip(0, 4095).astype(np.int16), 1.0, -2048.0),
        None,
    ),
    "Philips, radians": (
        stored_as(lambda w: np.round((w + np.pi) * 4094 / TWO_PI).astype(np.int16), TWO_PI / 4094, -np.pi),
        None,
    ),
    "Philips, milliradians": (
        stored_as(lambda w: np.round((w * 1000 + 3142) / 1.53455).clip(0, 4094).astype(np.int16), 1.53455, -3142.0),
        None,
    ),
    "12 bits": (stored_as(lambda w: np.round((w / np.pi + 1) * 2048).clip(0, 4095).astype(np.uint16)), "arbitrary"),
    "12 bits, signed": (stored_as(lambda w: np.round(w / np.pi * 2048).clip(-2048, 2047)), "arbitrary"),
    "degrees": (stored_as(np.rad2deg), "arbitrary"),
    "half turns": (stored_as(lambda w: w / np.pi), "arbitrary"),
    "radians from 0": (stored_as(lambda w: w % TWO_PI), "rad"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_stored_phase_is_read_as_what_it_stands_for(form: str) -> None:
    stored, units = FORMS[form]
    assert difference(read(stored, units)[0]) < 0.003


@pytest.mark.parametrize("units", ["rad", None])
def test_unwrapped_phase_loses_its_turns_and_nothing_else(units: str | None) -> None:
    phase, why = read([volume(u) for u in UNWRAPPED], units, strict=units is not None)
    assert difference(phase) < 2e-5
    assert "unwrapped" in why


OTHER_UNITS = {
    "degrees": np.rad2deg,
    "milliradians": lambda w: 1000 * w,
    "half turns": lambda w: w / np.pi,
    "12 bits": lambda w: np.round((w / np.pi + 1) * 2048).clip(0, 4095),
}


@pytest.mark.parametrize("form", OTHER_UNITS)
def test_another_unit_stated_as_radians_is_refused_and_the_fix_mends_it(form: str) -> None:
    stored = stored_as(OTHER_UNITS[form])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="PHASUNITS") as caught:
        read(stored, "rad")
    low, high = re.findall(r"--phase-range (\S+) (\S+)", caught.value.fix)[0]
    assert difference(read(stored, "rad", phase_range=[float(low), float(high)])[0]) < 0.003


@pytest.mark.parametrize("factor", [1.2, 100.0])
@pytest.mark.parametrize("quiet", [1.0, 0.1])
def test_radians_on_a_wrong_scale_are_not_unwrapped_radians(factor: float, quiet: float) -> None:
    """Tissue may be without wraps, as at a short echo time: noise in air wraps at the ends."""
    phase = np.where(MAGNITUDE > 50, quiet * UNWRAPPED, UNWRAPPED)
    wrapped = np.angle(np.exp(1j * phase))
    stored = [volume(factor * w) for w in wrapped]
    with pytest.raises(InvalidInputError, match="PHASUNITS") as caught:
        read(stored, "rad")
    low, high = re.findall(r"--phase-range (\S+) (\S+)", caught.value.fix)[0]
    found, _ = read(stored, "rad", phase_range=[float(low), float(high)])
    assert np.abs(np.angle(np.exp(1j * (found - wrapped)))).max() < 0.02


def test_degrees_of_a_head_without_wraps_are_not_unwrapped_radians() -> None:
    quiet = [
        volume(np.where(m > 50, np.rad2deg(0.15 * u), 0)) for u, m in zip(UNWRAPPED, MAGNITUDE, strict=True)
    ]
    with pytest.raises(InvalidInputError, match="PHASUNITS"):
        read(quiet, "rad")


@pytest.mark.parametrize("factor", [0.5, 180 / np.pi, 2048 / np.pi])
def test_an_echo_on_a_scale_of_its_own_is_named(factor: float) -> None:
    stored = stored_as(lambda w: w)
    stored[1] = volume(WRAPPED[1] * factor, name="echo-2.nii")
    with pytest.raises(InvalidInputError, match="PHASUNITS echo-2"):
        read(stored, "rad")
    with pytest.raises(InvalidInputError, match="PHASE-SCALE echo-2"):
        read(stored, "arbitrary")


def test_values_that_fill_no_known_range_need_a_statement() -> None:
    stored = stored_as(lambda w: np.round(w * 100 + 2048))
    with pytest.raises(InvalidInputError, match="--phase-range 1734 2362"):
        read(stored, "arbitrary")
    masked = [
        volume(np.where(m > 50, 2048 + 10 * u, 2048)) for u, m in zip(UNWRAPPED, MAGNITUDE, strict=True)
    ]
    with pytest.raises(InvalidInputError, match="--phase-range LO HI"):
        read(masked, "arbitrary")
    phase, _ = read(stored, None, phase_range=[2048 - 100 * np.pi, 2048 + 100 * np.pi])
    assert difference(phase) < 0.006


def test_the_sign_turns_the_phase() -> None:
    phase, _ = read(stored_as(lambda w: w), "rad", phase_sign=-1)
    assert difference(-phase) < 2e-6


@pytest.mark.parametrize("maker", ["GE", "GE MEDICAL SYSTEMS", "General Electric"])
def test_a_maker_of_the_other_sign_is_named_until_the_sign_is_stated(maker: str) -> None:
    assert "--phase-sign -1" in sign_notes([None, maker], InputOptions())[0]
    assert sign_notes([maker], InputOptions(phase_sign=1)) == []
    assert sign_notes(["Siemens", None], InputOptions()) == []


def lesion(value: float, kind: str = "microbleed") -> Microbleed:
    total = Estimate(value, 0.1, "ppm mm3")
    return Microbleed(
        1, (0.0, 0.0, 0.0), kind=kind, certainty="definite", total_chi_ppm_mm3=total, source="reader"
    )


@pytest.mark.parametrize(("stated", "cure"), [(1, "--phase-sign -1"), (-1, "--phase-sign 1")])
def test_lesions_of_the_opposite_sign_to_their_kind_are_said(stated: int, cure: str) -> None:
    grid = Grid.isotropic((8, 8, 8), 1.0)
    ones = np.ones((1, *grid.shape), np.float32)
    scan = GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=grid, read_as={"PhaseSign": stated})
    wrong = [lesion(-4.0), lesion(-2.0), lesion(3.0, "calcification"), lesion(1.0)]
    assert "3 of 4 lesions" in find_lesion_faults(wrong, scan)[0]
    assert cure in find_lesion_faults(wrong, scan)[0]
    assert find_lesion_faults([lesion(4.0), lesion(2.0), lesion(-3.0)], scan) == ()
    assert find_lesion_faults([lesion(-4.0)], scan) == ()


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"phase_unit": "rad"}, "phase_units, phase_range, phase_sign"),
        ({"phase_units": "degrees"}, "rad, arbitrary"),
        ({"phase_sign": 0}, "1 or -1"),
        ({"phase_range": [1, 0]}, "the lower first"),
        ({"phase_range": "all"}, "two numbers"),
    ],
)
def test_a_wrong_statement_is_named(table: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make_config({"input": table})


def test_the_configuration_states_the_input_and_prints_it() -> None:
    config = make_config({"input": {"phase_range": [0, 4096], "phase_sign": -1}})
    assert "[input]\nphase_range = [0.0, 4096.0]\nphase_sign = -1\n" in config.to_toml()
    assert config.input.updated(InputOptions(phase_sign=1)).sign == 1


def test_run_reads_a_data_set_without_units_by_one_option(tmp_path: Path) -> None:
    grid = Grid.isotropic((12, 13, 14), 2.0)
    rng = np.random.default_rng(3)
    phase = rng.uniform(-np.pi, np.pi, (2, *grid.shape)).astype(np.float32)
    scan = GreScan(
        phase_rad=phase, magnitude=rng.uniform(1, 2, phase.shape).astype(np.float32), te_s=(0.004, 0.008),
        b0_tesla=3.0, grid=grid,
    )  # fmt: skip
    bids = tmp_path / "bids"
    write_raw_dataset(bids, "no units")
    write_raw_scan(bids, scan, "01", None)
    for sidecar in bids.rglob("*phase*.json"):
        record = json.loads(sidecar.read_text())
        del record["Units"]
        sidecar.write_text(json.dumps(record))
    call = ["run", str(bids), str(tmp_path / "out"), "participant"]
    failed = CliRunner().invoke(app, call)
    assert failed.exit_code == 65
    assert "--phase-units rad" in failed.output
    config = CliRunner().invoke(app, expand_lists([*call, "--phase-units", "rad", "--dry-run"]))
    assert 'phase_units = "rad"' in config.output
