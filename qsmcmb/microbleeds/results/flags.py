"""Flags of the lesion table: the one list of their words and meanings.

A flag is a warning to the reader of a row. Code that raises a flag takes it from `Flag`; the table holds its word.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FLAGS", "Flag"]


class Flag(StrEnum):
    """Flag of a row of the lesion table; its value is the word in the column `flags`.

    Examples
    --------
    >>> str(Flag.POOR_FIT), Flag("single-echo").meaning
    ('poor-fit', 'One echo: the receive phase is not known apart from the field.')
    """

    meaning: str
    """Sentence that explains the flag to a reader."""

    def __new__(cls, word: str, meaning: str) -> Flag:
        """Return a flag of this word and meaning."""
        flag = str.__new__(cls, word)
        flag._value_ = word
        flag.meaning = meaning
        return flag

    NEAR_MASK_EDGE = (
        "near-mask-edge",
        "Part of the ball around the lesion lies outside the mask or volume: less data, wider interval.",
    )
    SINGLE_ECHO = "single-echo", "One echo: the receive phase is not known apart from the field."
    NOT_CONVERGED = "not-converged", "The fit stopped before it settled: read the number with care."
    POOR_FIT = (
        "poor-fit",
        "The residual is larger than noise and tissue explain: the model does not describe what is there.",
    )
    IRREGULAR = (
        "irregular",
        "No shape that was tried describes the lesion's core: the interval holds the spread of what they say.",
    )
    VEIN_LIKE = (
        "vein-like",
        "An infinite cylinder explains the scan better than a lesion (BIC): the interval reaches 0.",
    )
    NOT_ABOVE_NOISE = "not-above-noise", "The estimate does not differ from zero by more than 3 SDs."
    MAP_SUM_UNRELIABLE = (
        "map-sum-unreliable",
        "The map holds too little of the lesion, or too little around it, for a corrected sum.",
    )
    ESTIMATORS_DISAGREE = (
        "estimators-disagree",
        "Map sum or signal loss differ from the fit by more than 3 SDs of the difference.",
    )
    SAME_LESION = "same-lesion", "Another row is a point on this lesion; the burden counts it once."
    OUTSIDE_MASK = "outside-mask", "The point lies outside the mask: no number."
    TOO_LARGE = (
        "too-large",
        "A body of 6 mm radius or more, such as a haematoma: too large for the patch that is fitted. No number.",
    )
    FILTERED_PHASE = (
        "filtered-phase",
        "The phase was high-pass filtered before export: the number is too low by an unknown amount. No interval.",
    )
    PHASE_DIFFERENCE = (
        "phase-difference",
        "The phase is a difference of two echoes and fitted as one, without the magnitude: a wider interval covers how "
        "the voxels were sampled, which it does not tell.",
    )
    ONE_MAGNITUDE = (
        "one-magnitude",
        "One magnitude serves several echoes: the fit rests on the phase alone, volume and diameter on that image.",
    )
    NO_DIPOLE = (
        "no-dipole",
        "Turned away before the whole fit: neither signal nor field shows a lesion. The number is that of one ball.",
    )
    NOT_COMPACT = (
        "not-compact",
        "Turned away before the whole fit: the field has a dipole that the signal near the point contradicts, as "
        "beside veins and edges. The number is that of one ball.",
    )
    UNLIKELY = (
        "unlikely",
        "Turned away before the whole fit: by the evidence its probability of being a lesion is so low that no fit "
        "would make it a microbleed. The number is that of one ball.",
    )
    TERRITORY_BORDER = (
        "territory-border",
        "Another territory begins within 3 mm, about the error of the region map: the lesion may lie there.",
    )
    OUTSIDE_VOLUME = "outside-volume", "The point lies outside the image: no number."


FLAGS: dict[str, str] = {flag.value: flag.meaning for flag in Flag}
"""Meaning of each flag by its word."""
