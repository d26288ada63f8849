"""Volumes inside pages: NIfTI of 16 bits, cut to a box and compressed."""

from __future__ import annotations

import base64
import gzip

import numpy as np

from qsmcmb.core.boxes import Box
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray

__all__ = ("embed_volume",)

LEVEL = 6
"""Level of the compression: 9 takes three times as long and saves a hundredth."""


def embed_volume(data: AnyArray, grid: Grid, box: Box, *, step: float) -> str:
    """Return a box of a volume as text for a page.

    Parameters
    ----------
    data : ndarray of shape grid.shape
        Values; those that are not finite become 0.
    grid : Grid
        Its geometry.
    box : tuple of slice
        Slices of the three axes, with start and stop.
    step : float
        Distance between neighbouring values, in their unit; it grows where 16 bits do not reach the largest.

    Returns
    -------
    str
        Base64 of a compressed NIfTI-1 file of signed 16-bit integers, in error by half a step at most.

    Examples
    --------
    >>> import nibabel
    >>> grid = Grid.isotropic((4, 4, 4), 2.0)
    >>> text = embed_volume(np.full(grid.shape, 0.1234), grid, (slice(1, 3),) * 3, step=0.001)
    >>> image = nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))
    >>> image.shape, round(float(image.get_fdata()[0, 0, 0]), 6)
    ((2, 2, 2), 0.123)
    """
    import nibabel

    values = np.nan_to_num(data[box], nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(np.abs(values).max(initial=0.0))
    used = max(step, largest / np.iinfo(np.int16).max)
    corner = np.eye(4)
    corner[:3, 3] = [s.start for s in box]
    image = nibabel.Nifti1Image(np.rint(values / used).astype(np.int16), grid.affine @ corner)
    image.header.set_slope_inter(used, 0.0)
    # No time stamp: the same volume gives the same text.
    return base64.b64encode(gzip.compress(image.to_bytes(), LEVEL, mtime=0)).decode()
