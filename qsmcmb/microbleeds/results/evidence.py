"""Evidence of a candidate: every figure that says whether it is a microbleed or what is taken for one.

The figures before the fit are there of every point within the mask, those of readers, too; the figures of the fit where
there was one. `crosscheck.surroundings` and `crosscheck.head_frame` have the equations. The fields of `Evidence` are
the columns of the evidence table (`*_desc-cmb_evidence.tsv`); there is no other list of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from qsmcmb.lesion import Column, column, with_parameters
from qsmcmb.microbleeds.crosscheck.head_frame import HeadFrame
from qsmcmb.microbleeds.crosscheck.surroundings import describe_surroundings
from qsmcmb.microbleeds.fit.echo_totals import totals_per_echo
from qsmcmb.microbleeds.fit.screening import Screening
from qsmcmb.microbleeds.fit.uncertainty import LesionFit
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ["EVIDENCE_COLUMNS", "Evidence", "gather_evidence"]


@dataclass(frozen=True)
class Evidence:
    """Hold what is known of one candidate before it is named; None where unknown.

    Examples
    --------
    >>> Evidence(signal_ppm_mm3=2.0, signal_sd_ppm_mm3=0.1).signal_ppm_mm3
    2.0
    """

    signal_ppm_mm3: float = field(
        metadata=column("Total susceptibility of one dark ball in the signal within 6 mm", PPM_MM3)
    )
    signal_sd_ppm_mm3: float = field(metadata=column("Standard deviation of signal_ppm_mm3", PPM_MM3))
    field_ppm_mm3: float | None = field(
        default=None, metadata=column("Total susceptibility of one dipole in the field map", PPM_MM3)
    )
    field_sd_ppm_mm3: float | None = field(
        default=None, metadata=column("Standard deviation of field_ppm_mm3", PPM_MM3)
    )
    ball_core_residual: float | None = field(
        default=None,
        metadata=column("Weighted residual of the ball in the signal within 3 mm, in SDs; about 1 or less"),
    )
    line_to_dipole: float | None = field(
        default=None,
        metadata=column(
            "How much more of the field a line of dipoles explains than one dipole; above 1 of veins"
        ),
    )
    vein_bic_difference: float | None = field(
        default=None,
        metadata=column(
            "By how much a cylinder explains the signal better than the lesion (BIC); n/a where not"
        ),
    )
    vessel_in_magnitude: float | None = field(
        default=None,
        metadata=column(
            "Darkening 3 to 6 mm away on both sides of one line, over that of the point; 1 of a vessel"
        ),
    )
    vessel_in_map: float | None = field(
        default=None, metadata=column("The same of the susceptibility map's contrast")
    )
    void_growth: float | None = field(
        default=None,
        metadata=column("Fraction of the lost signal of the longest echo that the first echo does not lose"),
    )
    darkening: float | None = field(
        default=None, metadata=column("Relative loss of magnitude at the point, longest echo, 0 to 1")
    )
    echo_spread: float | None = field(
        default=None,
        metadata=column("Spread of the total susceptibility over the echoes, relative; 0 of a point source"),
    )
    map_peak_ppm: float | None = field(
        default=None, metadata=column("Peak of the susceptibility map above the tissue around", "ppm")
    )
    map_extent_mm: float | None = field(
        default=None, metadata=column("Diameter of the ball of the volume above half that peak", "mm")
    )
    mirror_ratio: float | None = field(
        default=None,
        metadata=column(
            "Peak of the map on the other side of the midline, over the own; 1 of iron in nuclei"
        ),
    )
    r2star_hz: float | None = field(default=None, metadata=column("Median R2* in the candidate", "1/s"))
    depth_mm: float | None = field(default=None, metadata=column("Depth below the surface of the mask", "mm"))
    field_gradient: float | None = field(
        default=None, metadata=column("Slope of the total field at the longest echo", "turns/mm")
    )
    diameter_mm: float | None = field(
        default=None, metadata=column("Apparent diameter on the magnitude of the longest echo", "mm")
    )
    total_chi_ppm_mm3: float | None = field(
        default=None, metadata=column("Total susceptibility by the lesion fit", PPM_MM3)
    )
    total_chi_sd_ppm_mm3: float | None = field(
        default=None, metadata=column("Standard deviation of total_chi_ppm_mm3", PPM_MM3)
    )
    residual: float | None = field(
        default=None, metadata=column("Weighted residual of the lesion fit, in SDs; about 1 or less")
    )
    core_residual: float | None = field(
        default=None, metadata=column("Weighted residual of the lesion fit within 3 mm, in SDs")
    )
    detector_score: float | None = field(
        default=None, metadata=column("Detector's score, 0 to 1; n/a of a reader's point")
    )
    voxel_mm3: float | None = field(default=None, metadata=column("Volume of a voxel of the scan", "mm3"))

    @property
    def sign(self) -> float:
        """Sign of the total susceptibility: by the fit, else by signal or field, whichever is clearer."""
        if self.total_chi_ppm_mm3 is not None:
            return 1.0 if self.total_chi_ppm_mm3 >= 0 else -1.0
        return _clearer_sign(
            Estimate(self.signal_ppm_mm3, self.signal_sd_ppm_mm3, PPM_MM3),
            Estimate(self.field_ppm_mm3 or 0.0, self.field_sd_ppm_mm3 or 1.0, PPM_MM3),
        )

    def with_fit(
        self, fit: LesionFit, total: Estimate, vein: Vein | None, *, diameter_mm: float, r2star_hz: float | None
    ) -> Evidence:  # fmt: skip
        """Return the evidence with the figures of the lesion's fit.

        Parameters
        ----------
        fit : LesionFit
            The refined fit.
        total : Estimate
            Total susceptibility with its whole SD, ppm mm3.
        vein : Vein or None
            Cylinder that explains the scan better.
        diameter_mm : float
            Apparent diameter, mm.
        r2star_hz : float or None
            Median R2* in the lesion, 1/s.

        Returns
        -------
        Evidence
            All figures.
        """
        return replace(
            self,
            vein_bic_difference=None if vein is None else vein.bic_difference,
            echo_spread=_echo_spread(totals_per_echo(fit.state)),
            r2star_hz=r2star_hz,
            diameter_mm=diameter_mm,
            total_chi_ppm_mm3=total.value,
            total_chi_sd_ppm_mm3=total.sd,
            residual=fit.residual,
            core_residual=fit.core_residual,
        )


Evidence.__doc__ = with_parameters(Evidence.__doc__ or "", Evidence)

EVIDENCE_COLUMNS: dict[str, Column] = {entry.name: entry.metadata["column"] for entry in fields(Evidence)}
"""Columns of the evidence table by name, in their order."""


def gather_evidence(
    patch: Patch,
    screening: Screening,
    fields: ScanFields,
    frame: HeadFrame,
    *,
    point_mm: FloatArray,
    detector_score: float | None,
) -> Evidence:
    """Gather the figures that need no fit.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    screening : Screening
        Ball in the signal, dipole and line in the field.
    fields : ScanFields
        Mask and susceptibility map of the scan.
    frame : HeadFrame
        Depths and midplane of the head.
    point_mm : ndarray of shape (3,)
        The point, scanner RAS+ mm.
    detector_score : float or None
        Detector's score.

    Returns
    -------
    Evidence
        The figures of the fit are None.
    """
    sign = _clearer_sign(screening.signal, screening.field)
    around = describe_surroundings(patch, fields, sign=sign)
    return Evidence(
        signal_ppm_mm3=screening.signal.value,
        signal_sd_ppm_mm3=screening.signal.sd,
        field_ppm_mm3=screening.field.value,
        field_sd_ppm_mm3=screening.field.sd,
        ball_core_residual=screening.core_residual,
        line_to_dipole=screening.line_to_dipole,
        vessel_in_magnitude=around.vessel_in_magnitude,
        vessel_in_map=around.vessel_in_map,
        void_growth=around.void_growth,
        darkening=around.darkening,
        map_peak_ppm=around.map_peak_ppm,
        map_extent_mm=around.map_extent_mm,
        mirror_ratio=frame.mirror_ratio(point_mm, sign),
        depth_mm=frame.depth_at(point_mm),
        field_gradient=around.field_gradient,
        detector_score=detector_score,
        voxel_mm3=patch.grid.voxel_volume_mm3,
    )


def _clearer_sign(signal: Estimate, in_field: Estimate) -> float:
    """Return the sign of the estimate of larger significance."""
    clearer = max(signal, in_field, key=lambda e: abs(e.value) / max(e.sd, 1e-12))
    return 1.0 if clearer.value >= 0 else -1.0


def _echo_spread(totals: list[Estimate]) -> float | None:
    """Return the weighted SD of the echoes' totals over their mean's size; None of one echo."""
    if len(totals) < 2:
        return None
    values = np.array([t.value for t in totals])
    weights = 1 / np.maximum([t.sd for t in totals], 1e-12) ** 2
    mean = float(np.average(values, weights=weights))
    spread = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return min(spread / max(abs(mean), 1e-12), 10.0)
