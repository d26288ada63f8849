"""`qsmcmb validate`: run the experiments, hold every claim against its limit, leave tables and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from qsmcmb.errors import ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.typing import FloatArray, Report
from qsmcmb.validation.acceptance_criteria import (
    COLUMNS,
    Claim,
    Rows,
    column,
    cv_over,
    lesions_in,
    of_shape,
    percentile,
)
from qsmcmb.validation.accuracy_criteria import accuracy_claims, class_table
from qsmcmb.validation.experiments import FULL, QUICK, SHAPES, Experiment, all_experiments
from qsmcmb.validation.literature import literature_claims
from qsmcmb.validation.run_experiments import run_experiment
from qsmcmb.validation.shape_criteria import shape_claims, shape_table

__all__ = (
    "Validation",
    "choose",
    "validate",
)


class ClaimRow(TypedDict):
    """A row of the table of claims."""

    source: str
    quantity: str
    published: str
    here: float
    limit: str
    passed: str
    note: str | None


class StudyRow(TypedDict):
    """A row of the table of what each condition shows of the same lesions."""

    condition: str
    lesions: int
    seen_t2s: int | None
    seen_swi: int | None
    detected_qsm: int | None
    t2s_mm3: float
    swi_mm3: float
    qsm_mean_ppm: float
    total_over_truth: float


CLAIM_COLUMNS = tuple(ClaimRow.__annotations__)
"""Columns of the table of claims, in order."""
STUDY_COLUMNS = tuple(StudyRow.__annotations__)
"""Columns of the table of conditions, in order."""


class Validation(NamedTuple):
    """The claims of a run and the table of each experiment.

    Parameters
    ----------
    claims : list of Claim
        Claims, with our figures.
    tables : dict
        Experiment to its rows of results.

    Examples
    --------
    >>> Validation(claims=[], tables={}).missed
    []
    """

    claims: list[Claim]
    tables: dict[str, Rows]

    @property
    def missed(self) -> list[Claim]:
        """Claims whose limit is missed."""
        return [c for c in self.claims if not c.passed]


def choose(only: Sequence[str] = (), *, quick: bool = False, shapes: str = "all") -> tuple[Experiment, ...]:
    """Return the experiments of a run.

    Parameters
    ----------
    only : sequence of str, optional
        Names of experiments; all by default.
    quick : bool, optional
        Few, small heads.
    shapes : {"all", "regular", "irregular"}, optional
        Shapes of the microbleeds.

    Returns
    -------
    tuple of Experiment
        Experiments in the order in which they are run.

    Raises
    ------
    ConfigError
        An unknown experiment or mix of shapes; the known ones are listed.

    Examples
    --------
    >>> [e.name for e in choose(["te"], quick=True)]
    ['te']
    """
    if shapes not in SHAPES:
        raise ConfigError(f"shapes {shapes!r}; expected one of: {', '.join(SHAPES)}")
    known = all_experiments(QUICK if quick else FULL, shapes)
    names = [e.name for e in known]
    for name in only:
        if name not in names:
            raise ConfigError(f"experiment {name!r}; expected one of: {', '.join(names)}")
    return tuple(e for e in known if not only or e.name in only)


def validate(out: Path, experiments: Sequence[Experiment], *, report: Report | None = None) -> Validation:
    """Run experiments (those that are there are not run again) and judge every claim that they answer.

    Parameters
    ----------
    out : Path
        Folder for `tables/`, `lesions.tsv`, `claims.tsv`, `study.tsv`, `classes.tsv`, `shapes.tsv` and
        `validation.json`.
    experiments : sequence of Experiment
        From `choose`.
    report : callable, optional
        Progress, called with session, stage and seconds.

    Returns
    -------
    Validation
        Claims and tables.

    Raises
    ------
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     validate(Path(folder), []).claims
    []
    """
    make_folder(out)
    tables: dict[str, Rows] = {}
    result = Validation([], tables)
    for experiment in experiments:
        tables[experiment.name] = run_experiment(experiment, out, report=report)
        # After each, so that a run that is stopped has shown what it had.
        result = Validation(
            [*accuracy_claims(tables), *shape_claims(tables), *literature_claims(tables)], tables
        )
        _write_results(out, result)
    return result


def _write_results(out: Path, result: Validation) -> None:
    """Write the tables of a validation."""
    write_tsv(out / "lesions.tsv", [r for rows in result.tables.values() for r in rows], COLUMNS)
    write_tsv(out / "claims.tsv", [claim_row(c) for c in result.claims], CLAIM_COLUMNS)
    study = _study_table(result.tables)
    write_tsv(out / "study.tsv", study, STUDY_COLUMNS)
    if "fields" in result.tables:
        classes = class_table(of_shape(result.tables["fields"], irregular=False))
        write_tsv(out / "classes.tsv", classes, tuple(classes[0]))
    by_shape = shape_table(result.tables)
    if by_shape:
        write_tsv(out / "shapes.tsv", by_shape, tuple(by_shape[0]))
    record = {
        "passed": len(result.claims) - len(result.missed), "claims": len(result.claims),
        "missed": [f"{c.source}: {c.quantity}" for c in result.missed],
        "lesions": {name: len(rows) for name, rows in result.tables.items()},
        "median_cv_percent": {n: 100 * percentile(cv_over(lesions_in(rows, above=5), "estimate_ppm_mm3"), 50)
                              for n, rows in result.tables.items() if n in ("fields", "te", "voxels", "repeat")},
    }  # fmt: skip
    write_json(out / "validation.json", record)


def claim_row(claim: Claim) -> ClaimRow:
    """Return a claim as a row."""
    return {
        "source": claim.source, "quantity": claim.quantity, "published": claim.published, "here": claim.here,
        "limit": claim.limit, "passed": "yes" if claim.passed else "no", "note": claim.note or None,
    }  # fmt: skip


def _study_table(tables: dict[str, Rows]) -> list[StudyRow]:
    """Return what each condition shows of the same lesions: counts and volumes change, total susceptibility doesn't."""
    out: list[StudyRow] = []
    for name in ("fields", "te", "voxels", "counts"):
        rows = [r for r in tables.get(name, []) if r["kind"] == "microbleed"]
        for session in dict.fromkeys(r["session"] for r in rows):
            out.append(_study_row(f"{name}: {session}", [r for r in rows if r["session"] == session]))
    return out


def _study_row(condition: str, rows: Rows) -> StudyRow:
    """Return what one condition shows of its lesions."""

    def values(name: str) -> FloatArray:
        return column(rows, name)

    def median(name: str) -> float:
        return percentile(values(name), 50)

    mapped = bool(np.isfinite(values("t2s_mm3")).any())
    ratio = values("estimate_ppm_mm3") / values("truth_ppm_mm3")
    return {
        "condition": condition,
        "lesions": len(rows),
        "seen_t2s": int(np.nansum(values("seen_t2s"))) if mapped else None,
        "seen_swi": int(np.nansum(values("seen_swi"))) if mapped else None,
        "detected_qsm": int(np.nansum(values("detected"))) if mapped else None,
        "t2s_mm3": median("t2s_mm3") if mapped else median("equal_te_mm3"),
        "swi_mm3": median("swi_mm3"),
        "qsm_mean_ppm": median("qsm_mean_ppm"),
        "total_over_truth": percentile(ratio, 50),
    }  # fmt: skip
