"""The one Numba decorator, the threads that loops run on, and the folder of cached machine code.

Numba keys its cache by the source file of the function alone and does not see that a callee in another file
changed; so the cache folder carries a hash of every loop module. A version that changes with every commit or edit
has no part in it: the loops would be compiled anew each time.

Threads sleep while they wait: Numba and pyFFTW each bring an OpenMP runtime, and where one's threads spin after a loop
the other's transform finds a core taken and lasts twice as long.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

__all__ = (
    "cache_folder",
    "compiled",
    "loop_threads",
    "loops_may_meet",
    "threads_for",
    "use_loop_threads",
)

_F = TypeVar("_F", bound=Callable[..., Any])

MIN_PARALLEL_VOXELS = 1 << 17
"""Voxels of a volume from which loops run on all threads: a pass over fewer lasts about as long as two threads take
to wake and to wait for each other.
"""

# A runtime reads this once, when it is loaded: every module that loads one imports this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@lru_cache(maxsize=1)
def cache_folder() -> Path:
    """Return the user's writable cache folder for these loops, or a temporary one; nobody else may write there.

    Returns
    -------
    Path
        An existing, writable folder; the same one at each call of a process.

    Examples
    --------
    >>> cache_folder().is_dir()
    True
    """
    root = Path(platformdirs.user_cache_dir("qsmcmb", appauthor=False))
    wanted = root / _source_hash()
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            pass
        for folder in (root, wanted):
            _keep_private(folder)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="qsmcmb-"))
    return wanted


def _keep_private(folder: Path) -> None:
    """Take from others the right to write into a folder of code that is run; raise where it is not ours."""
    found = folder.stat()
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        folder.chmod(stat.S_IMODE(found.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))


def _source_hash() -> str:
    """Return a hash of all loop modules, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for path in sorted(package.rglob("_*_loops.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compiled(
    function: _F | None = None, *, parallel: bool = False, fused: bool = False, inline: bool = False
) -> Any:
    """Compile a loop on first use and save the machine code in the user's cache.

    Parameters
    ----------
    function : callable, optional
        The loop; None when the decorator is used with options.
    parallel : bool, optional
        Let `numba.prange` run on threads. Never reduce floats straight in `prange`: their sum would change with the
        number of threads.
    fused : bool, optional
        Let a product and the sum it goes into round once. For loops that compute more than they move; NaN and the order
        of sums stay, but last bits depend on the machine's instructions.
    inline : bool, optional
        Put a helper's code into the loops that call it, however long: a loop with a call in it stays scalar.

    Returns
    -------
    callable
        The compiled loop, or with options alone a decorator that returns it.

    Examples
    --------
    >>> decorate = compiled(parallel=True)
    >>> callable(decorate)
    True
    """
    # Before numba is imported: it reads its configuration once.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
    import numba

    setattr(numba.config, "CACHE_DIR", os.environ["NUMBA_CACHE_DIR"])  # noqa: B010 - unknown to its types
    options: dict[str, Any] = {"nogil": True, "parallel": parallel, "error_model": "numpy"}
    if fused:
        options["fastmath"] = {"contract"}
    if inline:
        options["forceinline"] = True

    def decorate(func: _F) -> _F:
        loop: Any = numba.njit(**options)(func)
        if not getattr(numba.config, "DISABLE_JIT", False):
            from qsmcmb.core.compile_cache import CheckedCache

            loop._cache = CheckedCache(func)
        return loop

    return decorate if function is None else decorate(function)


def loop_threads() -> int:
    """Return the number of threads that the calling thread's loops run on.

    Returns
    -------
    int
        Number of threads, >= 1.

    Examples
    --------
    >>> loop_threads() >= 1
    True
    """
    import numba

    return int(numba.get_num_threads())


def use_loop_threads(count: int) -> None:
    """Set the number of threads that the calling thread's loops run on.

    Parameters
    ----------
    count : int
        Number of threads, from 1 to those that Numba was started with.

    Examples
    --------
    >>> before = loop_threads()
    >>> use_loop_threads(1)
    >>> loop_threads()
    1
    >>> use_loop_threads(before)
    """
    import numba

    numba.set_num_threads(count)


def loops_may_meet() -> bool:
    """Say whether two threads may start parallel loops at the same time.

    Numba's own runtime ends the process when they do; OpenMP's and TBB's do not.

    Returns
    -------
    bool
        False also as long as no parallel loop has run: only then is the runtime known.

    Examples
    --------
    >>> loops_may_meet() in (True, False)
    True
    """
    import numba

    try:
        return numba.threading_layer() in ("omp", "tbb")
    except ValueError:
        # No parallel loop has run yet.
        return False


@contextmanager
def threads_for(voxels: int) -> Iterator[None]:
    """Run loops on the calling thread alone where a volume is so small that waking the others costs more.

    Parameters
    ----------
    voxels : int
        Size of the volume, >= 0.

    Yields
    ------
    None
        For the `with` block; afterwards loops run on as many threads as before.

    Examples
    --------
    >>> with threads_for(1000):
    ...     loop_threads()
    1
    """
    before = loop_threads()
    use_loop_threads(1 if voxels < MIN_PARALLEL_VOXELS else before)
    try:
        yield
    finally:
        use_loop_threads(before)
