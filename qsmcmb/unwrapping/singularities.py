"""Phase singularities: fringe lines with open ends, as coil combination can leave them; no unwrapping is right there.

Where the wrapped steps around four neighbours do not sum to 0 a singular line passes between them. Noise and the void
of a lesion make small closed loops; a long line is a fault of the phase itself. Chavez et al. 2002, doi
10.1109/42.993131.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.validate import check_finite_inside, check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.unwrapping import _singularity_loops as loops


class Singularities(NamedTuple):
    """Residues in the mask, the long lines that they form (label image, 0 elsewhere), how many, the longest (mm)."""

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
        Wrapped phase, rad.
    mask : ndarray of bool
        Where phase is meaningful: leave voxels without signal out, their noise is full of residues.
    grid : Grid
        Geometry.
    longer_than_mm : float, optional
        Extent beyond which a line is none of noise or of a lesion, mm.

    Returns
    -------
    Singularities

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it, a length that is not positive.

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
    check_range("longer_than_mm", longer_than_mm, max(grid.voxel_size_mm), 1e4)
    found = np.zeros(grid.shape, np.uint8)
    loops.residues(np.ascontiguousarray(phase_rad, np.float32), mask, found)
    labels, count = ndimage.label(found, np.ones((3, 3, 3)))
    lines, kept, longest = np.zeros(grid.shape, np.int32), 0, 0.0
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        extent = float(
            np.linalg.norm([(s.stop - s.start) * v for s, v in zip(box, grid.voxel_size_mm, strict=True)])
        )
        longest = max(longest, extent)
        if extent > longer_than_mm:
            kept += 1
            lines[box][labels[box] == label] = kept
    return Singularities(int(found.sum()), lines, kept, longest if count else 0.0)
