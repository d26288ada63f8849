"""Kind and certainty of a measured lesion, by rules and by the probability of each kind.

1. A reader's point has the reader's kind. Without one it is a vein where a cylinder explains the scan better (BIC), a
   calcification where its total susceptibility is below 0 by more than MIN_SIGNIFICANCE SDs, else a microbleed.
2. A candidate of the detector is a vein or a calcification by the same rules; else a microbleed where the probability
   of that is MIN_POSSIBLE_PROBABILITY or more (MIN_PRECISE_PROBABILITY where the fit is as precise as that of a compact
   source); else the likeliest of the other kinds.
3. Definite are microbleeds and calcifications that are significant, well fitted, well inside the mask and, where the
   detector proposed them, of a probability of MIN_DEFINITE_PROBABILITY or more (MIN_PRECISE_DEFINITE_PROBABILITY where
   the fit is that precise). The other significant ones are possible, and so are those of that probability whose total
   may be 0 and has their sign: they are seen, only their total is unknown. What is left is rejected, but a reader's
   point never is.

Where there is no probability, the rules alone decide.
"""

from __future__ import annotations

from typing import NamedTuple

from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.mimics import KindProbabilities, probabilities_of, read_classifier
from qsmcmb.model import Estimate

__all__ = [
    "MIN_SIGNIFICANCE",
    "FitFacts",
    "Naming",
    "is_significant",
    "may_be_lesion",
    "min_named_significance",
    "name_lesion",
    "name_screened",
]

MIN_SIGNIFICANCE = 3.0
"""Least ratio of total susceptibility to its SD for a lesion: noise alone exceeds it in 0.3 % of points."""
MIN_DEFINITE_PROBABILITY = 0.8
"""Least probability of the kind of a definite lesion; a convention of the table."""
MIN_POSSIBLE_PROBABILITY = 0.65
"""Least probability of being a microbleed of a candidate that is called one: more than even, since a brain has fewer
bleeds among its candidates than the heads of the training."""
PRECISE_SIGNIFICANCE, MIN_PRECISE_PROBABILITY = 20.0, 0.5
"""Ratio of total to SD from which the fit has found a compact source, and the least probability that one is called a
microbleed from."""
MIN_PRECISE_DEFINITE_PROBABILITY = 0.65
"""Least probability of the kind of a definite lesion whose fit is that precise: pieces of nuclei reach 0.58."""
MIN_FIT_PROBABILITY = MIN_PRECISE_PROBABILITY
"""Least probability of being a lesion, by the evidence before the fit, of a candidate that is fitted: below it no fit
would make it a microbleed."""
LESION_KINDS = ("microbleed", "calcification")
"""Kinds that may be definite or possible; a candidate of another kind is rejected as a lesion."""
MAX_DEFINITE_RESIDUAL = 1.5
"""Largest weighted residual of a definite lesion; 1 where the model holds. A convention of the table."""
MIN_DEFINITE_IN_MASK = 0.6
"""Least fraction of the patch in the mask of a definite lesion; a convention of the table."""


class FitFacts(NamedTuple):
    """Facts of a fit that the rules ask for."""

    total_chi_ppm_mm3: Estimate
    """Total susceptibility, ppm mm3."""
    residual: float
    """Weighted residual, SDs."""
    fraction_in_mask: float
    """Fraction of the patch in the mask."""
    has_vein: bool
    """Whether a cylinder explains the scan better."""


class Naming(NamedTuple):
    """Kind and certainty as in the lesion table."""

    kind: str
    """Kind."""
    certainty: str
    """Certainty in the words of MARS."""
    bombs_certainty: str
    """Certainty in the words of BOMBS."""
    score: float | None
    """Probability of being a microbleed; None where rules alone decide."""


def is_significant(total: Estimate) -> bool:
    """Return whether a total susceptibility differs from 0 by more than MIN_SIGNIFICANCE of its SDs.

    Parameters
    ----------
    total : Estimate
        Total susceptibility, ppm mm3.

    Returns
    -------
    bool
        False where the SD is unknown.

    Examples
    --------
    >>> is_significant(Estimate(-4.0, 1.0, "ppm mm3"))
    True
    """
    return abs(total.value) > MIN_SIGNIFICANCE * total.sd


def may_be_lesion(evidence: Evidence | None) -> bool | None:
    """Return whether the evidence before the fit leaves a candidate a chance of being a lesion.

    Parameters
    ----------
    evidence : Evidence or None
        All that is known of it.

    Returns
    -------
    bool or None
        None where there is no probability.

    Examples
    --------
    >>> may_be_lesion(None) is None
    True
    """
    found = _probabilities(evidence)
    return None if found is None else sum(found.by_kind[k] for k in LESION_KINDS) >= MIN_FIT_PROBABILITY


def min_named_significance(evidence: Evidence | None) -> float:
    """Return from which significance on a candidate of the detector can be called a microbleed at all.

    Parameters
    ----------
    evidence : Evidence or None
        All that is known of it before the fit.

    Returns
    -------
    float
        Ratio of total susceptibility to SD: MIN_SIGNIFICANCE, or PRECISE_SIGNIFICANCE below MIN_POSSIBLE_PROBABILITY.

    Examples
    --------
    >>> min_named_significance(None)
    3.0
    """
    found = _probabilities(evidence)
    unlikely = found is not None and found.microbleed < MIN_POSSIBLE_PROBABILITY
    return PRECISE_SIGNIFICANCE if unlikely else MIN_SIGNIFICANCE


def name_lesion(
    facts: FitFacts, evidence: Evidence | None, *, stated_kind: str | None, of_reader: bool
) -> Naming:
    """Name a fitted lesion.

    Parameters
    ----------
    facts : FitFacts
        What the rules ask of its fit.
    evidence : Evidence or None
        All that is known of it.
    stated_kind : str or None
        Kind by its source.
    of_reader : bool
        Whether a reader placed it.

    Returns
    -------
    Naming
        Kind, certainty, and the probability of being a microbleed.

    Examples
    --------
    >>> facts = FitFacts(Estimate(-4.0, 0.3, "ppm mm3"), 0.6, 1.0, False)
    >>> name_lesion(facts, None, stated_kind=None, of_reader=True)
    Naming(kind='calcification', certainty='definite', bombs_certainty='certain', score=None)
    """
    found = _probabilities(evidence)
    kind = _kind(facts, found, stated_kind=stated_kind, of_reader=of_reader)
    significant = is_significant(facts.total_chi_ppm_mm3)
    least = (
        MIN_PRECISE_DEFINITE_PROBABILITY if _is_precise(facts.total_chi_ppm_mm3) else MIN_DEFINITE_PROBABILITY
    )
    clear = of_reader or found is None or found.by_kind.get(kind, 0.0) >= least
    # A total of the other sign is against the kind, whatever its probability.
    has_its_sign = (facts.total_chi_ppm_mm3.value > 0) == (kind == "microbleed")
    sure = found is not None and found.by_kind.get(kind, 0.0) >= MIN_DEFINITE_PROBABILITY
    seen = significant or (sure and has_its_sign)
    is_lesion = seen and (of_reader or kind in LESION_KINDS)
    good = (
        significant
        and facts.residual < MAX_DEFINITE_RESIDUAL
        and facts.fraction_in_mask > MIN_DEFINITE_IN_MASK
    )
    score = found.microbleed if found else None
    if is_lesion and clear and good:
        return Naming(kind, "definite", "certain", score)
    return Naming(kind, "possible" if is_lesion or of_reader else "rejected", "uncertain", score)


def name_screened(evidence: Evidence | None, *, stated_kind: str | None) -> Naming:
    """Name a candidate that was turned away before the fit: rejected.

    Parameters
    ----------
    evidence : Evidence or None
        All that is known of it.
    stated_kind : str or None
        Kind by its source.

    Returns
    -------
    Naming
        The likeliest mimic, or other where there is no probability.

    Examples
    --------
    >>> name_screened(None, stated_kind=None).kind
    'other'
    """
    found = _probabilities(evidence)
    kind = stated_kind or (found.likeliest_mimic if found else "other")
    return Naming(kind, "rejected", "uncertain", found.microbleed if found else None)


def _probabilities(evidence: Evidence | None) -> KindProbabilities | None:
    """Return the probability of each kind; None where rules alone decide."""
    return None if evidence is None else probabilities_of(evidence, read_classifier())


def _is_precise(total: Estimate) -> bool:
    """Return whether a fit is as precise as that of a compact source."""
    return abs(total.value) > PRECISE_SIGNIFICANCE * total.sd


def _kind(
    facts: FitFacts, found: KindProbabilities | None, *, stated_kind: str | None, of_reader: bool
) -> str:
    """Return the kind: a reader's word counts more than a vein's fit, that more than sign and probabilities."""
    if facts.has_vein and not of_reader:
        return "vein"
    if stated_kind:
        return stated_kind
    if facts.has_vein:
        return "vein"
    if facts.total_chi_ppm_mm3.value < 0 and is_significant(facts.total_chi_ppm_mm3):
        return "calcification"
    least = MIN_PRECISE_PROBABILITY if _is_precise(facts.total_chi_ppm_mm3) else MIN_POSSIBLE_PROBABILITY
    if of_reader or found is None or found.microbleed >= least:
        return "microbleed"
    return found.likeliest_mimic
