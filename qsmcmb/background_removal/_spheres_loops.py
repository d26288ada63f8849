"""Loops of the methods built on spherical means."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def high_pass(source: Any, mean_k: Any, out: Any) -> None:
    """Spectrum of the field minus its spherical mean; `out` may be `source`."""
    nx, ny, nz = source.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = source[x, y, z] * (np.float32(1.0) - mean_k[x, y, z])


@compiled(parallel=True)
def deconvolve(spectrum: Any, mean_k: Any, threshold: Any) -> None:
    """Undo `high_pass` in place; what it had passed by less than `threshold` becomes 0."""
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                passed = np.float32(1.0) - mean_k[x, y, z]
                if abs(passed) > threshold:
                    spectrum[x, y, z] = spectrum[x, y, z] / passed
                else:
                    spectrum[x, y, z] = 0.0


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
def take_shell(volume: Any, distance: Any, above: Any, upto: Any, out: Any) -> None:
    """Copy `volume` to `out` where above < distance <= upto."""
    nx, ny, nz = distance.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if above < distance[x, y, z] <= upto:
                    out[x, y, z] = volume[x, y, z]
