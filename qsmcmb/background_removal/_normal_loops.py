"""Loops of the conjugate gradients, and of the prior of the sources that are fitted.

Sums over a plane are taken by z first: a sum along the row would bar a loop from vector registers.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def multiply(first: Any, second: Any, out: Any) -> None:
    """Multiply two volumes, or a spectrum (in place too) and its kernel."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = first[x, y, z] * second[x, y, z]


@compiled(parallel=True)
def weigh_misfit(weight2: Any, field: Any, modelled: Any) -> None:
    """Write the weighted difference of field and model over the model; 0 beyond the corner that the weights cover."""
    nx, ny, _ = modelled.shape
    sx, sy, sz = weight2.shape
    for x in prange(nx):
        for y in range(ny):
            row = modelled[x, y]
            # Weights and field are of the box; the frame beside it holds no data.
            reach = sz if x < sx and y < sy else 0
            for z in range(reach):
                row[z] = weight2[x, y, z] * (field[x, y, z] - row[z])
            row[reach:] = 0


@compiled(parallel=True)
def weigh(weight2: Any, modelled: Any) -> Any:
    """Weigh the model in place, 0 beyond the corner that the weights cover; return its squared norm by plane."""
    nx, ny, _ = modelled.shape
    sx, sy, sz = weight2.shape
    square = np.zeros(nx)
    for x in prange(nx):
        # In float64: a sum of millions of squares in float32 would lose digits.
        parts = np.zeros(sz)
        for y in range(ny):
            row = modelled[x, y]
            if x < sx and y < sy:
                part, w = row[:sz], weight2[x, y]
                for z in range(sz):
                    value = part[z]
                    # The curvature direction' K W^2 K direction falls out of the weighing.
                    weighted = w[z] * value
                    parts[z] += weighted * value
                    part[z] = weighted
                row[sz:] = 0
            else:
                row[:] = 0
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def gradient_of_misfit(prior: Any, back: Any, unknown: Any, damping: Any, residual: Any) -> Any:
    """Write the residual of the damped normal equations; return its squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                # Minus half the gradient: P K W^2 (f - K P u) - damping u.
                r = prior[x, y, z] * back[x, y, z] - damping * unknown[x, y, z]
                residual[x, y, z] = r
                parts[z] += r * r
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def along(prior: Any, back: Any, direction: Any) -> Any:
    """Return direction times prior times volume, by plane."""
    nx, ny, nz = prior.shape
    product = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                # Without weights the curvature needs a pass of its own.
                parts[z] += direction[x, y, z] * prior[x, y, z] * back[x, y, z]
        product[x] = parts.sum()
    return product


@compiled(parallel=True)
def step(
    prior: Any, back: Any, direction: Any, damping: Any, length: Any, unknown: Any, residual: Any
) -> Any:
    """Take one step along the direction; return the residual's squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                d = direction[x, y, z]
                unknown[x, y, z] += length * d
                # By recurrence: a fresh residual would need the transforms again.
                r = residual[x, y, z] - length * (prior[x, y, z] * back[x, y, z] + damping * d)
                residual[x, y, z] = r
                parts[z] += r * r
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def turn(residual: Any, beta: Any, prior: Any, direction: Any, sources: Any) -> Any:
    """Make the next conjugate direction, and the sources that it means; return its squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                d = residual[x, y, z] + beta * direction[x, y, z]
                direction[x, y, z] = d
                # Straight into the transform's buffer.
                sources[x, y, z] = prior[x, y, z] * d
                parts[z] += d * d
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def widen_prior(strength: Any, mask: Any, threshold: Any, narrow: Any, prior: Any) -> None:
    """Set the prior inside the mask: the mean strength of the 27 voxels around where it is above `threshold`, else
    `narrow`.
    """
    nx, ny, nz = mask.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if not mask[x, y, z]:
                    continue
                total, count = 0.0, 0
                # The mean around: a single voxel above the threshold is noise.
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    for j in range(max(y - 1, 0), min(y + 2, ny)):
                        for k in range(max(z - 1, 0), min(z + 2, nz)):
                            if mask[i, j, k]:
                                total += strength[i, j, k]
                                count += 1
                mean = np.float32(total / count)
                # As wide as the source is found to be: a prior far narrower would hold it down.
                prior[x, y, z] = max(mean, narrow) if mean > threshold else narrow
