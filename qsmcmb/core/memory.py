"""Working volumes whose memory is there before the loops come, and results of which only the mask's box is written."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np

from qsmcmb.core import _memory_loops as loops
from qsmcmb.typing import AnyArray


def zeros(shape: tuple[int, ...], dtype: Any = np.float32) -> AnyArray:
    """Return a volume of zeros, written.

    Parameters
    ----------
    shape : tuple of int
        Any number of axes.
    dtype : dtype, optional
        float32 or complex64.

    Returns
    -------
    ndarray
        Aligned as NumPy does.

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
    out = np.empty(shape, dtype)
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
    if not count or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(shape, np.float32)
    memory = mmap.mmap(-1, 4 * count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError, AttributeError):
        # Refused by systems that have no large pages.
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)
