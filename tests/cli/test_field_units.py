"""Fields in other units than ppm: refused or converted, and what is stated is believed."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.cli.main import run_command
from qsmcmb.dipole_inversion.field_units import check_field_is_ppm, robust_sd
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import save_volume
from qsmcmb.model import Grid

GRID = Grid.isotropic((16, 16, 16), 1.0)
MASK = np.ones(GRID.shape, bool)
HZ = 42.5775 * 3
RAD = 2 * np.pi * HZ * 0.02


@pytest.fixture
def tissue_ppm(rng):
    """Return a local field of tissue's scatter with a lesion of 40 ppm in few voxels."""
    field = 0.008 * rng.standard_normal(GRID.shape)
    field[7:9, 7:9, 7:9] = 40.0
    return field.astype(np.float32)


def call(folder: Path, command: str, field, *options: str) -> int:
    save_volume(folder / "mask.nii", MASK.astype(np.uint8), GRID.affine)
    save_volume(folder / "field.nii", np.asarray(field, np.float32), GRID.affine)
    files = ["--mask", str(folder / "mask.nii"), "-o", str(folder / "out.nii")]
    if command == "background":
        files += ["--out-mask", str(folder / "inner.nii"), "--method", "lbv"]
    else:
        files += ["--method", "tkd"]
    return run_command([command, str(folder / "field.nii"), *files, *options])


def image(folder: Path, name: str = "out.nii"):
    return np.asarray(nibabel.load(folder / name).dataobj)


@pytest.mark.parametrize("factor", [HZ, 1000.0, 7 / 3 * RAD * 2, 1e-9])
def test_an_impossible_field_is_refused_by_the_command(factor, tissue_ppm, tmp_path, capsys):
    other = (factor * tissue_ppm).astype(np.float32)
    with pytest.raises(InvalidInputError, match="FIELD-UNITS"):
        check_field_is_ppm(other, MASK)
    # An array has the unit that its name says: in Python nothing is guessed.
    assert qc.invert(other, MASK, GRID, method="tkd").any()
    assert call(tmp_path, "invert", other) == 65
    assert "ERROR FIELD-UNITS" in capsys.readouterr().err
    assert call(tmp_path, "invert", other, "--field-units", "ppm") == 0


@pytest.mark.parametrize(
    ("factor", "options"),
    [(HZ, ["Hz", "--b0", "3"]), (RAD, ["rad", "--b0", "3", "--te", "20ms"])],
)
def test_a_stated_unit_is_converted(factor, options, tissue_ppm, tmp_path):
    assert call(tmp_path, "invert", tissue_ppm) == 0
    expected = image(tmp_path)
    assert call(tmp_path, "invert", factor * tissue_ppm, "--field-units", *options) == 0
    np.testing.assert_allclose(image(tmp_path), expected, rtol=1e-4, atol=1e-4)


def test_the_option_needs_what_it_converts_by_and_a_known_word(tissue_ppm, tmp_path):
    for options in (["Hz"], ["rad", "--b0", "3"], ["gauss"]):
        assert call(tmp_path, "invert", tissue_ppm, "--field-units", *options) == 2


def test_a_sidecar_in_hz_is_refused_and_its_fix_works(tissue_ppm, tmp_path, capsys):
    (tmp_path / "field.json").write_text(json.dumps({"Units": "Hz"}), encoding="utf-8")
    # Few Hz: the values alone would pass.
    assert call(tmp_path, "invert", tissue_ppm) == 65
    assert "--field-units Hz --b0" in capsys.readouterr().err
    assert call(tmp_path, "invert", tissue_ppm, "--field-units", "Hz", "--b0", "3") == 0


def test_a_field_that_scatters_much_is_said_and_inverted(tissue_ppm, tmp_path, capsys):
    assert call(tmp_path, "invert", RAD * tissue_ppm) == 0
    assert "scatters by 0.13 ppm" in capsys.readouterr().err


def test_background_keeps_the_unit_and_refuses_what_none_explains(tissue_ppm, tmp_path, capsys):
    assert call(tmp_path, "background", HZ * tissue_ppm) == 0
    assert json.loads((tmp_path / "out.json").read_text())["Units"] == "as the input"
    assert call(tmp_path, "background", 1e6 * tissue_ppm) == 65
    sidecar = tmp_path / "field.json"
    sidecar.write_text(json.dumps({"Units": "Hz"}), encoding="utf-8")
    assert call(tmp_path, "background", HZ * tissue_ppm) == 0
    assert json.loads((tmp_path / "out.json").read_text())["Units"] == "Hz"
    sidecar.write_text(json.dumps({"Units": "ppm"}), encoding="utf-8")
    assert call(tmp_path, "background", 10 * HZ * tissue_ppm) == 65
    assert capsys.readouterr().err.count("ERROR FIELD-UNITS") == 2


def test_total_fields_may_be_larger_and_bodies_without_noise_pass(rng):
    total = rng.standard_normal(GRID.shape)
    check_field_is_ppm(total, MASK, start="total field")
    with pytest.raises(InvalidInputError, match="FIELD-UNITS"):
        check_field_is_ppm(total, MASK)
    body = np.zeros(GRID.shape)
    body[4:8, 4:8, 4:8] = 50.0
    assert robust_sd(body, MASK) == 0
    check_field_is_ppm(body, MASK)
