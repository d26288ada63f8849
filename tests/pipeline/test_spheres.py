"""The whole job on spheres whose total susceptibility is known."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.anatomy.rating_forms import FORM_SIDES
from qsmcmb.cli.main import run_command
from qsmcmb.io.lesion_table import lesion_row
from qsmcmb.io.results import list_results
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.microbleeds.conventional.protocols import DEFAULT_PROTOCOLS
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.microbleeds.results.references import PARTS
from qsmcmb.pipeline.config import STAGES
from qsmcmb.reporting.methods_text import describe_methods

ANAT = Path("out/sub-sphere/ses-3T/anat")
STEM = "sub-sphere_ses-3T"


def truth_of(folder: Path) -> list[dict[str, str | None]]:
    return read_tsv(folder / f"bids-truth/sub-sphere/ses-3T/{STEM}_lesions.tsv")


def lesions_of(folder: Path) -> list[Microbleed]:
    return list_results(folder / "out", "sphere")[0].lesions()


def test_balls_and_pairs_are_measured_within_five_percent(spheres: Path) -> None:
    for truth, lesion in zip(truth_of(spheres), lesions_of(spheres), strict=True):
        total = lesion.total_chi_ppm_mm3
        assert total is not None
        assert 0.95 < total.value / float(truth["S_ppm_mm3"] or 0) < 1.05, truth
        assert lesion.kind == truth["kind"]
        assert total.low < total.value < total.high


def test_map_sum_agrees_with_truth_in_water(spheres: Path) -> None:
    for truth, lesion in zip(truth_of(spheres), lesions_of(spheres), strict=True):
        expected = float(truth["S_ppm_mm3"] or 0)
        assert lesion.total_chi_sum_ppm_mm3 == pytest.approx(expected, abs=max(0.2 * abs(expected), 1.0))


def test_table_and_burden_have_the_fixed_columns_and_keys(spheres: Path) -> None:
    table = spheres / ANAT / f"{STEM}_desc-cmb_lesions.tsv"
    assert table.read_text().splitlines()[0].split("\t") == list(LESION_COLUMNS)
    described = json.loads(table.with_suffix(".json").read_text())
    assert set(LESION_COLUMNS) <= set(described)
    burden = json.loads((spheres / ANAT / f"{STEM}_desc-cmb_burden.json").read_text())
    assert set(summarise_burden([])) <= set(burden)
    assert burden["n_definite"] == 5
    assert burden["burden_low_ppm_mm3"] < burden["burden_ppm_mm3"] < burden["burden_high_ppm_mm3"]


@pytest.mark.parametrize(
    "ending",
    ["desc-brain_mask", "desc-reliable_mask", "desc-total_fieldmap", "desc-local_fieldmap", "desc-fieldsd_fieldmap",
     "Chimap", "R2starmap", "T2starmap", "desc-swi_T2starw", "desc-minIP_T2starw",
     "desc-detectionlimit_map", "desc-cmb_dseg"],
)  # fmt: skip
def test_every_image_has_a_record_with_provenance(spheres: Path, ending: str) -> None:
    session = list_results(spheres / "out", "sphere")[0]
    data, grid = session.image(ending)
    assert data.shape == grid.shape
    record = session.record(ending)
    assert record["GeneratedBy"] == [{"Name": "qsmcmb", "Version": qc.__version__}]
    assert {"Python", "numpy", "scipy", "numba", "nibabel", "FFTW"} <= set(record["Software"])
    files = [p for p in (spheres / "bids/sub-sphere").rglob("*.nii.gz")]
    assert len(record["SourceChecksums"]) == len(files) > 0
    sums = {f"sha256:{hashlib.sha256(p.read_bytes()).hexdigest()}" for p in files}
    assert set(record["SourceChecksums"].values()) == sums
    assert record["Steps"]["invert"]["method"] == STAGES["invert"][1]


def test_every_json_tells_the_version(spheres: Path) -> None:
    written = list(spheres.rglob("*.json"))
    assert {p.name for p in written} >= {
        "dataset_description.json",
        f"{STEM}_desc-cmb_explain.json",
        "recipe.json",
    }
    for path in written:
        stated = json.loads(path.read_text())["GeneratedBy"]
        assert stated == [{"Name": "qsmcmb", "Version": qc.__version__}], path


def test_map_states_unit_reference_and_b0(spheres: Path) -> None:
    session = list_results(spheres / "out", "sphere")[0]
    record = session.record("Chimap")
    chi, grid = session.image("Chimap")
    assert record["Units"] == "ppm"
    np.testing.assert_allclose(record["B0Direction"], grid.b0_dir, atol=1e-5)
    # The slab is tilted by 10 degrees: B0 is not a voxel axis.
    assert abs(grid.b0_dir[2]) == pytest.approx(np.cos(np.radians(10)), abs=1e-4)
    assert abs(chi[chi != 0].mean()) < 1e-4


def test_positions_are_found_again(spheres: Path) -> None:
    for truth, lesion in zip(truth_of(spheres), lesions_of(spheres), strict=True):
        centre_mm = [float(truth[c] or 0) for c in ("x_mm", "y_mm", "z_mm")]
        assert np.linalg.norm(np.subtract(lesion.position_mm, centre_mm)) < 0.5


def test_forms_and_burden_count_the_microbleeds_of_the_table(spheres: Path) -> None:
    counted = [m for m in lesions_of(spheres) if m.kind == "microbleed" and m.certainty != "rejected"]
    burden = json.loads((spheres / ANAT / f"{STEM}_desc-cmb_burden.json").read_text())
    assert burden["n_definite"] + burden["n_possible"] == len(counted)
    for scale, words in (("mars", ("definite", "possible")), ("bombs", ("certain", "uncertain"))):
        rows = read_tsv(spheres / ANAT / f"{STEM}_desc-{scale}_form.tsv")
        sums = [r for r in rows if r["territory"] == "all"]
        assert sum(int(str(r["total"])) for r in sums) == len(counted)
        for word in words:
            found = sum(int(str(r[f"{word}_{side}"])) for r in sums for side in FORM_SIDES)
            assert found == sum(word in (m.certainty, m.bombs_certainty) for m in counted)
    assert 'href="sub-sphere_forms.html"' in (spheres / "out" / "sub-sphere.html").read_text()
    assert (spheres / "out" / "sub-sphere_forms.html").exists()
    protocols = burden["conventional"]["protocols"]
    assert [p["name"] for p in protocols] == [p["name"] for p in DEFAULT_PROTOCOLS]
    # Thin slices show as many as thick ones or more.
    visible = [p["n_visible"] for p in protocols]
    assert visible[0] <= visible[1] <= visible[2] <= len(counted)
    assert all(len(p["lesions"]) == len(counted) for p in protocols)


def test_page_holds_everything_in_one_file(spheres: Path) -> None:
    page = (spheres / "out/sub-sphere.html").read_text()
    # Base64 of a volume holds any four letters by chance.
    text = re.sub(r"[A-Za-z0-9+/]{200,}", "", page)
    assert "http" not in text.replace("https://", "http://").split("</style>")[1].split("data:image")[0]
    assert page.count('src="data:image/png;base64,') == 1 + 6 + 6
    for word in ("ROMEO", "boundary value problem", "sha256", "ppm mm3"):
        assert word in page


def test_methods_section_is_that_of_the_run(spheres: Path) -> None:
    """Balls and pairs in water, points given: what was used is described and cited, what was not is not."""
    session = list_results(spheres / "out", "sphere")[0]
    record, explanations = session.record("desc-cmb_burden"), session.record("desc-cmb_explain")["Lesions"]
    text = describe_methods(record, explanations)
    page = html.unescape((spheres / "out/sub-sphere.html").read_text())
    assert text.paragraph in page
    assert all(r.text in page and r.bibtex() in page for r in text.references)
    assert "The stage detect did not run, since the points were given." in text.paragraph
    assert {p for p in PARTS if PARTS[p].name in text.paragraph} == {
        "complex_fit", "point_spread", "psf_width", "ball", "pair", "uncertainty", "map_sum", "signal_loss",
        "detection_limit",
    }  # fmt: skip


@pytest.fixture(scope="module")
def again(spheres: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same data set and a subject whose first image is cut off, run once more."""
    folder = tmp_path_factory.mktemp("again")
    shutil.copytree(spheres / "bids", folder / "bids")
    bad = folder / "bids/sub-bad/ses-3T/anat"
    bad.mkdir(parents=True)
    for path in sorted((spheres / "bids/sub-sphere/ses-3T/anat").iterdir()):
        shutil.copy(path, bad / path.name.replace("sub-sphere", "sub-bad"))
    broken = sorted(bad.glob("*.nii.gz"))[0]
    broken.write_bytes(broken.read_bytes()[:1000])
    before = hashes(folder / "bids")
    points = str(spheres / "bids-truth/points.tsv")
    command = ["run", str(folder / "bids"), str(folder / "out"), "participant", "--points", points]
    assert run_command(command) == 1
    assert hashes(folder / "bids") == before
    assert len(before) > 10
    return folder


def test_a_second_run_gives_the_same_bytes(spheres: Path, again: Path) -> None:
    def results(folder: Path) -> dict[str, str]:
        # The description links the raw data by its place; the run's own records do, too.
        left_out = ("logs", ".qsmcmb", "dataset_description.json", "sub-bad")
        return {k: v for k, v in hashes(folder / "out").items() if not k.startswith(left_out)}

    assert len(results(again)) > 20
    assert results(again) == results(spheres)
    one, two = (json.loads((f / "out/dataset_description.json").read_text()) for f in (spheres, again))
    assert {k for k in one if one[k] != two[k]} == {"SourceDatasets", "DatasetLinks"}


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_python_quantify_gives_the_tables_number(spheres: Path) -> None:
    scan = qc.load_scan(spheres / "bids", participant="sphere")
    truth = truth_of(spheres)[0]
    table = qc.quantify(scan, [[float(truth[c] or 0) for c in ("x_mm", "y_mm", "z_mm")]])
    frame = table.to_dataframe()
    assert list(frame.columns) == list(LESION_COLUMNS)
    assert float(frame["total_chi_ppm_mm3"][0]) == pytest.approx(float(truth["S_ppm_mm3"] or 0), rel=0.06)


def test_rows_and_lesions_are_the_same_thing(spheres: Path) -> None:
    rows = read_tsv(spheres / ANAT / f"{STEM}_desc-cmb_lesions.tsv")
    assert len(rows) == len(truth_of(spheres)) > 0
    for row, lesion in zip(rows, lesions_of(spheres), strict=True):
        again = lesion_row(lesion)
        assert {k for k, v in again.items() if v is not None} == {k for k, v in row.items() if v is not None}
        for name, column in LESION_COLUMNS.items():
            written = row[name]
            if column.is_number and written is not None:
                assert again[name] == pytest.approx(float(written))
            else:
                assert again[name] == written


def test_a_bad_session_does_not_stop_the_others(again: Path, tmp_path: Path) -> None:
    assert (again / "out/sub-sphere.html").exists()
    assert not (again / "out/sub-bad").exists()
    only = ["run", str(again / "bids"), str(tmp_path / "o2"), "participant", "--participant-label", "bad"]
    assert run_command(only) == 65
