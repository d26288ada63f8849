"""Probabilities of kinds: the equation, what is unknown, and what the weights in the package say of clear cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.results import mimics
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.mimics import (
    FIGURES,
    MIMIC_KINDS,
    Classifier,
    figures_of,
    probabilities_of,
    read_classifier,
)

BLEED = Evidence(
    signal_ppm_mm3=6.0, signal_sd_ppm_mm3=0.1, field_ppm_mm3=5.8, field_sd_ppm_mm3=0.8, ball_core_residual=0.6,
    line_to_dipole=0.2, vessel_in_magnitude=0.1, vessel_in_map=0.0, void_growth=0.75, darkening=0.9,
    map_peak_ppm=0.9, map_extent_mm=2.5, mirror_ratio=0.1, depth_mm=12.0, field_gradient=0.06,
)  # fmt: skip
CALCIUM = replace(BLEED, signal_ppm_mm3=-6.0, field_ppm_mm3=-5.8, map_peak_ppm=-0.9)
EDGE = replace(
    BLEED, signal_ppm_mm3=8.0, signal_sd_ppm_mm3=7.0, field_ppm_mm3=-20.0, field_sd_ppm_mm3=9.0, ball_core_residual=1.3,
    line_to_dipole=2.0, vessel_in_magnitude=0.6, map_peak_ppm=0.1, map_extent_mm=5.0, depth_mm=1.0, void_growth=0.3,
)  # fmt: skip


def made_up(rng: np.random.Generator) -> Classifier:
    """Return a classifier of random weights."""
    m, n = len(FIGURES), len(MIMIC_KINDS)
    weights, intercepts = rng.normal(size=(m, n)) / 5, rng.normal(size=n) / 5
    return Classifier("test", rng.normal(size=m), rng.uniform(2, 5, m), weights, intercepts, {})


def test_probabilities_are_the_equation() -> None:
    classifier = made_up(np.random.default_rng(3))
    x = (figures_of(BLEED) - classifier.means) / classifier.sds
    powers = np.exp(x @ classifier.weights + classifier.intercepts)
    found = probabilities_of(BLEED, classifier)
    assert found is not None
    assert list(found.by_kind) == list(MIMIC_KINDS)
    np.testing.assert_allclose(list(found.by_kind.values()), powers / powers.sum())
    # What a fit adds changes nothing: it counts in the rules.
    fitted = replace(BLEED, total_chi_ppm_mm3=1.0, total_chi_sd_ppm_mm3=9.0, residual=3.0)
    assert probabilities_of(fitted, classifier) == found


def test_an_unknown_figure_counts_as_its_mean() -> None:
    classifier = made_up(np.random.default_rng(4))
    number = list(FIGURES).index("mirror_ratio")
    mean = replace(BLEED, mirror_ratio=float(classifier.means[number]))
    assert probabilities_of(replace(BLEED, mirror_ratio=None), classifier) == probabilities_of(
        mean, classifier
    )


def test_no_probability_without_weights_or_map() -> None:
    assert probabilities_of(BLEED, None) is None
    assert probabilities_of(replace(BLEED, map_peak_ppm=None), made_up(np.random.default_rng(5))) is None


def test_figures_that_are_limited() -> None:
    opposite = replace(BLEED, field_ppm_mm3=-5.8)
    names = list(FIGURES)
    assert figures_of(opposite)[names.index("agreement")] == mimics.MAX_LOG_RATIO
    assert np.isnan(figures_of(replace(BLEED, field_ppm_mm3=None))[names.index("agreement")])
    assert np.isnan(figures_of(replace(BLEED, signal_sd_ppm_mm3=0.0))[0])
    assert figures_of(CALCIUM)[0] == -figures_of(BLEED)[0]


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (BLEED, "microbleed"),
        (CALCIUM, "calcification"),
        (EDGE, "artefact"),
    ],
)
def test_weights_of_the_package_name_clear_cases(evidence: Evidence, kind: str) -> None:
    found = probabilities_of(evidence, read_classifier())
    assert found is not None
    assert found.by_kind[kind] == max(found.by_kind.values())
    assert found.by_kind[kind] > 0.8
    assert found.likeliest_mimic != "microbleed"


def test_weights_of_the_package_know_what_they_were_set_on() -> None:
    classifier = read_classifier()
    assert classifier is not None
    assert classifier.version
    assert classifier.data["candidates"]["microbleed"] >= 50
    assert all(int(head.split("_")[1]) // 1000 == 83 for head in classifier.data["heads"])
    assert classifier.weights.shape == (len(FIGURES), len(MIMIC_KINDS))
