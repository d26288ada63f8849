"""The golden lesion table: what `quantify` and the fits behind it make of one small scan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.microbleeds.results.measurement import FittedLesion
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.model import GreScan
from qsmcmb.pipeline.points import measure_points
from qsmcmb.typing import BoolArray
from tests.scenes.small_scans import SHAPE, small_scan

STORED = Path(__file__).with_name("lesion_table.json")
LESIONS = [
    (4.0, (-5.3, -0.2, 0.1)),
    (3.0, (5.4, 1.5, -0.9)),
    (3.0, (6.4, 3.1, 0.1)),
    (-2.0, (0.3, -9.2, 5.4)),
]
"""A microbleed, a pair of balls within its reach, and a calcification: total (ppm mm3) and centre (mm)."""
POINTS_MM = [
    (-5.0, 0.0, 0.0), (6.0, 2.2, -0.4), (0.0, -9.0, 5.0), (-4.2, -1.0, 0.5), (9.0, -9.0, -9.0), (40.0, 0.0, 0.0),
]  # fmt: skip
"""One on each lesion, a second one on the first, one on nothing at the mask's edge, one outside the volume."""
LEVELS = 2048
"""Integers per half turn of phase, and of unit magnitude, as a scanner stores them: the same bits on every machine."""


def golden_scan() -> tuple[GreScan, BoolArray]:
    """Return the scan and its mask."""
    scan, _ = small_scan(LESIONS)
    phase = np.round(scan.phase_rad * (LEVELS / np.pi)) * (np.pi / LEVELS)
    magnitude = np.round(scan.magnitude * LEVELS)
    mask = ((np.indices(SHAPE) - 16.0) ** 2).sum(axis=0) < 15.0**2
    return replace(
        scan, phase_rad=phase.astype(np.float32), magnitude=magnitude.astype(np.float32)
    ), np.asarray(mask)


def make() -> dict[str, Any]:
    """Return the rows of the table, the fits behind them and the voxels of each label."""
    scan, mask = golden_scan()
    measured = measure_points(scan, POINTS_MM, mask=mask)
    return recorded(measured.table, measured.fits)


def recorded(table: MicrobleedTable, fitted: tuple[FittedLesion | None, ...]) -> dict[str, Any]:
    """Return a table and the fits behind it as they are stored."""
    assert table.labels is not None
    return {
        "rows": [{k: v for k, v in row.items() if v is not None} for row in table.rows()],
        "fits": [None if f is None else fit_record(f) for f in fitted],
        "labelled_voxels": np.bincount(table.labels.ravel(), minlength=len(fitted) + 1)[1:].tolist(),
    }


def fit_record(fitted: FittedLesion) -> dict[str, Any]:
    """Return the numbers of one fit."""
    fit, loss = fitted.fit, fitted.signal_loss
    acquisition = fit.patch.acquisition
    return {
        "sources": fit.state.rows.tolist(),
        "decay_hz": fit.decay_hz,
        "psf_width2_mm2": fit.psf_width2.value,
        "residual": fit.residual,
        "core_residual": fit.core_residual,
        "noise_and_clutter_sd": fit.noise_sd_ppm_mm3,
        "sandwich_sd": fit.sandwich_sd_ppm_mm3,
        "clutter_sd": None if np.isnan(fit.clutter_sd_ppm_mm3) else fit.clutter_sd_ppm_mm3,
        "shape_sd": fit.shape_sd_ppm_mm3,
        "hidden_tissue_sd": fit.hidden_tissue_sd_ppm_mm3,
        "cramer_rao_sd": fit.cramer_rao_sd_ppm_mm3,
        "model_selection_sd": fit.state.model_selection_sd_ppm_mm3,
        "voxels": int(fit.patch.inside.sum()),
        "converged": fit.converged,
        "heterogeneity": acquisition.heterogeneity,
        "scan_psf_width2_mm2": [acquisition.psf_width2.value, acquisition.psf_width2.sd],
        "scan_noise_sd": acquisition.noise_sd,
        "loss_per_echo": None if loss is None else loss.per_echo_ppm_mm3.tolist(),
        "loss_volume_mm3": None if loss is None else loss.volume_mm3.tolist(),
        "loss_sd": None if loss is None else loss.sd_ppm_mm3,
        "vein": None if fitted.vein is None else list(fitted.vein),
    }


def leaves(record: Any, path: str = "") -> dict[str, Any]:
    """Return the numbers and words of a nested record by their path, as `fits.0.residual`."""
    if isinstance(record, dict):
        parts = record.items()
    elif isinstance(record, list | tuple):
        parts = enumerate(record)  # type: ignore[assignment]
    else:
        return {path: record}
    return {k: v for key, part in parts for k, v in leaves(part, f"{path}.{key}".lstrip(".")).items()}


def stored() -> dict[str, Any]:
    """Return the golden table."""
    read: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return read


def rebuild() -> None:
    """Write the golden table anew."""
    STORED.write_text(json.dumps(make(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
