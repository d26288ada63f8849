"""Research table of new microhaemorrhages since baseline, in the count classes of ARIA-H; no advice and no grade.

Each lesion of the later session is new with a probability p_i; the number of new ones is Poisson-binomial, and the
probability of a class is the sum over its numbers. Lesions that the earlier scan could not have shown are not in the
count: nobody knows whether they are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsmcmb.change.course import count_distribution, count_interval
from qsmcmb.change.flags import NOT_AT_BASELINE, REJECTED_AT_BASELINE
from qsmcmb.change.records import Change

__all__ = ("CLASSES", "NOTICE", "ariah_record")

CLASSES = (("none", 0, 0), ("1-4", 1, 4), ("5-9", 5, 9), ("10 or more", 10, None))
"""Classes of the number of new microhaemorrhages: name, least and largest number."""
NOTICE = (
    "For research; no advice for treatment. The classes were made for 2D T2*-weighted gradient echoes read by eye. "
    "Susceptibility shows smaller lesions, so that the same brain may fall into a higher class here."
)


def ariah_record(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the count of new microhaemorrhages between two sessions, and its class.

    Parameters
    ----------
    changes : sequence of Change
        Changes of all lesions between baseline and a later session.

    Returns
    -------
    dict
        `class`, the most probable; `class_probability` of each; `n_new_expected` with `n_new_low` and `n_new_high`
        (95 %); `n_called_new`; `n_not_evaluable`, lesions that the baseline's list lacks and of which nobody can say
        whether they are new. All of the first are None where no lesion can be judged but some are there.

    Examples
    --------
    >>> new = Change(1, "incident", (0.0, 0.0, 0.0), None, None, new_probability=0.98, flags=(NOT_AT_BASELINE,))
    >>> record = ariah_record([new])
    >>> record["class"], round(record["class_probability"]["none"], 2)
    ('1-4', 0.02)
    >>> ariah_record([])["class"]
    'none'
    """
    lacking = {NOT_AT_BASELINE, REJECTED_AT_BASELINE}
    unknown = [c for c in changes if lacking & set(c.flags) and c.new_probability is None]
    chances = [c.new_probability for c in changes if c.new_probability is not None]
    record: dict[str, Any] = {
        "n_called_new": sum(c.status == "incident" for c in changes),
        "n_not_evaluable": len(unknown),
    }
    if unknown and not chances:
        nothing = ("class", "class_probability", "n_new_expected", "n_new_low", "n_new_high")
        return {**dict.fromkeys(nothing), **record}
    counts = count_distribution(chances)
    classes = {
        name: float(np.sum(counts[low : None if high is None else high + 1])) for name, low, high in CLASSES
    }
    interval = count_interval(chances)
    return {
        "class": max(classes, key=lambda name: classes[name]),
        "class_probability": classes,
        "n_new_expected": interval.expected,
        "n_new_low": interval.low,
        "n_new_high": interval.high,
        **record,
    }
