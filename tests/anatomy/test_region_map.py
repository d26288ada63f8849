"""The region map against published landmarks that did not serve to build it.

tests/anatomy/published_landmarks.tsv holds coordinates with the names that their authors gave: Dosenbach 2010
(doi:10.1126/science.1194144; all but the temporo-parietal junction, which is no lobe), Seitzman 2020
(doi:10.1016/j.neuroimage.2019.116290; all below the cortex and in the cerebellum), and the centroids of the
Harvard-Oxford atlas (doi:10.1016/j.neuroimage.2006.01.021). Names of the first are those of functional studies: some
contradict their own coordinates (a point of the cingulate cortex is called basal ganglia). They count as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsmcmb.anatomy.region_map import load_region_map, load_template
from qsmcmb.anatomy.regions import MARS_REGIONS, MARS_TERRITORY, STRUCTURES

HERE = Path(__file__).parent
BUILT_FROM = HERE.parents[1] / "data" / "anatomy" / "landmarks.tsv"
STRUCTURE = {s.label: s for s in STRUCTURES.values()}


def published(source: str = "") -> tuple[list[str], np.ndarray]:
    rows = [r.split("\t") for r in (HERE / "published_landmarks.tsv").read_text().splitlines()[1:]]
    rows = [r for r in rows if r[1] == source or not source]
    return [r[0] for r in rows], np.array([[float(v) for v in r[3:]] for r in rows])


def found(points: np.ndarray) -> list[str]:
    return [STRUCTURE[int(n)].mars for n in load_region_map().at(points)]


@pytest.mark.parametrize(
    ("source", "count", "least_regions", "least_territories"),
    [("Dosenbach 2010", 159, 0.81, 0.94), ("Seitzman 2020", 61, 0.95, 0.98), ("Harvard-Oxford", 112, 0.95, 0.98),
     ("", 332, 0.90, 0.97)],
)  # fmt: skip
def test_published_landmarks_lie_in_their_region(
    source: str, count: int, least_regions: float, least_territories: float
) -> None:
    names, points = published(source)
    got = found(points)
    assert len(names) == count
    assert np.mean([g == n for g, n in zip(got, names, strict=True)]) >= least_regions
    territories = [MARS_TERRITORY[g] == MARS_TERRITORY[n] for g, n in zip(got, names, strict=True)]
    assert np.mean(territories) >= least_territories


def test_none_of_them_built_the_map() -> None:
    rows = [r.split("\t") for r in BUILT_FROM.read_text().splitlines()[1:]]
    built = np.array([[float(v) for v in r[3:]] for r in rows])
    _, points = published()
    apart = np.linalg.norm(points[:, None] - built[None], axis=-1).min(axis=1)
    assert (apart > 0.05).all()


def test_all_regions_are_on_the_map_and_both_sides_are_alike() -> None:
    regions = load_region_map()
    assert {STRUCTURE[int(n)].mars for n in np.unique(regions.labels) if n} == set(MARS_REGIONS)
    _, points = published()
    np.testing.assert_array_equal(regions.at(points), regions.at(points * [-1, 1, 1]))


def test_the_tissues_of_the_template_fill_the_brain_once() -> None:
    total = load_template().tissues.sum(axis=0)
    assert total.min() >= 0
    assert total.max() <= 1.01
    assert load_template().tissues.min() >= 0
