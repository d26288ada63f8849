"""Lesions of a phantom: balls, pairs of balls and ellipsoids with the exact field of dipoles outside, and mimics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import roots_jacobi

from qsmcmb.errors import ConfigError
from qsmcmb.phantoms.anatomy import AIR_PPM
from qsmcmb.phantoms.recipe import GivenLesion, LesionRecipe
from qsmcmb.typing import FloatArray

__all__ = (
    "Ball",
    "PhantomLesion",
    "ball_field",
    "draw_lesions",
)

STRETCH = (1.3, 2.0)
"""Range of the ratio of length to width of ellipsoids: from hardly longer than a ball to twice as long."""
IRON_PPM = (0.1, 0.25)
"""Range of the susceptibility of iron deposits, ppm: that of the deep nuclei and above."""
IRON_SIGNAL = 0.7
"""Ratio of the signal inside iron deposits to that of the tissue: they darken little beside their decay."""
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
        R2* inside above the tissue's, 1/s.

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
        Its bodies: one, or two that touch.

    Examples
    --------
    >>> PhantomLesion("microbleed", (Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.0, dchi_ppm=1.0),)).shape
    'sphere'
    """

    kind: str
    balls: tuple[Ball, ...]

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Total susceptibility of all bodies, ppm mm3."""
        return float(sum(b.total_chi_ppm_mm3 for b in self.balls))

    @property
    def centre_mm(self) -> FloatArray:
        """Centre of the bodies, weighted by volume, (3,), head mm."""
        weights = np.array([b.radius_mm**3 * b.stretch for b in self.balls])
        centres = np.array([b.centre_mm for b in self.balls])
        return np.asarray(weights @ centres / weights.sum())

    @property
    def shape(self) -> str:
        """Shape in the truth table: ``sphere``, ``two`` or ``ellipsoid``."""
        if len(self.balls) > 1:
            return "two"
        return "sphere" if self.balls[0].stretch == 1 else "ellipsoid"


def draw_lesions(
    recipe: LesionRecipe, positions_mm: FloatArray, rng: np.random.Generator
) -> tuple[PhantomLesion, ...]:
    """Draw the lesions of a phantom.

    Parameters
    ----------
    recipe : LesionRecipe
        How many, how strong, how far apart.
    positions_mm : ndarray of shape (n, 3)
        Where lesions may lie, head mm; taken at random.
    rng : Generator
        Seeded.

    Returns
    -------
    tuple of PhantomLesion
        Lesions, head mm.

    Raises
    ------
    ConfigError
        There is no room for so many, or a lesion that is written out lacks a key.

    Examples
    --------
    >>> recipe = LesionRecipe(microbleeds=1, distribution="log-uniform", range_ppm_mm3=(2.0, 4.0))
    >>> lesion, = draw_lesions(recipe, np.zeros((1, 3)), np.random.default_rng(1))
    >>> 2 <= lesion.total_chi_ppm_mm3 <= 4
    True
    """
    if recipe.distribution == "given":
        return tuple(_given(row) for row in recipe.given)
    kinds = [
        *["microbleed"] * recipe.microbleeds, *["calcification"] * recipe.calcifications, *["iron"] * recipe.iron,
        *["air"] * recipe.air, *["flow-void"] * recipe.flow_voids,
    ]  # fmt: skip
    lesions: list[PhantomLesion] = []
    order = iter(rng.permutation(len(positions_mm)))
    for number, kind in enumerate(kinds):
        while True:
            index = next(order, None)
            if index is None:
                raise ConfigError(
                    f"lesions: {len(kinds)} do not fit {recipe.apart_mm:g} mm apart; expected fewer or closer"
                )
            position = positions_mm[index]
            if all(np.linalg.norm(position - other.centre_mm) > recipe.apart_mm for other in lesions):
                break
        if recipe.jitter_mm:
            position = position + rng.uniform(-recipe.jitter_mm, recipe.jitter_mm, 3)
        lesions.append(_draw(kind, position, _total_chi(recipe, number, len(kinds), rng), recipe, rng))
    return tuple(lesions)


def _total_chi(recipe: LesionRecipe, number: int, count: int, rng: np.random.Generator) -> float:
    """Return the total susceptibility, ppm mm3, of the lesion of a number."""
    low, high = recipe.range_ppm_mm3
    if recipe.distribution == "series":
        return float(low * (high / low) ** (number / max(count - 1, 1)))
    if recipe.distribution == "log-uniform":
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    total_chi = 0.0
    while not low <= total_chi <= high:
        total_chi = recipe.median_ppm_mm3 * float(np.exp(recipe.sigma_ln * rng.standard_normal()))
    return total_chi


def _draw(
    kind: str, position: FloatArray, total_chi: float, recipe: LesionRecipe, rng: np.random.Generator
) -> PhantomLesion:
    """Return a lesion of a kind at a position: a ball, two balls or an ellipsoid by chance."""
    dchi = float(np.exp(rng.uniform(*np.log(recipe.dchi_ppm))))
    direction = rng.standard_normal(3)
    direction = direction / np.linalg.norm(direction)
    chance = rng.random()
    if kind in ("iron", "air", "flow-void"):
        return PhantomLesion(kind, (_mimic(kind, position, total_chi, rng),))
    dchi = dchi if kind == "microbleed" else -dchi
    if recipe.two_balls <= chance < recipe.two_balls + recipe.ellipsoids:
        stretch = float(rng.uniform(*STRETCH))
        radius = _radius(total_chi / stretch, dchi)
        ball = Ball(
            centre_mm=_triple(position),
            radius_mm=radius,
            dchi_ppm=dchi,
            axis=_triple(direction),
            stretch=stretch,
        )
        return PhantomLesion(kind, (ball,))
    two = chance < recipe.two_balls
    radius = _radius(total_chi / 2 if two else total_chi, dchi)
    shifts = (-radius, radius) if two else (0.0,)
    centres = [_triple(position + s * direction) for s in shifts]
    return PhantomLesion(kind, tuple(Ball(centre_mm=c, radius_mm=radius, dchi_ppm=dchi) for c in centres))


def _mimic(kind: str, position: FloatArray, total_chi: float, rng: np.random.Generator) -> Ball:
    """Return the body of a mimic: an air bubble, an iron deposit, or a void without a field."""
    centre = _triple(position)
    if kind == "air":
        return Ball(centre_mm=centre, radius_mm=_radius(total_chi, AIR_PPM), dchi_ppm=AIR_PPM)
    if kind == "iron":
        dchi = float(rng.uniform(*IRON_PPM))
        return Ball(centre_mm=centre, radius_mm=_radius(total_chi, dchi), dchi_ppm=dchi, signal=IRON_SIGNAL)
    return Ball(centre_mm=centre, radius_mm=float(rng.uniform(0.8, 2.0)), dchi_ppm=0.0)


def _given(row: GivenLesion) -> PhantomLesion:
    """Return a lesion that a recipe writes out."""
    try:
        radius, dchi = float(row["radius_mm"]), float(row["dchi_ppm"])
        centre = np.asarray(row["centre_mm"], dtype=float)
    except KeyError as error:
        raise ConfigError(f"lesions.given: no {error}; expected centre_mm, radius_mm and dchi_ppm") from error
    shift = 0.5 * float(row.get("apart_mm", 0.0))
    axis = np.asarray(row.get("axis", (0.0, 0.0, 1.0)), dtype=float)
    centres = [centre - shift * axis, centre + shift * axis] if shift else [centre]
    ball = Ball(
        centre_mm=_triple(centre), radius_mm=radius, dchi_ppm=dchi, signal=float(row.get("signal", 0.0)),
        decay_hz=float(row.get("decay_hz", 0.0)),
    )  # fmt: skip
    kind = row.get("kind", "microbleed" if dchi > 0 else "calcification")
    return PhantomLesion(kind, tuple(ball._replace(centre_mm=_triple(c)) for c in centres))


def _radius(total_chi: float, dchi: float) -> float:
    """Return the radius, mm, of a ball of a total susceptibility and a contrast."""
    return float((3 * total_chi / (4 * np.pi * abs(dchi))) ** (1 / 3))


def _triple(point: FloatArray) -> tuple[float, float, float]:
    """Return a point as a tuple."""
    return float(point[0]), float(point[1]), float(point[2])


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
