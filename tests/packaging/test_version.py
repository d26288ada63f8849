"""The version is true: of a checkout in every state, of its builds, of copies inside foreign repositories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from qsmcmb import version as module
from qsmcmb.version import BASE, UNKNOWN, version_of

ROOT = Path(__file__).resolve().parents[2]
# All that a build of the package needs, and little of the package.
COPIED = (
    "pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY.md", ".gitignore", "qsmcmb/__init__.py",
    "qsmcmb/version.py", "data/phantoms/demo.toml", "data/anatomy/landmarks.tsv",
    "data/cohorts/measured_errors.tsv",
)  # fmt: skip
SHOW = "import qsmcmb; print(qsmcmb.__version__)"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give git a name and no configuration of the machine or of a hook that runs the tests."""
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-configuration"))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.invalid")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, text: str = "") -> str:
    """Commit all of a folder, its README changed, and return the commit as a version names it."""
    if text:
        (folder / "README.md").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "state")
    return git(folder, "rev-parse", "HEAD")[:12]


def copy_sources(folder: Path) -> Path:
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a repository of one commit without tags."""
    folder = copy_sources(tmp_path / "checkout")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def run_python(code: str, *, folder: Path, site: Path | None = None) -> str:
    """Run code with the standard library alone, and with packages in `site` as Python finds installed ones."""
    add = (
        f"import site; site.addsitedir({str(site)!r})\n" if site else "import sys; sys.path.insert(0, '.')\n"
    )
    command = [sys.executable, "-I", "-S", "-c", add + code]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build(checkout: Path, out: Path) -> tuple[Path, Path]:
    """Build the sdist, and from it the wheel; return both."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def test_without_tags_each_commit_has_its_own_version(checkout: Path) -> None:
    before = version_of(checkout)
    assert before == f"{BASE}.dev0+g{git(checkout, 'rev-parse', 'HEAD')[:12]}"
    after = commit(checkout, "changed")
    assert version_of(checkout) == f"{BASE}.dev0+g{after}" != before
    assert Version("0.1.0") < Version(before)


def test_a_shallow_clone_has_the_version_of_its_commit(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "tag", "v0.1.7")
    last = commit(checkout, "changed")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--no-tags", checkout.as_uri(), str(clone))
    assert version_of(clone) == f"{BASE}.dev0+g{last}"


def change_a_file(folder: Path) -> None:
    (folder / "README.md").write_text("not committed")


def stage_a_file(folder: Path) -> None:
    change_a_file(folder)
    git(folder, "add", "README.md")


def remove_a_module(folder: Path) -> None:
    (folder / "qsmcmb" / "__init__.py").unlink()


def add_a_module(folder: Path) -> None:
    (folder / "qsmcmb" / "new.py").write_text("")


def add_a_recipe(folder: Path) -> None:
    (folder / "data" / "phantoms" / "new.toml").write_text("")


@pytest.mark.parametrize("tag", [None, "v0.3.0"])
@pytest.mark.parametrize(
    "change",
    [change_a_file, stage_a_file, remove_a_module, add_a_module, add_a_recipe],
    ids=lambda c: c.__name__,
)
def test_what_is_not_committed_is_dirty(
    checkout: Path, change: Callable[[Path], None], tag: str | None
) -> None:
    if tag:
        git(checkout, "tag", tag)
    clean = version_of(checkout)
    change(checkout)
    dirty = version_of(checkout)
    assert dirty != clean
    assert dirty.endswith(f"+g{git(checkout, 'rev-parse', 'HEAD')[:12]}.dirty")
    assert str(Version(dirty)) == dirty
    commit(checkout)
    assert "dirty" not in version_of(checkout)


def test_results_beside_the_code_are_not_dirty(checkout: Path) -> None:
    clean = version_of(checkout)
    (checkout / "derivatives").mkdir()
    (checkout / "derivatives" / "chi.json").write_text("{}")
    (checkout / "qsmcmb" / "__pycache__").mkdir()
    (checkout / "qsmcmb" / "__pycache__" / "version.pyc").write_text("")
    assert version_of(checkout) == clean


@pytest.mark.parametrize(
    "kind", [["--annotate", "--message", "release"], []], ids=["annotated", "lightweight"]
)
@pytest.mark.parametrize(
    ("tag", "release", "following"),
    [("v0.3.0", "0.3.0", "0.3.1"), ("v1.10", "1.10", "1.11"), ("v0.3.0rc1", "0.3.0rc1", "0.3.0rc2")],
)
def test_a_tag_is_the_release_and_later_commits_follow_it(
    checkout: Path, tag: str, release: str, following: str, kind: list[str]
) -> None:
    git(checkout, "tag", *kind, tag)
    assert version_of(checkout) == release
    commit(checkout, "one")
    last = commit(checkout, "two")
    assert version_of(checkout) == f"{following}.dev2+g{last}"
    assert Version(release) < Version(version_of(checkout))


@pytest.mark.parametrize("tag", ["paper-2", "v2-experiment", "v0.3.0.post1"])
def test_a_tag_that_is_no_release_is_passed_over(checkout: Path, tag: str) -> None:
    clean = version_of(checkout)
    git(checkout, "tag", tag)
    assert version_of(checkout) == clean


def test_without_history_the_base_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_sources(tmp_path / "export")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_git", lambda *_: pytest.fail("git is asked where there is no repository"))
        assert version_of(folder) == UNKNOWN == f"{BASE}+unknown"
    git(folder, "init", "--quiet")
    assert version_of(folder) == UNKNOWN
    assert Version("0.1.0") < Version(UNKNOWN)


def tagged_repository(folder: Path) -> None:
    """Make a folder somebody else's repository."""
    git(folder, "init", "--quiet")
    commit(folder)
    git(folder, "tag", "v7.7.7")


def test_a_repository_around_the_copy_is_foreign(tmp_path: Path) -> None:
    folder = copy_sources(tmp_path / "vendored")
    tagged_repository(tmp_path)
    assert version_of(folder) == UNKNOWN
    (folder / ".git").mkdir()
    assert version_of(folder) == UNKNOWN


def test_a_repository_without_our_project_file_is_foreign(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "qsmcmb", tmp_path / "qsmcmb", ignore=lambda _, names: {*names} - {"version.py"})
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "somebody-elses"\n')
    tagged_repository(tmp_path)
    assert version_of(tmp_path) == UNKNOWN


def test_metadata_of_another_project_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").write_text("Name: other\nVersion: 7.7.7\n\nName: qsmcmb\nVersion: 8.8.8\n")
    assert version_of(tmp_path) == UNKNOWN


def test_a_hook_of_another_repository_does_not_mislead(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = version_of(checkout)
    other = tmp_path / "other"
    other.mkdir()
    tagged_repository(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert version_of(checkout) == right


def test_git_that_refuses_is_no_error(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(subprocess.CalledProcessError):
        git(checkout, "status")
    assert version_of(checkout) == UNKNOWN


@pytest.mark.parametrize(
    "script", [None, "exit 1", "exec sleep 30", '[ "$1" = describe ] && exec git "$@"; exit 1']
)
@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for git")
def test_git_that_is_missing_or_fails_or_hangs_is_no_error(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    if script:
        (tools / "git").write_text(f"#!/bin/sh\nPATH={os.environ['PATH']!r}\n{script}\n")
        (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(module, "GIT_TIMEOUT_S", 0.2)
    assert version_of(checkout) == UNKNOWN


def test_an_editable_installation_tells_the_next_commit(checkout: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    site.mkdir()
    elsewhere.mkdir()
    code = f"from hatchling.build import build_editable; print(build_editable({str(site)!r}))"
    name = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True, text=True
    )
    zipfile.ZipFile(site / name.stdout.split()[-1]).extractall(site)
    first = version_of(checkout)
    assert run_python(SHOW, folder=elsewhere, site=site) == first
    last = commit(checkout, "changed")
    assert run_python(SHOW, folder=elsewhere, site=site) == f"{BASE}.dev0+g{last}" != first
    change_a_file(checkout)
    assert run_python(SHOW, folder=elsewhere, site=site) == f"{BASE}.dev0+g{last}.dirty"


def test_a_linked_package_has_the_version_of_its_checkout(checkout: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "qsmcmb").symlink_to(checkout / "qsmcmb", target_is_directory=True)
    assert run_python(SHOW, folder=tmp_path, site=site) == version_of(checkout)


def test_sdist_and_wheel_keep_the_version_of_the_checkout(checkout: Path, tmp_path: Path) -> None:
    """Neither the way from the sdist to the wheel nor a repository around a copy changes it."""
    wanted = version_of(checkout)
    sdist, wheel = build(checkout, tmp_path / "dist")
    assert wheel.name.startswith(f"qsmcmb-{wanted}-")
    around = tmp_path / "around"
    site = around / "site-packages"
    site.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(around, filter="data")
    zipfile.ZipFile(wheel).extractall(site)
    tagged_repository(around)
    shutil.copytree(around / ".git", site / ".git")
    (unpacked,) = around.glob("qsmcmb-*")
    assert unpacked.name == f"qsmcmb-{wanted}"
    assert run_python(SHOW, folder=unpacked) == wanted
    assert run_python(SHOW, folder=tmp_path, site=site) == wanted
    assert f"\nVersion: {wanted}\n" in next(site.glob("*.dist-info/METADATA")).read_text()


def test_of_two_installations_in_one_folder_the_later_counts(tmp_path: Path) -> None:
    """`pip install --target` puts a new version over an old one and leaves the old one's metadata."""
    for number, (folder, stated) in enumerate([("qsmcmb-0.9.0", "0.9.0"), ("qsmcmb-0.8.0", "0.8.0")]):
        metadata = tmp_path / f"{folder}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.4\nName: qsmcmb\nVersion: {stated}\n\nVersion: no\n")
        os.utime(metadata, (number, number))
    assert version_of(tmp_path) == "0.8.0"


def test_importing_starts_no_process_and_loads_little(checkout: Path) -> None:
    code = (
        "import sys\n"
        "import qsmcmb\n"
        "print(sorted({'subprocess', 'numpy', 'importlib.metadata', 'qsmcmb.version'} & set(sys.modules)))"
    )
    assert run_python(code, folder=checkout) == "[]"


def test_the_version_is_asked_for_once(checkout: Path) -> None:
    code = (
        "import sys\n"
        "import qsmcmb\n"
        "calls = []\n"
        "sys.addaudithook(lambda event, _: calls.append(event) if event == 'subprocess.Popen' else None)\n"
        "first = qsmcmb.__version__\n"
        "made = len(calls)\n"
        "from qsmcmb.version import version\n"
        "print(made, first == version() == qsmcmb.__version__, len(calls))"
    )
    assert run_python(code, folder=checkout) == "2 True 2"


def test_the_citation_names_the_release() -> None:
    stated = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert stated is not None
    assert stated[1] == BASE
    heading = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading
    assert heading[1] == BASE
