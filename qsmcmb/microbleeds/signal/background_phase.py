"""Background phase at a lesion: where the background field is steep, it moves the lesion's signal in k-space.

A background field that rises along an axis gives the tissue a phase exp(i 2 pi f(r) TE) that turns from voxel to voxel:
its spatial frequency is shifted. The acquired window W(k) does not shift with it, so that more of the lesion's
frequencies are lost on one side than on the other. The lesion's signal is therefore multiplied by the background
phase, seen through the point spread, and multiplied by the conjugate phase of the voxel; and it is divided by what the
same point spread leaves of uniform tissue, because the model's background is fitted to the tissue as it was imaged:

    seen(r) = exp(-i phi(r)) [h * (exp(i phi) (factor - 1))](r) / H(r),   H = |[h * exp(i phi)](r)|.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import rotate_phase
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.typing import FloatArray

__all__ = ("BackgroundPhase",)

MIN_PHASE_STEP = 0.06
"""Smallest median phase step at the last echo at which the background's phase is modelled, half turns per voxel of the
image: below it the background shifts the signal by less than 6 % of the half axis of k-space, which changes no fit."""
MIN_TISSUE_SIGNAL = 0.3
"""Smallest fraction of uniform tissue's signal by which the lesion's signal is divided, so that the quotient stays
finite: less is left only where voxels have next to no weight (`fit.objective.STEEPNESS_EXPONENT`)."""


class BackgroundPhase:
    """Phase of a patch's background field at the cells and at the voxels.

    Parameters
    ----------
    patch : Patch
        The patch, with the polynomial of its background field.
    levels : sequence of sequence of ndarray
        For each level of cells the coordinates of their middles along the three axes, mm from the patch's point.
    """

    def __init__(self, patch: Patch, levels: Sequence[Sequence[FloatArray]]) -> None:
        self._patch = patch
        self._at_levels = [self._phase_factor(patch.background_on_grid_hz(*axes)) for axes in levels]
        voxels_mm = patch.coordinates_mm[:, patch.inside]
        self._conjugate_at_voxels = self._phase_factor(-patch.background_hz(voxels_mm))
        # The background's local spatial frequency, in Nyquist frequencies, is its phase step in half turns per voxel:
        # the window's weight there is what is left of the tissue.
        profiles = zip(patch.acquisition.axis_profiles, patch.background_phase_step, strict=True)
        self._window_weight = np.prod([profile.weight(step) for profile, step in profiles], axis=0)

    @classmethod
    def if_steep(cls, patch: Patch, levels: Sequence[Sequence[FloatArray]]) -> BackgroundPhase | None:
        """Return the background phase of a patch where it is steep enough to matter.

        Parameters
        ----------
        patch : Patch
            The patch, with the polynomial of its background field.
        levels : sequence of sequence of ndarray
            Coordinates of the cells, as for the class.

        Returns
        -------
        BackgroundPhase or None
            None where the median phase step of the last echo is at most MIN_PHASE_STEP.
        """
        return cls(patch, levels) if np.median(patch.phase_steepness[-1]) > MIN_PHASE_STEP else None

    def apply(self, values: FloatArray, level: int) -> None:
        """Multiply values at the cells of a level by the background's phase factor, in place.

        Parameters
        ----------
        values : ndarray of shape (2, n, echo, cell), float32
            Real and imaginary part; overwritten.
        level : int
            Number of the level.
        """
        rotate_phase(values, self._at_levels[level])

    def remove(
        self, seen: FloatArray, psf_width_mm: float, finite_difference: tuple[float, float] | None = None
    ) -> None:
        """Take the background's phase off values at the voxels, relative to what is left of the tissue, in place.

        Parameters
        ----------
        seen : ndarray of shape (2, n, echo, voxel inside), float32
            Real and imaginary part of values seen through the point spread; overwritten. The first of the n is the
            lesion's factor - 1.
        psf_width_mm : float
            Extra width of the point spread, mm.
        finite_difference : tuple of float, optional
            Given where the last of the n is the derivative by the squared extra width: another width, mm, and the
            difference of the squares, mm2.
        """
        left = self._tissue_signal(psf_width_mm)
        if finite_difference is not None:
            # Quotient rule: d(seen / H) = (d seen - seen dH / H) / H.
            wider_mm, difference_mm2 = finite_difference
            relative_change = (self._tissue_signal(wider_mm) / left - 1) / difference_mm2
            seen[:, -1] -= relative_change.astype(np.float32) * seen[:, 0]
        rotate_phase(seen, self._conjugate_at_voxels / left.astype(np.float32))

    def _phase_factor(self, field_hz: FloatArray) -> FloatArray:
        """Return cosine and sine of the phase of a field, (2, echo, point)."""
        phase = (2 * np.pi * np.outer(self._patch.acquisition.formed_te_s, field_hz)).astype(np.float32)
        return np.stack([np.cos(phase), np.sin(phase)])

    def _tissue_signal(self, psf_width_mm: float) -> FloatArray:
        """Return the fraction of uniform tissue's signal that the point spread leaves, (echo, voxel inside)."""
        size = np.array(self._patch.grid.voxel_size_mm)[:, None, None]
        # Transform of a box of that width at the background's local frequency.
        box = np.sinc(0.5 * self._patch.background_phase_step * psf_width_mm / size).prod(axis=0)
        return np.asarray(np.maximum(self._window_weight * box, MIN_TISSUE_SIGNAL))
