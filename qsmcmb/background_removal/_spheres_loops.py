"""Loops of the methods built on spherical means."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled
def _passed(across: Any, planes: Any, y: Any, out: Any) -> None:
    """One row of the high-pass 1 - mean, made where it is used: `across` is the plane's row of the first factor."""
    out[:] = np.float32(1.0)
    for r in range(across.size):
        factor, row = across[r], planes[r, y]
        for z in range(out.size):
            out[z] -= factor * row[z]


@compiled(parallel=True)
def high_pass(source: Any, across: Any, planes: Any, scale: Any, out: Any) -> None:
    """Spectrum of the field minus its spherical mean, times `scale`; `out` may be `source`.

    `across` and `planes` are those of `qsmcmb.core.smv.smv_factors`.
    """
    nx, ny, nz = source.shape
    for x in prange(nx):
        passed = np.empty(nz, np.float32)
        for y in range(ny):
            _passed(across[x], planes, y, passed)
            row, into = source[x, y], out[x, y]
            for z in range(nz):
                into[z] = row[z] * (scale * passed[z])


@compiled(parallel=True)
def deconvolve(spectrum: Any, across: Any, planes: Any, threshold: Any, scale: Any) -> None:
    """Undo `high_pass` in place, times `scale`; what it had passed by less than `threshold` becomes 0."""
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        passed = np.empty(nz, np.float32)
        for y in range(ny):
            _passed(across[x], planes, y, passed)
            row = spectrum[x, y]
            for z in range(nz):
                large = abs(passed[z]) > threshold
                row[z] *= scale / passed[z] if large else np.float32(0.0)


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
