"""Structures, regions and territories fit together."""

from __future__ import annotations

from qsmcmb.anatomy.regions import (
    BOMBS_REGIONS,
    BOMBS_TERRITORY,
    MARS_REGIONS,
    MARS_TERRITORY,
    STRUCTURES,
    TERRITORIES,
)
from qsmcmb.lesion import LESION_COLUMNS


def test_each_structure_belongs_to_one_region_of_each_scale() -> None:
    assert (len(MARS_REGIONS), len(BOMBS_REGIONS)) == (13, 7)
    assert {s.mars for s in STRUCTURES.values() if s.mars} == set(MARS_REGIONS)
    assert {s.bombs for s in STRUCTURES.values()} == set(BOMBS_REGIONS)
    assert [s.label for s in STRUCTURES.values()] == list(range(1, len(STRUCTURES) + 1))


def test_territories_are_those_of_the_lesion_table() -> None:
    assert LESION_COLUMNS["territory"].levels == TERRITORIES
    assert set(MARS_TERRITORY.values()) == set(BOMBS_TERRITORY.values()) == set(TERRITORIES)


def test_the_scales_differ_in_the_white_matter_that_only_mars_calls_deep() -> None:
    """Corpus callosum, deep and periventricular white matter: BOMBS has no deep row for them."""
    apart = {s.mars for s in STRUCTURES.values() if s.territory != BOMBS_TERRITORY[s.bombs]}
    assert apart == {"corpus callosum", "deep and periventricular white matter"}


def test_cortex_and_white_matter_of_an_unknown_lobe_are_lobar() -> None:
    without = [s for s in STRUCTURES.values() if s.mars is None]
    assert [s.name for s in without] == ["cerebral cortex", "cerebral white matter"]
    assert {s.territory for s in without} == {"lobar"}
