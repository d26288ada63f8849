"""Images that are copies of one another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from qsmcmb.typing import FloatArray

__all__ = ("find_copies",)


def find_copies(images: Sequence[FloatArray]) -> list[int]:
    """Return which images have the same content as another one.

    Parameters
    ----------
    images : sequence of ndarray
        Images, such as the magnitudes of the echoes.

    Returns
    -------
    list of int
        Indices of the images that occur more than once, ascending; empty where all differ.

    Examples
    --------
    >>> one, two = np.zeros((2, 2, 2)), np.ones((2, 2, 2))
    >>> find_copies([one, two, one])
    [0, 2]
    """
    pairs = ((i, j) for (i, a), (j, b) in combinations(enumerate(images), 2) if _are_equal(a, b))
    return sorted({index for pair in pairs for index in pair})


def _are_equal(one: FloatArray, two: FloatArray) -> bool:
    """Say whether two images are the same; the middle slice tells most that are not."""
    middle = len(one) // 2
    return bool(
        one.shape == two.shape and np.array_equal(one[middle], two[middle]) and np.array_equal(one, two)
    )
