"""Experiment on real scans: lesions of known total susceptibility put into them, each of 2 to 10 times the limit there.

The scan itself is the background: its tissue, veins, receive phase, noise and reconstruction are what they are. Where a
lesion can lie, and how strong it is, the scan's own detection limit map says.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from qsmcmb.errors import ConfigError, QsmcmbError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids import load_session
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.masks import read_mask
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.model import GreScan
from qsmcmb.phantoms.irregular import irregular_lesion
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.lesions_in_scan import SAMPLINGS, put_lesions
from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.reporting.validation_figures import positions_plot
from qsmcmb.stages import SCAN_STAGES
from qsmcmb.study.user_input import find_mask
from qsmcmb.typing import BoolArray, FloatArray, Report
from qsmcmb.validation.acceptance_criteria import COLUMNS, Claim, Rows
from qsmcmb.validation.background_claims import SCAN_COLUMNS, background_claims, scan_rows
from qsmcmb.validation.report import CLAIM_COLUMNS, claim_row
from qsmcmb.validation.run_experiments import read_rows, software_hash
from qsmcmb.validation.simulate_and_measure import measure_session

__all__ = ("Background", "BackgroundValidation", "planned_background_steps", "validate_background")

LIMIT_RATIO = (2.0, 10.0)
"""Range of the ratio of a lesion's total susceptibility to the detection limit at its place, log-uniform."""
DCHI_PPM = (0.4, 3.0)
"""Range of the lesions' contrast, ppm, log-uniform."""
MAX_RADIUS_MM = 4.5
"""Largest radius of the ball of a lesion's volume, mm: a larger one has a higher contrast instead."""
APART_MM = 16.0
"""Least distance of two lesions in one scan, mm: two patches of 8 mm."""
FROM_EDGE_MM = 6.0
"""Least distance of a lesion's centre from the border of the reliable mask and of the volume, mm."""
IRREGULAR_FRACTION = 1 / 3
"""Fraction of the lesions that have an irregular shape."""
MAX_LESIONS = 24
"""Largest number of lesions in one scan at a time: where there is room for less, there are less."""


class Background(NamedTuple):
    """A real scan, and what the pipeline says of it before lesions are put into it.

    Examples
    --------
    >>> Background._fields
    ('scan', 'mask', 'allowed', 'limit_ppm_mm3')
    """

    scan: GreScan
    """The scan."""
    mask: BoolArray
    """Brain mask."""
    allowed: BoolArray
    """Voxels in which the centre of a lesion may lie."""
    limit_ppm_mm3: FloatArray
    """Detection limit map, ppm mm3."""


class BackgroundValidation(NamedTuple):
    """Findings on lesions in real scans.

    Examples
    --------
    >>> BackgroundValidation(claims=[], rows=[], skipped={}, pictures={}).skipped
    {}
    """

    claims: list[Claim]
    """Median error, coverage and unflagged errors, over all scans and for each."""
    rows: Rows
    """One for each lesion."""
    skipped: dict[str, str]
    """Why a scan was not measured, by its name."""
    pictures: dict[str, str]
    """PNG, base64, of the positions of the lesions, by the scan's name."""


class _Drawn(NamedTuple):
    """The lesions of one round in one scan, before they are put into it."""

    lesions: list[PhantomLesion]
    limits_ppm_mm3: list[float]
    sampling: str
    rng: np.random.Generator


def find_background(
    scan: GreScan, mask: BoolArray | None = None, *, report: Report | None = None
) -> Background:
    """Return where lesions may lie in a real scan, and its detection limit there."""
    result = run_scan(scan, points_mm=np.zeros((0, 3)), mask=mask, report=report)
    limit = result.maps.detection_limit_ppm_mm3
    usable = result.masks.reliable & np.isfinite(limit) & (limit > 0)
    # The border of the volume is an edge, too.
    padded = np.pad(usable, 1)
    depth_mm = distance_transform_edt(padded, sampling=scan.grid.voxel_size_mm)[1:-1, 1:-1, 1:-1]
    return Background(scan, result.masks.brain, depth_mm > FROM_EDGE_MM, limit)


def draw_in_background(
    background: Background, count: int, rng: np.random.Generator
) -> list[tuple[PhantomLesion, float]]:
    """Draw lesions of a scan, as many of `count` as fit, each with the detection limit at its place."""
    grid = background.scan.grid
    voxels = np.argwhere(background.allowed)
    found: list[tuple[PhantomLesion, float]] = []
    for voxel in rng.permutation(voxels):
        position = grid.to_world(voxel + rng.uniform(-0.5, 0.5, 3))
        if all(np.linalg.norm(position - other.centre_mm) > APART_MM for other, _ in found):
            limit = float(background.limit_ppm_mm3[tuple(voxel)])
            found.append((_draw(position, limit, rng), limit))
        if len(found) == count:
            break
    return found


def _draw(position_mm: FloatArray, limit_ppm_mm3: float, rng: np.random.Generator) -> PhantomLesion:
    """Return a ball, or an irregular lesion, at a position."""
    total = limit_ppm_mm3 * float(np.exp(rng.uniform(*np.log(LIMIT_RATIO))))
    dchi = float(np.exp(rng.uniform(*np.log(DCHI_PPM))))
    dchi = max(dchi, total / (4 / 3 * np.pi * MAX_RADIUS_MM**3))
    if rng.random() < IRREGULAR_FRACTION:
        shape = str(rng.choice(IRREGULAR_SHAPES))
        return irregular_lesion(shape, position_mm, total_chi_ppm_mm3=total, dchi_ppm=dchi, rng=rng)
    radius = (3 * total / (4 * np.pi * dchi)) ** (1 / 3)
    x, y, z = (float(p) for p in position_mm)
    return PhantomLesion("microbleed", (Ball(centre_mm=(x, y, z), radius_mm=radius, dchi_ppm=dchi),))


def _draw_round(background: Background, count: int, seed: int, sampling: str) -> _Drawn:
    """Draw the lesions of one round."""
    rng = np.random.default_rng(seed)
    drawn = draw_in_background(background, count, rng)
    lesions, limits = [lesion for lesion, _ in drawn], [limit for _, limit in drawn]
    return _Drawn(lesions=lesions, limits_ppm_mm3=limits, sampling=sampling, rng=rng)


def measure_in_background(
    background: Background, count: int, *, seed: int, sampling: str = "k-space", report: Report | None = None
) -> Rows:
    """Put lesions into a real scan, measure them from the wrapped phase, and return a row for each."""
    return _measure(background, _draw_round(background, count, seed, sampling), str(seed), report)


def _measure(background: Background, drawn: _Drawn, label: str, report: Report | None) -> Rows:
    """Put drawn lesions into their scan and measure them."""
    name = f"{background.scan.name}, round {label}"
    started = _begin(report, name, "simulate")
    session = put_lesions(
        background.scan, drawn.lesions, background.mask, rng=drawn.rng, sampling=drawn.sampling, label=label
    )
    _end(report, name, "simulate", started)
    started = _begin(report, name, "quantify")
    rows = measure_session(session, rng=drawn.rng, mask=background.mask)
    _end(report, name, "quantify", started)
    return [{**row, "limit_ppm_mm3": limit} for row, limit in zip(rows, drawn.limits_ppm_mm3, strict=True)]


def _begin(report: Report | None, name: str, stage: str) -> float:
    """Report that a stage begins and return the time."""
    if report:
        report(name, stage, 0.0)
    return time.perf_counter()


def _end(report: Report | None, name: str, stage: str, started: float) -> None:
    """Report that a stage is done."""
    if report:
        report(name, stage, time.perf_counter() - started)


def planned_background_steps(bids: Path, *, rounds: int = 5) -> list[str]:
    """Return the steps that a progress bar can expect.

    Parameters
    ----------
    bids : Path
        Raw BIDS data set of real scans.
    rounds : int, optional
        Number of times that lesions are put into each scan.

    Returns
    -------
    list of str
        Stages of all scans, in order.

    Raises
    ------
    QsmcmbError
        Every gate of `list_sessions`.

    Examples
    --------
    >>> planned_background_steps(Path("bids"))  # doctest: +SKIP
    """
    one = [stage.name for stage in SCAN_STAGES] + rounds * ["simulate", "quantify"]
    return len(list_sessions(bids)) * one


def validate_background(
    out: Path,
    bids: Path,
    *,
    masks: Path | None = None,
    rounds: int = 5,
    seed: int = 0,
    report: Report | None = None,
) -> BackgroundValidation:
    """Put lesions into every scan of a BIDS data set and measure them, by turns with either sampling.

    Parameters
    ----------
    out : Path
        Folder for `lesions.tsv`, `scans.tsv`, `claims.tsv` and `validation.json`; the table of each round lies in
        `tables/` and is not made again while scan, mask, lesions and software stay.
    bids : Path
        Raw BIDS data set of real scans.
    masks : Path, optional
        Derivatives folder with a brain mask of each scan; the pipeline's own masks by default.
    rounds : int, optional
        Number of times that lesions are put into each scan.
    seed : int, optional
        Seed of the first round; the next has the next.
    report : callable, optional
        Progress, called with scan, stage and seconds.

    Returns
    -------
    BackgroundValidation
        Claims, rows, pictures, and the scans that were skipped: without a mask, without room, or refused.

    Raises
    ------
    QsmcmbError
        No scan could be measured: the error of the first.
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> validate_background(Path("out"), Path("bids"), masks=Path("masks")).claims  # doctest: +SKIP
    """
    make_folder(out / "tables")
    rows: Rows = []
    skipped: dict[str, QsmcmbError] = {}
    pictures: dict[str, str] = {}
    for files in list_sessions(bids):
        try:
            background = _background_of(files, masks, report)
        except QsmcmbError as error:
            skipped[files.name] = error
            continue
        drawn = [
            _draw_round(background, MAX_LESIONS, seed + k, SAMPLINGS[k % len(SAMPLINGS)])
            for k in range(rounds)
        ]
        centres = np.array([lesion.centre_mm for one in drawn for lesion in one.lesions]).reshape(-1, 3)
        pictures[files.name] = positions_plot(
            background.scan.magnitude[-1], background.mask, background.scan.grid.to_voxel(centres)
        )
        for number, one in enumerate(drawn):
            made = _stored_round(out, background, one, str(seed + number), report)
            for row in made:
                row["experiment"], row["head"], row["session"] = "background", files.name, files.name
                row["lesion"] += number * MAX_LESIONS
            rows += made
            write_tsv(out / "lesions.tsv", rows, COLUMNS)
    if skipped and not rows:
        raise next(iter(skipped.values()))
    reasons = {name: str(error) for name, error in skipped.items()}
    return _write(out, BackgroundValidation(background_claims(rows), rows, reasons, pictures))


def _background_of(files: SessionFiles, masks: Path | None, report: Report | None) -> Background:
    """Return the background of a scan that has room for lesions."""
    scan = load_session(files)
    mask = read_mask(find_mask(masks, files), scan.grid).inside if masks else None
    background = find_background(scan, mask, report=report)
    if not background.allowed.any():
        raise ConfigError(
            f"no room for a lesion; expected tissue {FROM_EDGE_MM:g} mm inside the reliable mask"
        )
    return background


def _stored_round(
    out: Path, background: Background, drawn: _Drawn, label: str, report: Report | None
) -> Rows:
    """Return the rows of a round: those of its table where one fits, or new ones."""
    known = [software_hash(), background.scan.sources, drawn.sampling, drawn.lesions, label]
    digest = hashlib.sha256(repr(known).encode() + background.mask.tobytes()).hexdigest()[:10]
    path = out / "tables" / f"{background.scan.name.replace('/', '_')}_{label}_{digest}.tsv"
    if not path.is_file():
        write_tsv(path, _measure(background, drawn, label, report), COLUMNS)
    return read_rows(path)


def _write(out: Path, found: BackgroundValidation) -> BackgroundValidation:
    """Write claims and figures of the scans, and return what was found."""
    write_tsv(out / "claims.tsv", [claim_row(c) for c in found.claims], CLAIM_COLUMNS)
    scans = scan_rows(found.rows)
    write_tsv(out / "scans.tsv", scans, SCAN_COLUMNS)
    record = {
        "passed": sum(c.passed for c in found.claims), "claims": len(found.claims),
        "missed": [c.quantity for c in found.claims if not c.passed], "scans": scans, "skipped": found.skipped,
    }  # fmt: skip
    write_json(out / "validation.json", record)
    return found
