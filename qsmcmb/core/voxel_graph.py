"""Ways through voxels: the graph that joins each to its neighbours, and the longest way through all."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from qsmcmb.typing import IntArray, Triple

__all__ = ("join_voxels", "longest_way_mm")


def join_voxels(voxels: IntArray, voxel_size_mm: Triple) -> csr_array:
    """Return the graph of voxels, each joined to those of its 26 neighbours that are among them.

    Parameters
    ----------
    voxels : ndarray of shape (n, 3), int
        Indices of the voxels, n > 0, each once.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    csr_array of shape (n, n)
        Distance of joined voxels, mm.

    Examples
    --------
    >>> join_voxels(np.array([[0, 0, 0], [0, 0, 1], [0, 0, 3]]), (1.0, 1.0, 2.0)).toarray()[0].tolist()
    [0.0, 2.0, 0.0]
    """
    shifted = voxels - voxels.min(axis=0) + 1
    index = np.full(shifted.max(axis=0) + 2, -1, np.int32)
    index[tuple(shifted.T)] = np.arange(len(voxels))
    starts, ends, lengths = [], [], []
    for step in np.ndindex(3, 3, 3):
        offset = np.array(step) - 1
        reached = index[tuple((shifted + offset).T)]
        known = np.flatnonzero(reached >= 0) if offset.any() else np.zeros(0, int)
        starts.append(known)
        ends.append(reached[known])
        lengths.append(np.full(len(known), np.sqrt(((offset * np.array(voxel_size_mm)) ** 2).sum())))
    edges = (np.concatenate(starts), np.concatenate(ends))
    return coo_array((np.concatenate(lengths), edges), shape=(len(voxels),) * 2).tocsr()


def longest_way_mm(ways: csr_array) -> float:
    """Return the longest of the shortest ways through joined voxels, from end to end.

    Parameters
    ----------
    ways : csr_array of shape (n, n)
        From `join_voxels`, all voxels connected.

    Returns
    -------
    float
        Length between the centres of the voxels at both ends, mm: exact for a line, a lower limit otherwise.

    Examples
    --------
    >>> longest_way_mm(join_voxels(np.array([[0, 1, 0], [0, 0, 0], [0, 2, 0]]), (1.0, 1.0, 1.0)))
    2.0
    """
    end = int(dijkstra(ways, indices=0).argmax())
    return float(dijkstra(ways, indices=end).max())
