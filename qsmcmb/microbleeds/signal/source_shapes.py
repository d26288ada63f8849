"""Shapes of a lesion's model: one ball, two equal balls, a spheroid; and the cylinder that stands for a vein.

A shape says how many parameters it has, which rows the compiled loop over points reads, how the derivatives by the rows
become derivatives by the parameters (chain rule), and what is known of the shape beforehand. The first seven parameters
are those of all shapes (`ParameterLayout`): total susceptibility, centre (3), log radius, squared extra width of the
point spread, log decay of the inside. Outside the body the field is that of a dipole of the total susceptibility M,

    dB / B0 = M (3 cos^2 theta - 1) / (4 pi r^3)

(Schenck 1996, doi:10.1118/1.597854), of two for a pair, of seven on the focal line of a spheroid, or that of an
infinite cylinder. Inside the signal decays by exp(-TE R2*) against the tissue.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import PER_BALL, ball_factor
from qsmcmb.microbleeds.signal._cylinder_loops import PER_CYLINDER, cylinder_factor
from qsmcmb.microbleeds.signal._spheroid_loops import PER_SPHEROID, spheroid_factor
from qsmcmb.typing import ComplexArray, FloatArray

__all__ = (
    "AXES", "BALL", "BALL_PAIR", "CYLINDER", "LAYOUT", "MIN_STRENGTH", "ROW_CENTRE", "ROW_RADIUS", "SPHEROID", "Ball",
    "BallPair", "CoreDecay", "Cylinder", "ParameterLayout", "SizeLaw", "Source", "SourceShape", "Spheroid",
)  # fmt: skip


class ParameterLayout(NamedTuple):
    """Positions of a source's parameters in the parameter vector; the coefficients of the tissue follow them."""

    total: int = 0
    """Total susceptibility, ppm mm3; of a cylinder susceptibility times cross-section, ppm mm2."""
    centre: slice = slice(1, 4)
    """Centre, mm from the patch's point, in voxel axes."""
    log_radius: int = 4
    """Logarithm of the radius in mm: of a ball, of each ball of a pair, of the ball of a spheroid's volume."""
    psf_width2: int = 5
    """Squared extra width of the point spread, mm2."""
    log_decay: int = 6
    """Logarithm of R2* inside the body above the tissue's, 1/s."""
    axis: slice = slice(7, 10)
    """Half axis of a pair, focus of a spheroid (mm), direction of a cylinder; a ball has none."""
    n_common: int = 7
    """Number of parameters that all shapes have."""
    total_and_centre: slice = slice(0, 4)
    """Total and centre: parameters that mean the same in every shape."""


LAYOUT = ParameterLayout()
"""The one layout in use."""
ROW_CENTRE = slice(1, 4)
"""Position of the centre, mm, in the rows that the loops read."""
ROW_RADIUS = 4
"""Position of the radius, mm, in these rows."""
UNIT_BALL_MM3 = 4 / 3 * np.pi
"""Volume of a ball of radius 1 mm, mm3."""
LESION_DCHI_PPM = 1.0
"""Susceptibility difference expected of a lesion, ppm: within the range of blood products, 0.4 to 1.3 ppm by age."""
VEIN_DCHI_PPM = 0.4
"""Susceptibility difference expected of a vein, ppm: that of venous blood with a third of its oxygen taken."""
MIN_STRENGTH = 0.05
"""Smallest strength in the prior of the susceptibility, ppm mm3 (cylinder: ppm mm2): the prior is of a logarithm, which
must stay finite where a fit crosses 0; weak against the smallest lesions measured, of about 0.8 ppm mm3."""
PAIR_DISTANCE_LOG_SD = 0.4
"""SD of the logarithm of the distance between two balls over that at which they touch: within a factor of 1.5, so that
neither ball runs away to another source nearby."""
MAX_HALF_AXIS_MM = 3.5
"""Largest component of a pair's half axis and a spheroid's focus, mm: both balls still lie within the patch."""
MIN_HALF_AXIS_MM = 0.05
"""Smallest half axis in the pair's prior, mm: the prior is of its logarithm, and balls that are closer act as one."""
FOCUS_SD = 1.2
"""SD of a spheroid's focal distance over the radius of the ball of its volume: that ratio is 1.4 for a body twice as
long as wide."""
MIN_FOCUS_MM = 1e-3
"""Smallest focal distance in the spheroid's prior, mm: the direction of its derivative is undefined at 0."""
NEWTON_STEPS = 8
"""Number of Newton steps to a spheroid's radius across: 12 digits are right up to a focal distance of 10 radii."""
DIRECTION_LENGTH_SD = 0.1
"""SD of the length of a cylinder's direction vector around 1: the length has no meaning, and must not drift to 0."""


class SizeLaw(NamedTuple):
    """Volume of a shape as a power of its radius; of a cylinder the cross-section."""

    coefficient: float
    """Volume at a radius of 1 mm, mm3 (cylinder: mm2)."""
    exponent: int
    """Power of the radius: 3 for a volume, 2 for a cross-section."""


class SourceShape(ABC):
    """Shape of a source: its parameters, the loop that makes its signal, and what is known of it beforehand.

    Subclasses set the class variables and have no state.
    """

    name: ClassVar[str]
    """Name of the shape in tables and messages."""
    n_source_parameters: ClassVar[int]
    """Number of parameters of the source."""
    n_row_parameters: ClassVar[int]
    """Number of parameters of a row by which the loop gives derivatives."""
    loop: ClassVar[Callable[..., None]]
    """Compiled loop that fills factor - 1 and its derivatives at points, as `ball_factor`."""
    size: ClassVar[SizeLaw]
    """Volume (of a cylinder: cross-section) by the radius."""
    dchi_ppm: ClassVar[float]
    """Susceptibility difference expected, ppm: ties the radius to the strength."""
    max_own_parameter: ClassVar[float] = MAX_HALF_AXIS_MM
    """Largest size of a parameter beyond the common ones."""
    is_infinite: ClassVar[bool] = False
    """Whether the body leaves the patch on both sides."""

    @property
    def n_identifiable(self) -> int:
        """Number of parameters that data can determine."""
        return self.n_source_parameters

    @abstractmethod
    def rows(self, p: FloatArray) -> FloatArray:
        """Return the rows that the loop reads.

        Parameters
        ----------
        p : ndarray
            Parameters as in `ParameterLayout`; the tissue's may follow.

        Returns
        -------
        ndarray of shape (n_rows, k)
            For each simple body its strength, centre (mm, 3), radius (mm), and what its loop needs more.
        """

    @abstractmethod
    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters.

        Parameters
        ----------
        p : ndarray
            Parameters as in `ParameterLayout`.
        by_row : ndarray of shape (n_rows * n_row_parameters + 2, n)
            Derivatives by the rows' parameters, by the log decay and by the squared extra width.

        Returns
        -------
        ndarray of shape (n_source_parameters, n)
            Derivatives in the order of `ParameterLayout`.
        """

    def shape_prior(self, p: FloatArray) -> tuple[FloatArray, FloatArray] | None:  # noqa: ARG002
        """Return the deviations of the shape from what is expected.

        Parameters
        ----------
        p : ndarray
            Parameters as in `ParameterLayout`.

        Returns
        -------
        tuple of (ndarray of shape (n,), ndarray of shape (n, n_source_parameters)) or None
            Deviations in SDs and their derivatives by the parameters; None where nothing is expected.
        """
        return None

    def log_susceptibility_ratio(self, p: FloatArray) -> float:
        """Return the logarithm of the body's susceptibility difference over the expected one.

        Parameters
        ----------
        p : ndarray
            Parameters as in `ParameterLayout`.

        Returns
        -------
        float
            Logarithm log(|M| / (V dchi)), V the volume; |M| is MIN_STRENGTH at least.
        """
        volume, power = self.size
        strength = max(abs(float(p[LAYOUT.total])), MIN_STRENGTH)
        return float(np.log(strength / (volume * self.dchi_ppm)) - power * p[LAYOUT.log_radius])

    def log_susceptibility_slopes(self, p: FloatArray) -> FloatArray:
        """Return the derivatives of `log_susceptibility_ratio`.

        Parameters
        ----------
        p : ndarray
            Parameters as in `ParameterLayout`.

        Returns
        -------
        ndarray of shape (n_source_parameters,)
            Derivative by each parameter.
        """
        out = np.zeros(self.n_source_parameters)
        # d ln|M| / dM = sign(M) / |M|, bounded where M passes 0.
        out[LAYOUT.total] = np.sign(p[LAYOUT.total]) / max(abs(p[LAYOUT.total]), MIN_STRENGTH)
        # The susceptibility falls with the volume: the third power of the radius, of a cylinder the second.
        out[LAYOUT.log_radius] = -self.size.exponent
        return out


class Ball(SourceShape):
    """Ball with the field of a point dipole: 7 parameters, the strength being the total susceptibility, ppm mm3.

    Examples
    --------
    >>> p = np.array([4.0, 0.1, 0.2, 0.3, np.log(2.0), 0.16, np.log(90.0)])
    >>> BALL.rows(p).round(6).tolist()
    [[4.0, 0.1, 0.2, 0.3, 2.0]]
    """

    name = "ball"
    n_source_parameters, n_row_parameters, loop = LAYOUT.n_common, PER_BALL, staticmethod(ball_factor)
    size, dchi_ppm = SizeLaw(UNIT_BALL_MM3, 3), LESION_DCHI_PPM

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre and radius, (1, 5)."""
        return np.array([[*p[LAYOUT.total_and_centre], np.exp(p[LAYOUT.log_radius])]])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters, (7, n)."""
        # d/d(log radius) = radius d/d(radius); decay and width are swapped: the loop gives decay first.
        return np.concatenate([by_row[:4], by_row[4:5] * np.exp(p[LAYOUT.log_radius]), by_row[:4:-1]])


class BallPair(SourceShape):
    """Two equal balls on both sides of the centre: 10 parameters, the strength being that of both, ppm mm3.

    The half axis (3, mm) leads from the centre to the first ball's.
    """

    name = "pair"
    n_source_parameters, n_row_parameters, loop = LAYOUT.n_common + 3, PER_BALL, staticmethod(ball_factor)
    size, dchi_ppm = SizeLaw(2 * UNIT_BALL_MM3, 3), LESION_DCHI_PPM

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre and radius of each ball, (2, 5)."""
        half, radius = p[LAYOUT.total] / 2, np.exp(p[LAYOUT.log_radius])
        centres = (p[LAYOUT.centre] + sign * p[LAYOUT.axis] for sign in (1, -1))
        return np.array([[half, *centre, radius] for centre in centres])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters, (10, n)."""
        one, two = by_row[:PER_BALL], by_row[PER_BALL : 2 * PER_BALL]
        both = one + two
        by_radius, by_axis = both[4:] * np.exp(p[LAYOUT.log_radius]), one[ROW_CENTRE] - two[ROW_CENTRE]
        # The last two rows backwards: squared width before log decay.
        return np.concatenate([both[:1] / 2, both[ROW_CENTRE], by_radius, by_row[:-3:-1], by_axis])

    def shape_prior(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far the balls are from touching: log(half axis / radius) over its SD."""
        slopes, axis = np.zeros(self.n_source_parameters), p[LAYOUT.axis]
        slopes[LAYOUT.axis] = axis / max(float(axis @ axis), MIN_HALF_AXIS_MM**2) / PAIR_DISTANCE_LOG_SD
        slopes[LAYOUT.log_radius] = -1 / PAIR_DISTANCE_LOG_SD
        distance = np.log(max(float(np.linalg.norm(axis)), MIN_HALF_AXIS_MM))
        deviation = (distance - p[LAYOUT.log_radius]) / PAIR_DISTANCE_LOG_SD
        return np.array([deviation]), slopes[None]


class Spheroid(SourceShape):
    """Ball drawn out along one axis: 10 parameters, the radius being that of the ball of the same volume.

    The vector from the centre to a focus (3, mm) gives the axis and, by its length, the elongation.
    """

    name = "spheroid"
    n_source_parameters, n_row_parameters = LAYOUT.n_common + 3, PER_SPHEROID
    loop = staticmethod(spheroid_factor)
    size, dchi_ppm = SizeLaw(UNIT_BALL_MM3, 3), LESION_DCHI_PPM

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre, radius across the axis and focus, (1, 8)."""
        return np.array([[*p[LAYOUT.total_and_centre], np.sqrt(_across2(p)), *p[LAYOUT.axis]]])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters, (10, n)."""
        square, focus = _across2(p), p[LAYOUT.axis]
        # The volume fixes the radius across, b: v = b^6 + focus^2 b^4 = radius^6, with square = b^2; this is db/dv.
        slope = 1 / (2 * np.sqrt(square) * (3 * square**2 + 2 * float(focus @ focus) * square))
        by_radius = by_row[4:5] * (6 * np.exp(6 * p[LAYOUT.log_radius]) * slope)
        # A longer focus moves the surface itself, and makes the body thinner at the same volume.
        by_focus = by_row[5:8] - np.multiply.outer(2 * square**2 * slope * focus, by_row[4])
        return np.concatenate([by_row[:4], by_radius, by_row[:-3:-1], by_focus])

    def shape_prior(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far it is from a ball: focal distance over radius, over its SD."""
        focus = max(float(np.linalg.norm(p[LAYOUT.axis])), MIN_FOCUS_MM)
        size = FOCUS_SD * np.exp(p[LAYOUT.log_radius])
        slopes = np.zeros(self.n_source_parameters)
        slopes[LAYOUT.log_radius], slopes[LAYOUT.axis] = -focus / size, p[LAYOUT.axis] / focus / size
        return np.array([focus / size]), slopes[None]


def _across2(p: FloatArray) -> float:
    """Return the squared radius across a spheroid's axis, mm2, from its focus and the radius of its volume.

    With half length a, radius across b and focal distance c: a^2 = b^2 + c^2 and b^2 a = radius^3, so that b^2 solves
    x^3 + c^2 x^2 = radius^6.
    """
    focus2, volume2 = float(p[LAYOUT.axis] @ p[LAYOUT.axis]), float(np.exp(6 * p[LAYOUT.log_radius]))
    square = float(np.exp(2 * p[LAYOUT.log_radius]))
    # Convex and rising: from the ball's radius, which is too large, Newton's steps fall to the root and never below.
    for _ in range(NEWTON_STEPS):
        square -= (square**3 + focus2 * square**2 - volume2) / (3 * square**2 + 2 * focus2 * square)
    return square


class Cylinder(SourceShape):
    """Infinite cylinder: 10 parameters, the strength being susceptibility times cross-section, ppm mm2.

    The direction vector (3) has no unit; only its direction counts.
    """

    name = "cylinder"
    n_source_parameters, n_row_parameters = LAYOUT.n_common + 3, PER_CYLINDER
    loop = staticmethod(cylinder_factor)
    size, dchi_ppm, is_infinite = SizeLaw(np.pi, 2), VEIN_DCHI_PPM, True

    @property
    def n_identifiable(self) -> int:
        """Number of parameters that data can determine: not the position along the axis, nor the vector's length."""
        return self.n_source_parameters - 2

    def rows(self, p: FloatArray) -> FloatArray:
        """Return strength, a point on the axis, radius and unit direction, (1, 8)."""
        direction = p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])
        return np.array([[*p[LAYOUT.total_and_centre], np.exp(p[LAYOUT.log_radius]), *direction]])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters, (10, n)."""
        length = np.linalg.norm(p[LAYOUT.axis])
        axis = p[LAYOUT.axis] / length
        # Derivative of v / |v|: a change along the axis turns nothing.
        across = (np.eye(3) - np.outer(axis, axis)) / length
        turned = np.tensordot(across, by_row[5:8], axes=1)
        return np.concatenate(
            [by_row[:4], by_row[4:5] * np.exp(p[LAYOUT.log_radius]), by_row[:-3:-1], turned]
        )

    def shape_prior(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how far the direction vector's length is from 1."""
        slopes = np.zeros(self.n_source_parameters)
        length = float(np.linalg.norm(p[LAYOUT.axis]))
        slopes[LAYOUT.axis] = p[LAYOUT.axis] / length / DIRECTION_LENGTH_SD
        return np.array([(length - 1) / DIRECTION_LENGTH_SD]), slopes[None]


_HALF_CUBE = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)], dtype=float) - 1.0
"""Half of the 26 directions from a cube's middle to its faces, edges and corners, (13, 3): an axis has no sign."""
AXES = _HALF_CUBE / np.linalg.norm(_HALF_CUBE, axis=1)[:, None]
"""The 13 unit vectors along which an elongated shape is started, (13, 3): 35 to 45 degrees from the next."""

BALL, BALL_PAIR, SPHEROID, CYLINDER = Ball(), BallPair(), Spheroid(), Cylinder()
"""The shapes themselves: they have no state, so that one of each is enough."""


class Source(NamedTuple):
    """Ball that stands for a lesion where its shape does not matter.

    Examples
    --------
    >>> round(Source(4 / 3 * np.pi, (0.0, 0.0, 0.0), 1.0).dchi_ppm, 6)
    1.0
    """

    total_chi_ppm_mm3: float
    """Total susceptibility, ppm mm3."""
    centre_mm: tuple[float, float, float]
    """Centre, mm from the patch's point, in voxel axes."""
    radius_mm: float
    """Radius, mm."""

    @property
    def dchi_ppm(self) -> float:
        """Size of the susceptibility difference from the tissue, ppm."""
        return float(abs(self.total_chi_ppm_mm3) / (4 / 3 * np.pi * self.radius_mm**3))

    def row(self) -> list[float]:
        """Return the row that the loop over points reads.

        Returns
        -------
        list of float
            Total susceptibility (ppm mm3), centre (mm, 3) and radius (mm).
        """
        return [self.total_chi_ppm_mm3, *self.centre_mm, self.radius_mm]


class CoreDecay(NamedTuple):
    """Prior of the signal decay inside a lesion.

    Examples
    --------
    >>> CoreDecay(decay_hz=35.0, log_sd=0.8).at(3.0).decay_hz
    105.0
    """

    decay_hz: float
    """Expected R2* inside above the tissue's, 1/s; 1/s per tesla before `at`."""
    log_sd: float
    """SD of its logarithm."""

    def at(self, b0_tesla: float) -> CoreDecay:
        """Return the prior at a field strength, where this one is per tesla.

        Parameters
        ----------
        b0_tesla : float
            Field strength, T.

        Returns
        -------
        CoreDecay
            Decay times field strength; the SD of the logarithm stays.
        """
        return self._replace(decay_hz=self.decay_hz * b0_tesla)
