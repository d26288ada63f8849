"""The phase of the background field at a lesion: where it is steep, it moves the signal in k-space.

What was acquired does not move with it: of a lesion on a slope more spatial frequencies are lost on one side than on
the other. So the signal is sampled with the background's phase on it, which then comes off again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import turn_by
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.typing import FloatArray

MIN_PHASE_STEP = 0.06
"""Turn from voxel to voxel, over half a turn, from which it counts."""
MIN_TISSUE_SIGNAL = 0.3


class BackgroundPhase:
    """The phase of a neighbourhood's background at the points of a grid and at its voxels.

    Parameters
    ----------
    patch : Patch
        Knows its background.
    levels : sequence of sequence of ndarray
        Points of each level of the grid along each axis, mm.
    """

    def __init__(self, patch: Patch, levels: Sequence[Sequence[FloatArray]]) -> None:
        self._patch = patch
        self._at_levels = [self._turn(patch.background_on_grid_hz(*axes)) for axes in levels]
        self._back = self._turn(-patch.background_hz(patch.coordinates_mm[:, patch.inside]))
        profiles = zip(patch.acquisition.axis_profiles, patch.background_phase_step, strict=True)
        self._window_weight = np.prod([profile.weight(turn) for profile, turn in profiles], axis=0)

    @classmethod
    def of(cls, patch: Patch, levels: Sequence[Sequence[FloatArray]]) -> BackgroundPhase | None:
        """Return a neighbourhood's; None where it moves nothing that counts."""
        return cls(patch, levels) if np.median(patch.phase_steepness[-1]) > MIN_PHASE_STEP else None

    def put_on(self, values: FloatArray, level: int) -> None:
        """Turn (2, n, echo, point) values of a level in place."""
        turn_by(values, self._at_levels[level])

    def take_off(
        self, seen: FloatArray, psf_width_mm: float, slope: tuple[float, float] | None = None
    ) -> None:
        """Turn (2, n, echo, voxel) sampled values back in place, relative to what is left of the tissue's signal.

        The last of the n is the derivative by the squared blur where `slope` is given: another blur, and the
        difference of their squares.
        """
        left = self._left(psf_width_mm)
        if slope is not None:
            wider, difference = slope
            rise = (self._left(wider) / left - 1) / difference
            seen[:, -1] -= rise.astype(np.float32) * seen[:, 0]
        turn_by(seen, self._back / left.astype(np.float32))

    def _turn(self, field_hz: FloatArray) -> FloatArray:
        """Return cosine and sine (2, echo, point) of the phase of a field."""
        phase = (2 * np.pi * np.outer(self._patch.acquisition.te_s, field_hz)).astype(np.float32)
        return np.stack([np.cos(phase), np.sin(phase)])

    def _left(self, psf_width_mm: float) -> FloatArray:
        """Return what is left of uniform tissue, (echo, voxel)."""
        size = np.array(self._patch.grid.voxel_size_mm)[:, None, None]
        blurred = np.sinc(0.5 * self._patch.background_phase_step * psf_width_mm / size).prod(axis=0)
        return np.asarray(np.maximum(self._window_weight * blurred, MIN_TISSUE_SIGNAL))
