"""Change between sessions, simulated from its errors: matching, false changes, power, new lesions, calibration.

    python benchmarks/change.py [N]

N lesions for each line of the table (default 4000). No scan is simulated: seconds to minutes. Scans are simulated by
`change_heads.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from qsmcmb.change.errors import DEFAULT_ERRORS
from qsmcmb.change.judgement import (
    PRIOR,
    SHOWN_SD,
    SPREAD_LN,
    Judgement,
    Sight,
    detection_probability,
    judge_change,
)
from qsmcmb.change.linking import LocatedLesion, link_lesions, position_sd_mm
from qsmcmb.model import Estimate

SEEDS = {"matching": 85101, "states": 85106, "power": 85104}
"""Seeds, used for these figures alone."""
MEDIAN_PPM_MM3, SIGMA_LN = 2.0, 1.08
"""Log-normal distribution of the totals, ppm mm3."""
FIT_SD, PLACE_SD, LIMITS = (0.08, 0.015), (0.2, 0.9), (0.8, 2.0)
"""SD of a fit (ppm mm3, and fraction of the total), of a place and detection limits (ranges, ppm mm3)."""


class Pair(NamedTuple):
    """One lesion in two scans: the truth, what was seen, and how it was judged."""

    state: str
    totals: tuple[float, float]
    sights: tuple[Sight, Sight]
    judged: Judgement


def see(total: float, rng: np.random.Generator, *, same: bool, common: float) -> Sight:
    """Return what a scan shows of a lesion; `common` is the error, in SDs, that all fits of it have in common."""
    limit = float(rng.uniform(*LIMITS))
    found = bool(total > 0 and rng.random() < detection_probability(total, limit))
    sd = float(np.hypot(FIT_SD[0], FIT_SD[1] * total) if found else rng.uniform(*PLACE_SD))
    return Sight(
        Estimate(measure(total, sd, rng, same=same, common=common if found else None), sd, ""), found, limit
    )


def measure(total: float, sd: float, rng: np.random.Generator, *, same: bool, common: float | None) -> float:
    """Return a measurement; 1 - k^2 of a fit's variance is common to all, nothing of a place's."""
    k, own = DEFAULT_ERRORS.sd_factor, float(rng.standard_normal())
    error = own if common is None else (1 - k**2) ** 0.5 * common + k * own
    relative = rng.normal(0, DEFAULT_ERRORS.own_relative_sd) + rng.normal(0, DEFAULT_ERRORS.shared(same=same))
    return float(total * (1 + relative) + sd * error)


def draw(n: int, rng: np.random.Generator, *, same: bool) -> list[Pair]:
    """Draw lesions from the prior, and two scans of each."""
    pairs: list[Pair] = []
    chances = [PRIOR.stable, PRIOR.changed, PRIOR.absent, PRIOR.absent]
    while len(pairs) < n:
        true = float(np.exp(rng.normal(np.log(MEDIAN_PPM_MM3), SIGMA_LN)))
        state = str(rng.choice(["stable", "changed", "incident", "resolved"], p=chances))
        ratio = float(np.exp(rng.normal(0, SPREAD_LN))) if state == "changed" else 1.0
        totals = (0.0 if state == "incident" else true, 0.0 if state == "resolved" else true * ratio)
        common = float(rng.standard_normal())
        sights = (
            see(totals[0], rng, same=same, common=common),
            see(totals[1], rng, same=same, common=common),
        )
        if state == "changed":
            state = "increased" if ratio > 1 else "decreased"
        if sights[0].is_found or sights[1].is_found:
            pairs.append(
                Pair(state, totals, sights, judge_change(*sights, DEFAULT_ERRORS, same_protocol=same))
            )
    return pairs


def calibration_error(pairs: Sequence[Pair]) -> float:
    """Return the expected calibration error over ten bins."""
    known = [p for p in pairs if p.judged.probability is not None]
    said = np.array([p.judged.probability for p in known], dtype=float)
    right = np.array([p.judged.status == p.state for p in known])
    number = np.minimum((said * 10).astype(int), 9)
    bins = [number == k for k in range(10) if (number == k).any()]
    return float(sum(own.mean() * abs(said[own].mean() - right[own].mean()) for own in bins))


def false_changes(pairs: Sequence[Pair]) -> float:
    """Return the fraction of unchanged lesions that are called changed, of those that can be judged."""
    known = [p for p in pairs if p.state == "stable" and p.judged.probability is not None]
    return float(np.mean([p.judged.status != "stable" for p in known]))


def found_new(pairs: Sequence[Pair], *, by_place: bool) -> tuple[float, int]:
    """Return the fraction of new lesions above the earlier limit that are called new, and their number.

    The limit is that of detection; `by_place` adds the one below which the place itself says too little.
    """
    known = [p for p in pairs if p.state == "incident" and p.sights[1].is_found]
    above = []
    for p in known:
        place = p.sights[0].total
        assert place is not None
        limit = max(p.sights[0].limit_ppm_mm3 or 0.0, SHOWN_SD * place.sd if by_place else 0.0)
        above += [p] if p.totals[1] > limit else []
    return float(np.mean([p.judged.status == "incident" for p in above])), len(above)


def false_new(pairs: Sequence[Pair]) -> tuple[int, int]:
    """Return how many lesions that are not new are called new, and of how many."""
    old = [p for p in pairs if p.state != "incident"]
    return sum(p.judged.status == "incident" for p in old), len(old)


def power(n: int, rng: np.random.Generator, *, same: bool, ratio: float) -> float:
    """Return how often growth from 10 ppm mm3 by a ratio is called growth, both sessions holding the lesion."""
    called = 0
    for _ in range(n):
        common = float(rng.standard_normal())
        sights = []
        for total in (10.0, 10.0 * ratio):
            sd = float(np.hypot(FIT_SD[0], FIT_SD[1] * total))
            seen = measure(total, sd, rng, same=same, common=common)
            sights.append(Sight(Estimate(seen, sd, ""), True, 1.0))
        called += judge_change(sights[0], sights[1], DEFAULT_ERRORS, same_protocol=same).status == "increased"
    return called / n


def matching(n: int, rng: np.random.Generator) -> float:
    """Return the fraction of lesions whose whole group is right: 5 mm apart, 2 to 4 sessions, one in ten not found."""
    right = total = 0
    while total < n:
        places = _chain(int(rng.integers(5, 40)), rng)
        sizes = np.exp(rng.normal(np.log(MEDIAN_PPM_MM3), SIGMA_LN, len(places)))
        lesions, truth = [], []
        for session in range(int(rng.integers(2, 5))):
            left = Rotation.from_rotvec(rng.normal(0, np.deg2rad(0.3), 3))
            shift = rng.normal(0, 0.3 / 3**0.5, 3)
            for i in np.flatnonzero(rng.random(len(places)) < 0.9):
                sd = float(np.hypot(0.1, 0.03 * sizes[i]))
                error = position_sd_mm(float(sizes[i]), sd, diameter_mm=3.0, registration_mm=0.5)
                own = np.sqrt(error**2 - 0.5**2 / 3)
                place = left.apply(places[i]) + shift + rng.normal(0, own, 3)
                lesions.append(LocatedLesion(session, place, float(sizes[i]), error))
                truth.append(int(i))
        wanted = {frozenset(np.flatnonzero(np.array(truth) == i).tolist()) for i in set(truth)}
        right += sum(len(group) for group in link_lesions(lesions) if frozenset(group) in wanted)
        total += len(lesions)
    return right / total


def _chain(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return points none nearer than 5 mm, six in ten just 5 mm from another."""
    places: list[np.ndarray] = []
    while len(places) < n:
        step = rng.normal(size=3)
        near = places and rng.random() < 0.6
        place = (
            places[rng.integers(len(places))] + 5.0 * step / np.linalg.norm(step)
            if near
            else rng.uniform(-40, 40, 3)
        )
        if all(np.linalg.norm(place - other) > 4.999 for other in places):
            places.append(place)
    return np.array(places)


def main(n: int) -> None:
    """Print the table."""
    print(f"matched right: {100 * matching(n, np.random.default_rng(SEEDS['matching'])):.2f} %")
    for name, same, ratio in (("same protocol", True, 1.1), ("other protocol", False, 1.2)):
        pairs = draw(n, np.random.default_rng(SEEDS["states"]), same=same)
        strength = power(n, np.random.default_rng(SEEDS["power"]), same=same, ratio=ratio)
        (by_limit, n_limit), (by_place, n_place) = (found_new(pairs, by_place=x) for x in (False, True))
        wrong, old = false_new(pairs)
        print(
            f"{name}: false changes {100 * false_changes(pairs):.1f} %, power of +{100 * (ratio - 1):.0f} % at "
            f"10 ppm mm3 {100 * strength:.1f} %, calibration error {calibration_error(pairs):.3f}\n"
            f"  called new above the detection limit {100 * by_limit:.1f} % of {n_limit}, above that of the place, "
            f"too, {100 * by_place:.1f} % of {n_place}; falsely called new {wrong} of {old}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
