"""The demonstration: one head at three field strengths, truth beside what the pipeline finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.io.bids import load_scan
from qsmcmb.io.results import list_results
from qsmcmb.io.tables import read_tsv, write_json, write_tsv
from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.study import Outcome, StudyOptions, run_study
from qsmcmb.typing import FloatArray
from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom
from qsmcmb.validation.visible import volume_at_equal_te

RECIPE = "demo"
SAME_LESION_MM = 3.0
Report = Callable[[str, str, float], None]


@dataclass(frozen=True)
class DemoRow:
    """One lesion over the field strengths."""

    lesion: int
    kind: str
    truth_ppm_mm3: float
    estimates: dict[str, tuple[float, float, float]]
    """session -> value, lower and upper end of the 95 % interval (ppm mm3)."""
    volumes_mm3: dict[str, float]
    """session -> visible volume at an equal echo time."""

    @property
    def cv(self) -> float:
        """Coefficient of variation of total susceptibility over the sessions."""
        return coefficient_of_variation([v for v, _, _ in self.estimates.values()])

    @property
    def cv_volume(self) -> float:
        """Coefficient of variation of the visible volume."""
        return coefficient_of_variation(list(self.volumes_mm3.values()))


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration shows, and where it lies."""

    rows: list[DemoRow]
    outcomes: list[Outcome]
    detected: dict[str, tuple[int, int]]
    """session -> (lesions that the detector finds on its own, all)."""
    derivatives: Path


def coefficient_of_variation(values: list[float]) -> float:
    """Return SD over mean, in absolute value; NaN where the mean is 0.

    Examples
    --------
    >>> round(coefficient_of_variation([9.0, 10.0, 11.0]), 3)
    0.1
    """
    mean = float(np.mean(values)) if values else 0.0
    return abs(float(np.std(values, ddof=1)) / mean) if len(values) > 1 and mean else float("nan")


def run_demo(out: Path, *, report: Report | None = None) -> DemoResult:
    """Simulate the demo head, run the pipeline on all sessions, hold the results against the truth.

    Parameters
    ----------
    out : path
        Folder for everything: `bids`, `bids-truth`, `derivatives`.
    report : callable, optional
        Progress.

    Returns
    -------
    DemoResult
    """
    recipe = read_recipe(RECIPE)
    bids, derivatives = out / "bids", out / "derivatives"
    write_phantom(recipe, bids, report=report)
    points = truth_folder(bids) / "points.tsv"
    outcomes = run_study(bids, derivatives, StudyOptions(make_config(), points=points), report=report)
    rows, detected = compare(bids, derivatives, recipe.subject)
    result = DemoResult(rows, outcomes, detected, derivatives)
    _write(out, result)
    return result


def compare(
    bids: Path, derivatives: Path, participant: str
) -> tuple[list[DemoRow], dict[str, tuple[int, int]]]:
    """Return truth and estimates per lesion, and what the detector finds without the positions."""
    estimates: dict[int, dict[str, tuple[float, float, float]]] = {}
    volumes: dict[int, dict[str, float]] = {}
    kinds: dict[int, tuple[str, float]] = {}
    detected = {}
    truth = truth_folder(bids)
    for session in list_results(derivatives, participant):
        stem = f"sub-{participant}_{session.name}"
        table = read_tsv(truth / f"sub-{participant}" / session.name / f"{stem}_lesions.tsv")
        where = np.array([[float(t[c] or 0) for c in ("x_mm", "y_mm", "z_mm")] for t in table])
        lesions = session.lesion_rows()
        scan = load_scan(bids, participant=participant, session=session.session)
        for t, row, place in zip(table, lesions, where, strict=True):
            number = int(t["id"] or 0)
            kinds[number] = (str(t["kind"]), float(t["S_ppm_mm3"] or 0))
            names = ("total_chi_ppm_mm3", "total_chi_low_ppm_mm3", "total_chi_high_ppm_mm3")
            value, low, high = (float(row[name]) for name in names)
            estimates.setdefault(number, {})[session.session] = (value, low, high)
            volumes.setdefault(number, {})[session.session] = volume_at_equal_te(scan, place)
        detected[session.session] = (_found(session, where), len(where))
    rows = [DemoRow(n, *kinds[n], estimates[n], volumes[n]) for n in sorted(kinds)]
    return rows, detected


def _found(session: Any, where: FloatArray) -> int:
    chi_ppm, grid = session.image("Chimap")
    swi, _ = session.image("desc-swi_T2starw")
    candidates = find_candidates(chi_ppm, swi[None], chi_ppm != 0, grid)
    places = grid.to_world(np.array([c.voxel for c in candidates]).reshape(-1, 3))
    near = [len(places) > 0 and np.linalg.norm(places - p, axis=1).min() < SAME_LESION_MM for p in where]
    return int(np.sum(near))


def _write(out: Path, result: DemoResult) -> None:
    sessions = list(result.detected)
    columns = ["lesion", "kind", "truth_ppm_mm3"]
    columns += [
        f"{s}_{c}" for s in sessions for c in ("ppm_mm3", "low_ppm_mm3", "high_ppm_mm3", "volume_mm3")
    ]
    rows = []
    for row in result.rows:
        cells: dict[str, Any] = {"lesion": row.lesion, "kind": row.kind, "truth_ppm_mm3": row.truth_ppm_mm3}
        for s in sessions:
            value, low, high = row.estimates[s]
            cells |= {
                f"{s}_ppm_mm3": value, f"{s}_low_ppm_mm3": low, f"{s}_high_ppm_mm3": high,
                f"{s}_volume_mm3": row.volumes_mm3[s],
            }  # fmt: skip
        rows.append({**cells, "cv": row.cv, "cv_volume": row.cv_volume})
    write_tsv(out / "demo.tsv", rows, [*columns, "cv", "cv_volume"])
    write_json(
        out / "demo.json",
        {
            "median_cv_total_chi": float(np.median([r.cv for r in result.rows])),
            "median_cv_visible_volume": float(np.nanmedian([r.cv_volume for r in result.rows])),
            "detected": {s: {"found": a, "of": b} for s, (a, b) in result.detected.items()},
        },
    )
