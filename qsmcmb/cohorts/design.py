"""Design matrices of regressions, and what data cannot say: found here, before a library is asked.

A constant column, columns that depend on each other and outcomes that a combination of columns separates have no
finite estimate. Libraries return one nevertheless, some without a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from qsmcmb.io.entities import natural_key
from qsmcmb.typing import FloatArray

__all__ = ("Design", "find_separation", "make_design")

MIN_ROWS_PER_TERM = 2
"""Rows for each column below which a regression says nothing."""
SEPARATED = 1e-6
"""Value of the separation's linear program above which there is one; its variables lie between -1 and 1."""


class Design(NamedTuple):
    """Columns of a regression without those that say nothing.

    Parameters
    ----------
    matrix : ndarray of shape (rows, columns)
        Columns, the constant first.
    names : tuple of str
        Names of the columns; the first is `constant`.
    rows : ndarray of int
        Which rows of the table they are.
    notes : tuple of str
        What was left out, and why.

    Examples
    --------
    >>> make_design([{"age": "61"}, {"age": "70"}], ["age"]).names
    ('constant', 'age')
    """

    matrix: FloatArray
    names: tuple[str, ...]
    rows: FloatArray
    notes: tuple[str, ...]


def make_design(
    table: Sequence[Mapping[str, str | None]], terms: Sequence[str], *, first: str = ""
) -> Design:
    """Return the columns of a regression on these terms.

    A term whose cells are all numbers is one column; any other has one column for each level but the first.

    Parameters
    ----------
    table : sequence of mapping
        Cell of each term, as text, for each subject.
    terms : sequence of str
        Names of the terms.
    first : str, optional
        Reference level of the first term.

    Returns
    -------
    Design
        Rows with a cell of each term; constant columns and columns that depend on earlier ones left out and named.

    Examples
    --------
    >>> rows = [{"arm": a, "site": "1", "age": g} for a, g in (("x", "60"), ("y", "70"), ("y", None), ("x", "65"))]
    >>> design = make_design(rows, ["arm", "site", "age"])
    >>> design.names, design.notes
    (('constant', 'arm: y', 'age'), ('1 left out, which lack a covariate', 'site is the same for all and left out'))
    """
    whole = [n for n, row in enumerate(table) if all(row.get(term) is not None for term in terms)]
    notes = [f"{len(table) - len(whole)} left out, which lack a covariate"] if len(whole) < len(table) else []
    matrix, names = np.ones((len(whole), 1)), ["constant"]
    for number, term in enumerate(terms):
        cells = [str(table[n][term]) for n in whole]
        for name, column in _columns(term, cells, first if number == 0 else "").items():
            wider = np.column_stack([matrix, column])
            if len(set(column)) < 2:
                notes.append(f"{name} is the same for all and left out")
            elif np.linalg.matrix_rank(_scaled(wider)) < wider.shape[1]:
                notes.append(f"{name} follows from the columns before it and is left out")
            else:
                matrix, names = wider, [*names, name]
    return Design(matrix, tuple(names), np.array(whole, dtype=int), tuple(notes))


def _columns(term: str, cells: Sequence[str], first: str) -> dict[str, FloatArray]:
    """Return the columns of a term by name."""
    try:
        if not first:
            return {term: np.array([float(cell) for cell in cells])}
    except ValueError:
        pass
    levels = sorted(set(cells), key=natural_key)
    if first in levels:
        levels.remove(first)
        levels.insert(0, first)
    if len(levels) < 2:
        return {term: np.zeros(len(cells))}
    return {f"{term}: {level}": np.array([float(c == level) for c in cells]) for level in levels[1:]}


def _scaled(matrix: FloatArray) -> FloatArray:
    """Return columns of mean 0 and SD 1 but for the constant."""
    sd = matrix[:, 1:].std(axis=0)
    return np.column_stack([matrix[:, 0], (matrix[:, 1:] - matrix[:, 1:].mean(axis=0)) / np.where(sd, sd, 1)])


def find_separation(matrix: FloatArray, outcome: FloatArray, *, is_count: bool = False) -> list[int]:
    """Return the columns whose combination separates an outcome, so that their estimates are infinite.

    A combination b of columns separates a binary outcome y when (2 y - 1) x b >= 0 for all and > 0 for some; a count
    when x b = 0 where it is positive, and x b <= 0 where it is 0, < 0 for some. A linear program finds it.

    Parameters
    ----------
    matrix : ndarray of shape (rows, columns)
        Columns, the constant first, of full rank.
    outcome : ndarray of shape (rows,)
        0 or 1, or counts.
    is_count : bool, optional
        Whether the outcome is a count.

    Returns
    -------
    list of int
        Columns of the combination but the constant, or the constant where it is alone; empty without separation.

    References
    ----------
    Albert A, Anderson JA. On the existence of maximum likelihood estimates in logistic regression models. Biometrika
    1984;71:1-10. doi:10.1093/biomet/71.1.1

    Santos Silva JMC, Tenreyro S. On the existence of the maximum likelihood estimates in Poisson regression. Econ Lett
    2010;107:310-312. doi:10.1016/j.econlet.2010.02.020

    Examples
    --------
    >>> arm = np.repeat([0.0, 1.0], 4)
    >>> find_separation(np.column_stack([np.ones(8), arm]), np.array([0, 0, 0, 0, 1, 0, 1, 0.0]))
    [1]
    """
    scaled = _scaled(matrix)
    zero = outcome == 0
    sign = np.where(zero, -1.0, 0.0 if is_count else 1.0)
    toward = scaled * sign[:, None]
    equal = scaled[~zero] if is_count else None
    solved = linprog(
        -toward.sum(axis=0), A_ub=-toward, b_ub=np.zeros(len(toward)), A_eq=equal,
        b_eq=None if equal is None else np.zeros(len(equal)), bounds=(-1, 1),
    )  # fmt: skip
    if -solved.fun < SEPARATED:
        return []
    involved = [n for n in range(1, matrix.shape[1]) if abs(solved.x[n]) > SEPARATED]
    return involved or [0]
