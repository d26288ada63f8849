"""Scores of the detection benchmark: finds, false positives, burden and FROC points from the tables of its heads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.detection.detection_curve import fit_detection_curve

NEAR_MM = 3.0
"""Largest distance of a row from a lesion that it finds, mm."""
LARGE_PPM_MM3 = 2.0
"""Total susceptibility from which lesions count in the first column, ppm mm3."""


BY_FIT = ("vein", "calcification")
"""Kinds that a row has by its fit, whatever its score."""
REGULAR = ("sphere", "two", "ellipsoid")
"""Shapes that are regular."""


class Matched(NamedTuple):
    """Lesions and rows of one head, matched."""

    total: list[float]
    """Total susceptibility of the microbleeds, ppm mm3."""
    shape: list[str]
    """Whether each is regular or irregular."""
    territory: list[str]
    """Territory of each."""
    above: list[bool]
    """Whether each lies above the scan's own limit."""
    score: list[float]
    """Best score of the rows that find each; -1 without any."""
    false: list[float]
    """Scores of the rows without a lesion."""
    candidate_score: list[float]
    """Best score of the candidates that lie at each, called or rejected; -1 without any."""
    false_candidates: list[float]
    """Scores of the candidates without a lesion."""
    calcifications: int
    called: int
    """Calcifications, and those of them that are called microbleeds."""
    definite: int
    """Definite rows of kind microbleed."""


def match(record: dict[str, Any]) -> Matched:
    """Match the rows of a head with its lesions: kind microbleed, definite or possible, within NEAR_MM."""
    rows = [r for r in record["rows"] if r["kind"] == "microbleed" and r["certainty"] != "rejected"]
    bleeds = [t for t in record["lesions"] if t["kind"] == "microbleed"]
    stones = [t for t in record["lesions"] if t["kind"] == "calcification"]
    # A vein or a calcification by its fit stays one at any score.
    candidates = [r for r in record["rows"] if r["kind"] not in BY_FIT and r["score"] is not None]

    def near(found: list[dict[str, Any]], lesions: list[dict[str, Any]]) -> Any:
        places, where = (
            np.array([t["position_mm"] for t in group]).reshape(-1, 3) for group in (found, lesions)
        )
        return np.linalg.norm(places[:, None] - where, axis=2) <= NEAR_MM

    finds, marked = near(rows, bleeds), near(candidates, bleeds)
    scores = np.array([r["score"] if r["score"] is not None else 1.0 for r in rows])
    ranks = np.array([r["score"] for r in candidates])
    return Matched(
        total=[t["total_ppm_mm3"] for t in bleeds],
        shape=["regular" if t["shape"] in REGULAR else "irregular" for t in bleeds],
        territory=[t["territory"] for t in bleeds],
        above=[t["total_ppm_mm3"] > t["limit_ppm_mm3"] for t in bleeds],
        score=[float(scores[finds[:, i]].max(initial=-1.0)) for i in range(len(bleeds))],
        false=scores[~finds.any(axis=1)].tolist(),
        candidate_score=[float(ranks[marked[:, i]].max(initial=-1.0)) for i in range(len(bleeds))],
        false_candidates=ranks[~marked.any(axis=1)].tolist(),
        calcifications=len(stones),
        called=int(near(rows, stones).any(axis=0).sum()),
        definite=sum(r["certainty"] == "definite" for r in rows),
    )


def summarise(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores of the heads of one condition."""
    heads = [match(r) for r in records]
    total = np.array([t for h in heads for t in h.total])
    above = np.array([a for h in heads for a in h.above], bool)
    found = np.array([s for h in heads for s in h.score]) >= 0
    large = total >= LARGE_PPM_MM3
    false = sum(len(h.false) for h in heads)
    limits = [t["limit_ppm_mm3"] for r in records for t in r["lesions"] if np.isfinite(t["limit_ppm_mm3"])]
    out = {
        "heads": len(heads),
        "large": _fraction(found[large]),
        "above_limit": _fraction(found[above]),
        "false_per_head": false / max(len(heads), 1),
        "burden_found": float(total[found].sum() / total.sum()) if len(total) else None,
        "calcifications_called": [sum(h.called for h in heads), sum(h.calcifications for h in heads)],
        "heads_without_definite": [sum(h.definite == 0 for h in heads), len(heads)],
        "candidates_per_head": float(np.mean([len(r["rows"]) for r in records])),
        "median_limit_ppm_mm3": float(np.median(limits)) if limits else None,
        "detect_s": float(np.mean([r["seconds"].get("detect", np.nan) for r in records])),
        "quantify_s": float(np.mean([r["seconds"].get("quantify", np.nan) for r in records])),
        "froc": froc(heads, np.ones(len(total), bool)),
    }
    try:
        out["curve"] = fit_detection_curve(total, found)._asdict()
    except InvalidInputError:
        out["curve"] = None
    return out


def _fraction(found: Any) -> list[int]:
    """Return how many are found, of how many."""
    return [int(found.sum()), len(found)]


def summarise_groups(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return finds of the large ones, fraction of the burden and FROC points of each shape and territory."""
    heads = [match(r) for r in records]
    total = np.array([t for h in heads for t in h.total])
    found = np.array([s for h in heads for s in h.score]) >= 0
    labels = [np.array([g for h in heads for g in getattr(h, field)]) for field in ("shape", "territory")]
    groups = {}
    for of in labels:
        for name in np.unique(of):
            chosen = of == name
            large = chosen & (total >= LARGE_PPM_MM3)
            groups[str(name)] = {
                "large": _fraction(found[large]),
                "burden_found": float(total[chosen & found].sum() / total[chosen].sum()),
                "froc": froc(heads, chosen),
            }
    return groups


def froc(heads: list[Matched], chosen: Any) -> list[dict[str, float]]:
    """Return false positives per head and sensitivity, by count and by total susceptibility, at falling scores.

    All candidates count by their score, rejected ones, too. `chosen` says which of the microbleeds do.
    """
    best = np.array([s for h in heads for s in h.candidate_score])[chosen]
    total = np.array([t for h in heads for t in h.total])[chosen]
    counted = total >= LARGE_PPM_MM3
    false = np.array([s for h in heads for s in h.false_candidates])
    points = []
    for at in np.unique(np.concatenate([best[best >= 0], false]))[::-1]:
        points.append(
            {
                "score": float(at),
                "false_per_head": float((false >= at).sum() / len(heads)),
                "sensitivity": float((best[counted] >= at).mean()) if counted.any() else 0.0,
                "burden": float(total[best >= at].sum() / total.sum()) if len(total) else 0.0,
            }
        )
    return points


def worst(records: list[dict[str, Any]], count: int = 10) -> list[str]:
    """Return a line for each of the largest missed lesions and of the false positives of highest score."""
    missed, false = [], []
    for record in records:
        matched = match(record)
        bleeds = [t for t in record["lesions"] if t["kind"] == "microbleed"]
        for lesion, score in zip(bleeds, matched.score, strict=True):
            if score < 0:
                missed.append((lesion["total_ppm_mm3"], _line(record, lesion, "missed")))
        for row in record["rows"]:
            if row["kind"] == "microbleed" and row["certainty"] != "rejected":
                where = np.array([t["position_mm"] for t in bleeds]).reshape(-1, 3)
                away = np.linalg.norm(where - row["position_mm"], axis=1)
                if (away > NEAR_MM).all():
                    false.append((row["score"] or 1.0, _line(record, row, "false")))
    lines = [line for _, line in sorted(missed, reverse=True)[:count]]
    return lines + [line for _, line in sorted(false, reverse=True)[:count]]


def _line(record: dict[str, Any], what: dict[str, Any], kind: str) -> str:
    """Return one missed lesion with the row next to it, or one false positive with the lesion next to it."""
    others = record["rows"] if kind == "missed" else record["lesions"]
    where = np.array([o["position_mm"] for o in others]).reshape(-1, 3)
    away = np.linalg.norm(where - what["position_mm"], axis=1)
    beside = "nothing"
    if what.get("verdict"):
        beside = what["verdict"]
    elif len(away):
        nearest = others[int(away.argmin())]
        told = " ".join(str(nearest[k]) for k in ("kind", "certainty", "flags", "shape") if nearest.get(k))
        beside = f"{told} at {away.min():.1f} mm"
    total = what["total_ppm_mm3"]
    limit = (
        f" (limit {what['limit_ppm_mm3']:.2f})" if "limit_ppm_mm3" in what else f" score {what['score']:.2f}"
    )
    place = " ".join(f"{v:.1f}" for v in what["position_mm"])
    return f"{kind} {record['name']} at {place}: {total if total is None else round(total, 2)} ppm mm3{limit}; {beside}"
