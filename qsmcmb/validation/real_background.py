"""Experiment on real scans: lesions of known total susceptibility put into them, each of 2 to 10 times the limit there.

The scan itself is the background: its tissue, veins, receive phase, noise and reconstruction are what they are. Where a
lesion can lie, and how strong it is, the scan's own detection limit map says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from qsmcmb.errors import ConfigError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids import list_sessions, load_scan
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.model import GreScan
from qsmcmb.phantoms.irregular import irregular_lesion
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.lesions_in_scan import SAMPLINGS, put_lesions
from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.validation.acceptance_criteria import (
    COLUMNS,
    Claim,
    Rows,
    absolute_errors,
    absolute_truth,
    at_most,
    column,
    covered,
    percentile,
    within,
)
from qsmcmb.validation.report import CLAIM_COLUMNS, claim_row
from qsmcmb.validation.simulate_and_measure import measure_session

__all__ = ("Background", "validate_background")

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
MAX_MEDIAN_PERCENT = 8.0
"""Goal for the median error, % of the integral of |susceptibility|."""
COVERAGE_PERCENT = (92.0, 98.0)
"""Goal for the fraction of 95 % intervals that hold the truth, %."""


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


def find_background(scan: GreScan, mask: BoolArray | None = None) -> Background:
    """Return where lesions may lie in a real scan, and its detection limit there."""
    result = run_scan(scan, points_mm=np.zeros((0, 3)), mask=mask)
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


def measure_in_background(
    background: Background, count: int, *, seed: Sequence[int], sampling: str = "k-space"
) -> Rows:
    """Put lesions into a real scan, measure them from the wrapped phase, and return a row for each."""
    rng = np.random.default_rng(seed)
    drawn = draw_in_background(background, count, rng)
    session = put_lesions(
        background.scan, [lesion for lesion, _ in drawn], background.mask, rng=rng, sampling=sampling,
        label="-".join(str(s) for s in seed),
    )  # fmt: skip
    rows = measure_session(session, rng=rng, mask=background.mask)
    return [{**row, "limit_ppm_mm3": limit} for row, (_, limit) in zip(rows, drawn, strict=True)]


def validate_background(out: Path, bids: Path, *, rounds: int = 5, seed: int = 0) -> tuple[list[Claim], Rows]:
    """Put lesions into every scan of a BIDS data set and measure them, by turns with either sampling.

    Parameters
    ----------
    out : Path
        Folder for `lesions.tsv`, `claims.tsv` and `validation.json`; `lesions.tsv` grows round by round.
    bids : Path
        Raw BIDS data set of real scans.
    rounds : int, optional
        Number of times that lesions are put into each scan.
    seed : int, optional
        Seed of the first round; the next has the next.

    Returns
    -------
    claims : list of Claim
        Median error and coverage, over all scans and for each.
    rows : list of ResultRow
        One for each lesion.

    Raises
    ------
    ConfigError
        No scan has room for a lesion.
    InvalidInputError
        Every gate of `load_scan`.
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> claims, rows = validate_background(Path("out"), Path("bids"))  # doctest: +SKIP
    """
    make_folder(out)
    rows: Rows = []
    for files in list_sessions(bids):
        background = find_background(load_scan(bids, participant=files.participant, session=files.session))
        for number in range(rounds):
            sampling = SAMPLINGS[number % len(SAMPLINGS)]
            made = measure_in_background(background, MAX_LESIONS, seed=[seed + number], sampling=sampling)
            rows += [{"experiment": "background", "head": background.scan.name, **row} for row in made]
            write_tsv(out / "lesions.tsv", rows, COLUMNS)
    if not rows:
        raise ConfigError(
            f"no room for a lesion in {bids}; expected tissue {FROM_EDGE_MM:g} mm inside the reliable mask"
        )
    claims = background_claims(rows)
    write_tsv(out / "claims.tsv", [claim_row(c) for c in claims], CLAIM_COLUMNS)
    write_json(out / "validation.json", {"passed": sum(c.passed for c in claims), "claims": len(claims)})
    return claims, rows


def background_claims(rows: Rows) -> list[Claim]:
    """Return median error and coverage of the 95 % interval, over all scans and for each of several."""
    groups = {"all scans": rows}
    names = dict.fromkeys(row["head"] for row in rows)
    if len(names) > 1:
        groups |= {name: [row for row in rows if row["head"] == name] for name in names}
    claims: list[Claim] = []
    for name, group in groups.items():
        errors = 100 * absolute_errors(group) / absolute_truth(group)
        measured = int(np.isfinite(column(group, "estimate_ppm_mm3")).sum())
        claims += [
            at_most("goal", f"median error, {name} (%)", f"{MAX_MEDIAN_PERCENT:g}", percentile(errors, 50),
                    MAX_MEDIAN_PERCENT, f"{measured} of {len(group)} measured, 95th {percentile(errors, 95):.1f} %"),
            within("goal", f"coverage of the 95 % interval, {name} (%)", "92 to 98",
                   100 * float(np.mean(covered(group))), COVERAGE_PERCENT),
        ]  # fmt: skip
    return claims
