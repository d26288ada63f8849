"""The manifest in OUT/.qsmcmb: of each scan and subject the keys of its steps, checksums of its results, errors.

=============================  ==========================================================================
``manifest/<prefix>.json``     of a scan, such as ``sub-01_ses-1``
``manifest/subjects/``         the same of each subject: comparison over sessions, page
``sources/<hash>.json``        files that a step's source consisted of, with their hashes
``intermediates/``             what steps of unfinished scans have made, unless `-w` names another folder
``superseded/``                results of earlier runs whose scans have failed since
``detector/``                  results as the run has written them, of scans whose tables hold readers' verdicts
``request.json``               data set and options of the last run
=============================  ==========================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.reading import read_regular
from qsmcmb.io.tables import write_json
from qsmcmb.study.steps import STEPS, StepKey, libraries, modules_of

__all__ = ["FOLDER", "Manifest", "checksum", "checksums", "manifest_path", "read_manifest", "read_source"]

FOLDER = ".qsmcmb"
"""Folder of OUT that holds the manifest."""
FORMAT = 1
"""Version of the manifest's own format: another one is not read, and the scan is computed again."""


@dataclass(frozen=True)
class Manifest:
    """Record of one scan or subject that has run.

    Parameters
    ----------
    name : str
        Name in messages.
    steps : dict of str to StepKey
        Keys of the steps.
    results : dict of str to str
        Checksum by result, relative to OUT.
    software : dict of str to str
        Version of each library.
    error : str, optional
        Why the last run has failed; empty when it is done.
    exit_code : int, optional
        Its code; 0 when it is done.
    warnings : tuple of str, optional
        Messages to the user.
    detector : dict of str to str, optional
        Checksum of each result as the run has written it, where readers' verdicts have replaced it since.

    Examples
    --------
    >>> Manifest("sub-01", {}, {}).error
    ''
    """

    name: str
    steps: dict[str, StepKey]
    results: dict[str, str]
    software: dict[str, str] = field(default_factory=libraries)
    error: str = ""
    exit_code: int = 0
    warnings: tuple[str, ...] = ()
    detector: dict[str, str] = field(default_factory=dict)

    def write(self, out: Path, path: Path) -> None:
        """Write the manifest, after the lists of its source files.

        Parameters
        ----------
        out : Path
            Derivatives folder.
        path : Path
            File of the manifest.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = manifest_path(Path(folder), "sub-01")
        ...     Manifest("sub-01", {}, {}).write(Path(folder), path)
        ...     read_manifest(path).name
        'sub-01'
        """
        for step in STEPS:
            if step.name in self.steps:
                _write_source(
                    out, self.steps[step.name].source, modules_of(step, self.steps[step.name].parameters)
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"format": FORMAT, **asdict(self)})


def manifest_path(out: Path, name: str, *, subject: bool = False) -> Path:
    """Return the file of a manifest.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    name : str
        Prefix of the scan's results, or the subject such as ``"sub-01"``.
    subject : bool, optional
        Whether it is a subject's.

    Returns
    -------
    Path
        The file, there or not.

    Examples
    --------
    >>> manifest_path(Path("out"), "sub-01_ses-1").as_posix()
    'out/.qsmcmb/manifest/sub-01_ses-1.json'
    """
    folder = out / FOLDER / "manifest"
    return (folder / "subjects" if subject else folder) / f"{name}.json"


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest.

    Parameters
    ----------
    path : Path
        File of the manifest.

    Returns
    -------
    Manifest or None
        None where there is none, or what is there cannot be read: then nothing is known, and all is done again.

    Examples
    --------
    >>> read_manifest(Path("nowhere.json"))
    """
    try:
        record = json.loads(read_regular(path))
        if record.pop("format") != FORMAT:
            return None
        record.pop("GeneratedBy", None)
        steps = {name: StepKey(**parts) for name, parts in record.pop("steps").items()}
        results = {str(name): str(digest) for name, digest in record.pop("results").items()}
        warnings = tuple(str(w) for w in record.pop("warnings"))
        return Manifest(steps=steps, results=results, warnings=warnings, **record)
    except (InvalidInputError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def checksum(path: Path) -> str:
    """Return the sha256 of a file; in one process it is read again only where size, time or inode changed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits; empty where there is no such file.

    Raises
    ------
    InvalidInputError, OSError
        The file is there and cannot be read.

    Examples
    --------
    >>> checksum(Path("nowhere"))
    ''
    """
    try:
        state = path.stat()
        return _checksum(path, state.st_size, state.st_mtime_ns, state.st_ino)
    except (FileNotFoundError, NotADirectoryError):
        return ""


@lru_cache(maxsize=100_000)
def _checksum(path: Path, *_state: int) -> str:
    return sha256_of(path)


def checksums(out: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 of results by their name relative to OUT.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    paths : iterable of Path
        Files in it.

    Returns
    -------
    dict of str to str
        Checksum by name, sorted.

    Raises
    ------
    InvalidInputError, OSError
        A file cannot be read.

    Examples
    --------
    >>> checksums(Path("out"), [])
    {}
    """
    return {path.relative_to(out).as_posix(): checksum(path) for path in sorted(paths)}


def _write_source(out: Path, digest: str, modules: Mapping[str, str]) -> None:
    """Write what a hash of source stands for, once."""
    path = out / FOLDER / "sources" / f"{digest}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"modules": modules})


def read_source(out: Path, digest: str) -> dict[str, Any]:
    """Return the source files that a hash stands for.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    digest : str
        Hash of a step's source.

    Returns
    -------
    dict of str to str
        Hash by module; empty where the record is lost.

    Examples
    --------
    >>> read_source(Path("nowhere"), "0")
    {}
    """
    try:
        record = json.loads(read_regular(out / FOLDER / "sources" / f"{digest}.json"))
        return dict(record["modules"])
    except (InvalidInputError, OSError, ValueError, KeyError, TypeError):
        return {}
