"""The region map in MNI space that comes with the package, and the template that scans are registered to."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.model import Grid
from qsmcmb.phantoms.recipe import data_folder
from qsmcmb.registration.template import TissueTemplate
from qsmcmb.typing import FloatArray, IntArray

__all__ = ("RegionMap", "load_region_map", "load_template")

NUCLEI = (("caudate nucleus", "putamen"), ("pallidum",), ("thalamus",))
"""Structures that count as tissues of their own in the registration: iron sets them apart from other grey matter."""
NUCLEUS_SIGMA_MM = 0.8
"""Width of the Gaussian over their labels, mm: borders are no sharper in the template."""


class RegionMap(NamedTuple):
    """Hold the labels of the right half of the template, which is symmetric.

    Parameters
    ----------
    labels : ndarray of shape (x, y, z), uint8
        Label of the structure; 0 further than 8 mm from the brain. The first plane is the midline. Fluid has the label
        of the nearest structure.
    grid : Grid
        Geometry, MNI mm, RAS+.

    Examples
    --------
    >>> load_region_map().at(np.array([[-12.0, -18.0, 8.0]])).tolist() == [STRUCTURES["thalamus"].label]
    True
    """

    labels: IntArray
    grid: Grid

    def at(self, points_mm: FloatArray) -> IntArray:
        """Return the labels at points.

        Parameters
        ----------
        points_mm : ndarray of shape (n, 3)
            MNI mm; of the left half, too.

        Returns
        -------
        ndarray of shape (n,), int32
            Label of the structure; 0 far from the brain.

        Examples
        --------
        >>> load_region_map().at(np.array([[0.0, 0.0, 300.0]])).tolist()
        [0]
        """
        right = np.array(points_mm, dtype=float).reshape(-1, 3)
        right[:, 0] = np.abs(right[:, 0])
        index = np.rint(self.grid.to_voxel(right)).astype(int)
        inside = ((index >= 0) & (index < self.grid.shape)).all(axis=1)
        index[~inside] = 0
        return np.where(inside, self.labels[tuple(index.T)], 0).astype(np.int32)


@lru_cache(maxsize=1)
def load_region_map() -> RegionMap:
    """Load the region map.

    Returns
    -------
    RegionMap
        1 mm.

    Examples
    --------
    >>> load_region_map().grid.voxel_size_mm
    (1.0, 1.0, 1.0)
    """
    packaged = Path(str(resources.files("qsmcmb"))) / "_data" / "anatomy"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "data" / "anatomy"
    with np.load(folder / "icbm152_regions.npz") as stored:
        labels, affine = stored["labels"], stored["affine"]
    return RegionMap(labels, Grid.from_affine(labels.shape, affine))


@lru_cache(maxsize=1)
def load_template() -> TissueTemplate:
    """Load the tissue maps of the ICBM152 2009a template, with the deep nuclei as tissues of their own.

    Returns
    -------
    TissueTemplate
        Grey matter, white matter, fluid, striatum, pallidum, thalamus; 2 mm.

    References
    ----------
    Fonov V, Evans AC, Botteron K, Almli CR, McKinstry RC, Collins DL. Unbiased average age-appropriate atlases for
    pediatric studies. NeuroImage 2011;54:313-327. doi:10.1016/j.neuroimage.2010.07.033

    Examples
    --------
    >>> load_template().tissues.shape[0]
    6
    """
    with np.load(data_folder() / "icbm152_tissues.npz") as stored:
        gm, wm, brain = (stored[k].astype(np.float32) / 255 for k in ("gm", "wm", "brain"))
        grid = Grid.from_affine(gm.shape, stored["affine"])
    nuclei = np.stack([_fraction(names, grid) for names in NUCLEI])
    fluid = np.maximum(brain - gm - wm, 0)
    share = brain / np.maximum(gm + wm + fluid, 1e-3) * (1 - nuclei.sum(axis=0))
    tissues = np.concatenate([np.stack([gm, wm, fluid]) * share, nuclei * brain])
    return TissueTemplate(tissues.astype(np.float32), grid)


def _fraction(names: tuple[str, ...], grid: Grid) -> FloatArray:
    """Return how much of each voxel of a grid some structures fill."""
    regions = load_region_map()
    own = np.isin(regions.labels, [STRUCTURES[n].label for n in names]).astype(np.float32)
    smooth = ndimage.gaussian_filter(
        own, NUCLEUS_SIGMA_MM / np.array(regions.grid.voxel_size_mm), mode="nearest"
    )
    world = grid.to_world(np.moveaxis(np.indices(grid.shape, dtype=np.float32), 0, -1).reshape(-1, 3))
    world[:, 0] = np.abs(world[:, 0])
    values = ndimage.map_coordinates(smooth, regions.grid.to_voxel(world).T, order=1)
    return np.asarray(values.reshape(grid.shape))
