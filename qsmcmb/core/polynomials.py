"""Polynomials of three coordinates: the basis of smooth backgrounds."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from qsmcmb.typing import FloatArray

__all__ = ("monomials", "polynomials")


def monomials(order: int) -> list[tuple[int, int, int]]:
    """Return the powers of x, y and z in all monomials up to an order.

    Parameters
    ----------
    order : int
        Largest sum of the three powers, >= 0.

    Returns
    -------
    list of tuple of int
        Powers of x, y and z, by ascending order: (order + 1) (order + 2) (order + 3) / 6 of them.

    Examples
    --------
    >>> monomials(1)
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    """
    return [
        (axes.count(0), axes.count(1), axes.count(2))
        for degree in range(order + 1)
        for axes in combinations_with_replacement(range(3), degree)
    ]


def polynomials(xyz: FloatArray, order: int) -> FloatArray:
    """Return all monomials of some coordinates up to an order.

    Parameters
    ----------
    xyz : ndarray of shape (3, n)
        Coordinates, any unit; between -1 and 1 where a least-squares fit is to be well conditioned.
    order : int
        Largest sum of the three powers, >= 0.

    Returns
    -------
    ndarray of shape (n, terms)
        Each monomial at each point, in the order of `monomials`.

    Examples
    --------
    >>> polynomials(np.array([[2.0], [3.0], [5.0]]), 2).tolist()
    [[1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 10.0, 9.0, 15.0, 25.0]]
    """
    x, y, z = (np.stack([axis**power for power in range(order + 1)]) for axis in xyz)
    return np.stack([x[a] * y[b] * z[c] for a, b, c in monomials(order)], axis=1)
