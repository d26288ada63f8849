"""TODO."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from qsmcmb.typing import FloatArray


def monomials(order: int) -> list[tuple[int, int, int]]:
    """Return the powers of x, y and z in all monomials up to `order`."""
    return [
        (axes.count(0), axes.count(1), axes.count(2))
        for degree in range(order + 1)
        for axes in combinations_with_replacement(range(3), degree)
    ]


def polynomials(xyz: FloatArray, order: int) -> FloatArray:
    """Return all monomials of (3, n) coordinates up to `order`, as (n, terms)."""
    x, y, z = (np.stack([axis**power for power in range(order + 1)]) for axis in xyz)
    return np.stack([x[a] * y[b] * z[c] for a, b, c in monomials(order)], axis=1)
