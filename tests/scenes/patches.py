"""Lesion scenes as the measurement sees them."""

from __future__ import annotations

from dataclasses import replace

from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.typing import FloatArray
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
