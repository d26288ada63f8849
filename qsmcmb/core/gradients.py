"""Forward differences in 1/mm and their exact adjoint."""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _gradients_loops as loops
from qsmcmb.typing import FloatArray

__all__ = (
    "divergence",
    "gradient",
    "gradient_adjoint",
)


def gradient(volume: FloatArray, voxel_size_mm: tuple[float, float, float]) -> FloatArray:
    """Return forward differences along the three axes; 0 at the far edge.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z)
        Any unit; computed in float32.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (3, x, y, z), float32
        Unit of `volume` per mm.

    Examples
    --------
    >>> float(gradient(np.arange(8, dtype=np.float32).reshape(2, 2, 2), (2.0, 1.0, 1.0))[0, 0, 0, 0])
    2.0
    """
    out = np.empty((3, *volume.shape), np.float32)
    loops.gradient(np.ascontiguousarray(volume, np.float32), *(np.float32(1 / v) for v in voxel_size_mm), out)
    return out


def gradient_adjoint(vectors: FloatArray, voxel_size_mm: tuple[float, float, float]) -> FloatArray:
    """Return the adjoint of `gradient`: minus the divergence.

    Parameters
    ----------
    vectors : ndarray of shape (3, x, y, z)
        Any unit; computed in float32.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Unit of `vectors` per mm.

    Examples
    --------
    >>> vectors = np.zeros((3, 2, 1, 1), np.float32)
    >>> vectors[0, 0] = 1
    >>> gradient_adjoint(vectors, (1.0, 1.0, 1.0)).ravel().tolist()
    [-1.0, 1.0]
    """
    out = np.empty(vectors.shape[1:], np.float32)
    inverse = [np.float32(1 / v) for v in voxel_size_mm]
    loops.gradient_adjoint(np.ascontiguousarray(vectors, np.float32), *inverse, out)
    return out


def divergence(vectors: FloatArray, voxel_size_mm: tuple[float, float, float]) -> FloatArray:
    """Return the divergence, minus the adjoint of `gradient`.

    Parameters
    ----------
    vectors : ndarray of shape (3, x, y, z)
        Any unit; computed in float32.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Unit of `vectors` per mm.

    Examples
    --------
    >>> vectors = np.zeros((3, 2, 1, 1), np.float32)
    >>> vectors[0, 0] = 1
    >>> divergence(vectors, (1.0, 1.0, 1.0)).ravel().tolist()
    [1.0, -1.0]
    """
    return -gradient_adjoint(vectors, voxel_size_mm)
