"""Change between sessions, simulated from its errors: matching, false changes, power, new lesions, calibration.

    python benchmarks/change.py [N]

N lesions for each line of the table (default 4000). No scan is simulated: seconds to minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from qsmcmb.change.errors import DEFAULT_ERRORS
from qsmcmb.change.judgement import PRIOR, SPREAD_LN, Judgement, Sight, detection_probability, judge_change
from qsmcmb.change.linking import LocatedLesion, link_lesions, position_sd_mm
from qsmcmb.model import Estimate

SEEDS = {"matching": 90001, "states": 90002, "power": 90004}
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


def see(total: float, rng: np.random.Generator, *, same: bool) -> Sight:
    """Return what a scan shows of a lesion."""
    limit = float(rng.uniform(*LIMITS))
    found = bool(total > 0 and rng.random() < detection_probability(total, limit))
    sd = float(np.hypot(FIT_SD[0], FIT_SD[1] * total) if found else rng.uniform(*PLACE_SD))
    value = total * (1 + rng.normal(0, DEFAULT_ERRORS.shared(same=same))) + rng.normal(0, sd)
    return Sight(Estimate(float(value), sd, "ppm mm3"), found, limit)


def draw(n: int, rng: np.random.Generator, *, same: bool) -> list[Pair]:
    """Draw lesions from the prior, and two scans of each."""
    pairs: list[Pair] = []
    chances = [PRIOR.stable, PRIOR.changed, PRIOR.absent, PRIOR.absent]
    while len(pairs) < n:
        true = float(np.exp(rng.normal(np.log(MEDIAN_PPM_MM3), SIGMA_LN)))
        state = str(rng.choice(["stable", "changed", "incident", "resolved"], p=chances))
        ratio = float(np.exp(rng.normal(0, SPREAD_LN))) if state == "changed" else 1.0
        totals = (0.0 if state == "incident" else true, 0.0 if state == "resolved" else true * ratio)
        sights = (see(totals[0], rng, same=same), see(totals[1], rng, same=same))
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


def found_new(pairs: Sequence[Pair]) -> float:
    """Return the fraction of new lesions above both limits that are called new."""
    known = [
        p for p in pairs
        if p.state == "incident" and p.sights[1].is_found and p.totals[1] > (p.sights[0].limit_ppm_mm3 or 0.0)
    ]  # fmt: skip
    return float(np.mean([p.judged.status == "incident" for p in known]))


def power(n: int, rng: np.random.Generator, *, same: bool) -> float:
    """Return how often a change from 10 to 11 ppm mm3 is called one, both sessions holding the lesion."""
    called = 0
    for _ in range(n):
        sights = []
        for total in (10.0, 11.0):
            sd = float(np.hypot(FIT_SD[0], FIT_SD[1] * total))
            value = total * (1 + rng.normal(0, DEFAULT_ERRORS.shared(same=same))) + rng.normal(0, sd)
            sights.append(Sight(Estimate(float(value), sd, "ppm mm3"), True, 1.0))
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
    for name, same in (("same protocol", True), ("other protocol", False)):
        pairs = draw(n, np.random.default_rng(SEEDS["states"]), same=same)
        strength = power(n, np.random.default_rng(SEEDS["power"]), same=same)
        print(
            f"{name}: false changes {100 * false_changes(pairs):.1f} %, power of +10 % at 10 ppm mm3 "
            f"{100 * strength:.1f} %, new called new {100 * found_new(pairs):.1f} %, "
            f"calibration error {calibration_error(pairs):.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
