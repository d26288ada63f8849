"""Best-path unwrapping: edges between neighbours sorted by second differences, groups joined one edge after the
other.

About six float32 volumes of the mask's box (edges in their order, then groups), given back before the echoes that
follow in time are written.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.memory import sparse_zeros
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _bestpath_loops as loops
from qsmcmb.unwrapping.temporal import unwrap_echoes

__all__ = ("unwrap_bestpath",)


def unwrap_bestpath(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...] | None = None,
    template: int = 1,
    individual: bool = False,
) -> FloatArray:
    """Unwrap along the path of least second differences, without the magnitude.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad; with several echoes its offset at TE = 0 is best removed before.
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.
    grid : Grid
        Geometry; not used.
    te_s : tuple of float, optional
        Echo times, s, positive and ascending; without them every echo is unwrapped in space.
    template : int, optional
        Number of the echo, from 1, that is unwrapped in space; the others follow it in time.
    individual : bool, optional
        Unwrap every echo in space; with echo times each component of each echo then moves by whole turns to where
        it agrees with the echo beside it.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        Unwrapped phase, rad, 0 outside the mask; each component's median of the template lies within (-pi, pi], or
        where the other echoes place it.

    Raises
    ------
    InvalidInputError
        Template that is no echo.

    Notes
    -----
    The roughness of a voxel is the sum of its squared second differences, wrapped, over the 13 pairs of opposite
    neighbours::

        R = sum_pairs (wrap(phi_before - phi) - wrap(phi - phi_after))^2

    Edges are taken in the order of R of both ends, and each joins two groups of voxels by whole turns. Medians need one
    component of the mask at a time.

    References
    ----------
    Abdul-Rahman et al. 2007. Fast and robust three-dimensional best path phase unwrapping algorithm.
    doi:10.1364/AO.46.006623

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ramp = np.broadcast_to(np.arange(-3.0, 5.0, dtype=np.float32), (1, 8, 8, 8))
    >>> wrapped = np.angle(np.exp(1j * ramp)).astype(np.float32)
    >>> bool(np.allclose(unwrap_bestpath(wrapped, np.ones(grid.shape, bool), grid), ramp, atol=1e-5))
    True
    """

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        return _join_groups(wrapped_rad[echo], inside)

    return unwrap_echoes(phase_rad, mask, spatial, te_s=te_s, template=template, individual=individual)


def _join_groups(phase_rad: FloatArray, mask: BoolArray) -> FloatArray:
    """Return one echo unwrapped in space, up to whole turns of each component."""
    # A face of zeros on all sides spares every test of an edge.
    padded, phase = np.pad(mask, 1), np.pad(phase_rad, 1)
    # Both go back to the system as a whole, before the other echoes' results are written.
    rough = sparse_zeros(padded.shape)
    loops.second_differences(phase, padded, rough)
    stride = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    flat = phase.ravel()
    order = loops.sorted_edges(padded.ravel(), rough.ravel(), stride)
    del rough
    # Each voxel is its own group at first; a union-find joins them.
    parent = np.arange(flat.size, dtype=np.int32)
    turns = sparse_zeros((flat.size,)).view(np.int32)
    loops.join_edges(flat, order, stride, parent, turns)
    del order
    loops.turn_voxels(flat, padded.ravel(), parent, turns)
    return phase[1:-1, 1:-1, 1:-1]
