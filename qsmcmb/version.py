"""The version of this copy of qsmcmb: frozen by its build, or read from version control while it runs.

=====================================  ====================================================
wheel, sdist                           as its build found it
checkout of the tag ``v0.2.0``         ``0.2.0``
three commits after that tag           ``0.2.1.dev3+g<commit>``
checkout without tags                  ``0.2.0.dev0+g<commit>``, with `BASE` in front
no history, or git gives no answer     ``0.2.0+unknown``, with `BASE` in front
=====================================  ====================================================

What is not committed adds ``.dirty``: a changed file anywhere, or a new one among those that a wheel holds.

An editable installation changes with every commit, so its version can't be a file that the installation wrote.
hatchling runs this file on its own when it builds (``[tool.hatch.version]``), so that build and checkout agree;
therefore nothing of the package is imported here. setuptools-scm and dunamai would have to be installed with every
copy to do the same, and they take no base where tags are missing or set git no limit of time.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

__all__ = ("version", "version_of")

BASE = "0.2.0"
"""The release that the tree becomes next: raised in the first commit after a tag."""
UNKNOWN = f"{BASE}+unknown"
GIT_TIMEOUT_S = 10.0
"""Git answers in 0.01 s from a local disk; a network disk that hangs must not hold up the run."""
SHIPPED = ("qsmcmb/", "data/phantoms/")
"""Folders whose new files go into a wheel before they are committed."""
# Inside a hook these name the repository whose hook runs, not the one around this file.
_ANOTHER_REPOSITORY = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE",
)  # fmt: skip


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of the running copy, asked for once in a process.

    Returns
    -------
    str
        By PEP 440.

    Examples
    --------
    >>> version().startswith("0.")
    True
    """
    return version_of(Path(__file__).resolve().parent.parent)


def version_of(root: Path) -> str:
    """Return the version of the copy whose package lies in a folder.

    A repository counts only where it begins in that very folder and holds our ``pyproject.toml``: one around a
    virtual environment or a vendored copy is somebody else's.

    Parameters
    ----------
    root : path
        The checkout, the unpacked sdist, or the folder of installed packages.

    Returns
    -------
    str
        By PEP 440.

    Examples
    --------
    >>> version_of(Path("/somewhere/without/history")) == UNKNOWN
    True
    """
    frozen = _frozen(root)
    if frozen is not None:
        return frozen
    return _from_git(root) if _is_checkout(root) else UNKNOWN


def _frozen(root: Path) -> str | None:
    """Return what the build wrote beside the package, the newest first: `pip install --target` leaves old ones."""
    installed = sorted(
        root.glob("qsmcmb-*.dist-info/METADATA"), key=lambda p: p.stat().st_mtime, reverse=True
    )
    for path in (*installed, root / "PKG-INFO"):
        header = _read(path).partition("\n\n")[0]
        if re.search(r"^Name: qsmcmb$", header, re.MULTILINE):
            found = re.search(r"^Version: (\S+)$", header, re.MULTILINE)
            return found[1] if found else None
    return None


def _is_checkout(root: Path) -> bool:
    ours = re.search(r'^name = "qsmcmb"$', _read(root / "pyproject.toml"), re.MULTILINE)
    return ours is not None and (root / ".git").exists()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _from_git(root: Path) -> str:
    described = _git(
        root, "describe", "--tags", "--long", "--always", "--abbrev=12", "--match", "v[0-9]*"
    )  # fmt: skip
    changes = _git(root, "status", "--porcelain", "--untracked-files=normal")
    if described is None or changes is None:
        return UNKNOWN
    dirty = any(_counts(line) for line in changes.splitlines())
    public = f"{BASE}.dev0"
    tag = re.fullmatch(r"v(\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)-(\d+)-g[0-9a-f]+", described)
    if tag:
        if tag[2] == "0" and not dirty:
            return tag[1]
        following = re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), tag[1])
        public = f"{following}.dev{tag[2]}"
    commit = described.rpartition("-g")[2]
    return f"{public}+g{commit}" + (".dirty" if dirty else "")


def _counts(line: str) -> bool:
    """Tell whether a line of `git status --porcelain` is a change of the code."""
    return not line.startswith("?? ") or line[3:].startswith(SHIPPED)


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints of the repository that begins in `root`; None where it refuses or doesn't answer."""
    import subprocess

    environment = {k: v for k, v in os.environ.items() if k not in _ANOTHER_REPOSITORY}
    # Where `.git` is none, git would look in the folders above.
    environment |= {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=environment, check=True, timeout=GIT_TIMEOUT_S,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip("\n")
