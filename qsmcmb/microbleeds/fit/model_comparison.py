"""Models that a lesion's fit was compared with on the way to its number: what each of them says."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["ComparedModel", "Comparison"]


class Comparison(StrEnum):
    """Comparison of models; costs count within one alone.

    Examples
    --------
    >>> str(Comparison.AT_POINT)
    'at the point'
    """

    SHAPE = "shape"
    """Ball, spheroid and pair with polynomials for the tissue, by the objective."""
    FREE_SOURCE = "free source"
    """The simple shape and free sources of 1, 2, ... balls, with the tissue's Gaussian process, by the objective."""
    AT_POINT = "at the point"
    """The fit and bodies that start at the point, within a smaller ball of voxels, by the BIC."""
    ADJACENT_VEIN = "adjacent vein"
    """The lesion alone and beside a vein, by the BIC."""


class ComparedModel(NamedTuple):
    """One of the models of a comparison, fitted.

    Examples
    --------
    >>> model = ComparedModel(Comparison.SHAPE, "pair", 2, 8.1, 410.0, 0.4, is_chosen=True)
    >>> model.shape, model.n_bodies
    ('pair', 2)
    """

    comparison: Comparison
    """Comparison that it was part of."""
    shape: str
    """Name of the shape."""
    n_bodies: int
    """Number of its bodies."""
    total_chi_ppm_mm3: float
    """Total susceptibility, ppm mm3."""
    cost: float
    """Objective or BIC at its minimum, squared SDs: the lower model explains the scan better."""
    core_residual: float
    """Core residual, SDs."""
    is_chosen: bool
    """Whether it was taken."""
