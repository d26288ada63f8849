"""Phase that was high-pass filtered is told from phase that was not, and then no number has an interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qsmcmb.change.records import Change
from qsmcmb.io.filtered_phase import lacks_low_frequencies, stated_filter
from qsmcmb.io.lesion_table import lesion_from_row, lesion_row
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import FloatArray

GRID = Grid(shape=(64, 60, 44), voxel_size_mm=(1.5, 1.5, 2.0), b0_dir=(0.0, 0.0, 1.0))


def head(te_s: float) -> tuple[FloatArray, FloatArray]:
    """Return phase and magnitude of an ellipsoid with a background field, small sources and noise."""
    rng = np.random.default_rng(4)
    x, y, z = (
        (a - (n - 1) / 2) * v
        for a, n, v in zip(np.indices(GRID.shape), GRID.shape, GRID.voxel_size_mm, strict=True)
    )
    magnitude = np.where((x / 38) ** 2 + (y / 36) ** 2 + (z / 34) ** 2 < 1, 100.0, 2.0)
    field_hz = 0.3 * y + 0.4 * z + 0.004 * (z**2 - x**2)
    for centre in rng.uniform(-20, 20, (12, 3)):
        r2 = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 + 4
        field_hz = field_hz + 150 * (3 * (z - centre[2]) ** 2 / r2 - 1) / r2**1.5
    signal = magnitude * np.exp(2j * np.pi * te_s * field_hz)
    signal = signal + 3 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.angle(signal)[None], np.abs(signal)[None]


def homodyne(phase: FloatArray, magnitude: FloatArray, fraction: float) -> FloatArray:
    """Return phase without that of the image of central k-space."""
    signal = magnitude[0] * np.exp(1j * phase[0])
    k = np.fft.fftn(signal, axes=(0, 1))
    for axis, n in enumerate(signal.shape[:2]):
        f = np.abs(np.fft.fftfreq(n)) * 2 / fraction
        window = np.where(f < 1, 0.5 + 0.5 * np.cos(np.pi * f), 0)
        k = k * window.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.angle(signal * np.conj(np.fft.ifftn(k, axes=(0, 1))))[None]


@pytest.mark.parametrize("te_s", [0.0025, 0.02, 0.04])
def test_filtered_phase_is_told_from_raw(te_s: float) -> None:
    phase, magnitude = head(te_s)
    assert not lacks_low_frequencies(phase, magnitude, GRID, stated=True)
    if te_s < 0.01:
        return
    for fraction in (0.5, 0.33, 0.25):
        filtered = homodyne(phase, magnitude, fraction)
        assert lacks_low_frequencies(filtered, magnitude, GRID, stated=False)


@pytest.mark.parametrize(
    ("image_type", "word"),
    [
        (["ORIGINAL", "PRIMARY", "P", "ND", "SWI"], "SWI"),
        ("DERIVED\\SECONDARY\\P\\HOMODYNE", "HOMODYNE"),
        (["DERIVED", "PHASE_FILTERED"], "PHASE_FILTERED"),
        (["ORIGINAL", "PRIMARY", "P", "ND"], ""),
        (None, ""),
    ],
)
def test_image_type_may_say_so(image_type: object, word: str) -> None:
    assert stated_filter([image_type]) == word


def test_a_number_without_an_interval_goes_through_tables_burden_and_change() -> None:
    total = Estimate(4.0, math.nan, "ppm mm3")
    lesion = Microbleed(1, (1.0, 2.0, 3.0), total_chi_ppm_mm3=total, flags=("filtered-phase",))
    row = lesion_row(lesion)
    assert (row["total_chi_ppm_mm3"], row["total_chi_sd_ppm_mm3"], row["total_chi_low_ppm_mm3"]) == (
        4.0,
        None,
        None,
    )
    back = lesion_from_row(row).total_chi_ppm_mm3
    assert back is not None
    assert math.isnan(back.high)
    burden = summarise_burden([lesion])
    assert (burden["burden_ppm_mm3"], burden["burden_sd_ppm_mm3"], burden["n_definite"]) == (4.0, None, 0)
    sure = Estimate(5.0, 0.1, "ppm mm3")
    change = Change(lesion=1, status="stable", position_mm=(0.0, 0.0, 0.0), baseline=total, followup=sure)
    given = change.row()
    assert (given.get("change_ppm_mm3"), given.get("change_sd_ppm_mm3"), given.get("mdc_ppm_mm3")) == (
        None,
        None,
        None,
    )
    assert "baseline_sd_ppm_mm3" not in given
