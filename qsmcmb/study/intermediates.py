"""Intermediate results of a scan in the work folder: an interrupted run goes on from them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qsmcmb.pipeline.intermediates import Arrays
from qsmcmb.typing import AnyArray

__all__ = ["IntermediateFiles"]

KEY = "key of the step"
"""Name of the array that holds the key of the step that made the others."""


class IntermediateFiles:
    """Hold one file of arrays for each step of a scan, with the step's key.

    A file is read only where its key is the step's own, and its checksums are right.

    Parameters
    ----------
    folder : Path
        Folder of the scan; made with the first file.
    keys : mapping of str to str
        Key by step.
    fresh : frozenset of str, optional
        Steps that are done again whatever is held.

    Attributes
    ----------
    recalled : list of str
        Steps whose results were read.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = IntermediateFiles(Path(folder), {"mask": "0a"})
    ...     files.save("mask", {"mask": np.ones(3, bool)})
    ...     files.load("mask")["mask"].sum(), files.load("invert")
    (np.int64(3), None)
    """

    def __init__(self, folder: Path, keys: Mapping[str, str], fresh: frozenset[str] = frozenset()) -> None:
        self._folder, self._keys, self._fresh = folder, keys, fresh
        self.recalled: list[str] = []

    def load(self, step: str) -> Arrays | None:
        """Return the arrays of a step.

        Parameters
        ----------
        step : str
            Name of the step.

        Returns
        -------
        dict or None
            Arrays by name; None where there is no file of the step's key, or a damaged one.

        Examples
        --------
        >>> IntermediateFiles(Path("nowhere"), {}).load("mask")
        """
        if step in self._fresh:
            return None
        try:
            with np.load(self._path(step), allow_pickle=False) as held:
                if str(held[KEY]) != self._keys.get(step):
                    return None
                arrays = {name: held[name] for name in held.files if name != KEY}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        self.recalled.append(step)
        return arrays

    def has(self, step: str) -> bool:
        """Say whether the results of a step are held, made with its key.

        Parameters
        ----------
        step : str
            Name of the step.

        Returns
        -------
        bool
            Whether `load` would look at them; damage shows only then.

        Examples
        --------
        >>> IntermediateFiles(Path("nowhere"), {}).has("mask")
        False
        """
        try:
            with np.load(self._path(step), allow_pickle=False) as held:
                return str(held[KEY]) == self._keys.get(step)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False

    def save(self, step: str, arrays: Mapping[str, AnyArray]) -> None:
        """Write the arrays of a step; a folder that cannot be written holds nothing.

        Parameters
        ----------
        step : str
            Name of the step.
        arrays : mapping
            Arrays by name.

        Examples
        --------
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     IntermediateFiles(Path(folder) / "sub-01", {"mask": "0a"}).save("mask", {})
        ...     sorted(p.name for p in Path(folder).rglob("*.npz"))
        ['mask.npz']
        """
        if step not in self._keys:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".tmp-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    np.savez(stream, **{KEY: np.array(self._keys[step]), **arrays})  # type: ignore[arg-type]
                os.replace(name, self._path(step))
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(name)

    def remove(self) -> None:
        """Remove the folder of the scan.

        Examples
        --------
        >>> IntermediateFiles(Path("nowhere"), {}).remove()
        """
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, step: str) -> Path:
        return self._folder / f"{step}.npz"
