"""Kind and certainty follow from the rules and from probabilities; readers' points by rules alone."""

from __future__ import annotations

import pytest

from qsmcmb.microbleeds.results import naming
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.mimics import MIMIC_KINDS, KindProbabilities
from qsmcmb.microbleeds.results.naming import (
    FitFacts,
    is_significant,
    may_be_lesion,
    min_named_significance,
    name_lesion,
    name_screened,
)
from qsmcmb.model import Estimate

EVIDENCE = Evidence(signal_ppm_mm3=4.0, signal_sd_ppm_mm3=0.3)


def facts(
    total: float = 4.0, *, residual: float = 0.6, in_mask: float = 1.0, has_vein: bool = False
) -> FitFacts:
    return FitFacts(Estimate(total, 0.3, "ppm mm3"), residual, in_mask, has_vein)


@pytest.fixture
def probable(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function that sets the probability of one kind; the others share the rest, vein a little more."""

    def set_to(kind: str, value: float) -> None:
        rest = (1 - value) / (len(MIMIC_KINDS) - 1)
        by_kind = {k: value if k == kind else rest for k in MIMIC_KINDS}
        if kind != "vein":
            by_kind["vein"] += 1e-6
        found = KindProbabilities(by_kind)
        monkeypatch.setattr(naming, "probabilities_of", lambda *_: found)

    return set_to


@pytest.mark.parametrize(
    ("kind", "p", "lesion", "expected"),
    [
        ("microbleed", 0.9, facts(), ("microbleed", "definite")),
        ("microbleed", 0.79, facts(), ("microbleed", "possible")),
        ("microbleed", 0.65, facts(), ("microbleed", "possible")),
        ("microbleed", 0.64, facts(), ("vein", "rejected")),
        # The fit knows the total within 5 %: a compact source.
        ("microbleed", 0.5, facts(6.1), ("microbleed", "possible")),
        ("microbleed", 0.5, facts(5.9), ("vein", "rejected")),
        ("microbleed", 0.49, facts(6.1), ("vein", "rejected")),
        ("microbleed", 0.65, facts(6.1), ("microbleed", "definite")),
        ("microbleed", 0.65, facts(5.9), ("microbleed", "possible")),
        ("microbleed", 0.64, facts(6.1), ("microbleed", "possible")),
        ("iron", 0.9, facts(), ("iron", "rejected")),
        ("artefact", 0.5, facts(), ("artefact", "rejected")),
        # What is seen clearly is there, though its total may be 0.
        ("microbleed", 0.9, facts(0.8), ("microbleed", "possible")),
        ("microbleed", 0.79, facts(0.8), ("microbleed", "rejected")),
        ("microbleed", 0.9, facts(-0.8), ("microbleed", "rejected")),
        ("calcification", 0.9, facts(-0.8), ("calcification", "possible")),
        ("calcification", 0.9, facts(0.8), ("calcification", "rejected")),
        ("iron", 0.9, facts(0.8), ("iron", "rejected")),
        ("microbleed", 0.9, facts(residual=1.5), ("microbleed", "possible")),
        ("microbleed", 0.9, facts(in_mask=0.6), ("microbleed", "possible")),
        ("microbleed", 0.9, facts(has_vein=True), ("vein", "rejected")),
        # A negative total is never a microbleed.
        ("microbleed", 0.9, facts(-4.0), ("calcification", "possible")),
        ("calcification", 0.9, facts(-4.0), ("calcification", "definite")),
    ],
)
def test_candidates_of_the_detector(
    probable: object, kind: str, p: float, lesion: FitFacts, expected: tuple[str, str]
) -> None:
    probable(kind, p)  # type: ignore[operator]
    found = name_lesion(lesion, EVIDENCE, stated_kind=None, of_reader=False)
    assert (found.kind, found.certainty) == expected
    assert found.bombs_certainty == ("certain" if expected[1] == "definite" else "uncertain")
    assert found.score == pytest.approx(p if kind == "microbleed" else (1 - p) / 5)


@pytest.mark.parametrize(
    ("lesion", "stated", "expected"),
    [
        (facts(), None, ("microbleed", "definite")),
        (facts(-4.0), None, ("calcification", "definite")),
        (facts(-4.0), "microbleed", ("microbleed", "definite")),
        (facts(has_vein=True), None, ("vein", "definite")),
        (facts(has_vein=True), "microbleed", ("microbleed", "definite")),
        (facts(0.8), None, ("microbleed", "possible")),
        (facts(0.8), "iron", ("iron", "possible")),
    ],
)
def test_a_readers_point_is_named_by_rules_and_never_rejected(
    probable: object, lesion: FitFacts, stated: str | None, expected: tuple[str, str]
) -> None:
    probable("artefact", 0.99)  # type: ignore[operator]
    found = name_lesion(lesion, EVIDENCE, stated_kind=stated, of_reader=True)
    assert (found.kind, found.certainty) == expected
    assert found.score == pytest.approx(0.002)


def test_a_screened_candidate_is_rejected_as_the_likeliest_mimic(probable: object) -> None:
    probable("artefact", 0.6)  # type: ignore[operator]
    assert name_screened(EVIDENCE, stated_kind=None)[:2] == ("artefact", "rejected")
    assert name_screened(EVIDENCE, stated_kind="iron")[:2] == ("iron", "rejected")
    probable("microbleed", 0.9)  # type: ignore[operator]
    assert name_screened(EVIDENCE, stated_kind=None)[:2] == ("vein", "rejected")


def test_what_may_be_a_lesion_by_the_evidence_before_the_fit(probable: object) -> None:
    probable("vein", 0.99)  # type: ignore[operator]
    assert may_be_lesion(EVIDENCE) is False
    # The microbleed has a fifth of the rest: 0.496 and 0.504 together.
    probable("calcification", 0.37)  # type: ignore[operator]
    assert may_be_lesion(EVIDENCE) is False
    probable("calcification", 0.38)  # type: ignore[operator]
    assert may_be_lesion(EVIDENCE)
    assert may_be_lesion(None) is None


@pytest.mark.parametrize(
    ("kind", "probability", "expected"), [("microbleed", 0.66, 3.0), ("microbleed", 0.64, 20.0)]
)
def test_what_is_hardly_more_likely_than_not_is_named_only_by_a_precise_fit(
    probable: object, kind: str, probability: float, expected: float
) -> None:
    probable(kind, probability)  # type: ignore[operator]
    assert min_named_significance(EVIDENCE) == expected
    for ratio in (2.9, 3.1, 19.0, 21.0):
        facts = FitFacts(Estimate(ratio, 1.0, "ppm mm3"), 0.6, 1.0, False)
        named = name_lesion(facts, EVIDENCE, stated_kind=None, of_reader=False)
        is_lesion = named.kind == "microbleed" and named.certainty != "rejected"
        assert is_lesion == (ratio > expected)


def test_nothing_is_significant_without_an_sd() -> None:
    assert not is_significant(Estimate(4.0, float("nan"), "ppm mm3"))
