"""Train the classifier of candidates on simulated heads, and write its weights into the package.

    python benchmarks/train_classifier.py --folder FOLDER [--heads 3T:83001 ...] [--check] [--figure PNG]

1. Each head is simulated and mapped once (`mimic_heads`); the evidence of its candidates with what they are
   (`mimic_features`) lies in FOLDER, about 20 s of one core a small head and 100 s one of full size.
2. Multinomial logistic regression with an L2 penalty on the standardised figures. The penalty is the best of some by
   the likelihood of heads left out. What these say is printed: sensitivity, false ones, reliability, of all candidates
   and of those that the pipeline proposes.
3. Fine voxels have weights of their own, set on their heads alone; those of coarse ones are set on all heads, which do
   better than theirs alone.

--check trains and prints, and leaves the package's file as it is. The weights depend on the stored evidence alone.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from mimic_features import read_features
from scipy.optimize import minimize

import qsmcmb
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.mimics import FIGURES, MAX_FINE_MM3, MIMIC_KINDS, Weights, figures_of

VERSION = "3"
"""Version of the weights: one more whenever they change what a user sees."""
HEADS = [
    "3T:83002", "3T:83006", "3T:83009", "3T:83013", "3T:83015", "3T:83018", "3T:83021", "3T:83101", "15T:83003",
    "15T:83008", "15T:83014", "15T:83020", "15T:83022", "7T:83004", "7T:83011", "7T:83017", "3T-2mm:83001",
    "3T-2mm:83007", "3T-2mm:83012", "3T-2mm:83019", "3T-2mm:83024", "3T-2mm:83029", "3T-2mm:83030",
    "3T-4mm:83005", "3T-4mm:83010", "3T-4mm:83016", "3T-4mm:83025", "3T-4mm:83026", "3T-4mm:83027",
    "3T-4mm:83028", "3T-4mm:83102", "3T-full:83151", "3T-full:83152", "3T-full:83153", "3T-full:83154",
    "15T-full:83161", "15T-full:83162", "15T-full:83163", "7T-full:83171", "7T-full:83172", "3T-2mm-full:83181",
    "3T-2mm-full:83182", "3T-2mm-full:83183", "3T-4mm-full:83191", "3T-4mm-full:83192", "3T-4mm-full:83193",
]  # fmt: skip
"""Heads of the weights in the package."""
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Penalties that are tried: they multiply half the sum of the squared weights."""
MIN_SD = 1e-3
"""Least SD of a figure: one that never changes stays without weight."""
UNSURE_PPM_MM3 = 0.5
"""Microbleeds below this, ppm mm3, are left out: no scan shows them."""
LIMITS = (0.2, 0.5, 0.8)
"""Probabilities from which candidates are counted as microbleeds in what is printed."""
BINS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0001)
"""Edges of the groups of probability whose fraction of microbleeds is printed and drawn."""
TARGET = Path(qsmcmb.__file__).parent / "microbleeds" / "results" / "mimics.toml"


def main() -> None:
    """Train, print what heads left out say, write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--heads", nargs="+", default=HEADS, metavar="PROTOCOL:SEED")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    rows = read_rows(options.heads, options.folder)
    x = figures_of_rows(rows)
    y = np.array([MIMIC_KINDS.index(row["true_kind"]) for row in rows])
    seeds = np.array([row["head"].split("_")[1] for row in rows])
    fine = np.array([row["voxel_mm3"] <= MAX_FINE_MM3 for row in rows])
    tried = {penalty: left_out(x, y, seeds, fine, penalty) for penalty in PENALTIES}
    penalty = min(tried, key=lambda p: _log_loss(tried[p], y))
    p, loss = tried[penalty], _log_loss(tried[penalty], y)
    print(f"{len(rows)} candidates, penalty {penalty:g}, heads left out: log loss {loss:.3f}")
    _print_confusion(p, y)
    proposed = np.array([row["is_proposed"] for row in rows])
    for protocol in [*sorted({row["head"].split("_")[0] for row in rows}), ""]:
        chosen = np.array([row["head"].startswith(f"{protocol}_") or not protocol for row in rows])
        for which, what in ((chosen, "all candidates"), (chosen & proposed, "proposed ones")):
            _print_binary(
                f"{protocol or 'all'}, {what}", p[which, 0], y[which] == 0,
                [r for r, c in zip(rows, which, strict=True) if c],
            )  # fmt: skip
    if options.figure:
        _draw(p[proposed, 0], y[proposed] == 0, options.figure)
    if not options.check:
        sets = {"fine": train(x[fine], y[fine], penalty), "coarse": train(x, y, penalty)}
        TARGET.write_text(_toml(sets, rows, penalty, loss), encoding="utf-8")


def read_rows(heads: list[str], folder: Path) -> list[dict[str, Any]]:
    """Return the candidates of heads that can be told at all."""
    rows: list[dict[str, Any]] = []
    for word in heads:
        protocol, seed = word.split(":")
        rows += read_features(protocol, int(seed), folder)
    return [row for row in rows if _is_known(row)]


def _is_known(row: dict[str, Any]) -> bool:
    """Return whether a candidate can be told: a bleed that a scan shows, and no air within tissue, which is alike."""
    if row["true_kind"] == "microbleed":
        return bool(row["true_ppm_mm3"] >= UNSURE_PPM_MM3)
    return not (row["true_kind"] == "artefact" and row["true_ppm_mm3"] > 0)


def figures_of_rows(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the figures of candidates, NaN where unknown, (candidate, figure)."""
    names = [f.name for f in fields(Evidence)]
    return np.array([figures_of(Evidence(**{k: row[k] for k in names})) for row in rows])


def train(x: np.ndarray, y: np.ndarray, penalty: float) -> Weights:
    """Return the multinomial logistic regression of kinds on figures."""
    means, sds, n_kinds = np.nanmean(x, axis=0), np.maximum(np.nanstd(x, axis=0), MIN_SD), len(MIMIC_KINDS)
    z = np.column_stack([np.nan_to_num((x - means) / sds), np.ones(len(x))])
    truth = np.eye(n_kinds)[y]
    shrunk = np.append(np.ones(x.shape[1]), 0.0)[:, None]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(-1, n_kinds)
        p = _softmax(z @ w)
        cost = -np.log(np.maximum((p * truth).sum(axis=1), 1e-300)).sum()
        cost += 0.5 * penalty * (shrunk * w**2).sum()
        return float(cost), (z.T @ (p - truth) + penalty * shrunk * w).ravel()

    start = np.zeros(z.shape[1] * n_kinds)
    w = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 3000}).x.reshape(
        -1, n_kinds
    )
    return Weights(means, sds, w[:-1], w[-1])


def left_out(x: np.ndarray, y: np.ndarray, seeds: np.ndarray, fine: np.ndarray, penalty: float) -> np.ndarray:
    """Return each candidate's probabilities by weights of the other heads."""
    p = np.zeros((len(x), len(MIMIC_KINDS)))
    for seed in np.unique(seeds):
        for out, others in ((fine, fine), (~fine, fine | ~fine)):
            out, others = out & (seeds == seed), others & (seeds != seed)
            if out.any():
                p[out] = train(x[others], y[others], penalty).probabilities(x[out])
    return p


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of logits, (candidate, kind)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log_loss(p: np.ndarray, y: np.ndarray) -> float:
    """Return the mean negative logarithm of the true kind's probability."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean())


def _print_confusion(p: np.ndarray, y: np.ndarray) -> None:
    """Print how many of each kind (rows) are taken for which (columns)."""
    counts = Counter(zip(y.tolist(), p.argmax(axis=1).tolist(), strict=True))
    print(" " * 16 + " ".join(f"{kind[:9]:>9s}" for kind in MIMIC_KINDS))
    for true, kind in enumerate(MIMIC_KINDS):
        print(f"  {kind:14s}" + " ".join(f"{counts[true, found]:9d}" for found in range(len(MIMIC_KINDS))))


def _print_binary(name: str, p: np.ndarray, truth: np.ndarray, rows: list[dict[str, Any]]) -> None:
    """Print sensitivity and false ones by probability, Brier score and reliability."""
    large = truth & np.array([row["true_ppm_mm3"] >= 2 for row in rows])
    n_heads = len({row["head"] for row in rows})
    print(
        f"{name}: {n_heads} heads, {int(truth.sum())} microbleeds, Brier score {np.mean((p - truth) ** 2):.3f}"
    )
    for limit in LIMITS:
        called = p >= limit
        print(
            f"  >= {limit}: {int((called & truth).sum())}/{int(truth.sum())}, of 2 ppm mm3 and more "
            f"{int((called & large).sum())}/{int(large.sum())}, false per head {(called & ~truth).sum() / n_heads:.2f}"
        )
    print("  reliability: " + ", ".join(f"{a:.2f} -> {b:.2f} ({n})" for a, b, n in _reliability(p, truth)))


def _reliability(p: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, int]]:
    """Return mean probability, fraction of microbleeds and number of the candidates of each group."""
    groups = [(p >= low) & (p < high) for low, high in pairwise(BINS)]
    return [(float(p[g].mean()), float(truth[g].mean()), int(g.sum())) for g in groups if g.any()]


def _draw(p: np.ndarray, truth: np.ndarray, path: Path) -> None:
    """Draw the reliability diagram."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    points = _reliability(p, truth)
    figure, axis = plt.subplots(figsize=(4.2, 4.0))
    axis.plot([0, 1], [0, 1], color="0.6", lw=1)
    for mean, fraction, n in points:
        sd = np.sqrt(max(fraction * (1 - fraction), 0.25 / n) / n)
        axis.errorbar(mean, fraction, yerr=sd, fmt="o", color="C0", ms=4)
        axis.annotate(str(n), (mean, fraction), xytext=(6, -3), textcoords="offset points", fontsize=7)
    axis.set(xlabel="score", ylabel="fraction that are microbleeds", xlim=(-0.03, 1.03), ylim=(-0.03, 1.06))
    axis.set_aspect("equal")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def _toml(sets: dict[str, Weights], rows: list[dict[str, Any]], penalty: float, loss: float) -> str:
    """Return the file of weights with its data card."""
    counts = Counter(row["true_kind"] for row in rows)
    lines = [
        "# Weights of `mimics`, written by benchmarks/train_classifier.py: do not edit. Simulated heads alone.",
        f'version = "{VERSION}"',
        f"kinds = {json.dumps(MIMIC_KINDS)}",
    ]
    for name, found in sets.items():
        lines += ["", f"[{name}]", f"intercepts = {_numbers(found.intercepts)}", "", f"[{name}.figures]"]
        lines += [
            f"{figure} = {{mean = {mean:.4f}, sd = {sd:.4f}, weights = {_numbers(w)}}}"
            for figure, mean, sd, w in zip(FIGURES, found.means, found.sds, found.weights, strict=True)
        ]
    lines += [
        "",
        "[data]",
        f"heads = {json.dumps(sorted({row['head'] for row in rows}))}",
        f"penalty = {penalty}",
        f"left_out_log_loss = {loss:.4f}",
        "",
        "[data.candidates]",
        *(f"{kind} = {counts[kind]}" for kind in MIMIC_KINDS),
    ]
    return "\n".join(lines) + "\n"


def _numbers(values: np.ndarray) -> str:
    """Return numbers as a list of TOML."""
    return "[" + ", ".join(f"{v:.4f}" for v in values) + "]"


if __name__ == "__main__":
    main()
