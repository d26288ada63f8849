"""Loops of MEDI: the magnitude's edges, and the model with a k-space filter, whose kernel is a volume."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def multiply(spectrum: Any, kernel: Any, out: Any) -> None:
    """Multiply a spectrum by a real kernel."""
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = spectrum[x, y, z] * kernel[x, y, z]


@compiled(parallel=True)
def solve(
    spectrum: Any, data_k: Any, kernel: Any, tables: Any, mu_data: Any, mu_gradient: Any, scale: Any
) -> None:
    """Solve the normal equations: the map's spectrum, times `scale`, into `spectrum`, its field's into `data_k`."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = kernel[x, y, z]
                # As in `solve_normal`, with the filtered kernel.
                divisor = mu_data * d * d + mu_gradient * (across + tz[3, z])
                value = mu_gradient * spectrum[x, y, z] + mu_data * data_k[x, y, z]
                value *= scale / max(divisor, TINY)
                spectrum[x, y, z] = value
                data_k[x, y, z] = value * d
    spectrum[0, 0, 0] = 0.0
    data_k[0, 0, 0] = 0.0


@compiled
def _size_row(here: Any, ahead: Any, inside: Any, inside_ahead: Any, spacing: Any, out: Any) -> Any:
    """Write the sizes of a row's differences, per mm, infinite but for pairs in the mask; return how many pairs there
    are.
    """
    pairs = np.int32(0)
    for z in range(out.size):
        # A difference with a voxel outside is no edge of the brain's inside.
        pair = inside[z] & inside_ahead[z]
        out[z] = abs(ahead[z] - here[z]) / spacing if pair else np.float32(np.inf)
        pairs += np.int32(pair)
    return pairs


@compiled
def _size_along(magnitude: Any, mask: Any, place: Any, axis: Any, spacing: Any, out: Any) -> Any:
    """Write the sizes of one row's differences along an axis, per mm; infinite but for pairs in the mask, which are
    counted.
    """
    x, y, z = place
    ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
    # Along the row itself the last voxel has none ahead.
    last = z + out.size - az
    here, inside = magnitude[x, y, z:last], mask[x, y, z:last]
    ahead, inside_ahead = (
        magnitude[x + ax, y + ay, z + az : last + az],
        mask[x + ax, y + ay, z + az : last + az],
    )
    out[out.size - 1] = np.float32(np.inf)
    return _size_row(here, ahead, inside, inside_ahead, spacing, out[: out.size - az])


@compiled(parallel=True)
def difference_sizes(magnitude: Any, mask: Any, start: Any, axis: Any, spacing: Any, out: Any) -> Any:
    """Write the sizes of the differences along an axis in a box, per mm, infinite but for pairs in the mask; return
    pairs.
    """
    nx, ny, _ = out.shape
    sx, sy, sz = start
    pairs = np.zeros(nx, np.int64)
    for x in prange(nx):
        for y in range(ny):
            # Nothing follows the box's last row.
            if x + int(axis == 0) < nx and y + int(axis == 1) < ny:
                pairs[x] += _size_along(magnitude, mask, (x + sx, y + sy, sz), axis, spacing, out[x, y])
            else:
                out[x, y] = np.float32(np.inf)
    return pairs


@compiled(parallel=True)
def clear_edges(
    magnitude: Any, mask: Any, start: Any, axis: Any, spacing: Any, limit: Any, flat: Any
) -> None:
    """Write 0 where a difference in the mask is larger than the limit; `flat` has a guard layer at its low sides."""
    nx, ny, nz = flat.shape[0] - 1, flat.shape[1] - 1, flat.shape[2] - 1
    sx, sy, sz = start
    for x in prange(nx - int(axis == 0)):
        line = np.empty(nz, np.float32)
        for y in range(ny - int(axis == 1)):
            _size_along(magnitude, mask, (x + sx, y + sy, sz), axis, spacing, line)
            row = flat[x + 1, y + 1, 1:]
            for z in range(nz):
                # Infinite stands for no pair: such a difference is regularised.
                row[z] = not (limit < line[z] < np.float32(np.inf))
