"""The parts of the measurement in words: a sentence, its literature, and whether a lesion's result rests on it.

What a result rests on is read from its explanation, the record that lies on disk as `desc-cmb_explain.json`; importing
this module loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qsmcmb.core import references as refs
from qsmcmb.core.methods import Description

__all__ = ["BURDEN", "BURDEN_METHODS", "DETECTION", "PARTS", "Part", "parts_used"]

Record = Mapping[str, Any]
"""Explanation of one lesion, as `results.explanation` makes it."""

DETECTION = {
    "contrast": Description(
        name="without training",
        sentence="Candidates were found without training, as compact sources on the map that darken the magnitude.",
        references=(refs.GREENBERG_2009,),
    ),
}
"""How candidates are found, by the name that the provenance has for it."""
BURDEN_METHODS = {"sum": "qsmcmb.microbleeds.results.burden:summarise_burden"}
"""How a scan's lesions are summarised."""
BURDEN = {
    "sum": Description(
        name="conventional imaging",
        sentence="The burden is the sum of the total susceptibilities; what conventional imaging would have shown was "
        "simulated from the fitted lesions.",
        references=(refs.NANDIGAM_2009, refs.GREENBERG_2009, refs.ROSE_1948),
    ),
}
"""The same in words."""


@dataclass(frozen=True, kw_only=True)
class Part(Description):
    """Hold a part of the measurement, and how a lesion's explanation shows that its result rests on it.

    Parameters
    ----------
    name : str
        Its name in the literature; occurs in the sentence, and in no other description's.
    sentence : str
        One sentence, true for any options; names no other part.
    references : tuple of Reference
        The literature that it rests on, at least one publication.
    used : callable
        ``(record) -> bool`` of the explanation of one lesion that was fitted.

    Examples
    --------
    >>> PARTS["vein"].used({"vein": {"radius_mm": 0.3}})
    True
    """

    used: Callable[[Record], bool]


def _always(_: Record) -> bool:
    """Whether a result rests on a part that every fit has: it does."""
    return True


def _has_shape(name: str) -> Callable[[Record], bool]:
    """Return a function that says whether a record's fit has the shape of this name."""
    return lambda record: record["fit"]["shape"] == name


def _has_window(record: Record) -> bool:
    """Whether k-space was filtered, or not acquired to its end, along any axis."""
    return any(w["edge"] < 1 or w["taper"] > 0 for w in record["point_spread"]["k_space_windows"])


PARTS: dict[str, Part] = {
    "complex_fit": Part(
        name="Levenberg-Marquardt",
        sentence="Each lesion's total susceptibility was fitted to the complex signal of all echoes around it by "
        "robust Levenberg-Marquardt steps: the field of a dipole outside the lesion, a decaying signal inside it, and "
        "tissue whose magnitude, R2* and phase are low-order polynomials.",
        references=(refs.LIU_2013, refs.SCHENCK_1996, refs.MARQUARDT_1963, refs.HOLLAND_1977),
        used=_always,
    ),
    "point_spread": Part(
        name="point spread",
        sentence="The model's signal was formed on cells smaller than a voxel and sampled through the scan's point "
        "spread, with the phase of the background field on it.",
        references=(refs.BROWN_2014,),
        used=_always,
    ),
    "k_space_window": Part(
        name="k-space filter",
        sentence="The acquired part of k-space and the k-space filter over it were estimated from the spectrum of the "
        "first echo, the fall of a cosine filter also from the strongest lesions.",
        references=(refs.HARRIS_1978,),
        used=_has_window,
    ),
    "slice_profile": Part(
        name="slice profile",
        sentence="Across the slices a slice profile, whose thickness the strongest lesions determined, was used in "
        "place of k-space.",
        references=(refs.BROWN_2014,),
        used=lambda record: record["point_spread"]["slice_profile"] is not None,
    ),
    "psf_width": Part(
        name="extra width",
        sentence="An extra width of the scan's response was fitted with each lesion, under a prior pooled over the "
        "lesions of the scan.",
        references=(refs.BROWN_2014,),
        used=_always,
    ),
    "ball": Part(
        name="single ball",
        sentence="Where no other shape explained the signal better, the lesion was described as a single ball with "
        "free centre and radius.",
        references=(refs.SCHENCK_1996,),
        used=_has_shape("ball"),
    ),
    "spheroid": Part(
        name="prolate spheroid",
        sentence="Where it explained the signal better, the lesion was described as a prolate spheroid with a free "
        "axis.",
        references=(refs.OSBORN_1945,),
        used=_has_shape("spheroid"),
    ),
    "pair": Part(
        name="pair of equal balls",
        sentence="Where it explained the signal better, the lesion was described as a pair of equal balls with a free "
        "axis.",
        references=(refs.SCHENCK_1996,),
        used=_has_shape("pair"),
    ),
    "free": Part(
        name="free source",
        sentence="Where none of these described the lesion's core, the lesion was described as a free source, a sum of "
        "balls, and what it leaves of the core widened the interval.",
        references=(refs.SCHENCK_1996, refs.KENNEDY_2001),
        used=_has_shape("free"),
    ),
    "signal_retaining_core": Part(
        name="signal-retaining core",
        sentence="Where it explained the signal better, the lesion was given a signal-retaining core in place of one "
        "that decays fast.",
        references=(refs.SCHENCK_1996,),
        used=lambda record: record["fit"].get("signal_retaining_core", False),
    ),
    "tissue_prior": Part(
        name="Gaussian process",
        sentence="What tissue adds to the polynomials was described by a Gaussian process in log magnitude, in "
        "susceptibility and, with several echoes, in R2*.",
        references=(refs.RASMUSSEN_2006,),
        used=lambda record: record["fit"].get("tissue_prior", False),
    ),
    "uncertainty": Part(
        name="sandwich estimator",
        sentence="The standard deviation joins the sandwich estimator of the residual with what lesion-free tissue "
        "nearby, priors and other solutions of similar evidence leave open.",
        references=(refs.WHITE_1980,),
        used=_always,
    ),
    "vein": Part(
        name="infinite cylinder",
        sentence="A point was taken for a vein where an infinite cylinder explained the signal better by the Bayesian "
        "information criterion.",
        references=(refs.SCHENCK_1996, refs.SCHWARZ_1978),
        used=lambda record: "vein" in record,
    ),
    "adjacent_vein": Part(
        name="adjacent vein",
        sentence="An adjacent vein was fitted beside the lesion as a cylinder where both together explained the signal "
        "better by the Bayesian information criterion.",
        references=(refs.SCHENCK_1996, refs.SCHWARZ_1978),
        used=lambda record: "adjacent_vein" in record,
    ),
    "map_sum": Part(
        name="map sum",
        sentence="As a check, the map sum around each lesion was taken and corrected by the response of background "
        "removal and inversion to the fitted lesions.",
        references=(refs.LIU_2012_BURDEN,),
        used=lambda record: "map_sum" in record,
    ),
    "signal_loss": Part(
        name="signal loss",
        sentence="As a check, total susceptibility was also computed from the signal loss around each lesion, which "
        "static dephasing in the field of a dipole explains.",
        references=(refs.YABLONSKIY_1994,),
        used=lambda record: "signal_loss" in record,
    ),
    "detection_limit": Part(
        name="detection limit",
        sentence="The detection limit at each voxel is the total susceptibility that stands out of noise and clutter "
        "in a dipole filter of the local field.",
        references=(refs.CURRIE_1968,),
        used=lambda record: record["detection_limit"] is not None,
    ),
}
"""Parts by key, in the order of a methods section."""


def parts_used(explanations: Iterable[Record]) -> list[str]:
    """Return the parts that the results of a scan rest on.

    Parameters
    ----------
    explanations : iterable of mapping
        Records of the scan's lesions; those of points where nothing was fitted count for nothing.

    Returns
    -------
    list of str
        Keys of `PARTS`, in its order.

    Examples
    --------
    >>> parts_used([{"label": 1}])
    []
    """
    fitted = [record for record in explanations if "fit" in record]
    return [key for key, part in PARTS.items() if any(part.used(record) for record in fitted)]
