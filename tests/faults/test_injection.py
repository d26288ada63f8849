"""Each system call by which results come to the disk fails once: a code, no traceback, nothing half-written or lost."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.inject import Call, Ended, calls_on, run, strays, why_not
from tests.faults.trials import try_each
from tests.scenes.studies import Study, make_study

pytestmark = [pytest.mark.soak, pytest.mark.skipif(bool(why_not()), reason=why_not() or "strace works")]
CODES = (0, 1, 73, 74)
"""Exit codes: nothing was lost by it, a page alone failed, the place cannot be written, the disk is full or fails."""
EVERY = int(os.environ.get("SOAK_EVERY", "1"))
"""Distance of the calls of the study that are made to fail: 1 for all of them."""


class Command(NamedTuple):
    """A command, the folder of its results, what it gives when all is well, and its calls there."""

    arguments: list[str]
    out: Path
    results: dict[str, bytes]
    calls: list[Call]


def results(out: Path) -> dict[str, bytes]:
    """Return the files of a folder that are under the guarantee of the same bytes."""
    files = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {n: p.read_bytes() for n, p in files.items() if not n.startswith((".qsmcmb/", "logs/"))}


def prepared(arguments: list[str], out: Path, folder: Path) -> Command:
    """Run a command twice, so that all loops are compiled; return what it gives, and its calls."""
    expected = {}
    for _ in range(2):
        empty(out)
        ended = run(arguments, folder)
        assert ended.code == 0, ended.said
        assert not expected or results(out) == expected
        expected = results(out)
    return Command(arguments, out, expected, calls_on(out, folder / "calls.txt"))


def empty(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()


@pytest.fixture(scope="module")
def swi(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Return a stage's command, which writes an image and its JSON."""
    folder = tmp_path_factory.mktemp("swi")
    study = make_study(folder / "study")
    stem = study.bids / "sub-01/ses-1/anat/sub-01_ses-1_echo-"
    images = {p: [f"{stem}{echo}_part-{p}_MEGRE.nii.gz" for echo in (1, 2, 3)] for p in ("phase", "mag")}
    out = folder / "out"
    arguments = ["swi", "--phase", *images["phase"], "--mag", *images["mag"], "--te", "5,10,15ms"]
    return prepared([*arguments, "-o", str(out / "swi.nii.gz")], out, folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Return the run of a study of one session."""
    folder = tmp_path_factory.mktemp("study")
    made: Study = make_study(folder / "study")
    shutil.rmtree(made.bids / "sub-01/ses-2")
    # No lesion: their fit is the longest part, and writes nothing.
    made.points.write_text("x_mm\ty_mm\tz_mm\n")
    return prepared(made.arguments(), made.out, folder)


def faults(command: Command) -> Iterator[tuple[Call, str]]:
    """Yield each call with an error: a disk that fails, and one that is full, in turn."""
    yield from zip(command.calls, itertools.cycle(("EIO", "ENOSPC")))


def check(command: Command, call: Call, error: str, folder: Path) -> None:
    """Run a command with a call that fails, then without."""
    empty(command.out)
    ended = run(command.arguments, folder, tracing=call.failing(error))
    told = f"{error} at {call}: {ended.said[-800:]}"
    found = results(command.out)
    if not strays(command.out, folder / "calls.txt"):
        assert ended.code in CODES, f"exit {ended.code}, {told}"
        assert "Traceback" not in ended.said, f"traceback, {told}"
        assert ended.code == 0 or _has_code(ended), f"exit {ended.code} without code, {told}"
    assert ended.code or found == command.results, f"exit 0 and other results, {told}"
    for name, content in found.items():
        # A page may show the error; a removal that failed leaves its file.
        removed = call.name == "unlink" and "/.tmp-" in f"/{name}"
        assert removed or name.endswith(".html") or content == command.results.get(name), f"{name}: {told}"
    again = run(command.arguments, folder, tracing=None)
    assert again.code == 0, f"{again.said} after {told}"
    left = {n: c for n, c in results(command.out).items() if not os.path.basename(n).startswith(".tmp-")}
    assert left == command.results, f"other results in the end, {told}"


def _has_code(ended: Ended) -> bool:
    # The failing write may be that of the end of a line of progress.
    return any(f"ERROR {code} " in ended.said for code in ("IO", "DISK", "OUT"))


def test_a_stage_each_of_whose_calls_fails(swi: Command, tmp_path: Path) -> None:
    assert {"openat", "write", "fsync", "chmod", "rename"} <= {call.name for call in swi.calls}
    try_each(faults(swi), lambda fault: check(swi, *fault, tmp_path))


def test_a_study_each_of_whose_calls_fails(study: Command, tmp_path: Path) -> None:
    assert len(study.calls) > 150
    some = itertools.islice(faults(study), 0, None, EVERY)
    try_each(some, lambda fault: check(study, *fault, tmp_path))
