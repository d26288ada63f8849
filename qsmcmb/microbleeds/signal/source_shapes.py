"""What a lesion's model may look like: one ball, two equal balls, a spheroid, or the cylinder of a vein in their place.

A shape says how many parameters it has, which rows the loop over points reads, how their derivatives become those of
the parameters, and what is known of it beforehand. The first seven parameters of all shapes are alike: strength,
centre (3, mm), log radius, squared blur (mm2), log decay of the inside (1/s).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import PER_BALL, lesion_factor
from qsmcmb.microbleeds.signal._cylinder_loops import PER_CYLINDER, cylinder_factor
from qsmcmb.microbleeds.signal._spheroid_loops import PER_SPHEROID, spheroid_factor
from qsmcmb.typing import ComplexArray, FloatArray


class ParameterLayout(NamedTuple):
    """Where each of a source's parameters stands; the coefficients of the tissue follow them."""

    total: int = 0
    """Total susceptibility, ppm mm3; of a cylinder susceptibility times cross-section, ppm mm2."""
    centre: slice = slice(1, 4)
    """Centre, mm from the patch's point."""
    log_radius: int = 4
    """Logarithm of the radius in mm: of a ball, of each ball of a pair, of the ball of a spheroid's volume."""
    psf_width2: int = 5
    """Squared width of the box that widens the point spread, mm2."""
    log_decay: int = 6
    """Logarithm of R2* inside the body above the tissue's, 1/s."""
    axis: slice = slice(7, 10)
    """Half axis of a pair, focus of a spheroid (mm), direction of a cylinder; a ball has none."""
    n_common: int = 7
    """Number of parameters that all shapes have."""
    known: slice = slice(0, 4)
    """Total and centre."""


LAYOUT = ParameterLayout()
ROW_CENTRE = slice(1, 4)
"""Centre (mm) in the rows that the loops read."""
ROW_RADIUS = 4
"""Radius (mm) in these rows."""
BALL_MM3 = 4 / 3 * np.pi
MIN_STRENGTH = 0.05
PAIR_DISTANCE_LOG_SD = 0.4
"""Of the distance of two balls over the distance at which they touch."""
FOCUS_SD = 1.2
"""Of a spheroid's focal distance over the radius of the ball of its volume: 1.4 where it is twice as long as wide."""
NEWTON_STEPS = 8
UNIT_SD = 0.1
"""Of the length of an axis whose length means nothing."""


class SourceShape(ABC):
    """One kind of source."""

    name: ClassVar[str]
    n_source_parameters: ClassVar[int]
    per_row: ClassVar[int]
    """Derivatives by a row's own parameters."""
    loop: ClassVar[Callable[..., None]]
    size: ClassVar[tuple[float, int]]
    """Volume (or cross-section) over the radius to a power, and the power."""
    dchi_ppm: ClassVar[float]
    """Susceptibility expected: ties the radius to the strength."""
    is_infinite: ClassVar[bool] = False
    """Whether it leaves the neighbourhood."""

    @property
    def n_identifiable(self) -> int:
        """Parameters that data can tell."""
        return self.n_source_parameters

    @abstractmethod
    def rows(self, p: FloatArray) -> FloatArray:
        """Return the rows that the loop reads."""

    @abstractmethod
    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters from those by the rows, the decay and the blur."""

    def shape_prior(self, p: FloatArray) -> tuple[float, FloatArray] | None:  # noqa: ARG002
        """Return what else is known, in SDs, and its derivatives; None where nothing is."""
        return None

    def log_susceptibility_ratio(self, p: FloatArray) -> float:
        """Return the logarithm of the susceptibility over what is expected."""
        volume, power = self.size
        return float(
            np.log(max(abs(float(p[LAYOUT.total])), MIN_STRENGTH) / (volume * self.dchi_ppm))
            - power * p[LAYOUT.log_radius]
        )


class Ball(SourceShape):
    """A ball: strength is total susceptibility, ppm mm3."""

    name = "ball"
    n_source_parameters, per_row, loop = LAYOUT.n_common, PER_BALL, staticmethod(lesion_factor)
    size, dchi_ppm = (BALL_MM3, 3), 1.0

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre and radius."""
        return np.array([[*p[:4], np.exp(p[LAYOUT.log_radius])]])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters."""
        return np.concatenate([by_row[:4], by_row[4:5] * np.exp(p[LAYOUT.log_radius]), by_row[:4:-1]])


class BallPair(SourceShape):
    """Two equal balls around the centre: strength is that of both; the half axis (3, mm) follows the common."""

    name = "pair"
    n_source_parameters, per_row, loop = LAYOUT.n_common + 3, PER_BALL, staticmethod(lesion_factor)
    size, dchi_ppm = (2 * BALL_MM3, 3), 1.0

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre and radius of each."""
        return np.array(
            [
                [
                    p[LAYOUT.total] / 2,
                    *(p[LAYOUT.centre] + sign * p[LAYOUT.axis]),
                    np.exp(p[LAYOUT.log_radius]),
                ]
                for sign in (1, -1)
            ]
        )

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters."""
        one, two = by_row[:PER_BALL], by_row[PER_BALL : 2 * PER_BALL]
        both = one + two
        return np.concatenate(
            [
                both[:1] / 2,
                both[ROW_CENTRE],
                both[4:] * np.exp(p[LAYOUT.log_radius]),
                by_row[:-3:-1],
                one[ROW_CENTRE] - two[ROW_CENTRE],
            ]
        )

    def shape_prior(self, p: FloatArray) -> tuple[float, FloatArray]:
        """Return how far the balls are from touching."""
        slopes = np.zeros(self.n_source_parameters)
        slopes[LAYOUT.axis] = (
            p[LAYOUT.axis] / max(float(p[LAYOUT.axis] @ p[LAYOUT.axis]), 0.05**2) / PAIR_DISTANCE_LOG_SD
        )
        slopes[LAYOUT.log_radius] = -1 / PAIR_DISTANCE_LOG_SD
        distance = np.log(max(float(np.linalg.norm(p[LAYOUT.axis])), 0.05))
        return float((distance - p[LAYOUT.log_radius]) / PAIR_DISTANCE_LOG_SD), slopes


class Spheroid(SourceShape):
    """A ball drawn out along an axis: the radius is that of its volume; from the centre to a focus (3, mm) follows."""

    name = "spheroid"
    n_source_parameters, per_row, loop = LAYOUT.n_common + 3, PER_SPHEROID, staticmethod(spheroid_factor)
    size, dchi_ppm = (BALL_MM3, 3), 1.0

    def rows(self, p: FloatArray) -> FloatArray:
        """Return total susceptibility, centre, radius across and focus."""
        return np.array([[*p[:4], np.sqrt(_across2(p)), *p[LAYOUT.axis]]])

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters."""
        square = _across2(p)
        # Volume: square^3 + focus^2 square^2 = radius^6.
        steep = 1 / (
            2 * np.sqrt(square) * (3 * square**2 + 2 * float(p[LAYOUT.axis] @ p[LAYOUT.axis]) * square)
        )
        by_focus = by_row[5:8] - np.multiply.outer(2 * square**2 * steep * p[LAYOUT.axis], by_row[4])
        return np.concatenate(
            [
                by_row[:4],
                by_row[4:5] * (6 * np.exp(6 * p[LAYOUT.log_radius]) * steep),
                by_row[:-3:-1],
                by_focus,
            ]
        )

    def shape_prior(self, p: FloatArray) -> tuple[float, FloatArray]:
        """Return how far it is from a ball."""
        focus = max(float(np.linalg.norm(p[LAYOUT.axis])), 1e-3)
        size = FOCUS_SD * np.exp(p[LAYOUT.log_radius])
        slopes = np.zeros(self.n_source_parameters)
        slopes[LAYOUT.log_radius], slopes[LAYOUT.axis] = -focus / size, p[LAYOUT.axis] / focus / size
        return focus / size, slopes


def _across2(p: FloatArray) -> float:
    """Return the squared radius across a spheroid of the volume of a ball, focus and log radius as in `LAYOUT`."""
    focus2, volume2 = float(p[LAYOUT.axis] @ p[LAYOUT.axis]), float(np.exp(6 * p[LAYOUT.log_radius]))
    square = float(np.exp(2 * p[LAYOUT.log_radius]))
    # Convex and rising: from above Newton's steps only fall.
    for _ in range(NEWTON_STEPS):
        square -= (square**3 + focus2 * square**2 - volume2) / (3 * square**2 + 2 * focus2 * square)
    return square


class Cylinder(SourceShape):
    """A long cylinder: strength is susceptibility times cross-section, ppm mm2; its direction (3) follows."""

    name = "cylinder"
    n_source_parameters, per_row, loop = LAYOUT.n_common + 3, PER_CYLINDER, staticmethod(cylinder_factor)
    size, dchi_ppm, is_infinite = (np.pi, 2), 0.4, True

    @property
    def n_identifiable(self) -> int:
        """Neither the place along the axis nor the direction's length shows."""
        return self.n_source_parameters - 2

    def rows(self, p: FloatArray) -> FloatArray:
        """Return strength, a point on the axis, radius and direction."""
        return np.array(
            [[*p[:4], np.exp(p[LAYOUT.log_radius]), *(p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis]))]]
        )

    def chain_rule(self, p: FloatArray, by_row: ComplexArray) -> ComplexArray:
        """Return the derivatives by the parameters."""
        length = np.linalg.norm(p[LAYOUT.axis])
        axis = p[LAYOUT.axis] / length
        across = (np.eye(3) - np.outer(axis, axis)) / length
        turned = np.tensordot(across, by_row[5:8], axes=1)
        return np.concatenate(
            [by_row[:4], by_row[4:5] * np.exp(p[LAYOUT.log_radius]), by_row[:-3:-1], turned]
        )

    def shape_prior(self, p: FloatArray) -> tuple[float, FloatArray]:
        """Return the direction's length against 1: it means nothing, and must not run away."""
        slopes = np.zeros(self.n_source_parameters)
        length = float(np.linalg.norm(p[LAYOUT.axis]))
        slopes[LAYOUT.axis] = p[LAYOUT.axis] / length / UNIT_SD
        return (length - 1) / UNIT_SD, slopes


# Half of the 26 directions of a cube: an axis has no sign.
_CORNERS = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)], dtype=float) - 1.0
AXES = _CORNERS / np.linalg.norm(_CORNERS, axis=1)[:, None]

BALL, BALL_PAIR, SPHEROID, CYLINDER = Ball(), BallPair(), Spheroid(), Cylinder()


class Source(NamedTuple):
    """A ball: total susceptibility (ppm mm3), centre (mm from the neighbourhood's middle), radius (mm)."""

    total_chi_ppm_mm3: float
    centre_mm: tuple[float, float, float]
    radius_mm: float

    @property
    def dchi_ppm(self) -> float:
        """Size of the susceptibility against the surroundings."""
        return float(abs(self.total_chi_ppm_mm3) / (4 / 3 * np.pi * self.radius_mm**3))

    def row(self) -> list[float]:
        """Return the row that the loop reads."""
        return [self.total_chi_ppm_mm3, *self.centre_mm, self.radius_mm]


class CoreDecay(NamedTuple):
    """What is expected of the inside of a lesion: R2* above the tissue's (1/s), and how well its logarithm is known."""

    decay_hz: float
    log_sd: float

    def at(self, b0_tesla: float) -> CoreDecay:
        """Return what one per tesla is at a field strength."""
        return self._replace(decay_hz=self.decay_hz * b0_tesla)
