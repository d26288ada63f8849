"""Truth of a phantom: of each lesion in each session, and on the scan's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.model import GreScan
from qsmcmb.phantoms.lesions import PhantomLesion
from qsmcmb.phantoms.scanner import Pose
from qsmcmb.phantoms.siderosis import SiderosisArea, SiderosisRow
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("PhantomSession", "TruthMaps", "TruthRow")


class TruthRow(NamedTuple):
    """The truth of one lesion in one session: a row of the truth table.

    Parameters
    ----------
    id : int
        Number of the lesion, from 1, the same in all sessions.
    kind : str
        Kind of the lesion.
    a_mm : float
        Radius of its largest body, mm.
    shape : str
        ``sphere``, ``two``, ``ellipsoid`` or the name of an irregular shape.
    dchi_ppm : float
        Contrast of its first body, ppm; of an irregular shape the mean of the absolute contrast.
    S_ppm_mm3 : float
        Total susceptibility, ppm mm3, of either sign: the sum over its bodies.
    x_mm : float
        Centre, scanner RAS+, mm.
    y_mm : float
        Centre, scanner RAS+, mm.
    z_mm : float
        Centre, scanner RAS+, mm.
    S_abs_ppm_mm3 : float
        Integral of the absolute susceptibility, ppm mm3: above the total's where iron lies beside calcium. Errors of
        such lesions are relative to it.

    Examples
    --------
    >>> sizes = {"a_mm": 1.0, "dchi_ppm": 1.0, "S_ppm_mm3": 4.2, "S_abs_ppm_mm3": 4.2}
    >>> TruthRow(id=1, kind="microbleed", shape="sphere", x_mm=1.0, y_mm=0.0, z_mm=0.0, **sizes).centre_mm[0]
    np.float64(1.0)
    """

    id: int
    kind: str
    a_mm: float
    shape: str
    dchi_ppm: float
    S_ppm_mm3: float
    x_mm: float
    y_mm: float
    z_mm: float
    S_abs_ppm_mm3: float

    @property
    def centre_mm(self) -> FloatArray:
        """Centre, (3,), scanner RAS+, mm."""
        return np.array([self.x_mm, self.y_mm, self.z_mm])


class PhantomSession(NamedTuple):
    """One simulated session with the truth of its lesions.

    Parameters
    ----------
    label : str
        BIDS session label.
    scan : GreScan
        Phase and magnitude as a scanner gives them.
    lesions : tuple of TruthRow
        Truth, one row for each lesion.
    brain : ndarray of shape scan.grid.shape, bool
        True brain mask.
    siderosis : tuple of SiderosisRow, optional
        Truth of superficial siderosis, one row for each area.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> from qsmcmb.phantoms.tissue_scan import TissueScan
    >>> water = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
    >>> TissueScan(water, water.sessions[0]).scan([]).lesions
    ()
    """

    label: str
    scan: GreScan
    lesions: tuple[TruthRow, ...]
    brain: BoolArray
    siderosis: tuple[SiderosisRow, ...] = ()


class TruthMaps(NamedTuple):
    """The truth of one session on the scan's grid.

    Parameters
    ----------
    chi_ppm : ndarray of shape (x, y, z), float32
        Susceptibility, ppm; CSF is 0.
    local_field_ppm : ndarray of shape (x, y, z), float32
        Field of the brain's sources, ppm; 0 outside the brain.
    brain : ndarray of shape (x, y, z), bool
        Brain mask.
    territory : ndarray of shape (x, y, z), int32
        1 lobar, 2 deep, 3 infratentorial; 0 outside the brain.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.recipe import read_recipe
    >>> from qsmcmb.phantoms.tissue_scan import TissueScan
    >>> water = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0)
    >>> TissueScan(water, water.sessions[0]).truth_maps().chi_ppm.shape
    (10, 10, 10)
    """

    chi_ppm: FloatArray
    local_field_ppm: FloatArray
    brain: BoolArray
    territory: IntArray


def truth_rows(lesions: Sequence[PhantomLesion], pose: Pose) -> tuple[TruthRow, ...]:
    """Return the truth table of one session."""
    where = pose.to_world(np.array([m.centre_mm for m in lesions]).reshape(-1, 3))
    return tuple(
        TruthRow(
            id=i + 1, kind=m.kind, a_mm=m.radius_mm, shape=m.shape, dchi_ppm=m.dchi_ppm,
            S_ppm_mm3=m.total_chi_ppm_mm3, x_mm=float(p[0]), y_mm=float(p[1]), z_mm=float(p[2]),
            S_abs_ppm_mm3=m.total_abs_ppm_mm3,
        )
        for i, (m, p) in enumerate(zip(lesions, where, strict=True))
    )  # fmt: skip


def siderosis_rows(areas: Sequence[SiderosisArea], pose: Pose) -> tuple[SiderosisRow, ...]:
    """Return the truth table of a session's superficial siderosis."""
    rows = []
    for number, area in enumerate(areas, 1):
        x, y, z = (float(v) for v in pose.to_world(area.head_mm).mean(axis=0))
        side = "left" if area.head_mm[:, 0].mean() < 0 else "right"
        rows.append(SiderosisRow(number, *area[:5], side, x, y, z))
    return tuple(rows)
