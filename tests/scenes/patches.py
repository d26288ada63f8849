"""Lesion scenes as the measurement sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import CoreDecay, Source
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray
from qsmcmb.units import ppm_to_hz
from tests.scenes.lesion_signal import (
    B0_TESLA,
    RADIUS_MM,
    LesionScene,
    ball_in_sloping_tissue,
    ball_radius_mm,
    cropped_balls,
)

NO_FILTER = KSpaceWindow()


def scanned(
    balls: FloatArray, window: KSpaceWindow = NO_FILTER, *, decay_hz: float = 1e4, tilt_hz_per_mm: float = 0.0
) -> Patch:
    """Return `lesion_signal.cropped_balls` with its window known."""
    scene = cropped_balls(balls, window.weight, decay_hz=decay_hz, tilt_hz_per_mm=tilt_hz_per_mm)
    return _patch_of(scene, (window, window, window))


def surroundings(
    total: float, *, te_s: tuple[float, ...] = (0.008, 0.016, 0.024), snr: float = 100.0
) -> Patch:
    """Return `lesion_signal.ball_in_sloping_tissue`."""
    return _patch_of(ball_in_sloping_tissue(total, te_s=te_s, snr=snr))


def true_source(total: float, wrong: float = 1.0) -> Source:
    """Return the ball of `surroundings(total)`, its total off by the factor `wrong`."""
    return Source(total * wrong, (0.2, -0.3, 0.1), ball_radius_mm(total))


SMALL_BALL = Source(2.0, (0.2, -0.1, 0.3), 0.8)
"""The ball of `small_patch`."""
SMALL_BALL_DECAY = CoreDecay(100.0, 0.8)
"""R2* inside it, 1/s."""


def small_patch(
    source: Source = SMALL_BALL,
    *,
    te_s: tuple[float, ...] = (0.006, 0.014),
    noise_sd: float = 0.01,
    heterogeneity: float = 1.0,
    seed: int = 1,
) -> Patch:
    """Return a patch of 11 x 11 x 11 voxels, 1 x 1.1 x 0.9 mm, whose signal is the model's own, with noise.

    For the algebra of a fit, not for its accuracy: the model that is fitted has made it. Tissue is bright along x, its
    R2* is 20 1/s, its field is a plane; the receive phase rises along y.
    """
    shape, size, b0_dir = (11, 11, 11), (1.0, 1.1, 0.9), (0.36, 0.48, 0.8)
    axes = tuple((np.arange(n) - n // 2) * v for n, v in zip(shape, size, strict=True))
    x, y, z = xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    tissue_hz = 3.0 + 1.5 * x - 0.8 * z
    offset = (xyz - np.reshape(source.centre_mm, (3, 1, 1, 1))).reshape(3, -1)
    own_ppm = source.total_chi_ppm_mm3 * point_dipole_field(offset, np.array(b0_dir)).reshape(shape)
    te = np.reshape(te_s, (-1, 1, 1, 1))
    tissue = np.exp(0.03 * x - 20 * te + 1j * (0.4 + 0.02 * y + 2 * np.pi * te * tissue_hz))
    empty = Patch(
        acquisition=Acquisition(te_s=te_s, b0_tesla=B0_TESLA, noise_sd=noise_sd, heterogeneity=heterogeneity),
        grid=Grid(shape, size, b0_dir),
        signal=tissue,
        field_hz=tissue_hz + ppm_to_hz(own_ppm, B0_TESLA),
        inside=(xyz**2).sum(axis=0) <= 4.4**2,
        axes_mm=axes,  # type: ignore[arg-type]
        radius_mm=4.4,
        fraction_in_mask=0.98,
        box=(slice(3, 14), slice(4, 15), slice(5, 16)),
    )
    model = LesionModel(empty, source, core_decay=SMALL_BALL_DECAY)
    factor = model.signal(model.start_parameters(source)).factor.reshape(len(te_s), -1)
    noise = noise_sd * np.random.default_rng(seed).standard_normal((2, len(te_s), *shape))
    signal = empty.signal + noise[0] + 1j * noise[1]
    signal[:, empty.inside] += empty.signal[:, empty.inside] * (factor - 1)
    return replace(empty, signal=signal)


def with_acquisition(patch: Patch, **changes: object) -> Patch:
    """Return the patch with some fields of its acquisition replaced."""
    return patch.with_acquisition(replace(patch.acquisition, **changes))  # type: ignore[arg-type]


def _patch_of(scene: LesionScene, windows: KSpaceWindows = FULL_K_SPACE) -> Patch:
    nx, ny, nz = scene.grid.shape
    return Patch(
        acquisition=Acquisition(te_s=scene.te_s, b0_tesla=B0_TESLA, noise_sd=scene.noise, windows=windows),
        grid=scene.grid,
        signal=scene.signal,
        field_hz=scene.field_hz,
        inside=scene.inside,
        axes_mm=scene.axes_mm,
        radius_mm=RADIUS_MM,
        fraction_in_mask=1.0,
        box=(slice(0, nx), slice(0, ny), slice(0, nz)),
    )
