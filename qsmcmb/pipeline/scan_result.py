"""Results of one scan, in groups: masks, fields, maps, lesions, and the record of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from qsmcmb.anatomy.head_regions import HeadRegions
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.examined import ExaminedPoint
from qsmcmb.microbleeds.results.burden import BurdenRecord
from qsmcmb.microbleeds.results.explanation_records import LesionRecord
from qsmcmb.microbleeds.results.lesion_pictures import LesionPicture
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.microbleeds.siderosis.areas import SiderosisArea
from qsmcmb.model import GreScan
from qsmcmb.pipeline.reference import MapReference
from qsmcmb.pipeline.scan_checks import ScanChecks
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["FieldMaps", "Masks", "ScanMaps", "ScanResult"]


class Masks(NamedTuple):
    """Masks of a scan, all on its grid.

    Parameters
    ----------
    brain : ndarray of bool
        Brain.
    reliable : ndarray of bool
        Brain voxels where the field's SD is below 5 Hz.
    chi : ndarray of bool
        Voxels where the susceptibility map is defined.

    Examples
    --------
    >>> import numpy as np
    >>> brain = np.ones((8, 8, 8), bool)
    >>> int(Masks(brain=brain, reliable=brain, chi=brain).chi.sum())
    512
    """

    brain: BoolArray
    reliable: BoolArray
    chi: BoolArray


class FieldMaps(NamedTuple):
    """Fields of a scan, all on its grid.

    Parameters
    ----------
    total_hz : ndarray
        Total field, Hz.
    sd_hz : ndarray
        Standard deviation of the total field, Hz.
    local_hz : ndarray
        Local field, Hz; 0 outside the mask of the susceptibility map.

    Examples
    --------
    >>> import numpy as np
    >>> nothing = np.zeros((8, 8, 8), np.float32)
    >>> float(FieldMaps(total_hz=nothing, sd_hz=nothing + 1, local_hz=nothing).sd_hz.mean())
    1.0
    """

    total_hz: FloatArray
    sd_hz: FloatArray
    local_hz: FloatArray


class ScanMaps(NamedTuple):
    """Maps and images of a scan, all on its grid.

    Parameters
    ----------
    chi_ppm : ndarray
        Susceptibility, ppm, against the mean over its reference.
    reference : MapReference
        Region whose mean is 0 on the map.
    r2star_hz : ndarray or None
        R2*, 1/s; None for a single echo.
    swi : ndarray
        Susceptibility-weighted image, unit of the magnitude.
    mip_min : ndarray
        Its minimum-intensity projection, unit of the magnitude.
    detection_limit_ppm_mm3 : ndarray
        Smallest total susceptibility that the scan could show, ppm mm3.

    Examples
    --------
    >>> import numpy as np
    >>> nothing = np.zeros((8, 8, 8), np.float32)
    >>> maps = ScanMaps(
    ...     chi_ppm=nothing,
    ...     reference=MapReference(region="brain", mean_ppm=0.0, sd_ppm=0.0, n_voxels=512),
    ...     r2star_hz=None,
    ...     swi=nothing,
    ...     mip_min=nothing,
    ...     detection_limit_ppm_mm3=nothing,
    ... )
    >>> maps.chi_ppm.shape
    (8, 8, 8)
    """

    chi_ppm: FloatArray
    reference: MapReference
    r2star_hz: FloatArray | None
    swi: FloatArray
    mip_min: FloatArray
    detection_limit_ppm_mm3: FloatArray


@dataclass(frozen=True)
class ScanResult:
    """Every intermediate of one scan; arrays on `scan.grid`.

    Parameters
    ----------
    scan : GreScan
        The scan, its phase corrected where the configuration says so.
    masks : Masks
        Brain, reliable part of it, and the voxels of the susceptibility map.
    fields : FieldMaps
        Total and local field with the SD, Hz.
    maps : ScanMaps
        Susceptibility, R2*, susceptibility-weighted images and detection limit.
    table : MicrobleedTable
        Lesions with their label image, the provenance, and warnings to the user.
    explanations : tuple of LesionRecord
        What each lesion's number rests on, as in `desc-cmb_explain.json`.
    burden : BurdenRecord
        Counts, burden, pattern, and what conventional imaging would have shown.
    examined : tuple of ExaminedPoint or None
        Points that the detector looked at, each with the gate that it failed; None where it did not run.
    seconds : dict
        Duration by stage, s.
    regions : HeadRegions or None
        Structures of the head; None where the scan does not fit the template.
    pictures : dict of int to LesionPicture
        Magnitude and fit around each lesion, by label, as the pages show them.
    checks : ScanChecks or None
        Numbers that the stages find out about their own work.
    siderosis : tuple of SiderosisArea or None
        Areas that may be superficial siderosis; None where the scan cannot show them.

    Examples
    --------
    >>> import numpy as np
    >>> from qsmcmb.model import Grid
    >>> from qsmcmb.pipeline.config import make_config
    >>> from qsmcmb.pipeline.subject import run_scan
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> config = make_config({"invert": {"method": "tkd"}})
    >>> result = run_scan(scan, config, mask=ones > 0, points_mm=np.zeros((0, 3)))
    >>> result.lesions, result.chi_ppm.shape, result.fields.total_hz.shape
    ((), (16, 16, 16), (16, 16, 16))
    """

    scan: GreScan
    masks: Masks
    fields: FieldMaps
    maps: ScanMaps
    table: MicrobleedTable
    explanations: tuple[LesionRecord, ...]
    burden: BurdenRecord
    examined: tuple[ExaminedPoint, ...] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    regions: HeadRegions | None = None
    pictures: dict[int, LesionPicture] = field(default_factory=dict)
    checks: ScanChecks | None = None
    siderosis: tuple[SiderosisArea, ...] | None = None

    @property
    def chi_ppm(self) -> FloatArray:
        """Susceptibility map, ppm."""
        return self.maps.chi_ppm

    @property
    def lesions(self) -> tuple[Microbleed, ...]:
        """One record per candidate."""
        return self.table.lesions

    @property
    def warnings(self) -> tuple[str, ...]:
        """Messages to the user."""
        return self.table.warnings
