"""The methods section says what a run did, all of it and nothing else, with literature for each statement."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest

from qsmcmb.background_removal import SMOOTH_REMAINDER
from qsmcmb.core import references
from qsmcmb.core.methods import Description
from qsmcmb.core.references import Reference
from qsmcmb.field_mapping import OFFSET_REMOVAL
from qsmcmb.microbleeds.results.references import PARTS, parts_used
from qsmcmb.reporting.methods_text import describe_comparison, describe_methods
from qsmcmb.stages import ALL_STAGES

METHODS = [(stage.name, name) for stage in ALL_STAGES for name in stage.methods]
DESCRIPTIONS: dict[tuple[str, str], Description] = {
    **{(stage.name, name): d for stage in ALL_STAGES for name, d in stage.descriptions.items()},
    ("offset", "removal"): OFFSET_REMOVAL,
    ("smooth", "remainder"): SMOOTH_REMAINDER,
}
REFERENCES = [r for r in vars(references).values() if isinstance(r, Reference)]
DOI = re.compile(r"10\.\d{4,9}/\S+")
ALWAYS = ["complex_fit", "point_spread", "psf_width", "uncertainty"]


def named(name: str, text: str) -> bool:
    """Return whether a text names a method as a word of its own: V-SHARP does not name SHARP."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def explanation(**changes: Any) -> dict[str, Any]:
    """Return the explanation of a ball among plain tissue, seen by all of k-space."""
    whole = {"edge": 1.0, "taper": 0.0, "height": 1.0}
    record: dict[str, Any] = {
        "detection_limit": None,
        "fit": {"shape": "ball", "signal_retaining_core": False, "tissue_prior": False},
        "point_spread": {"k_space_windows": [whole] * 3, "slice_profile": None},
    }
    for name, value in changes.items():
        record[name] = {**record[name], **value} if isinstance(record.get(name), dict) else value
    return record


CHANGES: dict[str, dict[str, Any]] = {
    "ball": {},
    "spheroid": {"fit": {"shape": "spheroid"}},
    "pair": {"fit": {"shape": "pair"}},
    "free": {"fit": {"shape": "free"}},
    "signal_retaining_core": {"fit": {"signal_retaining_core": True}},
    "tissue_prior": {"fit": {"tissue_prior": True}},
    "k_space_window": {"point_spread": {"k_space_windows": [{"edge": 0.8, "taper": 0.0, "height": 1.0}]}},
    "slice_profile": {"point_spread": {"slice_profile": {"axis": 2, "thickness": 1.0}}},
    "vein": {"vein": {"radius_mm": 0.3}},
    "adjacent_vein": {"adjacent_vein": {"radius_mm": 0.3}},
    "map_sum": {"map_sum": {"raw": 1.0}},
    "signal_loss": {"signal_loss": {"value": 1.0}},
    "detection_limit": {"detection_limit": 0.2},
}


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda s: s.name)
def test_every_method_of_every_family_is_described(stage: Any) -> None:
    if stage.methods:
        assert set(stage.descriptions) == set(stage.methods)
        assert stage.default in stage.methods
    elif stage.default and stage.name != "quantify":
        assert stage.default in stage.descriptions


@pytest.mark.parametrize(("stage", "name"), DESCRIPTIONS)
def test_description_is_one_sentence_with_its_literature(stage: str, name: str) -> None:
    description = DESCRIPTIONS[stage, name]
    assert re.fullmatch(r"[A-Z][^\n]*[^.\s]\.", description.sentence)
    assert not re.search(r"[.!?] [A-Z]", description.sentence), "one sentence"
    assert named(description.name, description.sentence)
    assert description.references
    assert all(DOI.fullmatch(r.doi) for r in description.references)


def test_no_description_names_another_method() -> None:
    for one, two in permutations(DESCRIPTIONS.values(), 2):
        assert not named(one.name, two.sentence), (one.name, two.sentence)
    for (stage, name), (other, key) in permutations(METHODS, 2):
        if stage == other:
            assert not named(key, DESCRIPTIONS[stage, name].sentence.lower()), (name, key)


@pytest.mark.parametrize(("stage", "name"), METHODS)
def test_paragraph_names_the_method_used_and_no_other(stage: str, name: str) -> None:
    text = describe_methods({"Steps": {stage: {"method": name, "tolerance": 0.01}}})
    used = DESCRIPTIONS[stage, name]
    assert used.sentence.removesuffix(".") + " (tolerance 0.01) [1" in text.paragraph
    assert text.references == used.references
    others = [d.name for d in DESCRIPTIONS.values() if d is not used]
    assert not [other for other in others if named(other, text.paragraph)]


def test_every_part_of_the_fit_is_tried_here() -> None:
    assert set(CHANGES) | set(ALWAYS) == set(PARTS)


@pytest.mark.parametrize("part", CHANGES)
def test_paragraph_names_the_parts_of_the_fit_used_and_no_other(part: str) -> None:
    record = explanation(**CHANGES[part])
    shape = part if part in ("ball", "spheroid", "pair", "free") else "ball"
    expected = {*ALWAYS, shape, part}
    unfitted = {"label": 2, "detection_limit": None}
    assert set(parts_used([unfitted, record])) == expected
    text = describe_methods({"Steps": {"quantify": {"method": "complex_fit"}}}, [unfitted, record])
    assert {key for key, d in PARTS.items() if named(d.name, text.paragraph)} == expected
    assert set(text.references) == {r for key in expected for r in PARTS[key].references}
    assert "No lesion was fitted" not in text.paragraph


def test_an_explanation_of_an_earlier_version_claims_nothing() -> None:
    record = explanation()
    record["fit"] = {"shape": "ball"}
    assert not {"tissue_prior", "signal_retaining_core"} & set(parts_used([record]))


def test_stages_that_did_not_run_say_why_and_cite_nothing() -> None:
    steps = {"mask": {"method": "none", "reason": "the mask was given"}, "unwrap": {"method": "romeo"}}
    text = describe_methods({"Steps": steps, "EchoTime": [0.02]})
    assert "The stage mask did not run, since the mask was given." in text.paragraph
    assert "No lesion was fitted." in text.paragraph
    assert not named(OFFSET_REMOVAL.name, text.paragraph), "a single echo has no offset to remove"
    assert len(text.references) == 1
    two = describe_methods({"Steps": steps, "EchoTime": [0.01, 0.02]})
    assert named(OFFSET_REMOVAL.name, two.paragraph)


def test_the_smooth_remainder_is_that_of_one_echo_whose_background_was_removed() -> None:
    steps = {"background": {"method": "slbv"}}
    assert SMOOTH_REMAINDER.name in describe_methods({"Steps": steps, "EchoTime": [0.02]}).paragraph
    assert SMOOTH_REMAINDER.name not in describe_methods({"Steps": steps, "EchoTime": [0.01, 0.02]}).paragraph
    skipped = {"background": {"method": "none", "reason": "the inversion starts before it"}}
    assert SMOOTH_REMAINDER.name not in describe_methods({"Steps": skipped, "EchoTime": [0.02]}).paragraph


def test_numbers_in_brackets_count_the_references() -> None:
    steps = {"background": {"method": "lbv"}, "invert": {"method": "tfi"}}
    again = {"background": {"method": "slbv"}, "invert": {"method": "tfi"}}
    for given in (steps, again):
        text = describe_methods({"Steps": given})
        cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", text.paragraph) for n in group.split(", ")]
        assert sorted(set(cited)) == list(range(1, len(text.references) + 1))
    # The second reference of the first is the only one of the second: cited twice, listed once.
    assert cited == [1, 2, 2]


def test_scan_and_software_open_the_paragraph() -> None:
    record = {
        "MagneticFieldStrength": 3.0, "EchoTime": [0.004, 0.0123], "VoxelSize": [1.0, 1.0, 1.25],
        "GeneratedBy": [{"Name": "qsmcmb", "Version": "9.9"}],
    }  # fmt: skip
    opening = (
        "Scan: field strength 3.0 T, echo times 4, 12.3 ms, voxels 1 x 1 x 1.25 mm, software qsmcmb 9.9."
    )
    assert describe_methods(record).paragraph.startswith(opening)


def test_comparison_cites_the_registration() -> None:
    text = describe_comparison({"Steps": {"longitudinal": {"method": "rigid", "transforms": {"a": {}}}}})
    assert text.paragraph.endswith("by Mattes mutual information [1].")
    assert [r.short for r in text.references] == ["Mattes et al. 2003"]
    assert describe_comparison({}).references == ()


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.key)
def test_reference_is_a_bibtex_entry(reference: Reference) -> None:
    entry = reference.bibtex()
    assert entry.count("{") == entry.count("}")
    assert re.match(r"@(article|book)\{[a-z]+\d{4}[a-z]+,\n", entry)
    for name in ("author", "title", "year", "doi"):
        assert re.search(rf"^  {name} = \{{\S.*\}},$", entry, re.MULTILINE)
    assert all(re.fullmatch(r"[^,]+, (\S+\.)( \S+\.)*", name) for name in reference.authors.split(" and "))
    assert 1900 < reference.year < 2100
    assert reference.text.endswith(f"{reference.year}. doi:{reference.doi}")


def test_references_are_distinct_and_all_are_cited() -> None:
    assert len({r.key for r in REFERENCES}) == len({r.doi for r in REFERENCES}) == len(REFERENCES)
    cited = {r for d in DESCRIPTIONS.values() for r in d.references}
    assert cited == set(REFERENCES)
