"""Best-path unwrapping: edges between neighbours sorted by second differences, groups joined one edge after the other.

Abdul-Rahman et al. 2007, doi 10.1364/AO.46.006623. About six float32 volumes of the mask's box (edges in their order,
then groups), given back before the echoes that follow in time are written.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.memory import sparse_zeros
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _bestpath_loops as loops
from qsmcmb.unwrapping.temporal import unwrap_echoes


def unwrap_bestpath(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...] | None = None,
    template: int = 1,
    individual: bool = False,
) -> FloatArray:
    """Unwrap along the path of least second differences; magnitude is not used.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad; with several echoes its offset at TE = 0 is best removed before.
    mask : ndarray of bool
        Where to unwrap.
    grid : Grid
        Geometry.
    te_s : tuple of float, optional
        Echo times, s.
    template : int, optional
        Number of the echo (from 1) that is unwrapped in space; the others follow it in time.
    individual : bool, optional
        Unwrap every echo in space; with echo times each component of each echo then moves by whole turns to where
        it agrees with the echo beside it.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        rad; each component's median of the template lies within (-pi, pi], or where the other echoes place it.

    Raises
    ------
    InvalidInputError
        `template` is no echo.

    Examples
    --------
    >>> unwrap_bestpath(np.zeros((1, 8, 8, 8), np.float32), np.ones((8, 8, 8), bool), None).max()
    np.float32(0.0)
    """

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        return _join_groups(wrapped_rad[echo], inside)

    return unwrap_echoes(phase_rad, mask, spatial, te_s=te_s, template=template, individual=individual)


def _join_groups(phase_rad: FloatArray, mask: BoolArray) -> FloatArray:
    padded, phase = np.pad(mask, 1), np.pad(phase_rad, 1)
    # Both go back to the system as a whole, before the other echoes' results are written.
    rough = sparse_zeros(padded.shape)
    loops.second_differences(phase, padded, rough)
    stride = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    flat = phase.ravel()
    order = loops.sorted_edges(padded.ravel(), rough.ravel(), stride)
    del rough
    parent = np.arange(flat.size, dtype=np.int32)
    turns = sparse_zeros((flat.size,)).view(np.int32)
    loops.join_edges(flat, order, stride, parent, turns)
    del order
    loops.turn_voxels(flat, padded.ravel(), parent, turns)
    return phase[1:-1, 1:-1, 1:-1]
