"""Lesion scenes as the measurement sees them."""

from __future__ import annotations

from qsmcmb.microbleeds.k_space_window import KSpaceWindow
from qsmcmb.microbleeds.lesion_model import Source
from qsmcmb.microbleeds.neighbourhood import Neighbourhood
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
) -> Neighbourhood:
    """Return `lesion_signal.cropped_balls` with its window known."""
    scene = cropped_balls(balls, window.weight, decay_hz=decay_hz, tilt_hz_per_mm=tilt_hz_per_mm)
    return _seen(scene, windows=(window, window, window))


def surroundings(
    total: float, *, te_s: tuple[float, ...] = (0.008, 0.016, 0.024), snr: float = 100.0
) -> Neighbourhood:
    """Return `lesion_signal.ball_in_sloping_tissue`."""
    return _seen(ball_in_sloping_tissue(total, te_s=te_s, snr=snr))


def true_source(total: float, wrong: float = 1.0) -> Source:
    """Return the ball of `surroundings(total)`, its total off by the factor `wrong`."""
    return Source(total * wrong, (0.2, -0.3, 0.1), ball_radius_mm(total))


def _seen(scene: LesionScene, **more: object) -> Neighbourhood:
    return Neighbourhood(
        grid=scene.grid, te_s=scene.te_s, b0_tesla=B0_TESLA, signal=scene.signal, field_hz=scene.field_hz,
        inside=scene.inside, axes_mm=scene.axes_mm, radius_mm=RADIUS_MM, noise=scene.noise, covered=1.0,
        box=tuple(slice(0, n) for n in scene.grid.shape), **more,
    )  # type: ignore[arg-type]  # fmt: skip
