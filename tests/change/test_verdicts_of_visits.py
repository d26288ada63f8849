"""A lesion that a reader rejects at one visit alone: neither new nor gone by the verdict, and no other lesion moves."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.change.ariah import ariah_record
from qsmcmb.change.errors import DEFAULT_ERRORS
from qsmcmb.change.flags import NOT_AT_FOLLOWUP, REJECTED_AT_BASELINE, REJECTED_AT_FOLLOWUP
from qsmcmb.change.linking import LocatedLesion, attach_lesions
from qsmcmb.change.records import Change
from qsmcmb.change.tracks import (
    Place,
    SessionView,
    find_tracks,
    judge_track,
    link_candidates,
    measure_track,
)
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate

DETECTOR = {"kind": "microbleed", "certainty": "definite", "source": "detector"}
REJECTED = {"kind": "vein", "certainty": "rejected", "source": "reader"}
CALCIFIED = {"kind": "calcification", "certainty": "definite", "source": "reader"}


def lesion(label: int, x: float, value: float, how: dict[str, str], sd: float = 0.2) -> Microbleed:
    total = Estimate(value, sd, "ppm mm3")
    return Microbleed(
        label, (x, 0.0, 0.0), total_chi_ppm_mm3=total, detection_limit_ppm_mm3=1.0, diameter_mm=3.0, score=0.9,
        **how,  # type: ignore[arg-type]
    )  # fmt: skip


def refused_of(visit: list[Microbleed]) -> frozenset[int]:
    """Return the labels of what a reader has called no microbleed."""
    return frozenset(m.label for m in visit if m.source == "reader" and m.kind != "microbleed")


def compared(*visits: list[Microbleed]) -> list[list[Change]]:
    """Return the changes of all pairs of neighbouring visits; elsewhere each shows nothing."""
    empty = Place(Estimate(0.0, 0.1, "ppm mm3"), 0.5)
    views = [
        SessionView(f"ses-{n}", own, np.atleast_2d, np.atleast_2d, 0.2, lambda _: empty, refused_of(own))
        for n, own in enumerate(visits, start=1)
    ]
    tracks = find_tracks(views)
    found = []
    for k in range(1, len(visits)):
        judged = [
            judge_track(
                t, views, measure_track(t, views), (k - 1, k), errors=DEFAULT_ERRORS, same_protocol=True
            )
            for t in tracks
        ]
        found.append([change for change in judged if change is not None])
    return found


@pytest.mark.parametrize("how", [REJECTED, CALCIFIED], ids=["vein", "calcification"])
def test_a_rejection_at_one_visit_is_no_status(how: dict[str, str]) -> None:
    before, after = lesion(1, 0.0, 10.0, DETECTOR), lesion(4, 0.1, 10.1, how)
    ((gone,),) = compared([before], [after])
    assert (gone.status, gone.flags, gone.probability) == ("not_evaluable", (REJECTED_AT_FOLLOWUP,), None)
    assert gone.followup == after.total_chi_ppm_mm3
    assert gone.has_unlike_verdicts
    ((new,),) = compared([after], [before])
    assert (new.status, new.flags, new.new_probability) == ("not_evaluable", (REJECTED_AT_BASELINE,), None)
    assert ariah_record([new])["n_not_evaluable"] == 1


def test_a_possible_lesion_that_is_rejected_at_the_other_visit_does_not_drop_out() -> None:
    possible = {**DETECTOR, "certainty": "possible"}
    assert compared([lesion(1, 0.0, 10.0, possible)], [lesion(4, 0.1, 10.1, possible)]) == [[]]
    ((change,),) = compared([lesion(1, 0.0, 10.0, possible)], [lesion(4, 0.1, 14.0, REJECTED)])
    assert (change.status, change.flags) == ("not_evaluable", (REJECTED_AT_FOLLOWUP,))
    ((change,),) = compared([lesion(1, 0.0, 10.0, possible)], [lesion(4, 0.1, 0.5, REJECTED)])
    assert change.status == "not_evaluable"
    # A calcification at both visits, confirmed at one, is none.
    calcified = {**DETECTOR, "kind": "calcification"}
    assert compared([lesion(1, 0.0, -8.0, calcified)], [lesion(4, 0.1, -8.0, CALCIFIED)]) == [[]]


def test_a_rejection_at_all_visits_leaves_no_lesion() -> None:
    assert compared([lesion(1, 0.0, 10.0, REJECTED)], [lesion(4, 0.1, 10.1, REJECTED)]) == [[]]


def test_the_visits_that_hold_a_lesion_are_still_compared() -> None:
    visits = [[lesion(1, 0.0, 10.0, how)] for how in (DETECTOR, DETECTOR, REJECTED, DETECTOR)]
    assert [change.status for (change,) in compared(*visits)] == [
        "stable", "not_evaluable", "not_evaluable",
    ]  # fmt: skip


def test_a_rejected_candidate_that_measures_less_leaves_the_lesion_gone_as_measured() -> None:
    ((change,),) = compared([lesion(1, 0.0, 10.0, DETECTOR)], [lesion(4, 0.1, 0.5, REJECTED)])
    assert (change.status, change.flags) == ("resolved", (REJECTED_AT_FOLLOWUP,))
    assert not change.has_unlike_verdicts


def test_a_rejected_candidate_that_measures_nothing_is_as_if_it_were_not_there() -> None:
    before = [lesion(1, 0.0, 10.0, DETECTOR)]
    junk = lesion(4, 1.0, 9.0, REJECTED, sd=20.0)
    assert compared(before, [junk]) == compared(before, [])
    ((change,),) = compared(before, [junk])
    assert (change.status, change.flags) == ("resolved", (NOT_AT_FOLLOWUP,))


def test_a_rejection_moves_neither_the_numbers_nor_the_order_of_other_lesions() -> None:
    """An accepted neighbour goes before a rejected one, and the rejected lesion stays the first."""

    def visits(how: dict[str, str]) -> tuple[list[Microbleed], list[Microbleed]]:
        first = [lesion(1, 0.0, 10.0, how), lesion(2, 30.0, 5.0, DETECTOR)]
        return first, [lesion(1, 0.2, 10.0, DETECTOR), lesion(2, 30.0, 7.0, DETECTOR)]

    (before,), (after,) = compared(*visits(DETECTOR)), compared(*visits(REJECTED))
    assert [c.lesion for c in after] == [1, 2]
    assert after[1] == before[1]
    assert (before[0].status, after[0].status) == ("stable", "not_evaluable")


def test_candidates_are_twins_whatever_they_are_called() -> None:
    turned_away = {"kind": "artefact", "certainty": "rejected", "source": "detector"}
    visits = [
        [lesion(1, 0.0, 10.0, DETECTOR), lesion(2, 40.0, 4.0, turned_away)],
        [lesion(1, 0.1, 9.0, turned_away), lesion(2, 0.2, 9.0, DETECTOR), lesion(3, 40.1, 4.0, turned_away)],
    ]
    views = [
        SessionView(str(k), own, np.atleast_2d, np.atleast_2d, 0.2, lambda _: Place(None, None))
        for k, own in enumerate(visits)
    ]
    groups = [sorted((k, m.label) for k, m in group) for group in link_candidates(views)]
    assert sorted(groups) == [[(0, 1), (1, 2)], [(0, 2), (1, 3)], [(1, 1)]]


def test_a_group_takes_the_nearest_of_a_session_that_it_lacks() -> None:
    def at(session: int, x: float, total: float = 4.0) -> LocatedLesion:
        return LocatedLesion(session, np.array([x, 0.0, 0.0]), total, 0.4)

    groups = [[at(0, 0.0)], [at(0, 1.0), at(1, 1.1)]]
    further = [at(1, 0.9), at(1, 0.3), at(2, 1.2), at(2, 0.0, total=-4.0), at(2, 9.0)]
    assert attach_lesions(groups, further) == {1: 0, 2: 1}
