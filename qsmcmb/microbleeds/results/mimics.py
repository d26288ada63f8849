"""Microbleed or mimic: the probability of each kind from a candidate's evidence, by logistic regression.

With the figures x_f of the evidence (transformed, less their mean, over their SD), the intercept b_k and weights w_kf
of each kind k,

    p_k = exp(b_k + sum_f w_kf x_f) / sum over kinds l of exp(b_l + sum_f w_lf x_f).

There are two sets of weights: of voxels up to MAX_FINE_MM3 and of larger ones, in which a bleed is a few voxels of a
weak contrast. The volume of the voxel is a figure of the second.

The figures need no fit, so that a candidate may be turned away by them. What a fit adds, significance, residual and a
vein's BIC, counts in the rules of `naming`. A figure that is unknown counts as its mean. All weights are in
`mimics.toml`, with the data that they were set on; `docs/explanation/mimics.md` shows how well they hold. Where there
is no file, or no susceptibility map, there is no probability, and the rules alone decide.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.typing import FloatArray

__all__ = [
    "FIGURES",
    "MAX_FINE_MM3",
    "MIMIC_KINDS",
    "Classifier",
    "KindProbabilities",
    "Weights",
    "figures_of",
    "probabilities_of",
    "read_classifier",
]

MIMIC_KINDS = ("microbleed", "calcification", "vein", "iron", "artefact", "other")
"""Kinds that the classifier tells apart, in the order of its weights; other is tissue without any source."""
MAX_FINE_MM3 = 2.0
"""Volume of a voxel, mm3, up to which the weights of fine scans hold: halfway between the training's 1 and 4 mm3."""
MIN_VOXEL_MM3 = 0.01
"""Volume of a voxel, mm3, below which it says no more."""
MAX_LOG_RATIO = 3.0
"""Largest logarithm of the ratio of two totals that counts: a factor of 20; totals of opposite sign count as this."""
MIN_TOTAL_PPM_MM3 = 0.1
"""Total susceptibility below which size says no more, ppm mm3."""
PEAK_PPM = 0.05
"""Peak of the map, ppm, beyond which its logarithm counts rather than itself: a few SDs of tissue."""
MAX_DEPTH_MM = 15.0
"""Depth, mm, beyond which it says no more."""
GRADIENT_TURNS_PER_MM = 0.02
"""Slope of the field, turns per mm, below which it says no more."""
MIN_PART = 0.02
"""Fraction of the magnitude, lost or left, below which it says no more: about the noise."""
MIN_RESIDUAL = 0.1
"""Residual, SDs, below which it says no more."""

Figure = Callable[[Evidence], float | None]


def _signed_log(ratio: float) -> float:
    """Return log10(1 + |x|) with the sign of x."""
    return math.copysign(math.log10(1 + abs(ratio)), ratio)


def _significance(value: float | None, sd: float | None) -> float | None:
    """Return the signed logarithm of a total over its SD."""
    return None if value is None or sd is None or not sd > 0 else _signed_log(value / sd)


def _agreement(e: Evidence) -> float | None:
    """Return the logarithm of the ratio of the two totals, without its sign."""
    if e.field_ppm_mm3 is None:
        return None
    if e.signal_ppm_mm3 * e.field_ppm_mm3 <= 0:
        return MAX_LOG_RATIO
    return min(abs(math.log(e.signal_ppm_mm3 / e.field_ppm_mm3)), MAX_LOG_RATIO)


def _log(value: float | None, least: float) -> float | None:
    """Return the logarithm of a figure, held at its least value."""
    return None if value is None else math.log(max(value, least))


def _size(e: Evidence) -> float:
    """Return the logarithm of the total susceptibility in the signal, without its sign."""
    return math.log(max(abs(e.signal_ppm_mm3), MIN_TOTAL_PPM_MM3))


def _size_without_partner(e: Evidence) -> float | None:
    """Return the size times what is missing of a mirror partner: a large nucleus has one, a large bleed has none."""
    return None if e.mirror_ratio is None else _size(e) * (1 - min(max(e.mirror_ratio, 0.0), 1.0))


def _darkening_odds(e: Evidence) -> float | None:
    """Return the logarithm of lost over left magnitude: iron of nuclei leaves some, a bleed next to nothing."""
    if e.darkening is None:
        return None
    return math.log(max(e.darkening, MIN_PART) / max(1 - e.darkening, MIN_PART))


FIGURES: dict[str, Figure] = {
    "signal_significance": lambda e: _significance(e.signal_ppm_mm3, e.signal_sd_ppm_mm3),
    "field_significance": lambda e: _significance(e.field_ppm_mm3, e.field_sd_ppm_mm3),
    "agreement": _agreement,
    "size": _size,
    "ball_core_residual": lambda e: _log(e.ball_core_residual, MIN_RESIDUAL),
    "line_to_dipole": lambda e: None if e.line_to_dipole is None else min(e.line_to_dipole, 3.0),
    "vessel_in_magnitude": lambda e: e.vessel_in_magnitude,
    "vessel_in_map": lambda e: e.vessel_in_map,
    "void_growth": lambda e: e.void_growth,
    "darkening": _darkening_odds,
    "map_peak": lambda e: None if e.map_peak_ppm is None else _signed_log(e.map_peak_ppm / PEAK_PPM),
    "map_extent": lambda e: _log(e.map_extent_mm, 1.0),
    "size_without_partner": _size_without_partner,
    "depth": lambda e: None if e.depth_mm is None else math.log1p(min(e.depth_mm, MAX_DEPTH_MM)),
    "field_gradient": lambda e: _log(e.field_gradient, GRADIENT_TURNS_PER_MM),
    "voxel": lambda e: _log(e.voxel_mm3, MIN_VOXEL_MM3),
}
"""Figures by name, as the weights take them: from the evidence, transformed."""


class Weights(NamedTuple):
    """Standardised figures with their weights, one row of weights per figure and one column per kind."""

    means: FloatArray
    """Mean of each figure over the training data."""
    sds: FloatArray
    """SD of each over the training data."""
    weights: FloatArray
    """Weights, (figure, kind)."""
    intercepts: FloatArray
    """Intercepts, (kind,)."""

    def probabilities(self, figures: FloatArray) -> FloatArray:
        """Return the probability of each kind.

        Parameters
        ----------
        figures : ndarray of shape (..., figure)
            Figures of candidates; NaN where unknown.

        Returns
        -------
        ndarray of shape (..., kind)
            Probabilities; the sum over the kinds is 1.

        Examples
        --------
        >>> one = np.ones(1)
        >>> Weights(one, one, np.zeros((1, 2)), np.zeros(2)).probabilities(one).tolist()
        [0.5, 0.5]
        """
        logits = np.nan_to_num((figures - self.means) / self.sds) @ self.weights + self.intercepts
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


class Classifier(NamedTuple):
    """The weights of the package."""

    version: str
    """Version of the weights."""
    fine: Weights
    """Weights of voxels up to MAX_FINE_MM3."""
    coarse: Weights
    """Weights of larger voxels."""
    data: Mapping[str, Any]
    """Data card: heads, numbers of candidates, penalty."""

    def weights_of(self, evidence: Evidence) -> Weights:
        """Return the weights that hold for a candidate.

        Parameters
        ----------
        evidence : Evidence
            The candidate's.

        Returns
        -------
        Weights
            Those of fine voxels where the volume is unknown.
        """
        return self.coarse if (evidence.voxel_mm3 or 0.0) > MAX_FINE_MM3 else self.fine


class KindProbabilities(NamedTuple):
    """Probability of each kind."""

    by_kind: dict[str, float]
    """Probability of each kind; the sum is 1."""

    @property
    def microbleed(self) -> float:
        """Probability of being a microbleed."""
        return self.by_kind["microbleed"]

    @property
    def likeliest_mimic(self) -> str:
        """Kind of largest probability beside microbleed."""
        return max((k for k in MIMIC_KINDS if k != "microbleed"), key=lambda k: self.by_kind[k])


def figures_of(evidence: Evidence) -> FloatArray:
    """Return the figures of a candidate as the weights take them.

    Parameters
    ----------
    evidence : Evidence
        The candidate's.

    Returns
    -------
    ndarray of shape (figure,)
        In the order of FIGURES; NaN where unknown.

    Examples
    --------
    >>> float(figures_of(Evidence(signal_ppm_mm3=-9.0, signal_sd_ppm_mm3=1.0))[0])
    -1.0
    """
    values = [figure(evidence) for figure in FIGURES.values()]
    return np.array([np.nan if v is None else v for v in values])


def probabilities_of(evidence: Evidence, classifier: Classifier | None) -> KindProbabilities | None:
    """Return the probability of each kind of a candidate.

    Parameters
    ----------
    evidence : Evidence
        All that is known of it.
    classifier : Classifier or None
        The weights.

    Returns
    -------
    KindProbabilities or None
        None without weights, and without a susceptibility map: then rules alone decide.
    """
    if classifier is None or evidence.map_peak_ppm is None:
        return None
    values = classifier.weights_of(evidence).probabilities(figures_of(evidence))
    return KindProbabilities({kind: float(p) for kind, p in zip(MIMIC_KINDS, values, strict=True)})


@lru_cache(maxsize=1)
def read_classifier() -> Classifier | None:
    """Return the weights that come with the package.

    Returns
    -------
    Classifier or None
        None where there is no file of weights.

    Examples
    --------
    >>> read_classifier().fine.weights.shape == (len(FIGURES), len(MIMIC_KINDS))
    True
    """
    path = resources.files("qsmcmb.microbleeds.results") / "mimics.toml"
    if not path.is_file():
        return None
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return Classifier(
        version=tables["version"],
        fine=_weights_in(tables["fine"]),
        coarse=_weights_in(tables["coarse"]),
        data=tables["data"],
    )


def _weights_in(table: Mapping[str, Any]) -> Weights:
    """Return the weights that a table of the file holds."""
    rows = [table["figures"][name] for name in FIGURES]
    return Weights(
        means=np.array([row["mean"] for row in rows]),
        sds=np.array([row["sd"] for row in rows]),
        weights=np.array([row["weights"] for row in rows]),
        intercepts=np.array(table["intercepts"]),
    )
