"""Pattern of the microbleeds by both rules for the cerebellum."""

from __future__ import annotations

import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.pattern import CEREBELLUM_RULES, describe_pattern


def lesion(label: int, place: str) -> Microbleed:
    territory = place if place in ("lobar", "deep", "infratentorial") else "infratentorial"
    region = place if place in ("cerebellum", "brainstem") else None
    return Microbleed(label, (0.0, 0.0, 20.0 * label), territory=territory, mars_region=region)


@pytest.mark.parametrize(
    ("places", "depths", "ignored", "by_depth"),
    [
        (("lobar", "cerebellum"), {1: "superficial"}, "strictly lobar", "strictly lobar"),
        (("lobar", "cerebellum"), {1: "deep"}, "strictly lobar", "mixed"),
        (("lobar", "cerebellum"), {}, "strictly lobar", "strictly lobar"),
        (("deep", "cerebellum"), {1: "superficial"}, "strictly deep", "mixed"),
        (("deep", "brainstem"), {}, "strictly deep", "strictly deep"),
        (("lobar", "brainstem"), {}, "mixed", "mixed"),
        (("lobar", "infratentorial"), {}, "mixed", "mixed"),
        (("cerebellum",), {0: "superficial"}, "infratentorial", "strictly lobar"),
        (("cerebellum",), {}, "infratentorial", "infratentorial"),
        (("cerebellum", "brainstem"), {0: "deep"}, "infratentorial", "strictly deep"),
        (("brainstem",), {}, "infratentorial", "infratentorial"),
        ((), {}, "none", "none"),
    ],
)
def test_both_rules_are_printed_and_the_chosen_one_makes_the_pattern(
    places: tuple[str, ...], depths: dict[int, str], ignored: str, by_depth: str
) -> None:
    lesions = [lesion(i, place) for i, place in enumerate(places)]
    for rule in CEREBELLUM_RULES:
        record = describe_pattern(lesions, rule=rule, depths=depths)
        assert record["pattern_by_rule"] == {"ignored": ignored, "by-depth": by_depth}
        assert record["pattern"] == record["pattern_by_rule"][rule]
        assert record["pattern_rule"] == rule
        assert sum(record["cerebellum_by_depth"].values()) == places.count("cerebellum")
