"""Two points on one lesion: which rows are one, and which of them counts."""

from __future__ import annotations

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.duplicates import duplicate_groups, without_duplicates
from qsmcmb.model import Estimate


def test_of_one_lesion_the_surest_row_counts() -> None:
    rows = [
        Microbleed(i + 1, (0.1 * i, 0.0, 0.0), total_chi_ppm_mm3=Estimate(2.0, sd, "ppm mm3"))
        for i, sd in enumerate((0.3, 0.1))
    ]
    far = Microbleed(3, (10.0, 0.0, 0.0), total_chi_ppm_mm3=Estimate(1.0, 0.1, "ppm mm3"))
    assert [m.label for m in without_duplicates([*rows, far])] == [2, 3]
    unknown = Microbleed(4, (10.0, 0.0, 0.0), flags=("outside-mask",))
    assert without_duplicates([far, unknown]) == [far, unknown]


def at(*x_mm: float) -> list[Microbleed]:
    return [
        Microbleed(i, (x, 0.0, 0.0), total_chi_ppm_mm3=Estimate(2.0, 0.1, "ppm mm3"))
        for i, x in enumerate(x_mm)
    ]


def test_points_chained_within_two_mm_are_one_lesion() -> None:
    assert duplicate_groups(at(0.0, 1.9, 10.0, 3.8)) == [[0, 1, 3]]
    assert duplicate_groups(at(0.0, 2.1)) == []
    assert duplicate_groups(at(0.0, 9.0, 9.5, 0.5)) == [[0, 3], [1, 2]]


def test_the_first_of_two_alike_counts() -> None:
    assert [m.label for m in without_duplicates(at(5.0, 0.0, 5.5))] == [0, 1]
