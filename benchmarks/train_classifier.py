"""Train the classifier of candidates on simulated heads, and write its weights into the package.

    python benchmarks/train_classifier.py --folder FOLDER [--heads 3T:83001 ...] [--fitted 3T:83001 ...] [--check]

1. Each head is simulated and mapped once (`mimic_heads`); the evidence of its candidates with what they are
   (`mimic_features`) lies in FOLDER. Heads named by --fitted have their candidates fitted, too: this is what costs.
2. Multinomial logistic regression with an L2 penalty on the standardised figures before the fit. The penalty is the
   best of some by the likelihood of heads left out; left-out predictions give slope and reliability.
3. Binary logistic regression of microbleed on the left-out logit and the figures of the fit.

--check trains and prints, and leaves the package's file as it is. The weights depend on the stored features alone.
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
from qsmcmb.microbleeds.results.mimics import AFTER_FIT, BEFORE_FIT, MAX_LOGIT, MIMIC_KINDS, figures_of

HEADS = [
    "3T:83002", "3T:83006", "3T:83009", "3T:83013", "3T:83015", "3T:83018", "15T:83003", "15T:83008", "15T:83014",
    "7T:83004", "7T:83011", "3T-2mm:83001", "3T-2mm:83007", "3T-2mm:83012", "3T-4mm:83005", "3T-4mm:83010",
    "3T-4mm:83016",
]  # fmt: skip
"""Heads of the weights in the package."""
FITTED = ["3T:83002", "3T-2mm:83001", "3T-4mm:83005", "15T:83003"]
"""Of them those whose candidates were fitted."""
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Penalties that are tried: they multiply half the sum of the squared weights."""
MIN_SD = 1e-3
TARGET = Path(qsmcmb.__file__).parent / "microbleeds" / "results" / "mimics.toml"
UNSURE_PPM_MM3 = 0.5
"""Microbleeds below this, ppm mm3, are left out: no scan shows them."""


def main() -> None:
    """Train, print what heads left out say, write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--heads", nargs="+", default=HEADS, metavar="PROTOCOL:SEED")
    parser.add_argument("--fitted", nargs="*", default=FITTED, metavar="PROTOCOL:SEED")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rows = _rows(options.heads, options.folder, fitted=False)
    x, y, heads = (
        _figures(rows, BEFORE_FIT),
        np.array([MIMIC_KINDS.index(r["true_kind"]) for r in rows]),
        _heads(rows),
    )
    penalty = min(PENALTIES, key=lambda p: _left_out(x, y, heads, p)[1])
    left_out, loss = _left_out(x, y, heads, penalty)
    before = _multinomial(x, y, penalty)
    print(f"penalty {penalty:g}; left out: loss {loss:.3f} a candidate, {_summary(left_out, y)}")
    after, slope, known = _train_after(options, before)
    card = _card(rows, known, penalty, loss)
    if not options.check:
        TARGET.write_text(_toml(before, after, slope, card), encoding="utf-8")
    (options.folder / "left_out.json").write_text(
        json.dumps({"p": left_out[:, 0].tolist(), "y": (y == 0).tolist(), "head": heads.tolist()})
    )


def _rows(heads: list[str], folder: Path, *, fitted: bool) -> list[dict[str, Any]]:
    """Return the candidates of heads, without the lesions that no scan shows."""
    rows: list[dict[str, Any]] = []
    for word in heads:
        protocol, seed = word.split(":")
        rows += read_features(protocol, int(seed), folder, fitted=fitted)
    return [r for r in rows if _is_known(r)]


def _is_known(row: dict[str, Any]) -> bool:
    """Return whether a candidate can be told: a bleed that a scan shows, and no air within tissue, which is alike."""
    if row["true_kind"] == "microbleed":
        return bool(row["true_ppm_mm3"] >= UNSURE_PPM_MM3)
    return not (row["true_kind"] == "artefact" and row["true_ppm_mm3"] > 0)


def _figures(rows: list[dict[str, Any]], figures: Any) -> np.ndarray:
    """Return the figures of candidates, NaN where unknown, (candidate, figure)."""
    names = [f.name for f in fields(Evidence)]
    return np.array([figures_of(Evidence(**{k: r[k] for k in names}), figures) for r in rows])


def _heads(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the number of each candidate's head; heads of one seed share it."""
    seeds = [r["head"].split("_")[1] for r in rows]
    return np.unique(seeds, return_inverse=True)[1]


class _Linear:
    """Standardisation and weights."""

    def __init__(self, x: np.ndarray) -> None:
        self.means = np.nanmean(x, axis=0)
        self.sds = np.maximum(np.nanstd(x, axis=0), MIN_SD)
        self.weights = self.intercepts = np.zeros(0)

    def standardised(self, x: np.ndarray) -> np.ndarray:
        return np.nan_to_num((x - self.means) / self.sds)

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.standardised(x) @ self.weights + self.intercepts


def _multinomial(x: np.ndarray, y: np.ndarray, penalty: float) -> _Linear:
    """Return the multinomial logistic regression of kinds on figures."""
    model, n_kinds = _Linear(x), len(MIMIC_KINDS)
    z = np.column_stack([model.standardised(x), np.ones(len(x))])
    truth = np.eye(n_kinds)[y]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(-1, n_kinds)
        p = _softmax(z @ w)
        shrunk = w.copy()
        shrunk[-1] = 0
        cost = -np.log(np.maximum((p * truth).sum(axis=1), 1e-300)).sum() + 0.5 * penalty * (shrunk**2).sum()
        return float(cost), (z.T @ (p - truth) + penalty * shrunk).ravel()

    found = minimize(
        objective, np.zeros(z.shape[1] * n_kinds), jac=True, method="L-BFGS-B", options={"maxiter": 3000}
    )
    w = found.x.reshape(-1, n_kinds)
    model.weights, model.intercepts = w[:-1], w[-1]
    return model


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _left_out(x: np.ndarray, y: np.ndarray, heads: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Return each candidate's probabilities by the other heads, and the mean log loss."""
    p = np.zeros((len(x), len(MIMIC_KINDS)))
    for head in np.unique(heads):
        out = heads == head
        p[out] = _softmax(_multinomial(x[~out], y[~out], penalty).logits(x[out]))
    return p, float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean())


def _train_after(options: argparse.Namespace, before: _Linear) -> tuple[_Linear, float, list[dict[str, Any]]]:
    """Return the weights of the figures of the fit, the slope of the logit before it, and the candidates fitted."""
    rows = [
        r for r in _rows(options.fitted, options.folder, fitted=True) if r["total_chi_ppm_mm3"] is not None
    ]
    names = list(AFTER_FIT)
    if not rows:
        nothing = _Linear(np.zeros((1, len(names))))
        nothing.weights, nothing.intercepts = np.zeros((len(names), 1)), np.zeros(1)
        return nothing, 1.0, rows
    p = _softmax(before.logits(_figures(rows, BEFORE_FIT)))[:, 0]
    logit = np.clip(np.log(np.maximum(p, 1e-12) / np.maximum(1 - p, 1e-12)), -MAX_LOGIT, MAX_LOGIT)
    truth = np.array([r["true_kind"] == "microbleed" for r in rows], float)
    model = _Linear(_figures(rows, AFTER_FIT))
    z = np.column_stack([model.standardised(_figures(rows, AFTER_FIT)), logit, np.ones(len(rows))])
    # The logit before the fit is shrunk towards itself, what the fit adds towards nothing.
    prior = np.array([0.0] * len(names) + [1.0, 0.0])
    strength = np.array([AFTER_PENALTY] * (len(names) + 1) + [0.0])

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        s = z @ w
        cost = np.logaddexp(0, s).sum() - truth @ s + 0.5 * (strength * (w - prior) ** 2).sum()
        return float(cost), z.T @ (1 / (1 + np.exp(-s)) - truth) + strength * (w - prior)

    w = minimize(objective, prior, jac=True, method="L-BFGS-B").x
    model.weights, model.intercepts = w[: len(names), None], w[-1:]
    final = 1 / (1 + np.exp(-z @ w))
    print(f"fitted {len(rows)}, microbleeds {int(truth.sum())}")
    print("before:", _binary(p, truth))
    print("after: ", _binary(final, truth))
    return model, float(w[len(names)]), rows


AFTER_PENALTY = 3.0
"""Penalty of the weights of the fit's figures: that of about as many candidates as are fitted."""


def _summary(p: np.ndarray, y: np.ndarray) -> str:
    """Return how well left-out probabilities tell kinds apart, in words."""
    right = Counter()
    for kind, found in zip(y, p.argmax(axis=1), strict=True):
        right[MIMIC_KINDS[kind], MIMIC_KINDS[found]] += 1
    table = "\n".join(
        f"  {true:14s}" + " ".join(f"{right[true, found]:5d}" for found in MIMIC_KINDS)
        for true in MIMIC_KINDS
    )
    return f"microbleed: {_binary(p[:, 0], (y == 0).astype(float))}\n{table}"


def _binary(p: np.ndarray, truth: np.ndarray) -> str:
    """Return sensitivity and false ones at 0.2 and 0.8, Brier score and reliability in words."""
    words = [f"Brier {np.mean((p - truth) ** 2):.3f}"]
    for limit in (0.2, 0.5, 0.8):
        true, false = int((truth * (p >= limit)).sum()), int(((1 - truth) * (p >= limit)).sum())
        words.append(f">={limit}: {true}/{int(truth.sum())} true, {false} false")
    edges = np.array([0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0001])
    bins = [
        (p[i].mean(), truth[i].mean(), int(i.sum()))
        for a, b in pairwise(edges)
        if (i := (p >= a) & (p < b)).any()
    ]
    return "; ".join(words) + "; reliability " + " ".join(f"{a:.2f}->{b:.2f}({n})" for a, b, n in bins)


def _card(
    rows: list[dict[str, Any]], known: list[dict[str, Any]], penalty: float, loss: float
) -> dict[str, Any]:
    """Return what the weights were set on."""
    counts = Counter(r["true_kind"] for r in rows)
    return {
        "heads": sorted({r["head"] for r in rows}),
        "candidates": {kind: counts[kind] for kind in MIMIC_KINDS},
        "fitted_heads": sorted({r["head"] for r in known}),
        "fitted_candidates": len(known),
        "fitted_microbleeds": sum(r["true_kind"] == "microbleed" for r in known),
        "penalty": penalty,
        "left_out_log_loss": round(loss, 4),
    }


def _toml(before: _Linear, after: _Linear, slope: float, card: dict[str, Any]) -> str:
    """Return the file of weights."""
    lines = [
        "# Weights of `mimics`, written by benchmarks/train_classifier.py: do not edit. Simulated heads alone.",
        f'version = "{VERSION}"',
        "",
        "[data]",
        f"heads = {json.dumps(card['heads'])}",
        f"fitted_heads = {json.dumps(card['fitted_heads'])}",
        *(
            f"{k} = {card[k]}"
            for k in ("fitted_candidates", "fitted_microbleeds", "penalty", "left_out_log_loss")
        ),
        "",
        "[data.candidates]",
        *(f"{kind} = {n}" for kind, n in card["candidates"].items()),
        "",
        "[before_fit]",
        f"kinds = {json.dumps(MIMIC_KINDS)}",
        f"intercepts = {_numbers(before.intercepts)}",
        "",
        "[before_fit.figures]",
        *_figure_lines(before, list(BEFORE_FIT)),
        "",
        "[after_fit]",
        f"slope = {slope:.4f}",
        f"intercepts = {_numbers(after.intercepts)}",
        "",
        "[after_fit.figures]",
        *_figure_lines(after, list(AFTER_FIT)),
    ]
    return "\n".join(lines) + "\n"


VERSION = "1"


def _figure_lines(model: _Linear, names: list[str]) -> list[str]:
    return [
        f"{name} = {{mean = {m:.4f}, sd = {s:.4f}, weights = {_numbers(w)}}}"
        for name, m, s, w in zip(names, model.means, model.sds, model.weights, strict=True)
    ]


def _numbers(values: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:.4f}" for v in values) + "]"


if __name__ == "__main__":
    main()
