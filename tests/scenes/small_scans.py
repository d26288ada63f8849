"""Small scans of balls in tissue, cropped in k-space, with noise, and what is measured at points of them."""

from __future__ import annotations

import numpy as np

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.measure import MeasuredLesions, Targets, measure_lesions
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.lesions import describe_lesions
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T
from tests.scenes.geometry import Triple

SHAPE = (32, 32, 32)
TE_S = (0.008, 0.016, 0.024)
SNR = 60.0
SUB = 4
AIR_PPM = 9.4


def small_scan(
    lesions: list[tuple[float, Triple]],
    *,
    te_s: tuple[float, ...] = TE_S,
    retained: float = 0.0,
    dchi_ppm: float = 1.3,
    air: tuple[Triple, float] | None = None,
) -> tuple[GreScan, FloatArray]:
    """Return a scan of tissue with balls, and its field (Hz).

    `lesions` are totals (ppm mm3) and centres (mm), `retained` the part of its signal that a ball retains; `air` is
    centre and radius (mm) of a ball of air.
    """
    grid = Grid.isotropic(SHAPE, 1.0)
    rng = np.random.default_rng(5)
    steps = (np.arange(SUB) + 0.5) / SUB - 0.5
    x, y, z = np.meshgrid(
        *(np.add.outer(np.arange(n) - n // 2, steps).ravel() for n in SHAPE), indexing="ij", sparse=True
    )
    field = np.zeros((SHAPE[0] * SUB, SHAPE[1] * SUB, SHAPE[2] * SUB), np.float32)
    visible = np.ones(field.shape, np.float32)
    bodies = [(total, at, dchi_ppm) for total, at in lesions]
    if air is not None:
        bodies.append((4 / 3 * np.pi * air[1] ** 3 * AIR_PPM, air[0], AIR_PPM))
    for total, (cx, cy, cz), dchi in bodies:
        r2 = np.maximum((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2, 1e-3)
        ball2 = (3 * abs(total) / (4 * np.pi * dchi)) ** (2 / 3)
        outside = r2 > ball2
        visible *= np.where(outside, 1, np.float32(retained))
        field += np.where(outside, total * (3 * (z - cz) ** 2 / r2 - 1) / (4 * np.pi * r2**1.5), 0)
    smooth = 0.01 * x + 0.02 * y * z / 16
    hz = GAMMA_MHZ_PER_T * 3.0 * (field + smooth)
    signal = []
    for t in te_s:
        full = visible * np.exp(2j * np.pi * t * hz).astype(np.complex64)
        mean = np.einsum("ax,by,cz,xyz->abc", *(crop(n) for n in SHAPE), full, optimize=True)
        noise = rng.standard_normal((2, *SHAPE)) / SNR
        signal.append(mean * np.exp(-20 * t) + noise[0] + 1j * noise[1])
    data = np.array(signal)
    mean_hz = hz.reshape(SHAPE[0], SUB, SHAPE[1], SUB, SHAPE[2], SUB).mean(axis=(1, 3, 5))
    scan = GreScan(np.angle(data).astype(np.float32), np.abs(data).astype(np.float32), te_s, 3.0, grid)
    return scan, mean_hz.astype(np.float32)


def crop(n: int) -> ComplexArray:
    """Return what a crop of k-space makes of one axis of fine cells."""
    k = np.fft.fftfreq(n, 1 / n)
    fine = np.arange(n * SUB) - (SUB - 1) / 2
    there = np.exp(-2j * np.pi * np.outer(k, fine) / (n * SUB)) / SUB
    return np.exp(2j * np.pi * np.outer(np.arange(n), k) / n) @ there / n


def measured_at(
    scan: GreScan, field_hz: FloatArray, points_mm: list[Triple], mask: BoolArray | None = None
) -> MeasuredLesions:
    """Return what is measured at points, the field known."""
    mask = np.ones(SHAPE, bool) if mask is None else mask
    fields = ScanFields(field_hz=field_hz, offset_rad=np.zeros(SHAPE, np.float32), mask=mask)
    phase_alone = scan.magnitude_is_shared or scan.phase_difference
    acquisition = Acquisition(
        te_s=scan.te_s,
        b0_tesla=scan.b0_tesla,
        noise_sd=np.sqrt(2 if scan.phase_difference else 1) / SNR,
        phase_alone=phase_alone,
        difference_te_s=scan.difference_te_s,
    )
    return measure_lesions(scan, Targets.of_readers(np.array(points_mm)), fields, acquisition)


def rows_at(
    scan: GreScan, field_hz: FloatArray, points_mm: list[Triple], mask: BoolArray | None = None
) -> tuple[Microbleed, ...]:
    """Return the rows of the lesion table at points."""
    measured = measured_at(scan, field_hz, points_mm, mask)
    return describe_lesions(measured, scan, np.ones(SHAPE, bool) if mask is None else mask)


def covers(lesion: Microbleed, truth: float) -> bool:
    """Return whether the 95 % interval holds the truth."""
    total = lesion.total_chi_ppm_mm3
    return total is not None and total.low <= truth <= total.high
