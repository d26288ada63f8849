"""Candidates of a scan besides a reader's points, and what became of each: the detector's side of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.candidates import search_candidates
from qsmcmb.microbleeds.detection.examined import ExaminedPoint, Gate
from qsmcmb.microbleeds.fit.screening import MIN_SIGNAL_SIGNIFICANCE
from qsmcmb.microbleeds.measure import Targets
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.measurement import LesionMeasurement
from qsmcmb.microbleeds.results.naming import (
    MIN_FIT_PROBABILITY,
    MIN_POSSIBLE_PROBABILITY,
    MIN_SIGNIFICANCE,
    is_significant,
)
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = ["DetectorMaps", "detect_beside_readers", "with_verdicts"]

NAMED_BY_READER_MM = 4.0
"""Distance, mm, within which a candidate is the lesion that a reader has named: a point is good to about 2 mm."""


class DetectorMaps(NamedTuple):
    """Maps that the detector looks at, on the scan's grid.

    Parameters
    ----------
    chi_ppm : ndarray
        Susceptibility, ppm.
    local_field_hz, field_sd_hz : ndarray
        Local field and the SD of the field, Hz.
    mask : ndarray of bool
        Voxels where the map is defined.

    Examples
    --------
    >>> nothing = np.zeros((8, 8, 8), np.float32)
    >>> DetectorMaps(chi_ppm=nothing, local_field_hz=nothing, field_sd_hz=nothing + 1, mask=nothing == 0).mask.all()
    np.True_
    """

    chi_ppm: FloatArray
    local_field_hz: FloatArray
    field_sd_hz: FloatArray
    mask: BoolArray


def detect_beside_readers(
    scan: GreScan, maps: DetectorMaps, readers: Targets
) -> tuple[Targets, list[ExaminedPoint]]:
    """Return a reader's points and the candidates that no reader has named, and all points that were looked at.

    Parameters
    ----------
    scan : GreScan
        Gives magnitude and geometry.
    maps : DetectorMaps
        Maps of the scan.
    readers : Targets
        A reader's points; none serves.

    Returns
    -------
    targets : Targets
        Points to be measured.
    examined : list of ExaminedPoint
        Points that the detector looked at; candidates have the label of their target.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> maps = DetectorMaps(chi_ppm=0 * ones, local_field_hz=0 * ones, field_sd_hz=ones, mask=ones > 0)
    >>> targets, examined = detect_beside_readers(scan, maps, Targets.of_readers([]))
    >>> len(targets.points_mm), examined
    (0, [])
    """
    grid = scan.grid
    search = search_candidates(
        maps.chi_ppm, scan.magnitude, maps.mask, grid,
        local_field_ppm=hz_to_ppm(maps.local_field_hz, scan.b0_tesla),
        field_sd_ppm=hz_to_ppm(maps.field_sd_hz, scan.b0_tesla),
    )  # fmt: skip
    where = grid.to_world(np.array([c.voxel for c in search.candidates]).reshape(-1, 3))
    known, examined, new = readers.points_mm, list(search.examined), []
    for i, point in enumerate(where):
        nearest_mm = float(np.linalg.norm(known - point, axis=1).min()) if len(known) else np.inf
        if nearest_mm > NAMED_BY_READER_MM:
            new.append(i)
            examined[i] = replace(examined[i], label=len(known) + len(new))
        else:
            examined[i] = replace(
                examined[i], gate=Gate.NAMED_BY_READER, found=nearest_mm, needed=NAMED_BY_READER_MM
            )
    targets = Targets(
        points_mm=np.concatenate([known, where[new]]),
        kinds=[*readers.kinds, *[None] * len(new)],
        scores=[*readers.scores, *[search.candidates[i].score for i in new]],
        n_reader_points=readers.n_reader_points,
    )
    return targets, examined


def with_verdicts(
    examined: Sequence[ExaminedPoint], measured: Sequence[LesionMeasurement], lesions: Sequence[Microbleed]
) -> tuple[ExaminedPoint, ...]:
    """Return the points with what screening and fit said of the candidates among them.

    Parameters
    ----------
    examined : sequence of ExaminedPoint
        Points that the detector looked at.
    measured : sequence of LesionMeasurement
        Measurements of all targets.
    lesions : sequence of Microbleed
        Rows of the lesion table, one for each measurement.

    Returns
    -------
    tuple of ExaminedPoint
        The points, with position, kind and gate of their row.

    Examples
    --------
    >>> with_verdicts([], [], [])
    ()
    """
    rows = {row.label: (m, row) for m, row in zip(measured, lesions, strict=True)}
    return tuple(p if p.label is None else _with_verdict(p, *rows[p.label]) for p in examined)


def _verdict(measured: LesionMeasurement, row: Microbleed) -> tuple[Gate | None, float | None, float]:
    """Return the gate that a candidate's row failed, with the values found and needed."""
    total = row.total_chi_ppm_mm3
    if row.kind == "microbleed" and row.certainty != "rejected" and total is not None:
        return None, None, 0.0
    if measured.reason == Flag.UNLIKELY:
        return Gate.UNLIKELY, row.score, MIN_FIT_PROBABILITY
    if measured.screened is not None:
        signal = measured.screened.screening.signal
        gate = Gate.NO_DIPOLE if measured.reason == Flag.NO_DIPOLE else Gate.NOT_COMPACT
        return gate, abs(signal.value) / max(signal.sd, 1e-12), MIN_SIGNAL_SIGNIFICANCE
    if total is None:
        return Gate.NO_NUMBER, None, 0.0
    if not is_significant(total):
        return Gate.NOT_ABOVE_NOISE, abs(total.value) / max(total.sd, 1e-12), MIN_SIGNIFICANCE
    return Gate.OTHER_KIND, row.score, MIN_POSSIBLE_PROBABILITY


def _with_verdict(point: ExaminedPoint, measured: LesionMeasurement, row: Microbleed) -> ExaminedPoint:
    """Return a candidate with the gate that its row failed."""
    gate, found, needed = _verdict(measured, row)
    if gate is None or found is None:
        return replace(point, position_mm=row.position_mm, kind=row.kind, gate=gate)
    return replace(
        point, position_mm=row.position_mm, kind=row.kind, gate=gate, found=float(found), needed=needed
    )
