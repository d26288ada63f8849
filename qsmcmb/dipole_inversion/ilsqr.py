"""Iterative least squares with streaks estimated in the cone of k-space and subtracted.

First the weighted least squares map, by the preconditioned conjugate gradients of `descent` (in exact arithmetic the
iterates of LSQR), 1 to 20 transform pairs; then, in the cone alone, the k-space samples that make the map's gradient
smallest away from its edges, about 20 pairs. Memory: 8 float32 volumes (field or map, weight, misfit, two spectra of
the first conjugate gradients, the transform's two buffers, the result); the second step holds the cone's samples, a
sixth of a spectrum, and the mask's box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core._box_loops import scale_inside
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.dipole import Triple, spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _ilsqr_loops as loops
from qsmcmb.dipole_inversion.descent import Stop, descend
from qsmcmb.dipole_inversion.noise import squared_weights_and_noise
from qsmcmb.dipole_inversion.regularisation import tikhonov_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("invert_ilsqr",)

DAMPING = 0.3
"""Damping of the preconditioner over the cross-validated weight, a ratio: that of `ndi`, whose first step is the
same.
"""
MAX_SAMPLES = 100_000
"""Differences from which the quantile is taken, a count: at regular steps; the quantile's own error is then
below 0.2 % of the differences.
"""


def invert_ilsqr(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray | None = None,
    cone: float = 0.1,
    edges: float = 0.3,
    tolerance: float = 0.01,
    max_iterations: int = 20,
) -> FloatArray:
    """Invert by weighted least squares, and subtract what only the cone of k-space explains.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    cone : float, optional
        Absolute value of the kernel below which k-space is estimated anew, 0.001 to 0.3.
    edges : float, optional
        Fraction of the differences along each axis, the largest, that count as edges, 0 to 0.9.
    tolerance : float, optional
        Least squares end when a step lowers the squared misfit by less than this fraction, the estimate of the streaks
        when its residual has fallen by this factor; 0 to 1.
    max_iterations : int, optional
        Iterations of each of the two at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    First chi_0 minimises |W (D chi - f)|^2, stopped at the noise. Then, with M = 0 at the edges of chi_0::

        streaks = argmin |M grad(chi_0 - s)|^2    over s with s(k) = 0 where |D(k)| >= cone
        chi = chi_0 - streaks

    References
    ----------
    Li et al. 2015. A method for estimating and removing streaking artifacts in quantitative susceptibility mapping.
    doi:10.1016/j.neuroimage.2014.12.043

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_ilsqr(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
    """
    check_range("cone", cone, 0.001, 0.3)
    check_range("edges", edges, 0.0, 0.9)
    check_range("tolerance", tolerance, 0.0, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    weight2, noise = squared_weights_and_noise(local_field_ppm, mask, field_sd_ppm)
    # The discrepancy principle: a misfit below the noise would fit the noise.
    stop = Stop(noise**2 * int(mask.sum()), tolerance, max_iterations)
    # Leaves the field's spectrum where the descent begins.
    damping = DAMPING * tikhonov_weight(local_field_ppm, mask, grid, order=0)
    found, _ = descend(local_field_ppm, weight2, mask, grid, damping=damping, stop=stop)
    del weight2
    chi = empty(grid.shape)
    scale_inside(found, mask, np.float32(1.0), chi)
    box = bounding_box(mask)
    # Edges come from the map itself: the method needs no magnitude.
    flat = flat_bits(chi[box], mask[box], grid.voxel_size_mm, edges)
    streaks = _streaks(chi, flat, (box[0].start, box[1].start, box[2].start), grid, cone=cone, stop=stop)
    loops.subtract_inside(chi, streaks, mask, np.float32(1.0), chi)
    return chi


def flat_bits(chi: FloatArray, mask: BoolArray, voxel_size_mm: Triple, edges: float) -> IntArray:
    """Return where the forward differences along x (bit 1), y (2), z (4) lie in the mask and are no edge."""
    bits = np.zeros(chi.shape, np.uint8)
    for axis, edge_mm in enumerate(voxel_size_mm):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        inside = mask[low] & mask[high]
        size = np.subtract(chi[high], chi[low])
        size *= np.float32(1 / edge_mm)
        np.abs(size, out=size)
        values = size[inside]
        if values.size:
            # A sample is enough, and a quantile of millions takes long.
            limit = np.quantile(values[:: max(1, values.size // MAX_SAMPLES)], 1.0 - edges)
            # Three flags in one byte: the stencil reads a quarter of what volumes of float32 would be.
            bits[low] |= (inside & (size <= limit)).astype(np.uint8) << axis
    return bits


class _Cone(NamedTuple):
    """Hold the samples of the half spectrum near the zeros of the kernel, plane by plane."""

    begins: IntArray
    positions: IntArray
    inverse: FloatArray
    shares: FloatArray


def _cone(grid: Grid, edge: float) -> _Cone:
    """Return the samples of the half spectrum where the kernel's absolute value is below an edge."""
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    counts = np.zeros(grid.shape[0], np.int64)
    loops.count_cone(tables, np.float32(edge), counts)
    # Counted first, so that planes can be listed by several threads at once.
    begins = np.concatenate([[0], np.cumsum(counts)])
    positions = empty((int(begins[-1]),), np.int32)
    inverse, shares = empty((2, positions.size))
    loops.list_cone(tables, np.float32(edge), grid.shape[2] % 2 == 0, begins, positions, inverse, shares)
    return _Cone(begins, positions, inverse, shares)


def _streaks(
    chi: FloatArray, flat: IntArray, start: tuple[int, int, int], grid: Grid, *, cone: float, stop: Stop
) -> FloatArray:
    """Return, in the transform's buffer, what lies in the cone and explains the gradient where it is flat.

    `flat` is of a box that begins at `start`; the conjugate gradients keep the samples of the cone alone.
    """
    eng, samples = engine(grid.shape), tuple(_cone(grid, cone))
    weights = tuple(np.float32(v**-2) for v in grid.voxel_size_mm)
    scale = np.float32(1.0 / eng.size)
    cg = zeros((3, samples[1].size), np.complex64)
    product = empty(flat.shape)
    loops.flat_differences(chi, start, flat, weights, product)
    # Along no direction a step of -1 sets the residual to the right-hand side.
    length, norm, first = np.float32(-1.0), 0.0, 0.0
    for iteration in range(stop.iterations):
        loops.place(product, start, eng.real)
        new_norm = float(loops.shrink_residual(samples, length, eng.forward(), cg).sum()) / eng.size
        first = first or new_norm
        # Norms are squared, the tolerance is not.
        if new_norm <= stop.fall**2 * first:
            break
        keep = np.float32(new_norm / norm if iteration else 0.0)
        norm = new_norm
        # Outside the cone the direction is 0: there least squares have the say.
        loops.turn_direction(samples, keep, scale, eng.spectrum, cg)
        image = eng.inverse(normalise=False)
        bend = float(loops.flat_differences(image, start, flat, weights, product).sum())
        length = np.float32(norm / bend if bend > 0 else 0.0)
    else:
        # The last step was not taken in by a further residual.
        cg[2] += length * cg[1]
    loops.spread_cone(samples, cg[2], eng.spectrum)
    return eng.inverse()
