"""Loops of the conjugate gradients, and of the prior of the sources that are fitted."""

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
    """Weighted difference of field and model, over the model."""
    nx, ny, nz = modelled.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                modelled[x, y, z] = weight2[x, y, z] * (field[x, y, z] - modelled[x, y, z])


@compiled(parallel=True)
def gradient_of_misfit(prior: Any, back: Any, unknown: Any, damping: Any, residual: Any) -> Any:
    """Residual of the damped normal equations; returns its squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            for z in range(nz):
                r = prior[x, y, z] * back[x, y, z] - damping * unknown[x, y, z]
                residual[x, y, z] = r
                total += r * r
        square[x] = total
    return square


@compiled(parallel=True)
def curvature(prior: Any, back: Any, direction: Any, damping: Any) -> Any:
    """Direction times normal matrix times direction, by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            for z in range(nz):
                d = direction[x, y, z]
                total += d * (prior[x, y, z] * back[x, y, z] + damping * d)
        square[x] = total
    return square


@compiled(parallel=True)
def step(
    prior: Any, back: Any, direction: Any, damping: Any, length: Any, unknown: Any, residual: Any
) -> Any:
    """One step along the direction; returns the residual's squared norm by plane."""
    nx, ny, nz = prior.shape
    square = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            for z in range(nz):
                d = direction[x, y, z]
                unknown[x, y, z] += length * d
                r = residual[x, y, z] - length * (prior[x, y, z] * back[x, y, z] + damping * d)
                residual[x, y, z] = r
                total += r * r
        square[x] = total
    return square


@compiled(parallel=True)
def turn(residual: Any, beta: Any, prior: Any, direction: Any, sources: Any) -> None:
    """Next conjugate direction, and the sources that it means."""
    nx, ny, nz = prior.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                d = residual[x, y, z] + beta * direction[x, y, z]
                direction[x, y, z] = d
                sources[x, y, z] = prior[x, y, z] * d


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
