"""Loops of the conjugate gradients, and of the prior of the sources that are fitted.

Sums over a plane are taken by z first: a sum along the row would keep a loop from running in vector registers.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def multiply(first: Any, second: Any, out: Any) -> None:
    """Product of two volumes, or of a spectrum (in place too) and its kernel."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = first[x, y, z] * second[x, y, z]


@compiled(parallel=True)
def weigh_misfit(weight2: Any, field: Any, modelled: Any) -> None:
    """Weighted difference of field and model, over the model; 0 beyond the corner that the weights cover."""
    nx, ny, _ = modelled.shape
    sx, sy, sz = weight2.shape
    for x in prange(nx):
        for y in range(ny):
            row = modelled[x, y]
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
        parts = np.zeros(sz)
        for y in range(ny):
            row = modelled[x, y]
            if x < sx and y < sy:
                part, w = row[:sz], weight2[x, y]
                for z in range(sz):
                    value = part[z]
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
    """Residual of the damped normal equations; returns its squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                r = prior[x, y, z] * back[x, y, z] - damping * unknown[x, y, z]
                residual[x, y, z] = r
                parts[z] += r * r
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def along(prior: Any, back: Any, direction: Any) -> Any:
    """Direction times prior times volume, by plane."""
    nx, ny, nz = prior.shape
    product = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                parts[z] += direction[x, y, z] * prior[x, y, z] * back[x, y, z]
        product[x] = parts.sum()
    return product


@compiled(parallel=True)
def step(
    prior: Any, back: Any, direction: Any, damping: Any, length: Any, unknown: Any, residual: Any
) -> Any:
    """One step along the direction; returns the residual's squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                d = direction[x, y, z]
                unknown[x, y, z] += length * d
                r = residual[x, y, z] - length * (prior[x, y, z] * back[x, y, z] + damping * d)
                residual[x, y, z] = r
                parts[z] += r * r
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def turn(residual: Any, beta: Any, prior: Any, direction: Any, sources: Any) -> Any:
    """Next conjugate direction, and the sources that it means; returns its squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            for z in range(nz):
                d = residual[x, y, z] + beta * direction[x, y, z]
                direction[x, y, z] = d
                sources[x, y, z] = prior[x, y, z] * d
                parts[z] += d * d
        square[x] = parts.sum()
    return square


@compiled(parallel=True)
def widen_prior(strength: Any, mask: Any, threshold: Any, narrow: Any, prior: Any) -> None:
    """Inside the mask: the mean strength of the 27 voxels around where it is above `threshold`, else `narrow`."""
    nx, ny, nz = mask.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if not mask[x, y, z]:
                    continue
                total, count = 0.0, 0
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    for j in range(max(y - 1, 0), min(y + 2, ny)):
                        for k in range(max(z - 1, 0), min(z + 2, nz)):
                            if mask[i, j, k]:
                                total += strength[i, j, k]
                                count += 1
                mean = np.float32(total / count)
                prior[x, y, z] = max(mean, narrow) if mean > threshold else narrow
