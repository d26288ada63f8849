"""The reference of a susceptibility map: the region whose mean is 0.

The field says nothing of a constant. All stages work on the map against the mean over the brain; the region decides
what is subtracted from the map in the end, and no lesion's number depends on it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.validate import check_choice, check_volume
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["REFERENCES", "MapReference", "refer_map", "reference_voxels"]

REFERENCES = ("brain", "csf")
"""Regions that are found in the scan."""
DESCRIPTIONS = {
    "brain": "mean over the brain where the map is defined",
    "csf": "mean over the cerebrospinal fluid of the lateral ventricles, found in the scan",
    "mask": "mean over the mask that was given as reference",
}
"""Words of the record by region."""


class MapReference(NamedTuple):
    """Region whose mean is 0 on a map, and the map in it before that.

    Parameters
    ----------
    region : {"brain", "csf", "mask"}
        What the region is.
    mean_ppm, sd_ppm : float
        Mean and SD over the region of the map against the mean over the brain, ppm.
    n_voxels : int
        Voxels of the region.

    Examples
    --------
    >>> MapReference(region="csf", mean_ppm=0.01, sd_ppm=0.02, n_voxels=900).record()["ReferenceMean"]
    0.01
    """

    region: str
    mean_ppm: float
    sd_ppm: float
    n_voxels: int

    def record(self) -> dict[str, str | float | int]:
        """Return the keys of the map's JSON.

        Returns
        -------
        dict
            Region in words, value of the map in it, mean and SD before the subtraction (ppm), number of voxels.

        Examples
        --------
        >>> MapReference(region="mask", mean_ppm=0.01, sd_ppm=0.02, n_voxels=900).record()["ReferenceVoxels"]
        900
        """
        return {
            "ReferenceRegion": DESCRIPTIONS[self.region],
            "ReferenceValue": 0.0,
            "ReferenceMean": self.mean_ppm,
            "ReferenceStandardDeviation": self.sd_ppm,
            "ReferenceVoxels": self.n_voxels,
        }


def reference_voxels(
    reference: str | BoolArray, scan: GreScan, r2star_hz: FloatArray | None, mask: BoolArray
) -> BoolArray:
    """Return the voxels whose mean becomes 0.

    Parameters
    ----------
    reference : {"brain", "csf"} or ndarray of shape scan.grid.shape, bool
        Region to find, or the user's mask.
    scan : GreScan
        The scan.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s, where it is known.
    mask : ndarray of shape scan.grid.shape, bool
        Voxels where the map is defined.

    Returns
    -------
    ndarray of shape scan.grid.shape, bool
        Voxels of the region where the map is defined, at least one.

    Raises
    ------
    InvalidInputError
        REFERENCE: no voxel of the user's mask lies where the map is defined, or the scan shows no fluid; SHAPE;
        ARGUMENT for another word.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> int(reference_voxels("brain", scan, None, ones[0] > 0).sum())
    512
    """
    if isinstance(reference, str):
        check_choice("reference", reference, REFERENCES)
        if reference == "brain":
            return mask
        # The words alone are asked for at every command.
        from qsmcmb.anatomy.ventricles import find_ventricles

        inside = find_ventricles(scan.magnitude, r2star_hz, mask, scan.grid) & mask
        if not inside.any():
            raise _no_fluid(scan, r2star_hz is not None)
        return inside
    check_volume("reference", reference, scan.grid)
    inside = (reference > 0) & mask
    if not inside.any():
        raise InvalidInputError(
            "REFERENCE", scan.name, field="reference mask",
            found=f"{int((reference > 0).sum())} voxels, none of them where the map is defined",
            expected="a mask with voxels in the brain",
            fix="draw the mask on this scan's magnitude, inside the brain; or take --reference brain",
        )  # fmt: skip
    return inside


def refer_map(
    chi_ppm: FloatArray, mask: BoolArray, inside: BoolArray, reference: str | BoolArray
) -> tuple[FloatArray, MapReference]:
    """Return a map whose mean over a region is 0.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility against the mean over the brain, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the map is defined.
    inside : ndarray of shape grid.shape, bool
        Voxels of the region, as from `reference_voxels`.
    reference : {"brain", "csf"} or ndarray of bool
        What the region is.

    Returns
    -------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility against the region, ppm; 0 outside the mask. The very same array for the brain.
    found : MapReference
        The region, and the map in it before.

    Examples
    --------
    >>> chi = np.array([[[0.1, -0.1]]], np.float32)
    >>> first = np.array([[[True, False]]])
    >>> referred, found = refer_map(chi, chi < 1, first, first)
    >>> referred.round(2).tolist(), found.region
    ([[[0.0, -0.20000000298023224]]], 'mask')
    """
    values = chi_ppm[inside].astype(np.float64)
    found = MapReference(
        region=reference if isinstance(reference, str) else "mask",
        mean_ppm=float(values.mean()), sd_ppm=float(values.std()), n_voxels=int(values.size),
    )  # fmt: skip
    if found.region == "brain":
        return chi_ppm, found
    return np.where(mask, chi_ppm - np.float32(found.mean_ppm), 0).astype(np.float32), found


def _no_fluid(scan: GreScan, decay_known: bool) -> InvalidInputError:
    """Return the error for a scan in which no fluid is found."""
    how = "low R2*, bright at the last echo" if decay_known else "brighter than tissue; one echo shows no R2*"
    return InvalidInputError(
        "REFERENCE", scan.name, field="cerebrospinal fluid", found="less than 1 mL",
        expected=f"lateral ventricles in the middle of the brain ({how})",
        fix="give --reference a mask of the ventricles; or take --reference brain",
    )  # fmt: skip
