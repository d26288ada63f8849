"""The demonstration: one head at three field strengths, truth beside what the pipeline finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import read_tsv, write_json, write_tsv
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.load import load_scan
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.sessions import run_study
from qsmcmb.typing import FloatArray, Report
from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom
from qsmcmb.validation.simulate_and_measure import detected
from qsmcmb.validation.visible import volume_at_equal_te

__all__ = (
    "DemoResult",
    "DemoRow",
    "run_demo",
)

RECIPE = "demo"
"""Recipe of the demonstration's head."""


@dataclass(frozen=True)
class DemoRow:
    """One lesion over the field strengths.

    Parameters
    ----------
    lesion : int
        Number of the lesion in the truth table.
    kind : str
        Kind of the lesion.
    truth_ppm_mm3 : float
        True total susceptibility, ppm mm3.
    estimates : dict
        Session to estimate and lower and upper end of its 95 % interval, ppm mm3.
    volumes_mm3 : dict
        Session to visible volume at an equal echo time, mm3.

    Examples
    --------
    >>> estimates = {"3T": (9.0, 8.0, 10.0), "7T": (11.0, 10.0, 12.0)}
    >>> row = DemoRow(lesion=1, kind="microbleed", truth_ppm_mm3=10.0, estimates=estimates, volumes_mm3={})
    >>> round(row.cv, 3)
    0.141
    """

    lesion: int
    kind: str
    truth_ppm_mm3: float
    estimates: dict[str, tuple[float, float, float]]
    volumes_mm3: dict[str, float]

    @property
    def cv(self) -> float:
        """Coefficient of variation of the total susceptibility over the sessions."""
        return _coefficient_of_variation([v for v, _, _ in self.estimates.values()])

    @property
    def cv_volume(self) -> float:
        """Coefficient of variation of the visible volume over the sessions."""
        return _coefficient_of_variation(list(self.volumes_mm3.values()))


@dataclass(frozen=True)
class DemoResult:
    """The demonstration's rows, the outcome of each session, and the folder of the results.

    Parameters
    ----------
    rows : list of DemoRow
        One for each lesion.
    outcomes : list of Outcome
        One for each session.
    detected : dict
        Session to the number of lesions that the detector finds on its own, and of all.
    derivatives : Path
        Folder of the results.

    Examples
    --------
    >>> DemoResult(rows=[], outcomes=[], detected={"3T": (9, 11)}, derivatives=Path("out")).detected["3T"]
    (9, 11)
    """

    rows: list[DemoRow]
    outcomes: list[Outcome]
    detected: dict[str, tuple[int, int]]
    derivatives: Path


def _coefficient_of_variation(values: list[float]) -> float:
    """Return the ratio of SD to mean, in absolute value; NaN where the mean is 0.

    Examples
    --------
    >>> round(_coefficient_of_variation([9.0, 10.0, 11.0]), 3)
    0.1
    """
    mean = float(np.mean(values)) if values else 0.0
    return abs(float(np.std(values, ddof=1)) / mean) if len(values) > 1 and mean else float("nan")


def run_demo(out: Path, *, report: Report | None = None) -> DemoResult:
    """Simulate the demo head, run the pipeline on all sessions, hold the results against the truth.

    Parameters
    ----------
    out : Path
        Folder for everything: `bids`, `bids-truth`, `derivatives`, `demo.tsv`, `demo.json`.
    report : callable, optional
        Progress, called with session, stage and seconds.

    Returns
    -------
    DemoResult
        Truth and estimates of each lesion.

    Raises
    ------
    OutputError
        A folder cannot be created or written.

    Examples
    --------
    >>> result = run_demo(Path("demo-out"))  # doctest: +SKIP
    >>> [row.cv for row in result.rows]  # doctest: +SKIP
    """
    recipe = read_recipe(RECIPE)
    bids, derivatives = out / "bids", out / "derivatives"
    write_phantom(recipe, bids, report=report)
    points = truth_folder(bids) / "points.tsv"
    outcomes = run_study(bids, derivatives, StudyOptions(config=make_config(), points=points), report=report)
    rows, found = _compare(bids, derivatives, recipe.subject)
    result = DemoResult(rows, outcomes, found, derivatives)
    _write(out, result)
    return result


def _compare(
    bids: Path, derivatives: Path, participant: str
) -> tuple[list[DemoRow], dict[str, tuple[int, int]]]:
    """Return truth and estimates of each lesion, and how many the detector finds without the positions."""
    estimates: dict[int, dict[str, tuple[float, float, float]]] = {}
    volumes: dict[int, dict[str, float]] = {}
    kinds: dict[int, tuple[str, float]] = {}
    found = {}
    truth = truth_folder(bids)
    for session in list_results(derivatives, participant):
        stem = f"sub-{participant}_{session.name}"
        table = read_tsv(truth / f"sub-{participant}" / session.name / f"{stem}_lesions.tsv")
        centres_mm = np.array([[float(t[c] or 0) for c in ("x_mm", "y_mm", "z_mm")] for t in table])
        scan = load_scan(bids, participant=participant, session=session.session)
        for t, lesion, centre_mm in zip(table, session.lesions(), centres_mm, strict=True):
            number = int(t["id"] or 0)
            kinds[number] = (str(t["kind"]), float(t["S_ppm_mm3"] or 0))
            total = lesion.total_chi_ppm_mm3
            assert total is not None, f"lesion {number} of the demonstration has no number"
            estimates.setdefault(number, {})[session.session] = (total.value, total.low, total.high)
            volumes.setdefault(number, {})[session.session] = volume_at_equal_te(scan, centre_mm)
        found[session.session] = (_found(session, centres_mm), len(centres_mm))
    rows = []
    for number in sorted(kinds):
        kind, truth_ppm_mm3 = kinds[number]
        rows.append(
            DemoRow(
                lesion=number,
                kind=kind,
                truth_ppm_mm3=truth_ppm_mm3,
                estimates=estimates[number],
                volumes_mm3=volumes[number],
            )
        )
    return rows, found


def _found(session: SessionResults, centres_mm: FloatArray) -> int:
    """Return how many of the centres the detector finds on a session's map."""
    chi_ppm, grid = session.image("Chimap")
    swi, _ = session.image("desc-swi_T2starw")
    return int(detected(chi_ppm, swi[None], chi_ppm != 0, grid, centres_mm).sum())


def _write(out: Path, result: DemoResult) -> None:
    """Write the demonstration's table and record."""
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
