"""Runs of experiments, with a table for each session, so that a long run can be stopped and goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import read_tsv, write_tsv
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import Protocol, Recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.typing import Report
from qsmcmb.validation.acceptance_criteria import COLUMNS, TEXT_COLUMNS, ResultRow, Rows
from qsmcmb.validation.experiments import Experiment
from qsmcmb.validation.simulate_and_measure import measure_session

__all__ = (
    "planned_steps",
    "read_rows",
    "run_experiment",
    "software_hash",
)

AFTERWARDS = (
    "validation",
    "reporting",
    "cli",
    "reviewing",
    "cohorts",
    "distributed",
    "change",
    "registration",
)
"""Parts of the package that come after the measurement: a change there makes no table out of date."""


def run_experiment(experiment: Experiment, out: Path, *, report: Report | None = None) -> Rows:
    """Run what is missing of an experiment and return its table.

    Parameters
    ----------
    experiment : Experiment
        What to simulate and measure.
    out : Path
        Tables go to OUT/tables; a session's table that fits its recipe and software is not made again.
    report : callable, optional
        Progress, called with session, stage and seconds.

    Returns
    -------
    list of ResultRow
        One for each lesion and session.

    Raises
    ------
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> run_experiment(Experiment("none", "No phantom", ()), Path("out"))
    []
    """
    rows: Rows = []
    for recipe in experiment.recipes:
        tables = {p.label: _table_path(out, experiment, recipe, p) for p in recipe.sessions}
        if not all(path.is_file() for path in tables.values()):
            for label, made in _run_head(experiment, recipe, tables, report):
                write_tsv(tables[label], made, COLUMNS)
        for path in tables.values():
            rows += read_rows(path)
    return rows


def planned_steps(experiments: tuple[Experiment, ...]) -> list[str]:
    """Return the steps that a progress bar can expect.

    Parameters
    ----------
    experiments : tuple of Experiment
        From `choose`.

    Returns
    -------
    list of str
        Stages of all sessions, in order.

    Examples
    --------
    >>> planned_steps((Experiment("none", "No phantom", ()),))
    []
    """
    return [
        step for e in experiments for r in e.recipes for _ in r.sessions for step in ("simulate", "quantify")
    ]


def read_rows(path: Path) -> Rows:
    """Read a session's table, numbers as numbers and NaN where unknown.

    Parameters
    ----------
    path : Path
        A table that a run has left under OUT/tables.

    Returns
    -------
    list of ResultRow
        One for each lesion.

    Raises
    ------
    InvalidInputError
        The table is missing or broken.

    Examples
    --------
    >>> read_rows(Path("out/tables/te/head_te20.tsv"))  # doctest: +SKIP
    """
    rows = [{k: _value(k, v) for k, v in row.items()} for row in read_tsv(path)]
    return [cast(ResultRow, row) for row in rows]


def _value(column: str, cell: str | None) -> Any:
    """Return a cell of a table of results as its column's type."""
    if column in TEXT_COLUMNS:
        return cell or ""
    return float("nan") if cell is None else float(cell)


def _run_head(
    experiment: Experiment, recipe: Recipe, tables: dict[str, Path], report: Report | None
) -> Iterator[tuple[str, Rows]]:
    """Simulate and measure the sessions of a phantom whose tables are missing, one at a time."""
    anatomy = make_anatomy(recipe)
    lesions = lesions_of(recipe, anatomy)
    tissue: TissueScan | None = None
    for number, protocol in enumerate(recipe.sessions):
        path = tables[protocol.label]
        if path.is_file():
            continue
        name, start = f"{experiment.name}/{recipe.name}/{protocol.label}", time.perf_counter()
        if report:
            report(name, "simulate", 0.0)
        if tissue is None or not _same_tissue(tissue.protocol, protocol):
            tissue = TissueScan(recipe, protocol, anatomy)
        rng = np.random.default_rng([recipe.seed, 8, number])
        session = tissue.scan(lesions, rng=rng, protocol=protocol)
        if report:
            report(name, "simulate", time.perf_counter() - start)
            report(name, "quantify", 0.0)
        start = time.perf_counter()
        rows = measure_session(session, rng=rng, maps=experiment.maps)
        if report:
            report(name, "quantify", time.perf_counter() - start)
        make_folder(path.parent)
        yield protocol.label, [{"experiment": experiment.name, "head": recipe.name, **row} for row in rows]


def _same_tissue(a: Protocol, b: Protocol) -> bool:
    """Say whether two sessions differ only in what happens after the field."""
    return _up_to_field(a) == _up_to_field(b)


def _up_to_field(protocol: Protocol) -> Protocol:
    """Return the protocol without what happens after the field."""
    return dataclasses.replace(
        protocol, label="", b0_tesla=1.0, te_s=(), snr=1.0, acquired=(1.0, 1.0, 1.0), partial_fourier=(1.0, 1.0, 1.0),
        window="", two_d=False, slice_gap=0.0, snr_per_mm3=False,
    )  # fmt: skip


@lru_cache(maxsize=1)
def software_hash() -> str:
    """Return a hash of all that a result depends on: the package without what comes after the measurement.

    Returns
    -------
    str
        Hash, hexadecimal.

    Examples
    --------
    >>> len(software_hash())
    64
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in AFTERWARDS:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _table_path(out: Path, experiment: Experiment, recipe: Recipe, protocol: Protocol) -> Path:
    """Return the file of a session's table; its name carries a hash of recipe, session and software."""
    record = [
        software_hash(),
        experiment.maps,
        dataclasses.asdict(dataclasses.replace(recipe, sessions=(protocol,))),
    ]
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:10]
    return out / "tables" / experiment.name / f"{recipe.name}_{protocol.label}_{digest}.tsv"
