"""Rows and limits: the unknown fails, mimics and other sessions are left out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qsmcmb.validation.acceptance_criteria import (
    ResultRow,
    absolute_errors,
    at_most,
    covered,
    lesions_in,
    within,
)

RowMaker = Callable[..., ResultRow]


def test_limits_decide_and_the_unknown_fails() -> None:
    assert at_most("s", "q", "", 1.0, 1.0).passed
    assert not at_most("s", "q", "", math.nan, 1.0).passed
    assert not within("s", "q", "", -2.0, (-1, 1)).passed
    assert at_most("s", "q", "", 1.0, 2.5).limit == "at most 2.5"


def test_a_missing_estimate_errs_by_the_whole_truth_and_is_not_covered(lesion: RowMaker) -> None:
    rows = [lesion("3T", 1, 5.0, math.nan), lesion("3T", 2, -4.0, -4.1)]
    np.testing.assert_allclose(absolute_errors(rows), [5.0, 0.1])
    assert covered(rows).tolist() == [False, True]


def test_mimics_are_left_out_and_sessions_chosen(lesion: RowMaker) -> None:
    rows = [lesion("3T", 1, 5.0, 5.0), lesion("7T", 1, 5.0, 5.0), lesion("3T", 2, 5.0, 5.0, kind="air")]
    assert len(lesions_in(rows)) == 2
    assert len(lesions_in(rows, session="3T")) == 1
