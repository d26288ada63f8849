"""Pattern of the microbleeds over the brain, and the class of their number.

Brainstem counts as deep. Of the cerebellum two rules are in use, and both are printed:

- ``ignored``: microbleeds of the cerebellum count neither as lobar nor as deep, as in the criteria of Charidimou et al.
  2022;
- ``by-depth``: superficial ones (cortex and vermis) count as lobar, deep ones (nuclei and white matter) as deep, as
  Pasi et al. 2019 tell them apart; those of unknown depth count as neither.

A pattern is a distribution, never a diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from qsmcmb.errors import ConfigError
from qsmcmb.lesion import Microbleed

__all__ = ["CEREBELLUM_RULES", "DEPTHS", "PatternRecord", "count_class", "describe_pattern"]

CEREBELLUM_RULES = ("ignored", "by-depth")
"""Rules for microbleeds of the cerebellum."""
DEPTHS = ("superficial", "deep", "unknown")
"""Depths in the cerebellum."""
COUNT_CLASSES = (("0", 0), ("1", 1), ("2-4", 4), (">=5", 10))
"""Classes of the number of microbleeds, and the largest number of each; above the last it is ">10"."""
CEREBELLUM = "cerebellum"
"""Word of the column `mars_region` for the cerebellum."""


class PatternRecord(TypedDict):
    """Pattern of one scan, as in the burden JSON."""

    pattern: str
    """Strictly lobar, strictly deep, mixed, infratentorial, none or n/a, by the rule chosen."""
    pattern_rule: str
    """Rule for the cerebellum that was chosen: ignored or by-depth."""
    pattern_by_rule: dict[str, str]
    """Pattern by each rule."""
    cerebellum_by_depth: dict[str, int]
    """Number of microbleeds of the cerebellum by depth: superficial, deep, unknown."""


def describe_pattern(
    lesions: Sequence[Microbleed], *, rule: str, depths: Mapping[int, str] | None = None
) -> PatternRecord:
    """Describe how microbleeds are distributed over lobar and deep regions.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Microbleeds that count, each once.
    rule : {"ignored", "by-depth"}
        Rule for microbleeds of the cerebellum that makes `pattern`.
    depths : mapping of int to str, optional
        Depth in the cerebellum, superficial or deep, by the lesion's label, where known.

    Returns
    -------
    PatternRecord
        Pattern by the rule chosen and by both.

    Raises
    ------
    ConfigError
        An unknown rule.

    Notes
    -----
    Infratentorial microbleeds of unknown region count as deep. Where all are infratentorial the pattern is
    infratentorial, by either rule, unless the depth of some is known and ``by-depth`` is asked.

    References
    ----------
    Charidimou A, Boulouis G, Frosch MP, et al. The Boston criteria version 2.0 for cerebral amyloid angiopathy: a
    multicentre, retrospective, MRI-neuropathology diagnostic accuracy study. Lancet Neurol 2022;21:714-725.
    doi:10.1016/S1474-4422(22)00208-3

    Pasi M, Pongpitakmetha T, Charidimou A, et al. Cerebellar microbleed distribution patterns and cerebral amyloid
    angiopathy: a MRI and pathology-based study. Stroke 2019;50:1727-1733. doi:10.1161/STROKEAHA.119.024843

    Examples
    --------
    >>> lesions = [
    ...     Microbleed(1, (0.0, 0.0, 0.0), territory="lobar"),
    ...     Microbleed(2, (0.0, 0.0, 9.0), territory="infratentorial", mars_region="cerebellum"),
    ... ]
    >>> describe_pattern(lesions, rule="ignored", depths={2: "deep"})["pattern_by_rule"]
    {'ignored': 'strictly lobar', 'by-depth': 'mixed'}
    """
    if rule not in CEREBELLUM_RULES:
        raise ConfigError(f"rule for the cerebellum {rule!r}; expected one of: {', '.join(CEREBELLUM_RULES)}")
    known = depths or {}
    by_rule = {
        "ignored": _pattern(lesions, {}),
        "by-depth": _pattern(lesions, known),
    }
    cerebellum = [known.get(m.label, "unknown") for m in lesions if m.mars_region == CEREBELLUM]
    return {
        "pattern": by_rule[rule],
        "pattern_rule": rule,
        "pattern_by_rule": by_rule,
        "cerebellum_by_depth": {depth: cerebellum.count(depth) for depth in DEPTHS},
    }


def count_class(count: int) -> str:
    """Return the class of a number of microbleeds.

    Parameters
    ----------
    count : int
        Number, >= 0.

    Returns
    -------
    str
        0, 1, 2-4, >=5 or >10.

    Examples
    --------
    >>> count_class(4), count_class(11)
    ('2-4', '>10')
    """
    for name, limit in COUNT_CLASSES:
        if count <= limit:
            return name
    return ">10"


def _pattern(lesions: Sequence[Microbleed], depths: Mapping[int, str]) -> str:
    """Return the pattern in one word or two, with the cerebellum's microbleeds of known depth alone."""
    known = [m for m in lesions if m.territory]
    if not known:
        return "n/a" if lesions else "none"
    classes = {_class_of(m, depths) for m in known} - {None}
    if not depths.keys() & {m.label for m in known} and all(m.territory == "infratentorial" for m in known):
        return "infratentorial"
    if not classes:
        return "infratentorial"
    return "mixed" if len(classes) > 1 else f"strictly {classes.pop()}"


def _class_of(lesion: Microbleed, depths: Mapping[int, str]) -> str | None:
    """Return lobar or deep; None for the cerebellum where it does not count."""
    if lesion.mars_region == CEREBELLUM:
        return {"superficial": "lobar", "deep": "deep"}.get(depths.get(lesion.label, ""))
    return "lobar" if lesion.territory == "lobar" else "deep"
