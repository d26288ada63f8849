"""Plane between the halves of a head: the mask is mirrored at it and lies on itself best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize

from qsmcmb.core.morphology import distance_inside_mm
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("Midplane", "find_midplane")

SPACING_MM = 4.0
"""Distance of the points of the mask that are compared, mm: its depth changes little from one to the next."""
FIRST_STEP = (0.1, 0.1, 6.0)
"""First step of the search: two slopes of the plane, and its shift in mm."""
TOLERANCE = 0.01
"""Change of slope and shift (mm) at which the search ends: far below what a nucleus's partner needs."""


class Midplane(NamedTuple):
    """Plane of the points p with normal . p = offset_mm.

    Parameters
    ----------
    normal : ndarray of shape (3,)
        Unit vector, scanner RAS+, towards the right.
    offset_mm : float
        Distance of the plane from the scanner's origin along it, mm.

    Examples
    --------
    >>> Midplane(np.array([1.0, 0.0, 0.0]), 2.0).mirror(np.array([[5.0, 1.0, 1.0]])).tolist()
    [[-1.0, 1.0, 1.0]]
    """

    normal: FloatArray
    offset_mm: float

    def mirror(self, points_mm: FloatArray) -> FloatArray:
        """Return points on the other side of the plane, as far from it.

        Parameters
        ----------
        points_mm : ndarray of shape (n, 3)
            Points, scanner RAS+ mm.

        Returns
        -------
        ndarray of shape (n, 3)
            Mirrored points, mm.

        Examples
        --------
        >>> Midplane(np.array([0.0, 1.0, 0.0]), 0.0).mirror(np.array([[5.0, 1.0, 1.0]])).tolist()
        [[5.0, -1.0, 1.0]]
        """
        distance = points_mm @ self.normal - self.offset_mm
        return np.asarray(points_mm - 2 * np.outer(distance, self.normal))


def find_midplane(mask: BoolArray, grid: Grid) -> Midplane:
    """Find the plane at which the mask's halves mirror each other best.

    Parameters
    ----------
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Geometry.

    Returns
    -------
    Midplane
        It minimises the mean squared difference of the mask's depth at points and at their mirror points.

    Examples
    --------
    >>> grid = Grid.isotropic((24, 30, 24), 2.0)
    >>> x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)), -1, 0)
    >>> brain = (((x - 3) / 15) ** 2 + (y / 22) ** 2 + (z / 17) ** 2 < 1).reshape(grid.shape)
    >>> plane = find_midplane(brain, grid)
    >>> bool(abs(plane.normal[0]) > 0.999 and abs(plane.offset_mm - 3) < 0.5)
    True
    """
    depth_mm = distance_inside_mm(mask, grid.voxel_size_mm)
    steps = [max(1, round(SPACING_MM / v)) for v in grid.voxel_size_mm]
    chosen = np.zeros(mask.shape, bool)
    chosen[:: steps[0], :: steps[1], :: steps[2]] = True
    voxels = np.argwhere(mask & chosen)
    points = grid.to_world(voxels.astype(float))
    own = depth_mm[tuple(voxels.T)]
    centre = points.mean(axis=0)

    def plane_of(parameters: FloatArray) -> Midplane:
        normal = np.array([1.0, parameters[0], parameters[1]])
        normal /= np.linalg.norm(normal)
        return Midplane(normal, float(centre @ normal + parameters[2]))

    def difference(parameters: FloatArray) -> float:
        mirrored = grid.to_voxel(plane_of(parameters).mirror(points))
        other = ndimage.map_coordinates(depth_mm, mirrored.T, order=1, mode="constant")
        return float(np.mean((other - own) ** 2))

    start = np.vstack([np.zeros(3), np.diag(FIRST_STEP)])
    found = minimize(
        difference, np.zeros(3), method="Nelder-Mead",
        options={"initial_simplex": start, "xatol": TOLERANCE, "fatol": 0.0, "maxiter": 200},
    )  # fmt: skip
    return plane_of(found.x)
