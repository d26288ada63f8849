"""Scans of the package's phantoms, and the patches of them that the measurement sees."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.model import GreScan
from qsmcmb.phantoms.recipe import Protocol, Tube, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.typing import FloatArray

TUBE = Tube((0.0, 2.0, 1.0), (1.0, 0.4, 1.4142), 0.6, 0.4, signal=0.9, r2star_hz=30.0)
TUBE_PPM_MM2 = TUBE.chi_ppm * np.pi * TUBE.radius_mm**2
"""Susceptibility times cross-section."""
PROTOCOL = Protocol("3T", 3.0, (0.005, 0.012, 0.019, 0.026), 120.0, tilt_deg=10.0)


@lru_cache(maxsize=1)
def tube_tissue() -> TissueScan:
    """Return tissue with `TUBE`, a vein, ready to be scanned at 3 T."""
    recipe = read_recipe("cylinders")
    return TissueScan(replace(recipe, tubes=(TUBE,), fov_mm=(48.0, 48.0, 48.0)), PROTOCOL)


def patches_of(
    scan: GreScan, points_mm: FloatArray, *, noise_sd: float, windows: KSpaceWindows = FULL_K_SPACE
) -> list[Patch]:
    """Return the patch at each point (scanner RAS+ mm), the field mapped by the default stages."""
    phase = map_scan_field(scan, make_config())
    fields = ScanFields(field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask)
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=noise_sd, windows=windows)
    return [cut_patch(scan, voxel, fields, acquisition) for voxel in scan.grid.to_voxel(points_mm)]
