"""Change between sessions on simulated small heads, from raw data through the whole pipeline.

    python benchmarks/change_heads.py [--seeds 85001:85009] [--given] [--out FOLDER]

Each head has three sessions of its own pose and noise: a and b at 3 T with one protocol, c at 1.5 or 7 T. From a on
eight microbleeds, half of them irregular: four of 10 ppm mm3 that have grown by 10 % in b and by 20 % in c, the others
unchanged; two more are new in b and c. The detector finds them, nothing of the truth is given. With --given a reader's
points are measured in place of that, which takes a third of the time and says nothing of new lesions. Tables of
finished heads lie in OUT: a stopped run goes on where it was. Seeds from 85001.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from detection_heads import CONDITIONS, make_anatomy_of
from scipy.stats import binomtest

from qsmcmb.change.errors import DEFAULT_ERRORS
from qsmcmb.change.judgement import Sight, detection_probability, judge_change
from qsmcmb.change.tracks import find_tracks, judge_track, measure_track
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.measurement import CLEAR_SIGNIFICANCE
from qsmcmb.phantoms.draw import draw_lesions
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.recipe import Protocol
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.phantoms.truth import PhantomSession, TruthRow
from qsmcmb.pipeline.outputs import write_scan
from qsmcmb.pipeline.points import quantify
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study.session_views import align_sessions
from qsmcmb.validation.simulate_and_measure import points_of

LESIONS: dict[str, Any] = {
    "microbleeds": 10, "calcifications": 1, "iron": 1, "flow_voids": 0, "range_ppm_mm3": (1.0, 40.0), "apart_mm": 10.5,
}  # fmt: skip
GROWN, STABLE_AT_10, NEW = (0, 1, 2, 3), (4, 5), (8, 9)
"""Numbers of the microbleeds that grow, of those that stay at 10 ppm mm3, and of the new ones."""
TOTAL_PPM_MM3, NEW_PPM_MM3 = 10.0, (1.5, 8.0)
"""Total of the lesions that grow, and the range of the new ones', log-uniform."""
RATIO = {"a": 1.0, "b": 1.1, "c": 1.2}
"""Total of a lesion that grows, over that of session a."""
NEAR_MM = 3.0
"""Distance up to which a row is that of a lesion."""
FOLDER = Path("benchmark-data/change")


def main() -> None:
    """Run the heads and print the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="85001:85009", help="FIRST:AFTER_LAST")
    parser.add_argument(
        "--given", action="store_true", help="measure the true positions, as a reader gives them"
    )
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    first, end = (int(word) for word in options.seeds.split(":"))
    rows: list[dict[str, Any]] = []
    for seed in range(first, end):
        path = options.out / f"{seed}{'_given' * options.given}.json"
        if not path.exists():
            start = time.process_time()
            path.parent.mkdir(parents=True, exist_ok=True)
            found = measure_given(seed) if options.given else run_head(seed, options.out)
            path.write_text(json.dumps(found))
            print(f"{seed}: {len(found)} rows, {time.process_time() - start:.0f} s", flush=True)
        rows += json.loads(path.read_text())
    summarise(rows)


def lesions_of_head(seed: int, recipe: Any, anatomy: Any) -> list[PhantomLesion]:
    """Return the lesions of session c at their totals of session a: microbleeds first."""
    rng = np.random.default_rng([seed, 31])
    wanted = dict.fromkeys((*GROWN, *STABLE_AT_10), TOTAL_PPM_MM3)
    wanted |= {n: float(np.exp(rng.uniform(*np.log(NEW_PPM_MM3)))) for n in NEW}
    drawn = draw_lesions(recipe.lesions, anatomy.lesion_positions(), rng, anatomy.iron_nuclei())
    return [resized(m, wanted[n] / m.total_chi_ppm_mm3) if n in wanted else m for n, m in enumerate(drawn)]


def resized(lesion: PhantomLesion, ratio: float) -> PhantomLesion:
    """Return a lesion that is larger about its centre, its susceptibility the same."""
    size, middle = ratio ** (1 / 3), lesion.centre_mm
    return lesion._replace(
        balls=tuple(
            b._replace(
                centre_mm=tuple((middle + size * (np.array(b.centre_mm) - middle)).tolist()),
                radius_mm=size * b.radius_mm,
            )
            for b in lesion.balls
        )
    )


def simulate_sessions(seed: int) -> Iterator[tuple[PhantomSession, dict[int, TruthRow]]]:
    """Yield the sessions of a head, each with the truth by number of the lesion."""
    recipe, anatomy = make_anatomy_of(seed, "small", LESIONS)
    start = lesions_of_head(seed, recipe, anatomy)
    fields = {"a": "3T", "b": "3T", "c": "15T" if seed % 2 else "7T"}
    for number, (label, condition) in enumerate(fields.items()):
        rng = np.random.default_rng([seed, 32, number])
        protocol = Protocol(
            label=label, **CONDITIONS[condition], rotation_deg=tuple(rng.uniform(-5, 5, 3)),
            shift_mm=tuple(rng.uniform(-2, 2, 3)), tilt_deg=float(rng.uniform(-15, 15)),
        )  # fmt: skip
        now = {
            n: resized(m, RATIO[label]) if n in GROWN else m
            for n, m in enumerate(start)
            if label != "a" or n not in NEW
        }
        session = TissueScan(recipe, protocol, anatomy).scan(list(now.values()), rng=rng)
        yield session, dict(zip(now, session.lesions, strict=True))


def run_head(seed: int, folder: Path) -> list[dict[str, Any]]:
    """Run the sessions of a head through the pipeline; return a row for each lesion and pair of sessions."""
    sessions, truths = [], []
    for session, truth in simulate_sessions(seed):
        place = Place(folder / "derivatives" / str(seed) / session.label, f"sub-{seed}_ses-{session.label}")
        write_scan(place, run_scan(dataclasses.replace(session.scan, name=place.prefix)))
        sessions.append(SessionResults(place, str(seed), session.label))
        truths.append(truth)
    return judged_rows(seed, sessions, truths)


def measure_given(seed: int) -> list[dict[str, Any]]:
    """Measure the microbleeds of a head that all sessions hold, at a reader's points."""
    seen: list[dict[int, tuple[TruthRow, Microbleed]]] = []
    for session, truth in simulate_sessions(seed):
        own = {n: row for n, row in truth.items() if row.kind == "microbleed" and n not in NEW}
        points = points_of(session._replace(lesions=tuple(own.values())), np.random.default_rng([seed, 33]))
        found = quantify(session.scan, points, kinds=["microbleed"] * len(own)).lesions
        seen.append({n: (row, lesion) for (n, row), lesion in zip(own.items(), found, strict=True)})
    rows = []
    for later in (1, 2):
        for number, (truth_row, lesion) in seen[later].items():
            pair = (seen[0][number][1], lesion)
            sights = [
                Sight(
                    m.total_chi_ppm_mm3,
                    True,
                    None,
                    (m.fit_noise_limit_ppm_mm3 or 0.0) / CLEAR_SIGNIFICANCE or None,
                )
                for m in pair
            ]
            judged = judge_change(sights[0], sights[1], DEFAULT_ERRORS, same_protocol=later == 1)
            rows.append({
                "seed": seed, "later": "abc"[later], "lesion": number, "kind": truth_row.kind,
                "shape": truth_row.shape, "status": judged.status, "probability": judged.probability,
                "truth": [seen[0][number][0].S_ppm_mm3, truth_row.S_ppm_mm3], "sd": judged.change_sd_ppm_mm3,
                "seen": [[m.total_chi_ppm_mm3.value, m.total_chi_ppm_mm3.sd] if m.total_chi_ppm_mm3 else None
                         for m in pair],
                "noise_limit": [m.fit_noise_limit_ppm_mm3 for m in pair], "flags": [list(m.flags) for m in pair],
                "found": [True, True], "limit": [None, None], "fit": [m.shape for m in pair],
            })  # fmt: skip
    return rows


def judged_rows(
    seed: int, sessions: list[SessionResults], truths: list[dict[int, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of session a against b and c, each with the truth."""
    aligned = align_sessions(sessions)
    tracks = find_tracks(aligned.views)
    sights = [measure_track(track, aligned.views) for track in tracks]
    rows = []
    for later in (1, 2):
        taken: set[int] = set()
        for track, own in zip(tracks, sights, strict=True):
            change = judge_track(
                track, aligned.views, own, (0, later), errors=DEFAULT_ERRORS, same_protocol=later == 1
            )
            if change is None:
                continue
            place = aligned.views[later].from_mid(track.position_mm)[0]
            far = {n: float(np.linalg.norm(place - row.centre_mm)) for n, row in truths[later].items()}
            near = min(far, key=lambda n: far[n])
            number = near if far[near] < NEAR_MM else None
            if number is not None:
                taken.add(number)
            rows.append({
                "seed": seed, "later": "abc"[later], "lesion": number, "status": change.status,
                "probability": change.probability, "new_probability": change.new_probability,
                "flags": list(change.flags), "truth": [_total(truths[k], number) for k in (0, later)],
                "seen": [[s.total.value, s.total.sd] if s.total else None for s in (own[0], own[later])],
                "found": [own[0].is_found, own[later].is_found],
                "limit": [own[0].limit_ppm_mm3, own[later].limit_ppm_mm3], "sd": change.change_sd_ppm_mm3,
                "kind": truths[later][number].kind if number is not None else None,
                "shape": truths[later][number].shape if number is not None else None,
            })  # fmt: skip
        for number in set(truths[later]) - taken:
            row = truths[later][number]
            if row.kind == "microbleed":
                rows.append({
                    "seed": seed, "later": "abc"[later], "lesion": number, "status": "missing", "kind": row.kind,
                    "shape": row.shape, "truth": [_total(truths[k], number) for k in (0, later)],
                })  # fmt: skip
    return rows


def _total(truth: dict[int, Any], number: int | None) -> float:
    """Return the true total of a lesion; 0 where there is none."""
    return float(truth[number].S_ppm_mm3) if number in truth else 0.0


def rate(hits: int, of: int) -> str:
    """Return a rate with its exact interval."""
    if not of:
        return "none"
    low, high = binomtest(hits, of).proportion_ci(method="exact")
    return f"{100 * hits / of:.1f} % of {of} ({100 * low:.1f} to {100 * high:.1f})"


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print the rates of each pair of sessions."""
    for later, name in (("b", "same scanner, +10 %"), ("c", "other field strength, +20 %")):
        own = [r for r in rows if r["later"] == later]
        cmb = [r for r in own if r["kind"] == "microbleed"]
        grown = [r for r in cmb if r["truth"][1] > r["truth"][0] > 0]
        stable = [r for r in cmb if r["truth"][1] == r["truth"][0]]
        judged = [r for r in stable if r["status"] not in ("missing", "not_evaluable")]
        new = [r for r in cmb if r["truth"][0] == 0]
        known = [r for r in new if r["status"] != "missing" and r["found"][1]]
        above = [r for r in known if r["truth"][1] > (r["limit"][0] or np.inf)]
        old = [r for r in own if (r["status"] != "missing" and r["truth"][0] != 0) or r["lesion"] is None]
        print(name)
        print("  called increased:", rate(sum(r["status"] == "increased" for r in grown), len(grown)))
        print("  unchanged called changed:", rate(sum(r["status"] != "stable" for r in judged), len(judged)))
        print(
            "  new, found later and above the earlier limit:",
            rate(sum(r["status"] == "incident" for r in above), len(above)),
        )
        expected = sum(float(detection_probability(r["truth"][1], r["limit"][0])) for r in above)
        print(f"    expected to be found by the earlier scan, had they been there: {expected:.1f}")
        print("  false incident:", rate(sum(r["status"] == "incident" for r in old), len(old)))
        for label, some in (("unchanged", judged), ("grown", [r for r in grown if r.get("sd")])):
            z = np.array(
                [(r["seen"][1][0] - r["seen"][0][0] - r["truth"][1] + r["truth"][0]) / r["sd"] for r in some]
            )
            if z.size:
                print(
                    f"  error of the change over its SD, {label}: rms {np.sqrt(np.mean(z**2)):.2f}, n {z.size}"
                )
    sds = [r["sd"] for r in rows if r.get("sd") and r["truth"][0] == TOTAL_PPM_MM3 and r["later"] == "b"]
    if sds:
        print(
            f"minimum detectable change at 10 ppm mm3, same scanner: median {1.96 * np.median(sds):.2f} ppm mm3"
        )


if __name__ == "__main__":
    main()
