"""The region whose mean is 0: what the JSON says of it, what is refused, and that no lesion depends on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.place import Place
from qsmcmb.microbleeds.detection.candidates import CandidateSearch
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline import detection, subject
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.reference import reference_voxels
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study import scan as scan_of_study
from qsmcmb.study.options import StudyOptions
from qsmcmb.study.sessions import plan_study, run_study
from tests.scenes import bids_scans
from tests.scenes.small_scans import small_scan

TKD = make_config({"invert": {"method": "tkd"}})


def box(shape, *slices):
    inside = np.zeros(shape, bool)
    inside[slices] = True
    return inside


def test_no_lesion_depends_on_the_reference_and_the_json_states_it(tmp_path, monkeypatch):
    scan, _ = small_scan([(4.0, (0.0, 0.0, 0.0))], te_s=(0.008, 0.016))
    brain = box(scan.grid.shape, slice(2, -2), slice(2, -2), slice(2, -2))
    region = box(scan.grid.shape, slice(0, 8), slice(4, 10), slice(4, 10))
    # Detector and map sum are all that sees the map on the way to a lesion's number.
    seen = []
    nothing = CandidateSearch([], [])
    monkeypatch.setattr(detection, "search_candidates", lambda chi, *_, **__: (seen.append(chi), nothing)[1])
    monkeypatch.setattr(subject, "measure_map_sums", lambda _, scan, chi, **__: (seen.append(chi), ())[1])
    plain = run_scan(scan, TKD, mask=brain)
    other = run_scan(scan, TKD, mask=brain, reference=region)
    assert len(seen) == 4
    assert all(np.array_equal(chi, seen[0]) for chi in seen)
    inside = region & brain
    mean = plain.chi_ppm[inside].mean()
    assert abs(mean) > 1e-4
    assert np.allclose(other.chi_ppm[brain], plain.chi_ppm[brain] - mean, atol=1e-6)
    assert not other.chi_ppm[~brain].any()
    for name, result in (("plain", plain), ("other", other)):
        write_scan(Place(tmp_path / name), result)
    record = {n: json.loads((tmp_path / n / "Chimap.json").read_text()) for n in ("plain", "other")}
    assert record["plain"]["ReferenceRegion"].startswith("mean over the brain")
    assert record["plain"]["ReferenceVoxels"] == brain.sum()
    assert abs(record["plain"]["ReferenceMean"]) < 1e-6
    assert record["plain"]["ReferenceStandardDeviation"] == pytest.approx(
        plain.chi_ppm[brain].std(), rel=1e-4
    )
    assert "mask" in record["other"]["ReferenceRegion"]
    assert record["other"]["ReferenceVoxels"] == inside.sum()
    assert record["other"]["ReferenceMean"] == pytest.approx(mean, rel=1e-4)
    assert record["other"]["ReferenceStandardDeviation"] == pytest.approx(
        plain.chi_ppm[inside].std(), rel=1e-4
    )


def test_a_region_that_is_not_there_is_refused():
    grid = Grid.isotropic((16, 16, 16), 1.0)
    ones = np.ones((2, *grid.shape), np.float32)
    scan = GreScan(0 * ones, ones, te_s=(0.01, 0.02), b0_tesla=3.0, grid=grid, name="sub-01")
    brain = box(grid.shape, slice(4, 12))
    for nowhere in (box(grid.shape, slice(0, 3)), np.zeros(grid.shape, bool)):
        with pytest.raises(InvalidInputError, match=r"REFERENCE sub-01: reference mask.*--reference brain"):
            reference_voxels(nowhere, scan, None, brain)
    for rate in (None, 20 * ones[0]):
        with pytest.raises(InvalidInputError, match=r"REFERENCE.*less than 1 mL.*--reference a mask"):
            reference_voxels("csf", scan, rate, brain)
    with pytest.raises(InvalidInputError, match="reference"):
        reference_voxels("CSF fluid", scan, None, brain)
    with pytest.raises(InvalidInputError, match="reference"):
        reference_voxels(np.ones((3, 3, 3), bool), scan, None, brain)


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Return a data set of two sessions."""
    for session in ("1", "2"):
        bids_scans.write_scan(tmp_path / "bids", folder=f"ses-{session}/anat")
    return tmp_path / "bids"


def save_region(path: Path, *, empty: bool = False) -> Path:
    """Save a region of 27 voxels, or of none; return its path."""
    region = np.zeros(bids_scans.SHAPE, np.uint8)
    region[5:8, 5:8, 5:8] = not empty
    path.parent.mkdir(parents=True, exist_ok=True)
    save_volume(path, region, np.eye(4))
    return path


def test_one_mask_for_several_scans_is_refused_and_each_cure_works(bids, tmp_path, monkeypatch):
    given = {}

    def stop(scan, *_, reference, **__):
        given[scan.name] = int(np.sum(reference))
        raise ConfigError("stopped")

    monkeypatch.setattr(scan_of_study, "run_scan", stop)
    one = save_region(tmp_path / "region.nii.gz")

    def options(reference, *chosen):
        return StudyOptions(config=TKD, sessions=chosen, reference=reference)

    with pytest.raises(InvalidInputError, match=r"REFERENCE.*ses-1, .*ses-2.*--session-label") as caught:
        plan_study(bids, tmp_path / "out", options(one))
    run_study(bids, tmp_path / "out", options(one, "2"))
    assert given == {"sub-01/ses-2": 27}
    name = caught.value.fix.partition("such as ")[2]
    save_region(tmp_path / "regions" / name)
    first, second = run_study(bids, tmp_path / "out", options(tmp_path / "regions"))
    assert given == {"sub-01/ses-1": 27, "sub-01/ses-2": 27}
    assert "stopped" in first.error
    assert "ERROR MASK " in second.error


def test_recon_takes_a_region_and_refuses_one_without_voxels(bids, tmp_path, capsys):
    files = {
        p: [str(f) for f in sorted((bids / "sub-01/ses-1/anat").glob(f"*part-{p}*.nii.gz"))]
        for p in ("mag", "phase")
    }
    brain = tmp_path / "brain.nii.gz"
    save_volume(brain, np.pad(np.ones((10, 11, 12), np.uint8), 1), np.eye(4))
    (tmp_path / "fast.toml").write_text('[invert]\nmethod = "tkd"\n[background]\nmethod = "lbv"\n')
    call = ["recon", "--phase", *files["phase"], "--mag", *files["mag"], "--te", "5,10,15ms", "--b0", "3",
            "--mask", str(brain), "--config-file", str(tmp_path / "fast.toml")]  # fmt: skip
    empty = save_region(tmp_path / "empty.nii.gz", empty=True)
    assert run_command([*call, "-o", str(tmp_path / "a"), "--reference", str(empty)]) == 65
    assert "ERROR REFERENCE a: reference mask = 0 voxels" in capsys.readouterr().err
    region = save_region(tmp_path / "region.nii.gz")
    assert run_command([*call, "-o", str(tmp_path / "b"), "--reference", str(region)]) == 0
    assert json.loads((tmp_path / "b/Chimap.json").read_text())["ReferenceVoxels"] == 27
    capsys.readouterr()
    assert run_command([*call, "-o", str(tmp_path / "c"), "--reference", "skull"]) == 2
    assert "brain, csf, or the path of a mask" in capsys.readouterr().err
