"""`qsmcmb validate`: run the experiments, hold every claim against its limit, leave tables and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.validation.accuracy import accuracy_claims, class_table
from qsmcmb.validation.claims import Claim, Rows, cv_over, lesions_in, percentile
from qsmcmb.validation.experiments import FULL, QUICK, Experiment, all_experiments
from qsmcmb.validation.literature import literature_claims
from qsmcmb.validation.measure import COLUMNS
from qsmcmb.validation.runner import run_experiment

Report = Callable[[str, str, float], None]
CLAIM_COLUMNS = ("source", "quantity", "published", "here", "limit", "passed", "note")
STUDY_COLUMNS = (
    "condition", "lesions", "seen_t2s", "seen_swi", "detected_qsm", "t2s_mm3", "swi_mm3", "qsm_mean_ppm",
    "total_over_truth",
)  # fmt: skip


class Validation(NamedTuple):
    """Claims, the table of each experiment, and the page's other tables."""

    claims: list[Claim]
    tables: dict[str, Rows]

    @property
    def missed(self) -> list[Claim]:
        """The claims whose limit is missed."""
        return [c for c in self.claims if not c.passed]


def choose(only: Sequence[str] = (), *, quick: bool = False) -> tuple[Experiment, ...]:
    """Return the experiments of a run.

    Raises
    ------
    ConfigError
        An unknown experiment; the known ones are listed.
    """
    known = all_experiments(QUICK if quick else FULL)
    names = [e.name for e in known]
    for name in only:
        if name not in names:
            raise ConfigError(f"experiment {name!r}; expected one of: {', '.join(names)}")
    return tuple(e for e in known if not only or e.name in only)


def validate(out: Path, experiments: Sequence[Experiment], *, report: Report | None = None) -> Validation:
    """Run experiments (what is there is not run again) and judge every claim that they answer.

    Parameters
    ----------
    out : path
        Folder for `tables/`, `lesions.tsv`, `claims.tsv`, `study.tsv` and `validation.json`.
    experiments : sequence of Experiment
        From `choose`.
    report : callable, optional
        Progress.
    """
    make_folder(out)
    tables: dict[str, Rows] = {}
    result = Validation([], tables)
    for experiment in experiments:
        tables[experiment.name] = run_experiment(experiment, out, report=report)
        # After each, so that a run that is stopped has shown what it had.
        result = Validation([*accuracy_claims(tables), *literature_claims(tables)], tables)
        write_results(out, result)
    return result


def write_results(out: Path, result: Validation) -> None:
    """Write the tables of a validation."""
    write_tsv(out / "lesions.tsv", [r for rows in result.tables.values() for r in rows], COLUMNS)
    write_tsv(out / "claims.tsv", [claim_row(c) for c in result.claims], CLAIM_COLUMNS)
    study = study_table(result.tables)
    write_tsv(out / "study.tsv", study, STUDY_COLUMNS)
    if "fields" in result.tables:
        classes = class_table(result.tables["fields"])
        write_tsv(out / "classes.tsv", classes, tuple(classes[0]))
    record = {
        "passed": len(result.claims) - len(result.missed), "claims": len(result.claims),
        "missed": [f"{c.source}: {c.quantity}" for c in result.missed],
        "lesions": {name: len(rows) for name, rows in result.tables.items()},
        "median_cv_percent": {n: 100 * percentile(cv_over(lesions_in(rows, above=5), "estimate_ppm_mm3"), 50)
                              for n, rows in result.tables.items() if n in ("fields", "te", "voxels", "repeat")},
    }  # fmt: skip
    write_json(out / "validation.json", record)


def claim_row(claim: Claim) -> dict[str, Any]:
    """Return a claim as a row."""
    return {
        "source": claim.source, "quantity": claim.quantity, "published": claim.published, "here": claim.here,
        "limit": claim.limit, "passed": "yes" if claim.passed else "no", "note": claim.note or None,
    }  # fmt: skip


def study_table(tables: dict[str, Rows]) -> list[dict[str, Any]]:
    """Return what each condition shows of the same lesions: counts and volumes change, total susceptibility doesn't."""
    out = []
    for name in ("fields", "te", "voxels", "counts"):
        rows = [r for r in tables.get(name, []) if r["kind"] == "microbleed"]
        for session in dict.fromkeys(r["session"] for r in rows):
            out.append(
                {
                    "condition": f"{name}: {session}",
                    **_condition([r for r in rows if r["session"] == session]),
                }
            )
    return out


def _condition(rows: Rows) -> dict[str, Any]:
    def values(name: str) -> Any:
        return np.array([r[name] for r in rows], dtype=float)

    def median(name: str) -> float:
        return percentile(values(name), 50)

    mapped = bool(np.isfinite(values("t2s_mm3")).any())
    ratio = values("estimate_ppm_mm3") / values("truth_ppm_mm3")
    return {
        "lesions": len(rows),
        "seen_t2s": int(np.nansum(values("seen_t2s"))) if mapped else None,
        "seen_swi": int(np.nansum(values("seen_swi"))) if mapped else None,
        "detected_qsm": int(np.nansum(values("detected"))) if mapped else None,
        "t2s_mm3": median("t2s_mm3") if mapped else median("equal_te_mm3"),
        "swi_mm3": median("swi_mm3"),
        "qsm_mean_ppm": median("qsm_mean_ppm"),
        "total_over_truth": percentile(ratio, 50),
    }  # fmt: skip
