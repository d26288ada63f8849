"""The structures of one head on its scan's grid, and what they say of a lesion: side, regions, territory, border."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.region_map import load_region_map, load_template
from qsmcmb.anatomy.regions import STRUCTURES, Structure
from qsmcmb.core.boxes import ball_box
from qsmcmb.model import Grid
from qsmcmb.registration.rigid import Image
from qsmcmb.registration.template import TemplateTransform, register_template
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("RIGHT", "HeadRegions", "LesionLocation", "locate_regions")

RIGHT = 100
"""What the label of a structure is raised by on the right."""
MIDLINE_MM = 2.0
"""Distance from the midline, template mm, up to which a lesion has no side."""
BORDER_MM = 3.0
"""Distance to another territory, mm, within which a lesion's territory may be that one: three quarters of points are
registered that well or better.
"""
REACH_MM = 12.0
"""Distance, mm, up to which the nearest structure counts for a lesion outside all of them, as in a ventricle."""
MIN_BRAIN_MM3 = 1.5e5
"""Least volume of a mask, mm3, that is a head: half of a newborn's brain."""
MIN_AGREEMENTS = ((0.93, 0.25), (0.90, 0.4))
"""Least overlap with the template's brain (Dice), and least correlation with its tissues, of a registration that is
used; either pair will do. Set by trial: heads reach 0.945 and 0.3; balls of water and noise have a correlation below
0.05. Voxels of 3 mm take 0.02 off the overlap, and a mask that holds a rim of dura as much; tissue must agree more.
"""
MAX_STRETCH = 1.25
"""Largest ratio of the scales along two directions: heads differ by up to 1.15, a third of a head is cut off at 1.4."""
SCALES = (0.6, 2.5)
"""Least and largest ratio of the template's size to the head's."""
CEREBELLUM_DEPTHS = {
    "cerebellar cortex": "superficial",
    "cerebellar white matter": "deep",
    "dentate nucleus": "deep",
}
"""Depth of the structures of the cerebellum (Pasi 2019, doi:10.1161/STROKEAHA.119.024843)."""
STRUCTURE_BY_LABEL = {s.label: s for s in STRUCTURES.values()}


class LesionLocation(NamedTuple):
    """Hold where a lesion lies; None where unknown.

    Parameters
    ----------
    side : str or None
        Left, right or midline.
    structure : Structure or None
        Structure with its regions and territory.
    at_border : bool
        Whether another territory begins within BORDER_MM.

    Examples
    --------
    >>> LesionLocation("left", STRUCTURES["putamen"], False).structure.mars
    'basal ganglia'
    """

    side: str | None
    structure: Structure | None
    at_border: bool

    @property
    def territory(self) -> str | None:
        """Lobar, deep or infratentorial."""
        return self.structure.territory if self.structure else None

    @property
    def mars_region(self) -> str | None:
        """Region of MARS."""
        return self.structure.mars if self.structure else None

    @property
    def bombs_region(self) -> str | None:
        """Region of BOMBS."""
        return self.structure.bombs if self.structure else None

    @property
    def cerebellum_depth(self) -> str | None:
        """Superficial or deep in the cerebellum; None elsewhere."""
        return CEREBELLUM_DEPTHS.get(self.structure.name) if self.structure else None


class HeadRegions(NamedTuple):
    """Hold the structures of one head.

    Parameters
    ----------
    labels : ndarray of shape grid.shape, int32
        Label of the structure, raised by RIGHT on the right; 0 elsewhere.
    midline : ndarray of shape grid.shape, bool
        Voxels so near to the midline that a lesion has no side.
    grid : Grid
        Geometry of the scan.
    dice, correlation : float or None
        How well scan and template agree, 0 to 1; None where the labels come from the user.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> labels = np.full(grid.shape, STRUCTURES["thalamus"].label + RIGHT, np.int32)
    >>> regions = HeadRegions(labels, labels < 0, grid, None, None)
    >>> place, = regions.locate(np.zeros((1, 3)))
    >>> place.side, place.structure.territory
    ('right', 'deep')
    """

    labels: IntArray
    midline: BoolArray
    grid: Grid
    dice: float | None
    correlation: float | None

    def locate(self, points_mm: FloatArray) -> list[LesionLocation]:
        """Return where points lie.

        Parameters
        ----------
        points_mm : ndarray of shape (n, 3)
            Scanner RAS+, mm.

        Returns
        -------
        list of LesionLocation
            By the nearest structure within REACH_MM; all None beyond.

        Examples
        --------
        >>> grid = Grid.isotropic((8, 8, 8), 1.0)
        >>> nothing = np.zeros(grid.shape, np.int32)
        >>> HeadRegions(nothing, nothing > 0, grid, None, None).locate(np.zeros((1, 3)))[0].structure is None
        True
        """
        return [self._locate_one(p) for p in np.asarray(points_mm, dtype=float).reshape(-1, 3)]

    def _locate_one(self, point: FloatArray) -> LesionLocation:
        """Return where one point lies."""
        voxel = self.grid.to_voxel(point)
        box, distance = ball_box(self.grid, voxel, REACH_MM)
        labels = np.where(distance <= REACH_MM, self.labels[box], 0)
        if not labels.any():
            return LesionLocation(None, None, False)
        nearest = np.unravel_index(np.argmin(np.where(labels > 0, distance, np.inf)), labels.shape)
        label = int(labels[nearest])
        structure = STRUCTURE_BY_LABEL[label % RIGHT]
        near = (
            np.unique(labels[(labels > 0) & (distance <= max(BORDER_MM, float(distance[nearest])))]) % RIGHT
        )
        others = {STRUCTURE_BY_LABEL[int(n)].territory for n in near} - {structure.territory}
        side = "right" if label > RIGHT else "left"
        return LesionLocation("midline" if self.midline[box][nearest] else side, structure, bool(others))


def locate_regions(image: Image) -> HeadRegions | None:
    """Carry the region map over to a scan.

    Parameters
    ----------
    image : Image
        R2* (1/s) or magnitude with brain mask.

    Returns
    -------
    HeadRegions or None
        None where the mask is no head, or scan and template don't agree: no region is better than a wrong one.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> locate_regions(Image(ones, ones > 0, grid, "a cube")) is None
    True
    """
    if image.mask.sum() * image.grid.voxel_volume_mm3 < MIN_BRAIN_MM3:
        return None
    transform = register_template(image, load_template())
    if transform is None or not _is_good(transform):
        return None
    labels = np.zeros(image.grid.shape, np.int32)
    midline = np.zeros(image.grid.shape, bool)
    # Candidates may lie a little outside the mask.
    near = ndimage.binary_dilation(image.mask, iterations=2)
    where = np.nonzero(near)
    template_mm = transform.apply(image.grid.to_world(np.stack(where, axis=-1).astype(np.float64)))
    found = load_region_map().at(template_mm)
    labels[where] = np.where(found > 0, found + RIGHT * (template_mm[:, 0] > 0), 0)
    midline[where] = np.abs(template_mm[:, 0]) < MIDLINE_MM
    return HeadRegions(labels, midline, image.grid, transform.dice, transform.correlation)


def _is_good(transform: TemplateTransform) -> bool:
    """Return whether scan and template agree well enough."""
    low, high = SCALES
    agrees = any(transform.dice >= dice and transform.correlation >= r for dice, r in MIN_AGREEMENTS)
    return bool(agrees and low <= transform.scale <= high and transform.stretch <= MAX_STRETCH)
