"""One lesion at two visits: its twin on the page, one verdict for both, and what the tables of change make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.results import SessionResults
from qsmcmb.model import Estimate
from qsmcmb.reviewing.reviewed_scan import read_scan
from qsmcmb.reviewing.study_review import StudyReview
from qsmcmb.study.judgement import Judgement
from qsmcmb.study.session_views import dipole_sources, refused_labels
from qsmcmb.study.twins import find_twins
from tests.scenes.reviews import candidate, rows_of, scans_of, write_candidates
from tests.scenes.studies import Study

REJECT = Judgement("reject", kind="vein")


@pytest.fixture
def visits(study: Study) -> Study:
    """Return the study with three lesions at both visits, one of them turned away at the first, and one new."""
    first, second = scans_of(study)
    away = {"certainty": "rejected", "kind": "artefact"}
    sure = [candidate(n, certainty="definite") for n in (1, 2, 3)]
    write_candidates(study, first, [candidate(1, **away), *sure[1:], candidate(9, **away)])
    weak = candidate(6, certainty="rejected", total_chi_ppm_mm3=Estimate(0.1, 3.0, "ppm mm3"))
    write_candidates(study, second, [*sure, candidate(5), weak])
    return study


def review_of(study: Study, **more: object) -> StudyReview:
    twins = find_twins(study.out, "01")
    scans = [read_scan(study.out, scan, ["A"]) for scan in scans_of(study)]
    return StudyReview(scans, "A", twins=twins, **more)  # type: ignore[arg-type]


def id_of(review: StudyReview, session: str, label: int) -> str:
    return next(
        key
        for key, item in review.items.items()
        if (item.reviewed.scan.session, item.candidate.label) == (session, label)
    )


def apply(study: Study) -> list[dict[str, str]]:
    """Apply all verdicts; return the table of change."""
    assert run_command(["review", str(study.out), "--apply"]) == 0
    return rows_of(study.out / "sub-01/sub-01_desc-cmb_longitudinal.tsv")


def verdicts(scan: SessionResults, study: Study) -> dict[int | None, str]:
    events = read_scan(study.out, scan, ["A"]).logs["A"].standing()
    return {event.label: event.judgement.verdict for event in events if event.judgement}


def test_a_candidate_names_its_twin_whatever_the_detector_calls_it(visits: Study) -> None:
    review = review_of(visits)
    shown = {entry["id"]: entry for entry in review.describe()}
    for label in (1, 2, 3):
        one, other = (id_of(review, session, label) for session in "12")
        assert (shown[one]["twins"], shown[other]["twins"]) == ([other], [one])
        assert shown[other]["session"] == "ses-2"
    assert shown[id_of(review, "2", 5)]["twins"] == []


def test_one_verdict_for_all_visits_is_an_event_of_each_and_taken_back_as_one(visits: Study) -> None:
    review = review_of(visits)
    one, other = (id_of(review, session, 2) for session in "12")
    moved = Judgement("accept", comment="=1+1", moved_to_mm=(12.0, 6.0, 7.0))
    given = review.give(one, moved, None, twins={other: None})
    assert [(e.candidate, e.number) for e in given] == [(one, 1), (other, 1)]
    assert given[0].together == given[1].together is not None
    assert given[1].judgement == moved._replace(moved_to_mm=None)
    alone = review.give(id_of(review, "2", 5), REJECT, None)
    assert alone[0].together is None
    first, second = scans_of(visits)
    assert (verdicts(first, visits), verdicts(second, visits)) == ({2: "accept"}, {2: "accept", 5: "reject"})
    # Another process, from the twin's side.
    again = review_of(visits)
    assert [e.undoes for e in again.undo(other, 1)] == [1, 1]
    assert (verdicts(first, visits), verdicts(second, visits)) == ({}, {5: "reject"})


def test_a_verdict_reaches_no_candidate_that_is_another_lesion(visits: Study) -> None:
    review = review_of(visits)
    with pytest.raises(InvalidInputError, match="candidate"):
        review.give(id_of(review, "1", 2), REJECT, None, twins={id_of(review, "2", 3): None})
    assert not list(visits.out.rglob("*review.jsonl"))


@pytest.mark.parametrize("order", ["probability", "total", "position"])
def test_what_the_detector_has_turned_away_comes_last(visits: Study, order: str) -> None:
    away = [entry["turned_away"] for entry in review_of(visits, order=order).describe()]
    assert away == [False] * 6 + [True] * 3
    by_scan = [entry["turned_away"] for entry in review_of(visits, order="subject").describe()]
    assert by_scan == [False, False, True, True, False, False, False, False, True]


def test_a_blind_reader_learns_nothing_from_the_order(visits: Study) -> None:
    entries = review_of(visits, order="subject", blind=True).describe()
    assert [entry["label"] for entry in entries] == [1, 2, 3, 9, 1, 2, 3, 5, 6]
    assert not any(entry["turned_away"] for entry in entries)


def test_a_rejection_at_one_visit_makes_nothing_new_or_gone_and_the_page_says_so(visits: Study) -> None:
    review = review_of(visits)
    one, other = (id_of(review, session, 2) for session in "12")
    review.give(id_of(review, "2", 5), Judgement("accept"), None)
    before = apply(visits)
    review.give(other, REJECT, None)
    after = apply(visits)
    rejected = [row for row in after if "rejected-in-followup" in row["flags"]]
    assert [(row["status"], row["followup_ppm_mm3"]) for row in rejected] == [("not_evaluable", "2.2")]
    # A new lesion has no row in the earlier session's table.
    assert [(row["baseline_labels"], row["followup_labels"]) for row in rejected] == [("2", "2")]
    assert ("n/a", "5") in [(row["baseline_labels"], row["followup_labels"]) for row in after]
    assert [row for row in after if row not in rejected] == [
        row for row in before if row["lesion"] != rejected[0]["lesion"]
    ]
    said = f"Lesion {rejected[0]['lesion']}: rejected at ses-2 by a reader, present at ses-1: not counted as gone"
    assert said in (visits.out / "sub-01.html").read_text()
    course = rows_of(visits.out / "sub-01/sub-01_desc-cmb_course.tsv")
    assert [(r["session_id"], r["labels"]) for r in course if r["origin"] == "rejected"] == [("ses-2", "2")]
    review.give(one, REJECT, None, twins={other: 1})
    assert not [row for row in apply(visits) if "rejected" in row["flags"]]
    assert "not counted as" not in (visits.out / "sub-01.html").read_text()


def test_a_rejected_lesion_still_makes_a_field_and_an_accepted_candidate_does_too(visits: Study) -> None:
    """What is measured at the place of another lesion hangs on the fields that are taken off before."""
    first = scans_of(visits)[0]

    def sources() -> list[int]:
        found = (m for m in dipole_sources(visits.out, first) if m.certainty != "rejected")
        return sorted(m.label for m in found)

    assert sources() == [2, 3]
    review = review_of(visits)
    review.give(id_of(review, "1", 2), REJECT, None)
    review.give(id_of(review, "1", 9), REJECT, None)
    apply(visits)
    assert sources() == [2, 3]
    review.give(id_of(review, "1", 1), Judgement("accept"), None)
    apply(visits)
    assert sources() == [1, 2, 3]


def test_only_a_verdict_refuses_a_candidate(visits: Study) -> None:
    """A reader's point that is a vein by the classifier has a reader as its source, and no verdict."""
    first, second = scans_of(visits)
    point = {"source": "reader", "certainty": "rejected", "kind": "vein"}
    write_candidates(visits, first, [candidate(1, **point), candidate(2), candidate(3), candidate(5)])
    review = review_of(visits)
    for label, judgement in ((2, REJECT), (3, Judgement("unsure")), (5, Judgement("accept"))):
        review.give(id_of(review, "1", label), judgement, None)
    apply(visits)
    assert refused_labels(first) == {2}
    assert refused_labels(second) == frozenset()


def test_without_a_comparison_there_are_no_twins(visits: Study) -> None:
    Path(visits.out / "sub-01/sub-01_desc-cmb_longitudinal.json").unlink()
    assert find_twins(visits.out, "01") == []
