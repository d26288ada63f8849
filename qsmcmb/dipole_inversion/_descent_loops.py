"""Loops of preconditioned conjugate gradients with the map and the direction held in k-space."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import cosine, sinc, wrap
from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

HALF = np.float32(0.5)
"""Number 1/2 in float32, so that no sum becomes float64."""
FOUR = np.float32(4.0)
"""Number 4 in float32: the squared misfit of a phase factor is 4 sin^2 of half the phase."""


@compiled(fused=True)
def _bend(forward: Any, difference: Any, weight2: Any, nonlinear: Any, parts: Any) -> None:
    """Add one row's curvature of the cost along a direction to sums by voxel."""
    if nonlinear:
        for z in range(parts.size):
            d = forward[z]
            # Where the phase is off by more than a right angle the cost is concave: half is a safe step.
            parts[z] += weight2[z] * max(cosine(wrap(difference[z])), HALF) * d * d
    else:
        for z in range(parts.size):
            d = forward[z]
            parts[z] += weight2[z] * d * d


@compiled(parallel=True)
def curvature(forward: Any, difference: Any, weight2: Any, nonlinear: Any, rows: Any) -> Any:
    """Return by plane the Gauss-Newton curvature of the cost along a direction whose field is given."""
    nx, ny, nz = forward.shape
    total = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            a, b = rows[x, y, 0], rows[x, y, 1]
            # Parts shift with the row: only their sum counts.
            _bend(forward[x, y, a:b], difference[x, y, a:b], weight2[x, y, a:b], nonlinear, parts[: b - a])
        total[x] = parts.sum()
    return total


@compiled(fused=True)
def _misfit_row(
    base: Any, gain: Any, forward: Any, length: Any, weight2: Any, nonlinear: Any, parts: Any
) -> None:
    """Add one row's cost to sums by voxel."""
    if nonlinear:
        for z in range(parts.size):
            d = wrap(gain * base[z] + length * forward[z])
            # sin(d / 2) as a product: sinc has a short series, and is even.
            half = HALF * d * sinc(HALF * d)
            parts[z] += FOUR * weight2[z] * half * half
    else:
        for z in range(parts.size):
            d = gain * base[z] + length * forward[z]
            parts[z] += weight2[z] * d * d


@compiled(parallel=True)
def misfit(base: Any, gain: Any, forward: Any, length: Any, weight2: Any, nonlinear: Any, rows: Any) -> Any:
    """Return by plane the cost that `step` would: many fields are fitted by the first step."""
    nx, ny, nz = forward.shape
    cost = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            a, b = rows[x, y, 0], rows[x, y, 1]
            weights, row = weight2[x, y, a:b], forward[x, y, a:b]
            _misfit_row(base[x, y, a:b], gain, row, length, weights, nonlinear, parts[: b - a])
        cost[x] = parts.sum()
    return cost


@compiled(fused=True)
def _advance_row(
    base: Any, gain: Any, forward: Any, length: Any, weight2: Any, nonlinear: Any, rows: Any
) -> None:
    """Take one row of `step`; `rows` are the difference's and, for sums by voxel, the cost's."""
    difference, parts = rows
    for z in range(parts.size):
        difference[z] = gain * base[z] + length * forward[z]
    if nonlinear:
        for z in range(parts.size):
            d = wrap(difference[z])
            half = HALF * d * sinc(HALF * d)
            # The derivative of the squared misfit of a phase factor, sin(d), over 2.
            forward[z] = weight2[z] * d * sinc(d)
            parts[z] += FOUR * weight2[z] * half * half
    else:
        for z in range(parts.size):
            weighted = weight2[z] * difference[z]
            parts[z] += weighted * difference[z]
            forward[z] = weighted


@compiled(parallel=True)
def step(
    base: Any, gain: Any, forward: Any, length: Any, weight2: Any, nonlinear: Any, difference: Any, rows: Any
) -> Any:
    """Move the model minus the field by `length` times `forward`, from `gain` times `base`, which may be
    `difference`.

    Leave the weighted residual in `forward`, 0 outside `rows`; return the cost by plane, summed along rows last for
    vector registers.
    """
    nx, ny, nz = forward.shape
    cost = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            a, b = rows[x, y, 0], rows[x, y, 1]
            both = difference[x, y, a:b], parts[: b - a]
            _advance_row(
                base[x, y, a:b], gain, forward[x, y, a:b], length, weight2[x, y, a:b], nonlinear, both
            )
            # The residual goes to k-space as a whole volume.
            forward[x, y, :a] = np.float32(0)
            forward[x, y, b:] = np.float32(0)
        cost[x] = parts.sum()
    return cost


@compiled(parallel=True)
def gradient_norm(tx: Any, ty: Any, tz: Any, damping: Any, even: Any, spectrum: Any) -> Any:
    """Return by plane the gradient times its preconditioned self, from a residual's spectrum."""
    nx, ny, nz = spectrum.shape
    total = np.zeros(nx)
    for x in prange(nx):
        t = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                value = spectrum[x, y, z]
                energy = value.real * value.real + value.imag * value.imag
                # These planes of the half spectrum are their own mirror image.
                once = z == 0 or (even and z == nz - 1)
                # The gradient is D times the residual; preconditioned it is divided by D^2 + damping.
                part = energy * (d * d / (d * d + damping))
                t += part if once else np.float32(2) * part
        total[x] = t
    return total


@compiled(parallel=True)
def start(tables: Any, damping: Any, scale: Any, gain: Any, spectrum: Any, direction: Any) -> None:
    """Make the first direction, down from a map of 0, from `gain` times the field's spectrum; leave its field's
    spectrum.

    The direction, and so the map, is stored times `scale`.
    """
    tx, ty, tz = tables
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                # The damped inverse of the kernel: Tikhonov's map without data weights.
                new = spectrum[x, y, z] * (scale * gain * d / (d * d + damping))
                direction[x, y, z] = new
                spectrum[x, y, z] = new * d


@compiled(parallel=True)
def turn(
    tables: Any, damping: Any, scale: Any, length: Any, keep: Any, spectrum: Any, chi: Any, direction: Any
) -> None:
    """Advance the map along the old direction, make the new one, and leave its field's spectrum."""
    tx, ty, tz = tables
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                old = direction[x, y, z]
                # The map takes the step that the line search has found since the last call.
                chi[x, y, z] += length * old
                # Downhill: the residual's spectrum is of model minus field.
                new = keep * old - spectrum[x, y, z] * (scale * d / (d * d + damping))
                direction[x, y, z] = new
                spectrum[x, y, z] = new * d


@compiled(parallel=True)
def advance(length: Any, direction: Any, chi: Any) -> None:
    """Advance the map along the last direction."""
    nx, ny, nz = chi.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                chi[x, y, z] += length * direction[x, y, z]
