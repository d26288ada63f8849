"""What is no regular file, grows beyond its header, or holds numbers and characters that are none, is named at once."""

from __future__ import annotations

import ast
import gzip
import itertools
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.change.times import comparable_times
from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.image_bytes import MAX_UNSTATED
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import read_volume, read_volume_header
from qsmcmb.io.point_list import read_point_list
from qsmcmb.io.reading import MAX_TEXT_BYTES
from qsmcmb.io.tables import read_filter, read_tsv, write_tsv
from qsmcmb.pipeline.config import read_config

SOURCE = Path(__file__).parents[2] / "qsmcmb"
READERS: dict[str, Callable[[Path], object]] = {
    ".nii": read_volume, ".nii.gz": read_volume, ".json": read_sidecar, ".tsv": read_tsv, ".csv": read_point_list,
    ".fcsv": read_point_list, ".mrk.json": read_point_list, ".toml": read_config,
}  # fmt: skip


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder"])
def test_only_regular_files_are_read(ending: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(InvalidInputError, match=f"FILE .*: file = {kind}; expected a regular file"):
        READERS[ending](path)


def test_a_header_alone_is_read_of_regular_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii.gz")
    with pytest.raises(InvalidInputError, match="a named pipe"):
        read_volume_header(tmp_path / "a.nii.gz")


def test_files_are_opened_in_one_place() -> None:
    """Whoever opens a file elsewhere waits for a pipe, and reads a device to its end."""
    allowed = {
        "cli/main.py", "io/reading.py", "io/atomic.py", "io/lock.py", "study/log.py", "version.py", "error_codes.py",
        "core/compiled.py", "core/compile_cache.py", "phantoms/recipe.py", "reporting/demo_page.py",
        "validation/run_experiments.py", "microbleeds/results/mimics.py", "io/image_bytes.py",
        "study/source.py", "study/resources.py", "core/packaged.py",
        # Verdicts of readers, appended in place: no link and no pipe is followed.
        "io/append_log.py",
    }  # fmt: skip
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                of_path = name in ("read_text", "read_bytes") and not isinstance(node.func, ast.Name)
                if of_path or name == "open":
                    found.add(path.relative_to(SOURCE).as_posix())
    assert found <= allowed


def image_bytes(shape: tuple[int, int, int] = (8, 8, 8)) -> bytes:
    return bytes(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)).to_bytes())


def test_a_stream_that_goes_on_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(image_bytes())
        for _ in range(300):
            stream.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match=r"HEADER .*2400 bytes; expected the 2401 bytes or more"):
        read_volume(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_stream_without_a_header_is_looked_through_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsmcmb.io.image_bytes.MAX_UNSTATED", 2**20)
    assert MAX_UNSTATED == 2**30
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(bytes(2**24)))
    with pytest.raises(InvalidInputError, match=r"HEADER .*sizeof_hdr"):
        read_volume(path)


def test_an_image_beyond_the_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsmcmb.io.image_bytes.available_memory", lambda: 1000)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(image_bytes()))
    with pytest.raises(MemoryError, match=r"a.nii.gz: the image needs 2.4e-06 GB"):
        read_volume(path)


def test_a_long_file_with_a_short_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.nii"
    path.write_bytes(image_bytes())
    os.truncate(path, 2**36)
    with pytest.raises(InvalidInputError, match=r"HEADER .*expected the 68719476736 bytes"):
        read_volume(path)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_members_and_zeros_behind_them(n: int, tmp_path: Path) -> None:
    path, content = tmp_path / "a.nii.gz", image_bytes()
    ends = [700 * i for i in range(n)] + [len(content)]
    parts = [content[start:end] for start, end in itertools.pairwise(ends)]
    path.write_bytes(b"".join(map(gzip.compress, parts)) + bytes(5000))
    assert read_volume(path).data.shape == (8, 8, 8)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(InvalidInputError, match=r"GZ-TRAIL .*= 5001"):
        read_volume(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"EchoTime": ' + "9" * 5000 + "}", "a whole number of 5000 digits"),
        ('{"EchoTime": ' + "9" * 1000 + "}", "a whole number of 1000 digits"),
        ('{"EchoTime": 1e999}', "1e999, which is beyond any"),
        ('{"EchoTime": NaN}', "NaN"),
        ('{"EchoTime": 1, "EchoTime": 2}', "the key 'EchoTime' twice"),
        ("[" * 100_000, "nesting too deep"),
    ],
)
def test_numbers_that_are_none(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=f"JSON .*{found}"):
        read_sidecar(path)
    with pytest.raises(InvalidInputError, match="JSON"):
        read_filter(path)


def test_a_text_of_the_size_of_an_image_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.touch()
    os.truncate(path, MAX_TEXT_BYTES + 1)
    with pytest.raises(InvalidInputError, match=r"FILE .*more than 64 MiB"):
        read_sidecar(path)


def test_a_value_cannot_write_lines_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anat = tmp_path / "bids/sub-01/anat"
    anat.mkdir(parents=True)
    forged = "rad\nERROR FORGED all is well\x1b[2J\x9b2J\u202e"
    for part in ("mag", "phase"):
        stem = f"sub-01_echo-1_part-{part}_MEGRE"
        data = np.random.default_rng(1).uniform(-3, 3, (9, 9, 9)).astype(np.float32)
        nibabel.save(
            nibabel.Nifti1Image(np.abs(data) if part == "mag" else data, np.eye(4)), anat / f"{stem}.nii"
        )
        record = {"EchoTime": 0.02, "MagneticFieldStrength": 3, "Units": forged}
        (anat / f"{stem}.json").write_text(json.dumps(record))
    for arguments in (["run", str(tmp_path / "out"), "participant"], ["check"], ["check", "--json"]):
        assert run_command([arguments[0], str(tmp_path / "bids"), *arguments[1:]]) == 65
        captured = capsys.readouterr()
        text = captured.out + captured.err
        assert "FORGED" in text
        assert not any(line.startswith("ERROR FORGED") for line in text.splitlines())
        assert not set(text) & {"\x1b", "\x9b", "\u202e", "\r"}


def test_names_that_are_no_text_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff\x1b[31m.nii")
    assert run_command(["r2star", name, "--te", "4ms", "-o", str(tmp_path / "o.nii")]) == 65
    assert "\\udcff\\x1b[31m.nii" in capsys.readouterr().err
    assert run_command(["methods", "invert", "a\x1b[31mb"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_texts_that_a_spreadsheet_would_run_are_guarded(tmp_path: Path) -> None:
    cells = [
        "=1+1",
        "+1",
        "-1.5",
        "-0.3 to 1",
        "@SUM(A1)",
        "\t=1",
        "plain",
        "n/a",
        "1e-3",
        "-inf ",
        -2.5,
        None,
    ]
    write_tsv(tmp_path / "a.tsv", [{"cell": cell, "other": 1} for cell in cells], ["cell", "other"])
    written = [row["cell"] for row in read_tsv(tmp_path / "a.tsv")]
    assert written == [
        "'=1+1", "+1", "-1.5", "'-0.3 to 1", "'@SUM(A1)", "'\t=1", "plain", None, "1e-3", "-inf", "-2.5", None
    ]  # fmt: skip


def test_times_with_and_without_a_zone(tmp_path: Path) -> None:
    subject = tmp_path / "sub-01"
    subject.mkdir()
    (subject / "sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\nses-1\t2021-01-01T23:00:00-08:00\nses-2\t2021-01-02T01:00:00Z\n"
    )
    times = acquisition_times(tmp_path, "01")
    assert comparable_times(times)["2"] < comparable_times(times)["1"]
    # One clock without a zone: all are read as they stood on the wall.
    mixed = comparable_times({**times, "1": times["1"].replace(tzinfo=None)})
    assert mixed["1"] < mixed["2"]
