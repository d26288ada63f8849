"""Loops of the streak estimate: a weighted Laplacian in image space, conjugate gradients in the cone of k-space."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY, dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _across_row(rows: Any, flat: Any, behind_flat: Any, bit: Any, weight: Any, out: Any) -> None:
    """Add the second difference across rows: `rows` are this one, the one ahead and the one behind."""
    here, ahead, behind = rows
    zero = np.float32(0)
    for z in range(out.size):
        # Minus the divergence: inflow from behind less outflow ahead, each where its bit is set.
        gain = (here[z] - behind[z]) * weight if behind_flat[z] & bit else zero
        out[z] += gain - ((ahead[z] - here[z]) * weight if flat[z] & bit else zero)


@compiled
def _along_row(here: Any, flat: Any, weight: Any, steps: Any, out: Any) -> None:
    """Set the second difference along the row; `steps` has one place more, 0 at both ends."""
    ahead, inner = here[1:], steps[1:-1]
    for z in range(inner.size):
        # Steps first, then their differences: each step is computed once.
        inner[z] = (ahead[z] - here[z]) * weight if flat[z] & 4 else np.float32(0)
    low, high = steps[:-1], steps[1:]
    for z in range(out.size):
        out[z] = low[z] - high[z]


@compiled(parallel=True)
def flat_differences(v: Any, start: Any, flat: Any, weights: Any, out: Any) -> Any:
    """Write the adjoint of the gradient of a volume where its bit is set; return by plane the weighted sum of its
    squares.

    `flat` and `out` are of a box that begins at `start` in `v`. No bit is set where there is no voxel of it ahead.
    """
    nx, ny, nz = flat.shape
    sx, sy, sz = start
    wx, wy, wz = weights
    sums = np.zeros(nx)
    for x in prange(nx):
        parts, steps, none = np.zeros(nz), np.zeros(nz + 1, np.float32), np.zeros(nz, np.uint8)
        # At the box's end any voxel will do: no bit is set there.
        ahead_x, behind_x = min(x + 1, nx - 1) + sx, max(x - 1, 0) + sx
        for y in range(ny):
            here, bits, row = v[x + sx, y + sy, sz : sz + nz], flat[x, y], out[x, y]
            _along_row(here, bits, wz, steps, row)
            rows = (here, v[ahead_x, y + sy, sz : sz + nz], v[behind_x, y + sy, sz : sz + nz])
            _across_row(rows, bits, flat[x - 1, y] if x > 0 else none, 1, wx, row)
            ahead_y, behind_y = min(y + 1, ny - 1) + sy, max(y - 1, 0) + sy
            rows = (here, v[x + sx, ahead_y, sz : sz + nz], v[x + sx, behind_y, sz : sz + nz])
            _across_row(rows, bits, flat[x, y - 1] if y > 0 else none, 2, wy, row)
            for z in range(nz):
                # v' G' M G v is the weighted sum of squares of the gradient.
                parts[z] += here[z] * row[z]
        sums[x] = parts.sum()
    return sums


@compiled(parallel=True)
def place(box: Any, start: Any, out: Any) -> None:
    """Put a box to where it begins in `out`, whose rest becomes 0."""
    nx, ny, nz = box.shape
    sx, sy, sz = start
    for x in prange(out.shape[0]):
        for y in range(out.shape[1]):
            row = out[x, y]
            row[:] = np.float32(0)
            # The rest of the volume becomes 0 in the same pass.
            if sx <= x < sx + nx and sy <= y < sy + ny:
                row[sz : sz + nz] = box[x - sx, y - sy]


@compiled(parallel=True)
def count_cone(tables: Any, edge: Any, counts: Any) -> None:
    """Count the samples of each plane that lie in the cone |D| < `edge`."""
    tx, ty, tz = tables
    for x in prange(counts.size):
        count = 0
        for y in range(ty.shape[1]):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(tz.shape[1]):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                # Counted as it is listed below, by the same arithmetic: both see the same samples.
                count += 1 if abs(d) < edge else 0
        counts[x] = count


@compiled(parallel=True)
def list_cone(
    tables: Any, edge: Any, even: Any, begins: Any, positions: Any, inverse: Any, shares: Any
) -> None:
    """List where in its plane each sample of the cone lies, 1 / S there, and that times the samples that it stands
    for.
    """
    tx, ty, tz = tables
    nz = tz.shape[1]
    for x in prange(begins.size - 1):
        # Each plane writes to its own stretch, so threads do not meet.
        n = begins[x]
        for y in range(ty.shape[1]):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                if abs(d) < edge:
                    single = z == 0 or (even and z == nz - 1)
                    # 32 bits: a position in a plane, not in the volume.
                    positions[n] = y * nz + z
                    # The preconditioner: where all is flat the operator is S itself.
                    inverse[n] = np.float32(1) / max(s + tz[3, z], TINY)
                    shares[n] = inverse[n] if single else np.float32(2) * inverse[n]
                    n += 1


@compiled(parallel=True)
def shrink_residual(cone: Any, length: Any, spectrum: Any, cg: Any) -> Any:
    """Subtract `length` times the product in `spectrum` from the residual; return by plane residual over S, squared.

    `cg` holds residual, direction and solution in the cone's order; the solution goes on by `length`.
    """
    begins, positions, _, shares = cone
    residual, direction, found = cg
    sums = np.zeros(begins.size - 1)
    for x in prange(begins.size - 1):
        plane, total = spectrum[x].reshape(-1), 0.0
        for n in range(begins[x], begins[x + 1]):
            found[n] += length * direction[n]
            # The solution goes on along the direction before the direction turns.
            r = residual[n] - length * plane[positions[n]]
            residual[n] = r
            total += shares[n] * (r.real * r.real + r.imag * r.imag)
        sums[x] = total
    return sums


@compiled(parallel=True)
def turn_direction(cone: Any, keep: Any, scale: Any, spectrum: Any, cg: Any) -> None:
    """Make the new direction, and put it times `scale` into `spectrum`, which is 0 outside the cone."""
    begins, positions, inverse, _ = cone
    residual, direction, _ = cg
    for x in prange(begins.size - 1):
        plane = spectrum[x].reshape(-1)
        plane[:] = np.complex64(0)
        for n in range(begins[x], begins[x + 1]):
            new = residual[n] * inverse[n] + keep * direction[n]
            direction[n] = new
            plane[positions[n]] = scale * new


@compiled(parallel=True)
def spread_cone(cone: Any, values: Any, spectrum: Any) -> None:
    """Fill a spectrum that is `values` in the cone and 0 outside."""
    begins, positions, _, _ = cone
    for x in prange(begins.size - 1):
        plane = spectrum[x].reshape(-1)
        plane[:] = np.complex64(0)
        for n in range(begins[x], begins[x + 1]):
            plane[positions[n]] = values[n]


@compiled(parallel=True)
def subtract_inside(chi: Any, streaks: Any, mask: Any, scale: Any, out: Any) -> None:
    """Subtract `scale` times the streaks inside the mask; 0 outside."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                inside = mask[x, y, z]
                out[x, y, z] = chi[x, y, z] - scale * streaks[x, y, z] if inside else np.float32(0)
