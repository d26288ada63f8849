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
    Weights,
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
LARGE = replace(
    BLEED, signal_ppm_mm3=58.0, signal_sd_ppm_mm3=0.5, field_ppm_mm3=57.0, map_peak_ppm=1.4, map_extent_mm=4.6,
    mirror_ratio=0.03, darkening=0.96,
)  # fmt: skip
NUCLEUS = replace(
    BLEED, signal_ppm_mm3=21.0, signal_sd_ppm_mm3=0.5, field_ppm_mm3=13.0, map_peak_ppm=0.25, map_extent_mm=6.0,
    mirror_ratio=0.9, darkening=0.6,
)  # fmt: skip


def made_up(rng: np.random.Generator) -> Classifier:
    """Return a classifier of random weights."""
    m, n = len(FIGURES), len(MIMIC_KINDS)
    fine, coarse = (
        Weights(rng.normal(size=m), rng.uniform(2, 5, m), rng.normal(size=(m, n)) / 5, rng.normal(size=n) / 5)
        for _ in range(2)
    )
    return Classifier("test", fine, coarse, {})


@pytest.mark.parametrize(("voxel_mm3", "is_fine"), [(None, True), (0.3, True), (2.0, True), (2.1, False)])
def test_probabilities_are_the_equation(voxel_mm3: float | None, is_fine: bool) -> None:
    classifier = made_up(np.random.default_rng(3))
    bleed = replace(BLEED, voxel_mm3=voxel_mm3)
    chosen = classifier.fine if is_fine else classifier.coarse
    x = np.nan_to_num((figures_of(bleed) - chosen.means) / chosen.sds)
    powers = np.exp(x @ chosen.weights + chosen.intercepts)
    found = probabilities_of(bleed, classifier)
    assert found is not None
    assert list(found.by_kind) == list(MIMIC_KINDS)
    np.testing.assert_allclose(list(found.by_kind.values()), powers / powers.sum())
    # What a fit adds changes nothing: it counts in the rules.
    fitted = replace(bleed, total_chi_ppm_mm3=1.0, total_chi_sd_ppm_mm3=9.0, residual=3.0)
    assert probabilities_of(fitted, classifier) == found


def test_an_unknown_figure_counts_as_its_mean() -> None:
    classifier = made_up(np.random.default_rng(4))
    number = list(FIGURES).index("depth")
    at_mean = replace(BLEED, depth_mm=float(np.expm1(classifier.fine.means[number])))
    unknown = probabilities_of(replace(BLEED, depth_mm=None), classifier)
    known = probabilities_of(at_mean, classifier)
    assert unknown is not None
    assert known is not None
    assert unknown.by_kind == pytest.approx(known.by_kind)


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
    alone = names.index("size_without_partner")
    assert figures_of(replace(BLEED, mirror_ratio=0.25))[alone] == pytest.approx(0.75 * np.log(6.0))
    assert figures_of(replace(BLEED, mirror_ratio=1.7))[alone] == 0
    assert np.isnan(figures_of(replace(BLEED, mirror_ratio=None))[alone])
    odds = names.index("darkening")
    assert figures_of(replace(BLEED, darkening=0.5))[odds] == 0
    assert np.isfinite(figures_of(replace(BLEED, darkening=1.0))[odds])


@pytest.mark.parametrize("voxel_mm3", [0.5, 1.0])
@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (BLEED, "microbleed"),
        (CALCIUM, "calcification"),
        (EDGE, "artefact"),
        (LARGE, "microbleed"),
        (NUCLEUS, "iron"),
    ],
)
def test_weights_of_the_package_name_clear_cases(evidence: Evidence, kind: str, voxel_mm3: float) -> None:
    found = probabilities_of(replace(evidence, voxel_mm3=voxel_mm3), read_classifier())
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
    for chosen in (classifier.fine, classifier.coarse):
        assert chosen.weights.shape == (len(FIGURES), len(MIMIC_KINDS))
    # All fine heads have voxels of 1 mm3: what never changes has no weight.
    assert not classifier.fine.weights[list(FIGURES).index("voxel")].any()
    assert classifier.coarse.weights[list(FIGURES).index("voxel")].any()
