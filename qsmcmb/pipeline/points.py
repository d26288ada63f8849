"""Quantification of lesions at given points, without the susceptibility map: the shortest way from phase to a number.

Stages: brain mask, unwrapping, field map, k-space windows, measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.detection.point_frame import check_point_frame
from qsmcmb.microbleeds.measure import Targets, measure_lesions
from qsmcmb.microbleeds.results.measurement import FittedLesion
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import GreScan
from qsmcmb.pipeline.checks import find_lesion_faults
from qsmcmb.pipeline.clock import Clock
from qsmcmb.pipeline.config import Config, make_config
from qsmcmb.pipeline.inversion import Inversion, local_field_of
from qsmcmb.pipeline.lesions import describe_lesions, measure_map_sums
from qsmcmb.pipeline.provenance import provenance_of
from qsmcmb.pipeline.regions import find_region_faults, find_regions
from qsmcmb.pipeline.subject import map_scan_field, prepare_scan
from qsmcmb.stages import POINT_STAGES
from qsmcmb.typing import BoolArray, FloatArray, Report

__all__ = ["MeasuredPoints", "ScanMaps", "measure_points", "quantify"]


class ScanMaps(NamedTuple):
    """Maps of a scan that has run, for the columns of the table that need them.

    Parameters
    ----------
    chi_ppm : ndarray of shape scan.grid.shape
        Susceptibility, ppm; a constant does not matter.
    limit_ppm_mm3 : ndarray of shape scan.grid.shape
        Detection limit, ppm mm3.

    Examples
    --------
    >>> ScanMaps(np.zeros((2, 2, 2)), np.ones((2, 2, 2))).limit_ppm_mm3.max()
    np.float64(1.0)
    """

    chi_ppm: FloatArray
    limit_ppm_mm3: FloatArray


class MeasuredPoints(NamedTuple):
    """Measurement of points with what it rests on.

    Parameters
    ----------
    table : MicrobleedTable
        Rows, in the order of the points.
    fits : tuple of FittedLesion or None
        Fit of each row; None where there is no number.
    map_sums : tuple of MapSum or None
        Sum over the map at each row; None without maps.
    scan : GreScan
        The scan as it was fitted.

    Examples
    --------
    >>> measured = measure_points(scan, [[12.0, -30.5, 8.0]])  # doctest: +SKIP
    """

    table: MicrobleedTable
    fits: tuple[FittedLesion | None, ...]
    map_sums: tuple[MapSum | None, ...]
    scan: GreScan


def quantify(
    scan: GreScan,
    points_mm: FloatArray | Sequence[Sequence[float]],
    *,
    kinds: Sequence[str | None] | None = None,
    mask: BoolArray | None = None,
    config: Config | None = None,
    report: Report | None = None,
) -> MicrobleedTable:
    """Measure the total susceptibility of lesions at given points.

    Parameters
    ----------
    scan : GreScan
        Wrapped phase (rad) and magnitude of all echoes.
    points_mm : array_like of shape (n, 3)
        Positions in scanner RAS+ mm, within about 2 mm of the lesions.
    kinds : sequence of str or None, optional
        Kind of each point, where known.
    mask : ndarray of shape scan.grid.shape, bool, optional
        Brain mask; made from the scan by default.
    config : Config, optional
        Methods and options of the stages used: mask, unwrap, fieldmap.
    report : callable, optional
        Progress, called with (scan, stage, seconds).

    Returns
    -------
    MicrobleedTable
        Total susceptibility in ppm mm3 with SD, 95 % interval and provenance; the map sum is unknown.

    Raises
    ------
    InvalidInputError
        POINTS for points that are not (n, 3) finite numbers, or that lie on lesions only in another frame; any gate of
        the stages.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> table = quantify(scan, [[12.0, -30.5, 8.0]], mask=ones > 0)
    >>> table.to_dataframe()["flags"].tolist()
    ['outside-volume']
    """
    points = _positions(points_mm)
    scan = replace(scan, warnings=(*scan.warnings, *check_point_frame(scan, points, "points_mm")))
    return measure_points(scan, points, kinds=kinds, mask=mask, config=config, report=report).table


def measure_points(
    scan: GreScan,
    points_mm: FloatArray | Sequence[Sequence[float]],
    *,
    kinds: Sequence[str | None] | None = None,
    mask: BoolArray | None = None,
    config: Config | None = None,
    maps: ScanMaps | None = None,
    report: Report | None = None,
) -> MeasuredPoints:
    """Measure lesions at given points, and return the fits beside the table.

    Parameters
    ----------
    scan : GreScan
        Wrapped phase (rad) and magnitude of all echoes.
    points_mm : array_like of shape (n, 3)
        Positions in scanner RAS+ mm, within about 2 mm of the lesions.
    kinds : sequence of str or None, optional
        Kind of each point, where known.
    mask : ndarray of shape scan.grid.shape, bool, optional
        Brain mask; made from the scan by default.
    config : Config, optional
        Methods and options of the stages used: mask, unwrap, fieldmap; with maps background and invert, too.
    maps : ScanMaps, optional
        Maps of the scan: with them the rows have the map sum and the detection limit. The lesions' own field goes
        through background removal and inversion for it, which takes as long as these.
    report : callable, optional
        Progress, called with (scan, stage, seconds).

    Returns
    -------
    MeasuredPoints
        The table of `quantify`, and the fit of each row.

    Raises
    ------
    InvalidInputError
        POINTS for points that are not (n, 3) finite numbers; any gate of the stages.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> measure_points(scan, [[12.0, -30.5, 8.0]], mask=ones > 0).fits
    (None,)
    """
    points = _positions(points_mm)
    config = config or make_config()
    provenance = provenance_of(scan, config, POINT_STAGES, mask_given=mask is not None)
    clock = Clock(scan.name, report)
    scan = prepare_scan(scan, config, clock)
    phase = map_scan_field(scan, config, mask=mask, report=report)
    with clock.stage("acquisition"):
        acquisition = find_k_space_windows(scan, phase.mask)
    fields = ScanFields(field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask)
    with clock.stage("quantify"):
        measured = measure_lesions(scan, Targets.of_readers(points, kinds), fields, acquisition)
        sums: tuple[MapSum | None, ...] = (None,) * len(measured.lesions)
        if maps is not None:
            local = None if config.replaced("background") else local_field_of(phase, scan, config)
            inversion = Inversion(scan, config, phase, local)
            sums = measure_map_sums(
                measured.lesions, scan, maps.chi_ppm, response=inversion.of_sources, mask=inversion.mask
            )
    regions = find_regions(scan, phase.mask, None)
    lesions = describe_lesions(
        measured, scan, phase.mask, regions=regions, map_sums=sums,
        limit_ppm_mm3=maps.limit_ppm_mm3 if maps else None,
    )  # fmt: skip
    warnings = (*scan.warnings, *phase.warnings, *find_lesion_faults(lesions, scan))
    warnings = (*warnings, *find_region_faults(lesions, regions, phase.mask))
    table = MicrobleedTable(lesions, measured.labels, provenance, warnings, measured.evidence)
    return MeasuredPoints(table, measured.fitted, sums, scan)


def _positions(points_mm: FloatArray | Sequence[Sequence[float]]) -> FloatArray:
    """Return the points as an array of shape (n, 3), finite.

    Raises
    ------
    InvalidInputError
        POINTS.
    """
    points = np.asarray(points_mm, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        found = points.shape if np.isfinite(points).all() else "values that are not finite"
        raise InvalidInputError(
            "POINTS", "points_mm", field="positions", found=found, expected="finite numbers of shape (n, 3)",
            fix="give one row x, y, z in scanner RAS+ mm for each lesion",
        )  # fmt: skip
    return points
