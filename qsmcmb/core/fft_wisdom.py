"""Wisdom of the FFT engine: the plan that was fastest for a shape, read from the user's cache or stored there.

Another plan for the same shape gives other last bits, so that who plans a shape waits for who plans it already.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from qsmcmb.core.compiled import cache_folder

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]
try:
    import pyfftw
except ImportError:  # pragma: no cover - the engine then plans nothing
    pyfftw = None

__all__: tuple[str, ...] = ()

Shape = tuple[int, int, int]
"""Number of voxels along the three axes."""
_planner = threading.Lock()


def wisdom_path(shape: Shape, threads: int) -> Path:
    """Return the cache file of a shape's wisdom; it depends on the number of threads."""
    return cache_folder() / "fftw" / f"{shape[0]}x{shape[1]}x{shape[2]}-t{threads}.wisdom"


@contextlib.contextmanager
def wisdom(path: Path) -> Iterator[None]:
    """Plan with the wisdom of this shape alone, and store it where there was none.

    Who plans the same shape at the same time waits and takes that wisdom: other plans differ in the last bits.
    """
    with _planner, _locked(path):
        pyfftw.forget_wisdom()
        known = _import_wisdom(path)
        yield
        if not known:
            _export_wisdom(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cache file; without one where the cache cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.with_suffix(".lock").open("w")
    except OSError:
        yield
        return
    with handle:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _import_wisdom(path: Path) -> bool:
    # FFTW's own text format inside a Python literal: a cache entry that does not parse is planned anew.
    """Say whether a cache file was read and taken."""
    try:
        parts = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return len(parts) == 3 and bool(pyfftw.import_wisdom(tuple(parts))[1])


def _export_wisdom(path: Path) -> None:
    """Write the wisdom whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
            handle.write(b"\0".join(pyfftw.export_wisdom()))
        os.replace(handle.name, path)
    except OSError:
        return  # A cache that cannot be written costs planning time alone.
