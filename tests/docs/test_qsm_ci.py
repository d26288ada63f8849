"""The QSM-CI scripts of the how-to, on a small phantom in QSM-CI's own form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.units import GAMMA_MHZ_PER_T

SCRIPTS = Path(__file__).parents[2] / "docs" / "how-to" / "qsm-ci"
GRID = Grid.isotropic((40, 40, 40), 1.0)
TE_S = (0.004, 0.010, 0.016)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Return a folder with all artifacts: a ball of 0.3 ppm in a brain of 17 mm radius."""
    folder = tmp_path_factory.mktemp("case")
    x, y, z = np.meshgrid(*[np.arange(40) - 20.0] * 3, indexing="ij")
    mask = x**2 + y**2 + z**2 < 17**2
    chi = np.where((x - 2) ** 2 + y**2 + z**2 < 4**2, 0.3, 0.0).astype(np.float32)
    local = np.where(mask, forward_field(chi, GRID), 0)
    total = np.where(mask, local + 0.004 * z, 0)
    turns = [2 * np.pi * GAMMA_MHZ_PER_T * 3 * t for t in TE_S]
    phase = np.stack([np.angle(np.exp(1j * t * total)) * mask for t in turns], axis=-1)
    magnitude = np.stack([mask * np.exp(-20 * t) for t in TE_S], axis=-1)
    arrays = {"mask": mask, "totalfield": total, "localfield": local, "phase": phase, "magnitude": magnitude}
    for name, array in arrays.items():
        kind = np.uint8 if name == "mask" else np.float32
        nibabel.save(nibabel.Nifti1Image(array.astype(kind), GRID.affine), folder / f"{name}.nii.gz")
    about = {"TE": TE_S, "B0": 3.0, "B0_dir": [0.0, 0.0, 1.0], "voxel_size": [1.0, 1.0, 1.0]}
    (folder / "params.json").write_text(json.dumps(about))
    return folder, {"chimap": chi, "totalfield": total, "localfield": local, "mask": mask}


def mounted(case, tmp_path, names):
    """Link the artifacts that a stage consumes into a folder of their own."""
    folder = tmp_path / "input"
    folder.mkdir()
    for name in (*(f"{n}.nii.gz" for n in names), "params.json"):
        (folder / name).symlink_to(case / name)
    return folder


@pytest.fixture
def scripts(monkeypatch):
    """Return the two scripts as modules."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import make_submission
    import stage

    return stage, make_submission


@pytest.mark.parametrize(
    ("stage", "methods", "consumed", "produced", "least"),
    [
        ("brain-extraction", "magnitude", ("magnitude",), "mask", 0.95),
        ("field-mapping", "weighted", ("phase", "magnitude", "mask"), "totalfield", 0.99),
        ("bfr", "vsharp", ("totalfield", "mask"), "localfield", 0.9),
        ("dipole", "tkd", ("localfield", "mask"), "chimap", 0.7),
        ("unwrap+bfr", "vsharp", ("phase", "magnitude", "mask"), "localfield", 0.9),
        ("bfr+dipole", "vsharp,tkd", ("totalfield", "mask", "magnitude"), "chimap", 0.7),
        ("end-to-end", "vsharp,tkd", ("phase", "magnitude", "mask"), "chimap", 0.7),
    ],
)
def test_stages_find_the_truth(case, tmp_path, scripts, stage, methods, consumed, produced, least):
    folder, truth = case
    module, maker = scripts
    chosen = zip(maker.NAMED[stage], methods.split(","), strict=True)
    source = mounted(folder, tmp_path, consumed)
    settings = [x for part, method in chosen for x in ("--set", f"{part}_method={method}")]
    module.main([stage, *settings, "--input", str(source), "--output", str(tmp_path / "output")])
    found = np.asarray(nibabel.load(tmp_path / "output" / f"{produced}.nii.gz").dataobj, float)
    core = np.sum((np.indices(GRID.shape) - 20.0) ** 2, axis=0) < 13**2
    where = core if produced != "mask" else np.ones_like(core)
    assert np.corrcoef(found[where], truth[produced][where].astype(float))[0, 1] > least


def test_a_submission_runs_as_qsm_ci_runs_it(case, tmp_path, scripts):
    folder, _ = case
    scripts[1].write_submission("bfr+dipole", {"background": "vsharp", "invert": "tkd"}, tmp_path / "algo")
    about = (tmp_path / "algo" / "algorithm.yml").read_text()
    assert "stage: bfr+dipole\n" in about
    assert "- name: background_max_radius_mm\n" in about
    source = mounted(folder, tmp_path, ("totalfield", "mask"))
    path = str(SCRIPTS.parents[2])
    done = subprocess.run(
        ["bash", str(tmp_path / "algo" / "run.sh"), str(source), str(tmp_path / "output")],
        env={**os.environ, "PYTHONPATH": path, "PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output" / "chimap.nii.gz").exists()


def test_options_from_everywhere_the_last_winning(case, tmp_path, scripts, monkeypatch):
    folder, _ = case
    source = mounted(folder, tmp_path, ("localfield", "mask"))
    call = ["dipole", "--set", "method=tkd", "--set", "threshold=0.2", "--input", str(source), "--output"]
    stage = scripts[0]
    stage.main([*call, str(tmp_path / "a")])
    (source / "config.json").write_text('{"threshold": 0.33}')
    stage.main([*call, str(tmp_path / "b")])
    monkeypatch.setenv("QSMCI_SET_THRESHOLD", "0.2")
    stage.main([*call, str(tmp_path / "c")])
    a, b, c = ((tmp_path / n / "chimap.nii.gz").read_bytes() for n in "abc")
    assert a == c != b
    with pytest.raises(ConfigError, match="its options are: threshold"):
        stage.main([*call, str(tmp_path / "d"), "--set", "tresh=1"])


def with_params(source, **fields):
    """Give a folder of artifacts a params.json of its own."""
    about = json.loads((source / "params.json").read_text()) | fields
    (source / "params.json").unlink()
    (source / "params.json").write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


def test_direction_and_voxel_size_are_those_of_params(case, tmp_path, scripts, capsys):
    folder, _ = case
    source = mounted(folder, tmp_path, ("localfield", "mask"))
    call = ["dipole", "--set", "method=tkd", "--input", str(source), "--output"]
    stage = scripts[0]

    def run(name, **fields):
        with_params(source, **fields)
        stage.main([*call, str(tmp_path / name)])
        return (tmp_path / name / "chimap.nii.gz").read_bytes(), capsys.readouterr().err

    plain, said = run("plain")
    assert said == ""
    longer, said = run("longer", B0_dir=[0, 0, 2.5])
    assert longer == plain
    assert "WARNING B0_dir [0, 0, 2.5] has the length 2.5" in said
    other, said = run("other", B0_dir=[0, 0, 1], voxel_size=[1.0, 1.0, 3.0])
    assert other != plain
    assert "voxel_size [1.0, 1.0, 3.0] mm is used; the header of localfield.nii.gz states 1, 1, 1 mm" in said
    assert run("without", voxel_size=None) == (plain, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [("B0_dir", [0, 0, 0]), ("B0_dir", [0, 1]), ("B0_dir", None), ("voxel_size", [1, 1, -1]), ("voxel_size", "1 mm"),
     ("TE", None), ("B0", "three")],
)  # fmt: skip
def test_params_that_are_none_are_named(case, tmp_path, scripts, field, value):
    source = mounted(case[0], tmp_path, ())
    with_params(source, **{field: value})
    with pytest.raises(InvalidInputError, match=rf"PARAMS .*{field}"):
        scripts[0].read_params(source / "params.json")


def test_an_error_of_the_input_is_no_traceback(case, tmp_path):
    source = mounted(case[0], tmp_path, ("localfield", "mask"))
    with_params(source, B0_dir=[0, 0, 0])
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "stage.py"), "dipole", "--input", str(source), "--output", str(tmp_path / "o")],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS.parents[2])}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 65
    assert done.stderr.startswith("ERROR PARAMS")


def test_parameters_are_the_methods_options(tmp_path, scripts):
    scripts[1].write_submission("dipole", {"invert": "tv"}, tmp_path)
    about = (tmp_path / "algorithm.yml").read_text()
    assert "- name: max_iterations\n  default: " in about
    assert "\ndoi: 10.1002/mrm.25029\n" in about
