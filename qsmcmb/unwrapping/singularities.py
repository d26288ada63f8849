"""Phase singularities: fringe lines with open ends, as coil combination can leave them; no unwrapping is right
there.

A singular line passes between four neighbours around which the wrapped steps do not sum to 0. Noise and the void of a
lesion make small closed loops; a long line is a fault of the phase itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.validate import check_finite_inside, check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.unwrapping import _singularity_loops as loops

__all__ = (
    "Singularities",
    "find_singularities",
)


class Singularities(NamedTuple):
    """Hold the residues of a phase and the lines that they form.

    Parameters
    ----------
    n_residues : int
        Number of voxels in the mask that are the corner of a residue.
    line_labels : ndarray of shape (x, y, z), int32
        Label of each long line, from 1; 0 elsewhere.
    n_lines : int
        Number of long lines.
    longest_mm : float
        Extent of the longest line, long or not, mm; 0 where there is none.

    Examples
    --------
    >>> Singularities(0, np.zeros((2, 2, 2), np.int32), 0, 0.0).n_lines
    0
    """

    n_residues: int
    line_labels: IntArray
    n_lines: int
    longest_mm: float


def find_singularities(
    phase_rad: FloatArray, mask: BoolArray, grid: Grid, *, longer_than_mm: float = 20.0
) -> Singularities:
    """Find singular lines of one volume of wrapped phase.

    Parameters
    ----------
    phase_rad : ndarray of shape (x, y, z)
        Wrapped phase, rad, finite inside the mask.
    mask : ndarray of shape (x, y, z), bool
        Voxels whose phase is meaningful: leave those without signal out, their noise is full of residues.
    grid : Grid
        Shape and voxel size (mm).
    longer_than_mm : float, optional
        Extent beyond which a line is not from noise or a lesion, mm; from the largest voxel edge to 1e4.

    Returns
    -------
    Singularities
        Residues and lines.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it, a length out of range.

    Notes
    -----
    A square of four neighbours with the phases p, q, r, s around it holds a residue where::

        wrap(q - p) + wrap(r - q) + wrap(s - r) + wrap(p - s) != 0

    Residues that touch, corners too, form one line.

    References
    ----------
    Residues: Goldstein, Zebker and Werner 1988. Satellite radar interferometry: two-dimensional phase unwrapping.
    doi:10.1029/RS023i004p00713

    Examples
    --------
    >>> x, y, _ = np.meshgrid(*3 * [np.arange(32) - 15.5], indexing="ij")
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> find_singularities(np.arctan2(y, x), np.ones(grid.shape, bool), grid).n_lines
    1
    """
    check_volume("phase_rad", phase_rad, grid)
    check_mask(mask, grid)
    check_finite_inside("phase_rad", phase_rad, mask)
    # A line shorter than a voxel is none.
    check_range("longer_than_mm", longer_than_mm, max(grid.voxel_size_mm), 1e4)
    found = np.zeros(grid.shape, np.uint8)
    loops.residues(np.ascontiguousarray(phase_rad, np.float32), mask, found)
    # Residues of neighbouring squares touch at corners, too.
    labels, count = ndimage.label(found, np.ones((3, 3, 3)))
    lines, n_lines, longest = np.zeros(grid.shape, np.int32), 0, 0.0
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        extent = float(
            # The diagonal of its box: at least a closed loop's diameter.
            np.linalg.norm([(s.stop - s.start) * v for s, v in zip(box, grid.voxel_size_mm, strict=True)])
        )
        longest = max(longest, extent)
        if extent > longer_than_mm:
            n_lines += 1
            lines[box][labels[box] == label] = n_lines
    return Singularities(int(found.sum()), lines, n_lines, longest if count else 0.0)
