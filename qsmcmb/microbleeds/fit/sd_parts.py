"""Parts of the SD of a lesion's total susceptibility, as they are added: as squares.

    SD^2 = sum over parts of SD_i^2

Each part is what one cause leaves open of the total susceptibility M. The factors on noise and clutter (poor fit, field
strength, voxel, patch) are in these parts already.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["SdParts"]


class SdParts(NamedTuple):
    """Parts of the SD of the total susceptibility by the fit, ppm mm3.

    Examples
    --------
    >>> parts = SdParts(*[0.0] * 13)._replace(sandwich=0.3, centre=0.4)
    >>> parts.total, parts.noise_and_clutter, parts.priors
    (0.5, 0.3, 0.4)
    """

    process: float
    """Noise, and what the tissue's Gaussian process leaves open."""
    sandwich: float
    """The fit's own residual, by the sandwich estimator."""
    clutter: float
    """Tissue of the reference patches; 0 with too few of them."""
    floor: float
    """Least SD of noise and clutter."""
    centre: float
    """Prior of the centre."""
    susceptibility_difference: float
    """Prior of the susceptibility difference, which ties the radius to the total."""
    psf_width: float
    """Prior of the scan's extra width of the point spread, by the calibration."""
    decay: float
    """Prior of the decay inside."""
    shape: float
    """Prior of the shape: distances, elongation, ratios of volumes."""
    large_body: float
    """A large body, which leaves little tissue in its patch."""
    hidden_tissue: float
    """Tissue that the lesion hides."""
    model_selection: float
    """Choice of the model."""
    discrepancy: float
    """Discrepancy: what the shape does not describe."""

    @property
    def total(self) -> float:
        """SD of all parts together, ppm mm3."""
        return float(np.linalg.norm(self))

    @property
    def noise_and_clutter(self) -> float:
        """SD of noise and clutter alone, ppm mm3."""
        return float(np.linalg.norm([self.process, self.sandwich, self.clutter, self.floor]))

    @property
    def priors(self) -> float:
        """SD by the priors of centre, point spread and shape, and of a large body, ppm mm3."""
        by_prior = [self.centre, self.susceptibility_difference, self.psf_width, self.decay, self.shape]
        return float(np.linalg.norm([*by_prior, self.large_body]))
