"""Exit codes, messages and what goes where."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb import dipole_inversion
from qsmcmb.cli.arguments import expand_lists
from qsmcmb.cli.console import say_warnings
from qsmcmb.cli.main import run_command
from qsmcmb.cli.stage import relative_sd
from qsmcmb.core.software import software_versions
from qsmcmb.io.tables import read_tsv
from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field


def test_lists_follow_one_option() -> None:
    given = ["recon", "--phase", "a", "b", "--te", "4ms", "--phase-range", "-4", "4"]
    assert expand_lists(given) == [
        "recon", "--phase", "a", "--phase", "b", "--te", "4ms", "--phase-range", "-4", "4"
    ]  # fmt: skip


def test_version_and_methods_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert run_command(["methods", "invert", "--json"]) == 0
    version, _, listed = capsys.readouterr().out.partition("\n")
    assert version.startswith("qsmcmb ")
    assert set(json.loads(listed)["invert"]) == set(dipole_inversion.METHODS)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["frobnicate"], 2, "frobnicate"),
        (["run", "nowhere", "out", "session"], 2, "expected participant or group"),
        (["run", "nowhere", "out", "participant"], 65, "ERROR BIDS nowhere"),
        (["phantom", "nonesuch", "out"], 2, "expected a .toml file or one of"),
        (["methods", "nonesuch"], 2, "expected one of"),
        (
            ["invert", "x.nii", "--mask", "m.nii", "-o", "o.nii", "--method", "medium"],
            2,
            "the methods are: ",
        ),
        (["invert", "x.nii", "--mask", "m.nii", "-o", "o.nii", "--set", "lamda=1"], 2, "its options are"),
        (["invert", "x.nii", "--mask", "m.nii", "-o", "o.nii"], 65, "ERROR FILE x.nii"),
        (["invert", "x.nii", "--mask", "m.nii", "-o", "o.txt"], 73, "ending in .nii"),
        (["r2star", "m.nii", "--te", "4,8", "-o", "o.nii"], 65, "ERROR TUNITS --te"),
        (
            ["quantify", "--phase", "p", "--mag", "m", "--te", "4ms", "--b0", "3", "-o", "o.tsv"],
            2,
            "--points",
        ),
    ],
)
def test_errors_name_the_fault(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run_command(arguments) == code
    captured = capsys.readouterr()
    assert text in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_verbose_says_where_an_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["methods", "nonesuch", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_first_warnings_are_printed_and_all_if_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    say_warnings([], name="sub-01", verbose=False)
    assert not capsys.readouterr().err
    say_warnings(["one echo"], name="sub-01", verbose=False)
    assert capsys.readouterr().err.splitlines() == ["WARNING sub-01: one echo"]
    say_warnings(list("abcd"), verbose=False)
    shown = [*(f"WARNING {w}" for w in "abc"), "4 warnings, all of them in the log; -v prints each"]
    assert capsys.readouterr().err.splitlines() == shown
    say_warnings(list("abcd"), name="sub-01", verbose=True)
    assert capsys.readouterr().err.splitlines() == [f"WARNING sub-01: {w}" for w in "abcd"]


def test_output_inside_the_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids = tmp_path / "bids"
    (bids / "sub-01/anat").mkdir(parents=True)
    assert run_command(["run", str(bids), str(bids), "participant"]) == 2
    assert run_command(["run", str(bids), str(bids / "sub-01/out"), "participant"]) == 2
    assert "a folder inside the data set" in capsys.readouterr().err
    # The one place inside that is allowed gets as far as finding no scan.
    assert run_command(["run", str(bids), str(bids / "derivatives/qsmcmb"), "participant"]) == 66
    assert not (bids / "derivatives").exists()


def test_methods_say_what_they_start_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["methods", "invert"]) == 0
    assert "[starts from: local field]" in capsys.readouterr().out


def test_magnitude_gives_the_weights_where_no_sd_is_given() -> None:
    magnitude = np.array([[[[3.0, 0.0]]], [[[4.0, 0.0]]]])
    np.testing.assert_allclose(relative_sd(magnitude), [[[0.2, np.inf]]])


def test_nonlinear_methods_ask_for_the_echo_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = f"{__name__}:nonlinear"
    monkeypatch.setitem(dipole_inversion.METHODS, "nonlinear", target)
    call = ["invert", "x.nii", "--mask", "m.nii", "-o", "o.nii", "--method", "nonlinear"]
    assert run_command(call) == 65
    assert "WARNING nonlinear" in capsys.readouterr().err
    assert run_command([*call, "--te", "20ms", "--b0", "3"]) == 65
    assert "WARNING" not in capsys.readouterr().err


def nonlinear(field, mask, grid, *, radians_per_ppm):
    """Stand for a nonlinear method."""


def save(path: Path, data: np.ndarray, grid: Grid) -> str:
    nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), grid.affine), path)
    return str(path)


def test_stage_commands_chain_to_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrapped phase of one ball through unwrap, fieldmap, background and invert: its sign and sum come out."""
    grid = Grid.isotropic((48, 48, 48), 1.0)
    x, y, z = np.meshgrid(*[np.arange(48) - 24.0] * 3, indexing="ij")
    inside = x**2 + y**2 + z**2 < 20**2
    field_ppm = ball_field(np.stack([x, y, z]), Ball((0.0, 0.0, 0.0), 3.0, 0.5), np.array([0, 0, 1.0]))
    field_hz = 42.5775 * 3 * field_ppm + 8.0 + 0.5 * x
    te = (0.005, 0.010, 0.015)
    phases = [np.angle(np.exp(2j * np.pi * t * field_hz)) * inside for t in te]
    phase = [save(tmp_path / f"p{i}.nii.gz", p, grid) for i, p in enumerate(phases)]
    mag = [save(tmp_path / f"m{i}.nii.gz", inside * np.exp(-20 * t), grid) for i, t in enumerate(te)]
    mask = save(tmp_path / "mask.nii.gz", inside, grid)
    times = ["--te", "5,10,15ms"]

    def path(name: str) -> str:
        return str(tmp_path / f"{name}.nii.gz")

    assert run_command(["mask", *mag, "-o", path("made")]) == 0
    empty = [np.where(inside, np.exp(-20 * t), np.nan) for t in te]
    holed = [save(tmp_path / f"n{i}.nii.gz", m, grid) for i, m in enumerate(empty)]
    assert "WARNING" not in capsys.readouterr().err
    assert run_command(["mask", *holed, "-o", path("same")]) == 0
    n_missing = 3 * int((~inside).sum())
    said = (
        f"WARNING n0.nii.gz, n1.nii.gz, n2.nii.gz: {n_missing} voxels are not finite; taken as without signal"
    )
    assert said in capsys.readouterr().err
    np.testing.assert_array_equal(
        nibabel.load(path("same")).get_fdata(), nibabel.load(path("made")).get_fdata()
    )
    assert (
        run_command(["unwrap", *phase, "--mag", *mag, "--mask", mask, *times, "-o", path("unwrapped")]) == 0
    )
    assert run_command(
        ["fieldmap", path("unwrapped"), "--mag", *mag, "--mask", mask, *times, "--b0", "3", "--ppm", "-o",
         path("field"), "--out-sd", path("sd")]
    ) == 0  # fmt: skip
    assert run_command(
        ["background", path("field"), "--mask", mask, "--mag", *mag, "-o", path("local"), "--out-mask", path("inner")]
    ) == 0  # fmt: skip
    # What one stage writes, the next reads without a word.
    assert "WARNING" not in capsys.readouterr().err
    # The default's map of a ball without noise has streaks that make it 13 mm long: more than the detector looks for.
    map_it = ["invert", path("local"), "--mask", path("inner"), "-o", path("chi"), "--method", "tv"]
    assert run_command(map_it) == 0
    # The SD map is NaN where the field is unknown: the weighted map must not be.
    weighted = [
        "invert",
        path("local"),
        "--mask",
        path("inner"),
        "--noise",
        path("sd"),
        "-o",
        path("weighted"),
    ]
    assert run_command(weighted) == 0
    by_weight = np.asarray(nibabel.load(path("weighted")).dataobj)
    assert np.isfinite(by_weight).all()
    assert by_weight[x**2 + y**2 + z**2 < 3**2].mean() > 0.3
    hole = np.where(inside, 0.1, 0.0)
    hole[24, 24, 24] = np.nan
    bad = [
        "background",
        save(tmp_path / "h.nii.gz", hole, grid),
        "--mask",
        mask,
        "-o",
        path("x"),
        "--out-mask",
    ]
    assert run_command([*bad, path("y")]) == 65
    assert run_command(["r2star", *mag, *times, "-o", path("r2star")]) == 0
    assert (
        run_command(["swi", "--phase", *phase, "--mag", *mag, *times, "--mask", mask, "-o", path("swi")]) == 0
    )
    chi = np.asarray(nibabel.load(path("chi")).dataobj)
    ball = x**2 + y**2 + z**2 < 6**2
    total = float((chi[ball] - np.median(chi[inside & ~ball])).sum())
    assert total == pytest.approx(4 / 3 * np.pi * 27 * 0.5, rel=0.25)
    image = np.asarray(nibabel.load(path("swi")).dataobj)
    last = np.asarray(nibabel.load(mag[-1]).dataobj)
    # Darker than the magnitude beside the ball along B0, where its field is positive, and as bright across.
    assert image[24, 24, 28] < 0.8 * last[24, 24, 28]
    assert image[28, 24, 24] == pytest.approx(last[28, 24, 24])
    assert image.max() <= last.max()
    r2star = np.asarray(nibabel.load(path("r2star")).dataobj)
    assert np.median(r2star[inside]) == pytest.approx(20, rel=0.01)
    record = json.loads((tmp_path / "chi.json").read_text())
    assert record["Units"] == "ppm"
    stated = {record["GeneratedBy"][0]["Name"]: record["GeneratedBy"][0]["Version"], **record["Software"]}
    assert stated == software_versions()
    # A lesion is a source that darkens: the ball of even magnitude is none.
    void = np.where(x**2 + y**2 + z**2 < 3**2, 150.0, 20.0)
    dark = [save(tmp_path / f"d{i}.nii.gz", inside * np.exp(-void * t), grid) for i, t in enumerate(te)]
    table = tmp_path / "t.tsv"
    for magnitude, count in ((mag, 0), (dark, 1)):
        given = ["--chi", path("chi"), "--mag", *magnitude, "--mask", path("inner")]
        assert run_command(["detect", *given, "-o", str(table)]) == 0
        found = read_tsv(table)
        assert len(found) == count
    assert found[0]["kind"] == "microbleed"
    place = [float(found[0][c] or "nan") for c in ("x_mm", "y_mm", "z_mm")]
    np.testing.assert_allclose(place, grid.to_world(np.array([24.0, 24.0, 24.0])), atol=1.5)


def test_a_dipole_in_the_field_is_a_candidate_that_the_map_does_not_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A map of nothing, as in thick slices: the field alone, in either unit, with its SD or without, tells."""
    grid = Grid.isotropic((40, 40, 40), 1.0)
    x, y, z = np.indices(grid.shape) - 20.0
    r2 = np.maximum(x**2 + y**2 + z**2, 1.5**2)
    rng = np.random.default_rng(3)
    field_ppm = 12.0 * (3 * z**2 / r2 - 1) / (4 * np.pi * r2**1.5) + 0.002 * rng.standard_normal(grid.shape)
    dark = np.where(x**2 + y**2 + z**2 < 2.0**2, 0.15, 1.0)
    mag = [save(tmp_path / f"m{i}.nii.gz", m, grid) for i, m in enumerate((np.ones(grid.shape), dark))]
    ones, nothing = (
        save(tmp_path / f"{n}.nii.gz", v * np.ones(grid.shape), grid) for n, v in (("mask", 1), ("chi", 0))
    )
    ppm, hz, sd = (
        save(tmp_path / f"{name}.nii.gz", values, grid)
        for name, values in (
            ("ppm", field_ppm),
            ("hz", field_ppm * 127.7325),
            ("sd", np.full(grid.shape, 0.2555)),
        )
    )
    words = ["detect", "--chi", nothing, "--mag", *mag, "--mask", ones, "-o", str(tmp_path / "t.tsv")]
    assert run_command(words) == 0
    assert read_tsv(tmp_path / "t.tsv") == []
    in_hz = ["--field", hz, "--field-units", "Hz", "--b0", "3"]
    for more in (["--field", ppm], in_hz, [*in_hz, "--noise", sd]):
        assert run_command([*words, *more]) == 0
        (found,) = read_tsv(tmp_path / "t.tsv")
        assert (found["kind"], found["test"]) == ("microbleed", "dipole")
        place = [float(found[c] or "nan") for c in ("x_mm", "y_mm", "z_mm")]
        np.testing.assert_allclose(place, grid.to_world(np.array([20.0, 20.0, 20.0])), atol=1.0)
    (tmp_path / "hz.json").write_text('{"Units": "Hz"}')
    capsys.readouterr()
    assert run_command([*words, "--field", hz]) == 65
    assert "ERROR FIELD-UNITS" in capsys.readouterr().err
    for more in (
        ["--noise", sd],
        ["--field", ppm, "--field-units", "rad"],
        ["--field", hz, "--field-units", "Hz"],
    ):
        assert run_command([*words, *more]) == 2


@pytest.mark.parametrize(
    ("command", "code"),
    [("mask", "MAG-EMPTY"), ("r2star", "MAG-NEGATIVE"), ("detect", "MAG-EMPTY"), ("detect", "MAG-NEGATIVE")],
)
def test_a_magnitude_that_is_none_makes_no_image(
    command: str, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = Grid.isotropic((9, 10, 11), 1.0)
    values = np.zeros(grid.shape) if code == "MAG-EMPTY" else -np.linspace(1, 2, 990).reshape(grid.shape)
    mag = [save(tmp_path / f"m{i}.nii.gz", values, grid) for i in (1, 2)]
    out = tmp_path / ("o.tsv" if command == "detect" else "o.nii.gz")
    arguments = {
        "mask": ["mask", *mag], "r2star": ["r2star", *mag, "--te", "4,8ms"],
        "detect": ["detect", "--chi", mag[0], "--mag", *mag, "--mask", mag[0]],
    }  # fmt: skip
    assert run_command([*arguments[command], "-o", str(out)]) == 65
    assert f"ERROR {code} {mag[0]}" in capsys.readouterr().err
    assert not out.exists()
