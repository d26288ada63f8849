"""Iterative least squares with streaks estimated in the cone of k-space and taken away.

Li et al. 2015, doi 10.1016/j.neuroimage.2014.12.043. First the weighted least squares map, by the preconditioned
conjugate gradients of `descent` (in exact arithmetic the iterates of LSQR), 1 to 20 transform pairs; then, in the
cone alone, the k-space samples that make the map's gradient smallest away from its edges, about 20 pairs. Memory: 8
float32 volumes (field or map, weight, misfit, two spectra of the first conjugate gradients, the transform's two
buffers, the result); the second keeps the cone's samples, a sixth of a spectrum, and the mask's box.
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

DAMPING = 0.3
"""Damping of the preconditioner over the cross-validated weight, as for NDI."""
SAMPLES = 100_000
"""Differences from which the quantile is taken, at regular steps."""


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
    """Invert by weighted least squares, then take away what only the cone of k-space explains.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    cone : float, optional
        Kernel value below which k-space is estimated anew, 0.001 to 0.3.
    edges : float, optional
        Part of the differences along each axis, the largest, that are edges, 0 to 0.9.
    tolerance : float, optional
        Stop least squares when a step lowers the squared misfit by less than this part, and the streak estimate when
        its residual has fallen by this part; 0 to 1.
    max_iterations : int, optional
        Of each of the two, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Options out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> invert_ilsqr(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_range("cone", cone, 0.001, 0.3)
    check_range("edges", edges, 0.0, 0.9)
    check_range("tolerance", tolerance, 0.0, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    weight2, noise = squared_weights_and_noise(local_field_ppm, mask, field_sd_ppm)
    stop = Stop(noise**2 * int(mask.sum()), tolerance, max_iterations)
    # Leaves the field's spectrum where the descent begins.
    damping = DAMPING * tikhonov_weight(local_field_ppm, mask, grid, order=0)
    found, _ = descend(local_field_ppm, weight2, mask, grid, damping=damping, stop=stop)
    del weight2
    chi = empty(grid.shape)
    scale_inside(found, mask, np.float32(1.0), chi)
    box = bounding_box(mask)
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
            limit = np.quantile(values[:: max(1, values.size // SAMPLES)], 1.0 - edges)
            bits[low] |= (inside & (size <= limit)).astype(np.uint8) << axis
    return bits


class _Cone(NamedTuple):
    """Samples of the half spectrum near the zeros of the kernel, plane by plane."""

    begins: IntArray
    places: IntArray
    inverse: FloatArray
    shares: FloatArray


def _cone(grid: Grid, edge: float) -> _Cone:
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    counts = np.zeros(grid.shape[0], np.int64)
    loops.count_cone(tables, np.float32(edge), counts)
    begins = np.concatenate([[0], np.cumsum(counts)])
    places = empty((int(begins[-1]),), np.int32)
    inverse, shares = empty((2, places.size))
    loops.list_cone(tables, np.float32(edge), grid.shape[2] % 2 == 0, begins, places, inverse, shares)
    return _Cone(begins, places, inverse, shares)


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
    length, norm, first = np.float32(-1.0), 0.0, 0.0
    for iteration in range(stop.iterations):
        loops.place(product, start, eng.real)
        new_norm = float(loops.shrink_residual(samples, length, eng.forward(), cg).sum()) / eng.size
        first = first or new_norm
        if new_norm <= stop.fall**2 * first:
            break
        keep = np.float32(new_norm / norm if iteration else 0.0)
        norm = new_norm
        loops.turn_direction(samples, keep, scale, eng.spectrum, cg)
        image = eng.inverse(normalise=False)
        bend = float(loops.flat_differences(image, start, flat, weights, product).sum())
        length = np.float32(norm / bend if bend > 0 else 0.0)
    else:
        cg[2] += length * cg[1]
    loops.spread_cone(samples, cg[2], eng.spectrum)
    return eng.inverse()
