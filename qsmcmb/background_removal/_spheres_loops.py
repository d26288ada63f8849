"""Loops of the methods built on spherical means."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _times(source: Any, out: Any, indices: Any, factor: Any) -> None:
    """Multiply the rows at two indices along x and two along y, which may be one, by the same factors.

    Each factor stands twice: as numbers, real and imaginary parts take half the steps that complex values take.
    """
    xs, ys = indices
    # On the planes of symmetry both indices are one row, which must not be multiplied twice.
    for i in range(1 if xs[0] == xs[1] else 2):
        for j in range(1 if ys[0] == ys[1] else 2):
            row, into = source[xs[i], ys[j]], out[xs[i], ys[j]]
            for z in range(row.size):
                into[z] = row[z] * factor[z]


@compiled(parallel=True)
def high_pass(source: Any, mean_k: Any, scale: Any, out: Any) -> None:
    """Write the spectrum of the field minus its spherical mean, times `scale`; `out` may be `source`.

    `mean_k` is that of `qsmcmb.core.smv.smv_octant_k`: four rows share its factors.
    """
    nx, ny, nz = source.shape
    # A real factor acts on both parts alike.
    numbers, into = source.view(np.float32), out.view(np.float32)
    for x in prange(nx // 2 + 1):
        factor = np.empty((nz, 2), np.float32)
        for y in range(ny // 2 + 1):
            for z in range(nz):
                # The ball's spectrum is even along x and y: four rows share this row of factors.
                factor[z, 0] = factor[z, 1] = scale * (np.float32(1) - mean_k[x, y, z])
            indices = (np.int64(x), (nx - np.int64(x)) % nx), (y, (ny - y) % ny)
            _times(numbers, into, indices, factor.reshape(2 * nz))


@compiled(parallel=True)
def deconvolve(spectrum: Any, mean_k: Any, threshold: Any, scale: Any) -> None:
    """Undo `high_pass` in place, times `scale`; what it had passed by less than `threshold` becomes 0."""
    nx, ny, nz = spectrum.shape
    numbers = spectrum.view(np.float32)
    for x in prange(nx // 2 + 1):
        factor = np.empty((nz, 2), np.float32)
        for y in range(ny // 2 + 1):
            for z in range(nz):
                passed = np.float32(1) - mean_k[x, y, z]
                # Where next to nothing had passed, dividing would make noise of rounding.
                factor[z, 0] = factor[z, 1] = scale / passed if abs(passed) > threshold else np.float32(0)
            indices = (np.int64(x), (nx - np.int64(x)) % nx), (y, (ny - y) % ny)
            _times(numbers, numbers, indices, factor.reshape(2 * nz))


@compiled(parallel=True)
def place(volume: Any, mask: Any, offset: Any, out: Any) -> None:
    """Put `volume` minus `offset` where the mask is into the corner of `out`; the rest of `out` becomes 0."""
    nx, ny, nz = out.shape
    sx, sy, sz = mask.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                inside = x < sx and y < sy and z < sz
                if inside:
                    # Only here: the mask is smaller than the padded volume.
                    inside = mask[x, y, z]
                out[x, y, z] = volume[x, y, z] - offset if inside else np.float32(0.0)


@compiled(parallel=True)
def crop(volume: Any, mask: Any, out: Any) -> None:
    """Take the corner of `volume` that `out` holds, 0 outside the mask."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = volume[x, y, z] if mask[x, y, z] else np.float32(0.0)


@compiled(parallel=True)
def shells(distance: Any, limits: Any, out: Any) -> None:
    """Number each voxel by the limits, which descend, that its distance does not exceed."""
    nx, ny, nz = distance.shape
    for x in prange(nx):
        for y in range(ny):
            row, into = distance[x, y], out[x, y]
            into[:] = np.uint8(0)
            # One pass of comparisons a limit runs in vector registers; a search for the shell would not.
            for limit in limits:
                for z in range(nz):
                    into[z] += np.uint8(row[z] <= limit)


@compiled(parallel=True)
def take_shell(volume: Any, shell: Any, number: Any, out: Any) -> None:
    """Copy `volume` to `out` in the shell of a number."""
    nx, ny, nz = shell.shape
    for x in prange(nx):
        for y in range(ny):
            inside, some = shell[x, y], False
            for z in range(nz):
                some |= inside[z] == number
            # Most rows hold no voxel of a given shell.
            if some:
                row, into = volume[x, y], out[x, y]
                for z in range(nz):
                    into[z] = row[z] if inside[z] == number else into[z]
