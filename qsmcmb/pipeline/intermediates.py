"""Intermediate results of a scan's steps: who holds them, and how a step that was done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from qsmcmb.typing import AnyArray

__all__ = ["HELD_STEPS", "Arrays", "Intermediates", "recall_or_compute"]

Arrays = dict[str, AnyArray]
"""Arrays of one step by name."""
HELD_STEPS = ("mask", "fieldmap", "background", "invert")
"""Steps whose results are held. The others take less time than writing what they make, or make the final results."""


class Intermediates(Protocol):
    """Store of intermediate results of one scan."""

    def load(self, step: str) -> Arrays | None:
        """Return what a step has made of the same inputs, parameters and source.

        Parameters
        ----------
        step : str
            One of `HELD_STEPS`.

        Returns
        -------
        dict or None
            Arrays by name; None where nothing is held.

        Examples
        --------
        >>> store.load("mask")  # doctest: +SKIP
        """

    def save(self, step: str, arrays: Mapping[str, AnyArray]) -> None:
        """Hold what a step has made.

        Parameters
        ----------
        step : str
            One of `HELD_STEPS`.
        arrays : mapping
            Arrays by name.

        Examples
        --------
        >>> store.save("mask", {"mask": mask})  # doctest: +SKIP
        """


def recall_or_compute(
    intermediates: Intermediates | None, step: str, compute: Callable[[], Mapping[str, AnyArray]]
) -> Arrays:
    """Return what a step makes: as it is held, or computed and then held.

    Parameters
    ----------
    intermediates : Intermediates or None
        Store; None holds nothing.
    step : str
        One of `HELD_STEPS`.
    compute : callable
        Makes the arrays of the step.

    Returns
    -------
    dict
        Arrays by name.

    Examples
    --------
    >>> import numpy as np
    >>> recall_or_compute(None, "mask", lambda: {"mask": np.ones(3, bool)})["mask"].tolist()
    [True, True, True]
    """
    held = intermediates.load(step) if intermediates else None
    if held is not None:
        return held
    made = dict(compute())
    if intermediates:
        intermediates.save(step, made)
    return made
