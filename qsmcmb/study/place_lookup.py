"""Results of a session at a point where its list holds no lesion: total susceptibility with SD, and detection limit.

The derivatives hold no complex signal, so that the local field is fitted with a forced dipole. The fields of the
session's own lesions are taken off before, and voxels in their bodies are left out. The SD is calibrated in the session
itself: over points where nothing was found, 5 % of |M| / SD lie beyond 1.96.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.change.tracks import Place
from qsmcmb.core.boxes import ball_box, box_axes_mm
from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.forced_dipole import estimate_forced_dipole
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = ("PlaceLookup", "remove_lesion_fields")

REACH_MM = 30.0
"""Distance up to which a lesion's field is taken off, mm: that of 40 ppm mm3 is 0.2 ppb there."""
BODY_MARGIN_MM = 1.0
"""Distance from a lesion's visible body within which no voxel is used, mm."""
N_TESTED = 300
"""Points without a lesion that are asked for the calibration of the SD."""
MIN_TESTED = 40
"""Least number of such points for a calibration."""
CLEAR_MM = 12.0
"""Distance from every candidate of a place without a lesion, mm: the ball of the fit and a body."""
QUANTILE, QUANTILE_SD = 0.95, 1.96
"""Quantile of |M| / SD that is set to its value for a normal distribution."""
FACTOR_RANGE = (0.25, 4.0)
"""Range of the factor on the SD."""


class PlaceLookup:
    """Local field, detection limit and lesions of one session, ready to be asked at any place.

    Parameters
    ----------
    session : SessionResults
        Results of the session.
    lesions : list of Microbleed
        What makes dipoles in the session; rejected candidates make none.

    Examples
    --------
    >>> lookup = PlaceLookup(session, session.lesions())  # doctest: +SKIP
    >>> lookup(np.array([10.0, -20.0, 5.0])).total  # doctest: +SKIP
    """

    def __init__(self, session: SessionResults, lesions: list[Microbleed]) -> None:
        field_hz, self._grid = session.image("desc-local_fieldmap")
        mask, _ = session.image("desc-brain_mask")
        self._mask = mask > 0
        self._limit, _ = session.image("desc-detectionlimit_map")
        b0_tesla = float(session.record("desc-cmb_burden")["MagneticFieldStrength"])
        self._field_ppm = remove_lesion_fields(hz_to_ppm(field_hz, b0_tesla), self._grid, lesions)
        self.sd_factor = self._calibrate(lesions)

    def __call__(self, point_mm: FloatArray) -> Place:
        """Return what the session shows at a place.

        Parameters
        ----------
        point_mm : ndarray of shape (3,)
            Position, scanner RAS+ mm.

        Returns
        -------
        Place
            Total susceptibility with SD, and detection limit there.

        Examples
        --------
        >>> PlaceLookup(session, [])(np.zeros(3))  # doctest: +SKIP
        """
        found = estimate_forced_dipole(self._field_ppm, self._mask, self._grid, point_mm)
        if found is not None:
            found = Estimate(found.value, self.sd_factor * found.sd, found.unit)
        return Place(found, self._limit_at(point_mm))

    def _limit_at(self, point_mm: FloatArray) -> float | None:
        voxel = np.rint(self._grid.to_voxel(np.asarray(point_mm, dtype=float))).astype(int)
        if np.any(voxel < 0) or np.any(voxel >= self._grid.shape):
            return None
        value = float(self._limit[tuple(voxel)])
        return value if np.isfinite(value) and value > 0 else None

    def _calibrate(self, lesions: list[Microbleed]) -> float:
        """Return the factor on the SD that points without a lesion ask for."""
        inside = np.argwhere(self._mask)
        points = self._grid.to_world(inside[:: max(1, len(inside) // N_TESTED)].astype(np.float64))
        for lesion in lesions:
            points = points[np.linalg.norm(points - np.array(lesion.position_mm), axis=1) > CLEAR_MM]
        found = (estimate_forced_dipole(self._field_ppm, self._mask, self._grid, p) for p in points)
        ratios = [abs(e.value) / e.sd for e in found if e is not None and e.sd > 0]
        if len(ratios) < MIN_TESTED:
            return 1.0
        return float(np.clip(np.quantile(ratios, QUANTILE) / QUANTILE_SD, *FACTOR_RANGE))


def remove_lesion_fields(field_ppm: FloatArray, grid: Grid, lesions: list[Microbleed]) -> FloatArray:
    """Take the dipoles of a session's lesions off its local field.

    Parameters
    ----------
    field_ppm : ndarray of shape grid.shape
        Local field, ppm; 0 where unknown.
    grid : Grid
        Geometry.
    lesions : list of Microbleed
        Lesions; the rejected and those without a number stay.

    Returns
    -------
    ndarray of shape grid.shape
        Field without the lesions', ppm; 0 where unknown and in their bodies.

    Examples
    --------
    >>> grid = Grid.isotropic((9, 9, 9), 1.0)
    >>> lesion = Microbleed(1, (0.0, 0.0, 0.0), certainty="definite", total_chi_ppm_mm3=Estimate(1.0, 0.1, "ppm mm3"))
    >>> cleaned = remove_lesion_fields(np.ones(grid.shape), grid, [lesion])
    >>> cleaned[4, 4, 4].item(), bool(cleaned[4, 4, 8] < 1)
    (0.0, True)
    """
    cleaned = np.array(field_ppm, dtype=np.float64)
    unknown: BoolArray = cleaned == 0
    for lesion in lesions:
        total = lesion.total_chi_ppm_mm3
        if total is None or lesion.certainty == "rejected":
            continue
        centre = grid.to_voxel(np.array(lesion.position_mm))
        box, distance = ball_box(grid, centre, REACH_MM)
        axes = np.stack(np.meshgrid(*box_axes_mm(grid, centre, box), indexing="ij"))
        body = max((lesion.diameter_mm or 0.0) / 2 + BODY_MARGIN_MM, max(grid.voxel_size_mm))
        unknown[box] |= distance <= body
        axes[:, distance == 0] = body
        dipole = point_dipole_field(axes.reshape(3, -1), np.array(grid.b0_dir)).reshape(distance.shape)
        cleaned[box] -= total.value * dipole
    cleaned[unknown] = 0
    return cleaned
