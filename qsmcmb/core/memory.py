"""Working volumes whose memory is there before the loops come, and results of which only the mask's box is written.

The system clears each page that it maps: a fresh volume costs as much as a transform of it, and more where large pages
must first be put together. So the memory that working volumes leave is pooled, up to a bound, and given to the next.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from typing import Any

import numpy as np

from qsmcmb.core import _memory_loops as loops
from qsmcmb.typing import AnyArray

__all__ = (
    "empty",
    "idle_bytes",
    "release",
    "sparse_zeros",
    "zeros",
)

MAX_IDLE_BYTES = 256 * 1024**2
"""Bytes of unused memory in the pool: what a method of few transforms works in at 256 x 256 x 160."""
MIN_POOLED_BYTES = 4 * 1024**2
"""Bytes below which a volume is left to NumPy: of those the heap has enough, and large pages fill them badly."""
MAX_OVERSIZE = 1.25
"""Ratio of a pooled memory to what a volume needs, up to which it is taken: a quarter at most is wasted."""


class _Pool:
    """Memory that no volume holds; the one unused for longest goes first."""

    def __init__(self) -> None:
        self._idle: dict[int, AnyArray] = {}
        # Collecting garbage may end a volume while its thread is here.
        self._lock = threading.RLock()

    def take(self, nbytes: int) -> AnyArray:
        """Return memory of at least so many bytes, pooled or fresh, that nothing else holds."""
        with self._lock:
            fitting = [m for m in self._idle.values() if nbytes <= m.nbytes <= MAX_OVERSIZE * nbytes]
            best = min(fitting, key=lambda m: m.nbytes, default=None)
            if best is not None and self._idle.pop(id(best), None) is not None:
                return best
            # Fresh memory replaces what is pooled: a method needs no more than without.
            self._trim(self.nbytes - nbytes)
        return _mapped(nbytes, "MADV_HUGEPAGE")

    def give(self, memory: AnyArray) -> None:
        """Take in memory that nothing holds any more."""
        with self._lock:
            self._idle[id(memory)] = memory
            self._trim(MAX_IDLE_BYTES)

    def clear(self) -> None:
        """Give all of it back to the system."""
        with self._lock:
            self._trim(0)

    def _trim(self, most: int) -> None:
        """Drop memory, the one unused for longest first, until so many bytes are left at most."""
        while self._idle and self.nbytes > most:
            self._idle.pop(next(iter(self._idle)), None)

    @property
    def nbytes(self) -> int:
        """Bytes in the pool."""
        return sum(m.nbytes for m in self._idle.values())


class _Lease:
    """The owner that an array and all views of it share: when the last of them is gone the memory goes back."""

    def __init__(self, memory: AnyArray, shape: tuple[int, ...], dtype: Any) -> None:
        self._memory = memory
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": np.dtype(dtype).str, "data": (memory.ctypes.data, False),
        }  # fmt: skip

    def __del__(self) -> None:
        _pool.give(self._memory)


_pool = _Pool()


def empty(shape: tuple[int, ...], dtype: Any = np.float32) -> AnyArray:
    """Return a working volume with whatever is in it, in pooled memory where there is some.

    Parameters
    ----------
    shape : tuple of int
        Any number of axes.
    dtype : dtype, optional
        Any type.

    Returns
    -------
    ndarray
        As `numpy.empty` gives one; its memory goes to the pool when it and all views of it are gone.

    Examples
    --------
    >>> empty((2, 3)).shape
    (2, 3)
    """
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if nbytes < MIN_POOLED_BYTES:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_pool.take(nbytes), shape, dtype))


def idle_bytes() -> int:
    """Return the size of the pool: memory that no volume holds.

    Returns
    -------
    int
        Bytes, from 0 to MAX_IDLE_BYTES.

    Examples
    --------
    >>> release()
    >>> idle_bytes()
    0
    """
    return _pool.nbytes


def release() -> None:
    """Give the pool's memory back to the system.

    Examples
    --------
    >>> release()
    """
    _pool.clear()


def zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> AnyArray:
    """Return a working volume of zeros, written.

    Parameters
    ----------
    shape : tuple of int
        Any number of axes.
    dtype : dtype, optional
        Any type, as long as the volume's bytes divide by 4.

    Returns
    -------
    ndarray
        As `empty` gives one.

    Notes
    -----
    `numpy.zeros` leaves it to the system to map a page when it is first written. A loop in vector registers that
    stores under a mask never writes the pages outside the mask, and each store that does not take place there costs
    hundreds of cycles, in every iteration: a pass over a brain's box takes three times as long.

    Examples
    --------
    >>> float(zeros((2, 3)).sum())
    0.0
    """
    out = empty(shape, dtype)
    loops.clear(out.reshape(-1).view(np.float32))
    return out


def sparse_zeros(shape: tuple[int, ...]) -> AnyArray:
    """Return a volume of zeros that takes memory only where it is written.

    Parameters
    ----------
    shape : tuple of int
        Any number of axes.

    Returns
    -------
    ndarray, float32
        Zeros; a result of which only the mask's box is written.

    Notes
    -----
    `numpy.zeros` asks the system for pages of 2 MiB: some rows of a brain's box in each are enough for whole planes
    to be taken. Pages of 4 KiB hold little beside the box: of five echoes of 256 x 256 x 160 voxels, with a brain of
    140 x 176 x 120 in them, they take 75 MiB, not 120. And they take the same time always: large pages that the system
    must first put together took 12 ms for such a box, those at hand 1, small ones 4.

    Examples
    --------
    >>> float(sparse_zeros((2, 3)).sum())
    0.0
    """
    count = int(np.prod(shape))
    if not count:
        return np.zeros(shape, np.float32)
    return _mapped(4 * count, "MADV_NOHUGEPAGE").view(np.float32).reshape(shape)


def _mapped(nbytes: int, pages: str) -> AnyArray:
    """Return memory of zeros of its own, which goes back to the system as a whole: freed parts of a heap may not."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(nbytes, np.uint8)
    memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError, AttributeError):
        # Refused by systems that have no large pages.
        memory.madvise(getattr(mmap, pages))
    return np.frombuffer(memory, np.uint8)
