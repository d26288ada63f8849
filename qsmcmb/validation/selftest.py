"""`qsmcmb selftest`: about a minute that shows that this installation measures what it should."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.core.dipole import forward_field
from qsmcmb.core.software import software_versions
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.model import Grid
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.typing import Report
from qsmcmb.unwrapping.head import unwrap
from qsmcmb.validation.acceptance_criteria import (
    COLUMNS,
    Claim,
    Rows,
    absolute_errors,
    at_least,
    at_most,
    column,
    covered,
    cv_over,
    lesions_in,
    percentile,
)
from qsmcmb.validation.experiments import FIELDS
from qsmcmb.validation.report import CLAIM_COLUMNS, claim_row
from qsmcmb.validation.simulate_and_measure import measure_session

__all__ = (
    "SelfTest",
    "run_selftest",
    "write_certificate",
)

RECIPE = "selftest"
"""Recipe of the self test's phantom."""
SOURCE = "selftest"
"""Source of the self test's claims."""


class SelfTest(NamedTuple):
    """The claims of the self test and its table of lesions.

    Parameters
    ----------
    claims : list of Claim
        Claims, with the figures of this installation.
    rows : list of ResultRow
        One for each lesion and session.

    Examples
    --------
    >>> SelfTest(claims=[], rows=[]).passed
    True
    """

    claims: list[Claim]
    rows: Rows

    @property
    def passed(self) -> bool:
        """Whether every limit is met."""
        return all(c.passed for c in self.claims)


def run_selftest(*, report: Report | None = None) -> SelfTest:
    """Check the dipole and the unwrapping against formulas, and lesions in water at three field strengths.

    Parameters
    ----------
    report : callable, optional
        Progress, called with session, stage and seconds.

    Returns
    -------
    SelfTest
        Claims and lesions; it takes about a minute.

    Examples
    --------
    >>> run_selftest().passed  # doctest: +SKIP
    """
    rows, repeat = _measure_water(report)
    claims = [_dipole_claim(), _unwrapping_claim(), *_lesion_claims(rows), _repeat_claim(rows, repeat)]
    return SelfTest(claims, rows)


def _measure_water(report: Report | None) -> tuple[Rows, Rows]:
    """Return the results of all sessions, and of the first one measured again."""
    recipe = read_recipe(RECIPE)
    lesions = lesions_of(recipe)
    rows: Rows = []
    repeat: Rows = []
    for number, protocol in enumerate(recipe.sessions):
        with _step(report, protocol.label, "simulate"):
            rng = np.random.default_rng([recipe.seed, 8, number])
            session = TissueScan(recipe, protocol).scan(lesions, rng=rng)
        with _step(report, protocol.label, "quantify"):
            made = measure_session(session, rng=np.random.default_rng(number))
            if not repeat:
                repeat = measure_session(session, rng=np.random.default_rng(number))
        rows += [{"experiment": SOURCE, "head": recipe.name, **row} for row in made]
    return rows, repeat


@contextmanager
def _step(report: Report | None, name: str, stage: str) -> Iterator[None]:
    """Report a step's start and duration."""
    start = time.perf_counter()
    if report:
        report(name, stage, 0.0)
    yield
    if report:
        report(name, stage, time.perf_counter() - start)


def _dipole_claim() -> Claim:
    """Hold the numeric field of a ball against the formula, oblique B0, off its surface."""
    grid = dataclasses.replace(Grid.isotropic((48, 48, 48), 1.0), b0_dir=(0.0, 0.6, 0.8))
    ball = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=6.0, dchi_ppm=1.0)
    xyz = np.indices(grid.shape) - 24.0
    fine = np.zeros(grid.shape)
    for shift in np.ndindex(4, 4, 4):
        offset = ((np.array(shift) + 0.5) / 4 - 0.5).reshape(3, 1, 1, 1)
        fine += ((xyz + offset) ** 2).sum(axis=0) <= ball.radius_mm**2
    numeric = forward_field((fine / 64).astype(np.float32), grid, kernel="image")
    exact = ball_field(xyz, ball, np.array(grid.b0_dir))
    away = (np.sqrt((xyz**2).sum(axis=0)) > 8) & (np.abs(xyz).max(axis=0) < 22)
    error = 100 * np.sqrt(np.mean((numeric - exact)[away] ** 2) / np.mean(exact[away] ** 2))
    return at_most(SOURCE, "field of a ball against the formula (%)", "", float(error), 2.0)


def _unwrapping_claim() -> Claim:
    """Hold an unwrapped ramp with a dipole in it against the truth."""
    grid = Grid.isotropic((40, 40, 40), 1.0)
    xyz = np.indices(grid.shape) - 20.0
    # Steep, but below half a turn from voxel to voxel: more than that no method can know.
    ball = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=3.0, dchi_ppm=0.5)
    truth = 0.9 * xyz[0] - 0.7 * xyz[2] + 5 * ball_field(xyz, ball, np.array([0, 0, 1.0]))
    wrapped = np.angle(np.exp(1j * truth)).astype(np.float32)[None]
    mask = (xyz**2).sum(axis=0) < 18**2
    mask &= (xyz**2).sum(axis=0) > 3**2
    out = unwrap(wrapped, mask, grid, magnitude=np.ones_like(wrapped), te_s=(0.02,))[0]
    turns = np.rint((out - truth) / (2 * np.pi))[mask]
    wrong = 100 * float(np.mean(turns != np.median(turns)))
    return at_most(SOURCE, "wrong wraps (%)", "", wrong, 0.1)


def _lesion_claims(rows: Rows) -> list[Claim]:
    """Hold the lesions' errors, agreement, signs and intervals against their limits."""
    large = lesions_in(rows, above=2)
    relative = 100 * absolute_errors(large) / np.abs(column(large, "truth_ppm_mm3"))
    cv = 100 * cv_over(lesions_in(rows, above=5), "estimate_ppm_mm3")
    signs = np.sign(column(rows, "estimate_ppm_mm3")) == np.sign(column(rows, "truth_ppm_mm3"))
    names = ", ".join(FIELDS)
    return [
        at_most(SOURCE, "error of total susceptibility above 2 ppm mm3, median (%)", "", percentile(relative, 50), 3.0,
                f"{len(large)} measurements at {names}"),
        at_most(SOURCE, "the same, largest (%)", "", percentile(relative, 100), 12.0),
        at_most(SOURCE, "CV over 1.5, 3 and 7 T, above 5 ppm mm3, median (%)", "", percentile(cv, 50), 2.0),
        at_least(SOURCE, "lesions with the right sign (%)", "", 100 * float(np.mean(signs)), 100.0),
        at_least(SOURCE, "truth within the 95 % interval (%)", "", 100 * float(np.mean(covered(rows))), 90.0),
    ]  # fmt: skip


def _repeat_claim(rows: Rows, repeat: Rows) -> Claim:
    """Hold a scan that was measured twice against itself."""
    first = column(rows[: len(repeat)], "estimate_ppm_mm3")
    difference = float(np.max(np.abs(first - column(repeat, "estimate_ppm_mm3"))))
    return at_most(SOURCE, "same scan measured again, largest difference (ppm mm3)", "", difference, 0.0)


def write_certificate(out: Path, result: SelfTest) -> Path:
    """Write OUT/certificate.json with limits, results, software and machine; tables for the page beside it.

    Parameters
    ----------
    out : Path
        Folder; it is created.
    result : SelfTest
        From `run_selftest`.

    Returns
    -------
    Path
        The certificate.

    Raises
    ------
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_certificate(Path(folder), SelfTest(claims=[], rows=[])).name
    'certificate.json'
    """
    make_folder(out)
    write_tsv(out / "claims.tsv", [claim_row(c) for c in result.claims], CLAIM_COLUMNS)
    write_tsv(out / "lesions.tsv", result.rows, COLUMNS)
    software = software_versions()
    record = {
        "qsmcmb": software.pop("qsmcmb"), "Passed": result.passed,
        "Time": datetime.now(UTC).isoformat(timespec="seconds"),
        "Python": software.pop("Python"), "Platform": platform.platform(), "Libraries": software,
        "Results": [claim_row(c) for c in result.claims],
    }  # fmt: skip
    path = out / "certificate.json"
    write_json(path, record)
    return path
