"""What a mask method needs besides the scan: its package, asked for before the first session, and its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qsmcmb.core.packages import hidden
from qsmcmb.errors import MissingPackageError
from qsmcmb.masking import METHODS, PACKAGES
from qsmcmb.pipeline.config import make_config
from qsmcmb.study import sessions
from qsmcmb.study.options import Outcome, StudyOptions, check_packages
from qsmcmb.study.resources import Memory, estimate_bytes, parse_size
from qsmcmb.study.workers import Task
from tests.scenes.studies import make_study

LEARNED = make_config({"mask": {"method": "deepbet"}})


def test_a_missing_package_is_said_once_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path)
    study.config.write_text('[mask]\nmethod = "deepbet"\n')
    with hidden("deepbet"):
        assert study.run() == 69
        (said,) = capsys.readouterr().err.splitlines()
        assert study.run("--dry-run") == 69
        masks = ("--derivatives", f"masks={study.bids}", "--mask-from", "masks")
        assert study.run(*masks, "--dry-run") == 0
    assert said.startswith("ERROR PACKAGE deepbet: installed = no")
    assert 'pip install "qsmcmb[deepbet]"' in said
    assert not list(study.out.rglob("*.json*"))


def test_only_methods_that_need_a_package_ask_for_it() -> None:
    with hidden("deepbet"):
        for method in METHODS.keys() - PACKAGES:
            check_packages(StudyOptions(make_config({"mask": {"method": method}})))
        check_packages(StudyOptions(LEARNED, mask_root=Path("masks")))
        with pytest.raises(MissingPackageError, match="deepbet"):
            check_packages(StudyOptions(LEARNED))


def test_the_network_needs_its_memory_of_any_image() -> None:
    small, large = 30 * 30 * 30, 256 * 256 * 160
    assert 1.4e9 < estimate_bytes(small, 3, mask_method="deepbet") < 2.0e9
    assert estimate_bytes(small, 3, mask_method="combined") == estimate_bytes(small, 3) < 0.6e9
    more = estimate_bytes(large, 5, mask_method="deepbet") - estimate_bytes(large, 5)
    assert 0.65e9 < more < 1.4e9, "later, the libraries alone are still there"


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        (StudyOptions(LEARNED), 1),
        (StudyOptions(LEARNED, mask_root=Path("masks")), 2),
        (StudyOptions(make_config()), 2),
    ],
    ids=["network", "given", "default"],
)
def test_fewer_small_sessions_run_at_the_same_time_where_a_network_makes_the_mask(
    options: StudyOptions, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, used = make_study(tmp_path), []

    def run_tasks(tasks: Sequence[Task], *, n_processes: int, **_: object) -> Iterator[tuple[int, Outcome]]:
        used.append(n_processes)
        yield from ((n, Outcome(t.argument.session.name, "01")) for n, t in enumerate(tasks))

    monkeypatch.setattr(sessions, "run_tasks", run_tasks)
    monkeypatch.setattr(sessions, "check_packages", lambda _: None)
    resources = sessions.Resources(n_processes=2, memory=Memory(parse_size("3G"), "--mem"))
    sessions.run_study(study.bids, study.out, options, resources)
    assert used == [at_once]
