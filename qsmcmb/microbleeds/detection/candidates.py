"""Candidates: compact sources on the susceptibility map and peaks of the dipole filter that darken the magnitude.

The map's contrast c is chi minus its Gaussian mean (SD 4 mm) within the mask. Connected regions with |c| above a
threshold are candidates where they are small, not elongated and darker than their surroundings on the last echo;
regions that are not are looked at again above higher thresholds (`regions`). With the moment m = sum |c| v (ppm mm3),
the relative darkening d, the ratio e of the principal SDs and the depth z,

    score = (1 - exp(-m / 2)) min(d / 0.4, 1) (1.5 / max(e, 1.5)) g(z),

where g falls from 1 to 0.3 towards the brain's surface: the map reaches to the edge, where the rest of
the background field looks like a source. Above higher thresholds the score has the factor
0.25 / max(r, 0.25), too: r is the contrast 4 mm around the region over its own. Where a local field is given, dark and
round peaks of the matched dipole filter join them (`dipole_peaks`). Of candidates within 5 mm the better one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.microbleeds.detection.dipole_peaks import find_dipole_peaks
from qsmcmb.microbleeds.detection.examined import MAX_EXAMINED, ExaminedPoint, Gate
from qsmcmb.microbleeds.detection.regions import Judged, Limits, find_regions
from qsmcmb.microbleeds.detection.scene import make_scene, size_term, surface_term
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["Candidate", "CandidateSearch", "find_candidates", "search_candidates"]

MIN_SPACING_MM = 5.0
"""Least distance of two candidates, mm: nearer ones are streaks of opposite sign beside a lesion."""
SAME_POINT_MM = 3.0
"""Distance within which a region of the map and a later find are one: the region's centre and score stay."""
OTHER_TESTS_WEIGHT = 0.6
"""Weight of the score of other tests than the map's beside it: dipole peaks lie at the edge of large voids, too."""


class Candidate(NamedTuple):
    """Position at which a lesion may lie."""

    voxel: tuple[float, float, float]
    """Position, fractional voxel indices."""
    score: float
    """Measure of how much it looks like a lesion, 0 to 1."""
    kind: str
    """Kind by its sign: "microbleed" (paramagnetic) or "calcification" (diamagnetic)."""
    test: str = "map"
    """Tests that found it, joined by +: "map", "threshold" and "dipole", as in `ExaminedPoint`."""


class CandidateSearch(NamedTuple):
    """Candidates, and all points that were looked at."""

    candidates: list[Candidate]
    """Best first."""
    examined: list[ExaminedPoint]
    """Points: those of the candidates first, in their order, then those that failed a gate."""


def find_candidates(
    chi_ppm: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    local_field_ppm: FloatArray | None = None,
    field_sd_ppm: FloatArray | None = None,
    threshold_ppm: float = 0.12,
    min_darkening: float = 0.12,
    max_elongation: float = 3.0,
    min_score: float = 0.3,
    max_candidates: int = 100,
) -> list[Candidate]:
    """Find candidates on susceptibility map and magnitude.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, arbitrary unit; the first echo shows bone, the last one the void.
    mask : ndarray of shape grid.shape, bool
        Voxels where the map is defined.
    grid : Grid
        Geometry.
    local_field_ppm, field_sd_ppm : ndarray of shape grid.shape, optional
        Local field and its SD, ppm: the matched dipole filter joins the tests. Both or none.
    threshold_ppm : float, optional
        Least contrast of the map to its local mean, ppm, 0 to 10.
    min_darkening : float, optional
        Least relative loss of magnitude, 0 to 1.
    max_elongation : float, optional
        Largest ratio of the principal standard deviations, >= 1; veins are longer.
    min_score : float, optional
        Least score, 0 to 1.
    max_candidates : int, optional
        Largest number of candidates, the best ones.

    Returns
    -------
    list of Candidate
        Best first.

    Raises
    ------
    InvalidInputError
        SHAPE, MASK-EMPTY or ARGUMENT: arrays that are not on the grid, an empty mask, a threshold out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((24, 24, 24), 1.0)
    >>> x, y, z = np.indices(grid.shape) - 12.0
    >>> ball = x**2 + y**2 + z**2 < 2.0**2
    >>> magnitude = np.where(ball, 0.1, 1.0)[None].repeat(2, axis=0)
    >>> magnitude[0] = 1.0
    >>> [found] = find_candidates(0.6 * ball, magnitude, np.ones(grid.shape, bool), grid)
    >>> found.kind, [round(v, 3) for v in found.voxel]
    ('microbleed', [12.0, 12.0, 12.0])
    """
    return search_candidates(
        chi_ppm, magnitude, mask, grid, local_field_ppm=local_field_ppm, field_sd_ppm=field_sd_ppm,
        threshold_ppm=threshold_ppm, min_darkening=min_darkening, max_elongation=max_elongation,
        min_score=min_score, max_candidates=max_candidates,
    ).candidates  # fmt: skip


def search_candidates(
    chi_ppm: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    local_field_ppm: FloatArray | None = None,
    field_sd_ppm: FloatArray | None = None,
    threshold_ppm: float = 0.12,
    min_darkening: float = 0.12,
    max_elongation: float = 3.0,
    min_score: float = 0.3,
    max_candidates: int = 100,
) -> CandidateSearch:
    """Find candidates, and say of every other point that was looked at which gate it failed.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, arbitrary unit.
    mask : ndarray of shape grid.shape, bool
        Voxels where the map is defined.
    grid : Grid
        Geometry.
    local_field_ppm, field_sd_ppm, threshold_ppm, min_darkening, max_elongation, min_score, max_candidates : optional
        As for `find_candidates`.

    Returns
    -------
    CandidateSearch
        Candidates, and the points that were looked at, MAX_EXAMINED at most.

    Raises
    ------
    InvalidInputError
        As for `find_candidates`.

    Examples
    --------
    >>> grid = Grid.isotropic((32, 24, 24), 1.0)
    >>> x, y, z = np.indices(grid.shape) - 12.0
    >>> rod = (y**2 + z**2 < 2.0**2) & (np.abs(x) < 8)
    >>> magnitude = np.where(rod, 0.1, 1.0)[None].repeat(2, axis=0)
    >>> magnitude[0] = 1.0
    >>> search = search_candidates(0.6 * rod, magnitude, np.ones(grid.shape, bool), grid)
    >>> search.candidates, search.examined[0].verdict
    ([], 'too-large: its region of the map is larger than a microbleed (15 mm; needed at most 11 mm)')
    """
    check_mask(mask, grid)
    check_volume("chi_ppm", chi_ppm, grid)
    check_range("threshold_ppm", threshold_ppm, 0.0, 10.0)
    scene = make_scene(chi_ppm, magnitude, mask, grid)
    limits = Limits(threshold_ppm, min_darkening, max_elongation, min_score)
    judged = [found for sign in (1, -1) for found in find_regions(scene, sign, limits)]
    if local_field_ppm is not None and field_sd_ppm is not None:
        check_volume("local_field_ppm", local_field_ppm, grid)
        check_volume("field_sd_ppm", field_sd_ppm, grid)
        judged += find_dipole_peaks(scene, local_field_ppm, field_sd_ppm, grid, limits)
    passed = sorted((j for j in judged if j.point.gate is None), key=_rank)
    chosen, crowded = _without_close(passed, np.array(grid.voxel_size_mm))
    beyond = [
        _failing(j, Gate.BEYOND_CAP, max_candidates + 1 + i, max_candidates)
        for i, j in enumerate(chosen[max_candidates:])
    ]
    failed = [j for j in judged if j.point.gate is not None]
    failed.sort(key=_promise)
    examined = [*chosen[:max_candidates], *beyond, *crowded, *failed][:MAX_EXAMINED]
    return CandidateSearch(
        [
            Candidate(j.voxel, j.point.score or 0.0, j.point.kind, j.point.test)
            for j in chosen[:max_candidates]
        ],
        _located(examined, grid),
    )


def _rank(judged: Judged) -> float:
    """Return a key by which the better comes first: the score, that of other tests than the map's as a fraction."""
    is_map = "map" in judged.point.test
    return -(judged.point.score or 0.0) * (1.0 if is_map else OTHER_TESTS_WEIGHT)


def _promise(judged: Judged) -> float:
    """Return a key by which points of a larger total susceptibility, deeper in the brain, come first."""
    point = judged.point
    return -float(size_term(abs(point.total_ppm_mm3 or 0.0)) * surface_term(point.depth_mm or 0.0))


def _failing(judged: Judged, gate: Gate, found: float, needed: float) -> Judged:
    """Return a point that fails a gate after all."""
    return Judged(judged.voxel, replace(judged.point, gate=gate, found=float(found), needed=float(needed)))


def _located(judged: Sequence[Judged], grid: Grid) -> list[ExaminedPoint]:
    """Return the points with their positions."""
    where = grid.to_world(np.array([j.voxel for j in judged]).reshape(-1, 3))
    return [
        replace(j.point, position_mm=(float(p[0]), float(p[1]), float(p[2])))
        for j, p in zip(judged, where, strict=True)
    ]


def _without_close(passed: Sequence[Judged], size: FloatArray) -> tuple[list[Judged], list[Judged]]:
    """Return the points without those within MIN_SPACING_MM of a better one, best first, and those left out.

    Of finds of one lesion that of the map stays, whatever its score; it names the other tests, too.
    """
    chosen: list[Judged] = []
    crowded: list[Judged] = []
    for j in passed:
        away = [float(np.linalg.norm((np.array(j.voxel) - k.voxel) * size)) for k in chosen]
        nearest = int(np.argmin(away)) if away else -1
        if not away or away[nearest] > MIN_SPACING_MM:
            chosen.append(j)
            continue
        best = chosen[nearest]
        if away[nearest] <= SAME_POINT_MM and best.point.kind == j.point.kind:
            chosen[nearest] = _joined(best, j)
        crowded.append(_failing(j, Gate.NEAR_BETTER, away[nearest], MIN_SPACING_MM))
    return sorted(chosen, key=_rank), crowded


def _joined(best: Judged, other: Judged) -> Judged:
    """Return one of two finds of one lesion: that of the map, with the tests of both."""
    one, two = (other, best) if other.point.test == "map" and "map" not in best.point.test else (best, other)
    tests = [*one.point.test.split("+"), *(t for t in two.point.test.split("+") if t not in one.point.test)]
    significance = one.point.significance if one.point.significance is not None else two.point.significance
    return Judged(one.voxel, replace(one.point, test="+".join(tests), significance=significance))
