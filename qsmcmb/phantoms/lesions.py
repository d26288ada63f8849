"""Lesions of a phantom: bodies whose field outside is exactly that of dipoles, and lesions made of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import roots_jacobi

from qsmcmb.typing import FloatArray

__all__ = (
    "Ball",
    "PhantomLesion",
    "ball_field",
)

MIXED = "mixed"
"""Irregular shape with bodies of either sign, which do not overlap."""
FOCAL_POINTS = 8
"""Dipoles on the focal line of an ellipsoid. Of one twice as long as wide, eight Gauss nodes give the field within 0.4
% at its tip and within 0.04 % a fifth further out.
"""


class Ball(NamedTuple):
    """A uniform ball, or a prolate ellipsoid where `stretch` is above 1.

    Parameters
    ----------
    centre_mm : tuple of float
        Centre, head mm.
    radius_mm : float
        Radius, mm; across the long axis.
    dchi_ppm : float
        Susceptibility against its surroundings, ppm.
    axis : tuple of float, optional
        Unit vector of the long axis, head axes.
    stretch : float, optional
        Ratio of length to width, >= 1.
    signal : float, optional
        Ratio of the signal inside to that of the tissue, at TE 0.
    decay_hz : float, optional
        R2* inside above the tissue's, 1/s, at any field strength.
    decay_hz_per_tesla : float, optional
        R2* inside above that, 1/s per T of field strength, as of iron.

    Examples
    --------
    >>> round(Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=1.0).total_chi_ppm_mm3, 3)
    4.189
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    dchi_ppm: float
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    stretch: float = 1.0
    signal: float = 0.0
    decay_hz: float = 0.0
    decay_hz_per_tesla: float = 0.0

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Total susceptibility: volume times contrast, ppm mm3."""
        return 4 / 3 * np.pi * self.radius_mm**3 * self.stretch * self.dchi_ppm

    def dipoles(self) -> FloatArray:
        """Return point dipoles with the body's field outside it.

        A uniform prolate ellipsoid attracts like its focal line with a density of 1 - s^2, s from -1 to 1 between the
        foci; the points are Gauss' nodes for that.

        Returns
        -------
        ndarray of shape (n, 4)
            Strength, ppm mm3, and position relative to the centre, mm, of each.

        Examples
        --------
        >>> Ball(centre_mm=(5.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=1.0).dipoles().shape
        (1, 4)
        """
        if self.stretch == 1:
            return np.array([[self.total_chi_ppm_mm3, 0.0, 0.0, 0.0]])
        nodes, density = roots_jacobi(FOCAL_POINTS, 1, 1)
        focus = self.radius_mm * np.sqrt(self.stretch**2 - 1)
        parts = density / density.sum()
        return np.column_stack([self.total_chi_ppm_mm3 * parts, focus * np.outer(nodes, self.axis)])


class PhantomLesion(NamedTuple):
    """One lesion of a phantom.

    Parameters
    ----------
    kind : str
        ``microbleed``, ``calcification``, ``iron``, ``air``, ``flow-void`` or ``haematoma``.
    balls : tuple of Ball
        Its bodies: one, two that touch, or those of an irregular shape, which may overlap. Where they do, contrasts
        add, and the signal is that of the first listed.
    form : str, optional
        Name of an irregular shape.

    Examples
    --------
    >>> PhantomLesion("microbleed", (Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=1.0),)).shape
    'sphere'
    """

    kind: str
    balls: tuple[Ball, ...]
    form: str = ""

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Total susceptibility of all bodies, of either sign, ppm mm3."""
        return float(sum(b.total_chi_ppm_mm3 for b in self.balls))

    @property
    def total_abs_ppm_mm3(self) -> float:
        """Integral of the absolute susceptibility, ppm mm3: more than the total's where iron lies beside calcium."""
        if self.form == MIXED:
            return float(sum(abs(b.total_chi_ppm_mm3) for b in self.balls))
        return abs(self.total_chi_ppm_mm3)

    @property
    def volume_mm3(self) -> float:
        """Sum of the bodies' volumes, mm3; of bodies around one centre that of the largest."""
        largest: dict[tuple[float, float, float], float] = {}
        for ball in self.balls:
            volume_mm3 = 4 / 3 * np.pi * ball.radius_mm**3 * ball.stretch
            largest[ball.centre_mm] = max(largest.get(ball.centre_mm, 0.0), volume_mm3)
        return sum(largest.values())

    @property
    def radius_mm(self) -> float:
        """Radius of its largest body, mm."""
        return max(b.radius_mm for b in self.balls)

    @property
    def dchi_ppm(self) -> float:
        """Contrast, ppm: that of its first body, of an irregular shape the mean of the absolute one."""
        return self.total_abs_ppm_mm3 / self.volume_mm3 if self.form else self.balls[0].dchi_ppm

    @property
    def length_mm(self) -> float:
        """Largest distance of two points of its bodies, mm."""
        reach = [(np.array(b.centre_mm), b.radius_mm * b.stretch) for b in self.balls]
        return max(float(np.linalg.norm(c - d)) + r + s for c, r in reach for d, s in reach)

    @property
    def centre_mm(self) -> FloatArray:
        """Centre of the bodies, weighted by volume, (3,), head mm."""
        weights = np.array([b.radius_mm**3 * b.stretch for b in self.balls])
        centres = np.array([b.centre_mm for b in self.balls])
        return np.asarray(weights @ centres / weights.sum())

    @property
    def shape(self) -> str:
        """Shape in the truth table: ``sphere``, ``two``, ``ellipsoid`` or that of an irregular one."""
        if self.form:
            return self.form
        if len(self.balls) > 1:
            return "two"
        return "sphere" if self.balls[0].stretch == 1 else "ellipsoid"


def ball_field(offset_mm: FloatArray, ball: Ball, b0_dir: FloatArray) -> FloatArray:
    """Return the field of a ball.

    Outside it is that of a point dipole; inside, the sphere of Lorentz leaves nothing.

    Parameters
    ----------
    offset_mm : ndarray of shape (3, ...)
        Points, mm from the ball's centre.
    ball : Ball
        Its radius and contrast; the centre is not read, and it is taken as a ball whatever its stretch.
    b0_dir : ndarray of shape (3,)
        Unit vector of B0 in the axes of `offset_mm`.

    Returns
    -------
    ndarray of shape (...)
        Field relative to B0, ppm.

    References
    ----------
    Schenck JF. The role of magnetic susceptibility in magnetic resonance imaging: MRI magnetic compatibility of the
    first and second kinds. Med Phys 1996;23:815-850. doi:10.1118/1.597854

    Examples
    --------
    >>> ball = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=3.0)
    >>> ball_field(np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 2.0]]), ball, np.array([0.0, 0.0, 1.0])).tolist()
    [0.0, 0.25]
    """
    r2 = (offset_mm**2).sum(axis=0)
    along = np.tensordot(b0_dir, offset_mm, axes=1)
    outside = r2 > ball.radius_mm**2
    safe = np.where(outside, r2, 1.0)
    field = ball.total_chi_ppm_mm3 * (3 * along**2 / safe - 1) / (4 * np.pi * safe**1.5)
    return np.where(outside, field, 0.0)
