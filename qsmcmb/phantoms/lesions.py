"""Lesions of a phantom: balls, pairs of balls and ellipsoids with the exact field of dipoles outside, and mimics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import roots_jacobi

from qsmcmb.errors import ConfigError
from qsmcmb.phantoms.recipe import LesionRecipe
from qsmcmb.typing import FloatArray

STRETCH = (1.3, 2.0)
AIR_PPM = 9.4
IRON_PPM = (0.1, 0.25)
IRON_SIGNAL = 0.7
FOCAL_POINTS = 8
"""Dipoles on the focal line of an ellipsoid."""


class Ball(NamedTuple):
    """A ball, or a prolate ellipsoid where `stretch` is above 1.

    Centre (head mm), radius (mm; across), susceptibility against its surroundings (ppm), direction of the long axis,
    length over width, the signal inside over that of the tissue at TE 0, and R2* inside above the tissue's (1/s).
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
        """Volume times contrast."""
        return 4 / 3 * np.pi * self.radius_mm**3 * self.stretch * self.dchi_ppm

    def dipoles(self) -> FloatArray:
        """Return dipoles (n, 4) with the body's field outside it: ppm mm3 and place relative to its centre (mm).

        A uniform prolate ellipsoid attracts like its focal line with a density of 1 - s^2: Gauss' nodes for that.
        """
        if self.stretch == 1:
            return np.array([[self.total_chi_ppm_mm3, 0.0, 0.0, 0.0]])
        nodes, density = roots_jacobi(FOCAL_POINTS, 1, 1)
        focus = self.radius_mm * np.sqrt(self.stretch**2 - 1)
        parts = density / density.sum()
        return np.column_stack([self.total_chi_ppm_mm3 * parts, focus * np.outer(nodes, self.axis)])


class PhantomLesion(NamedTuple):
    """One lesion: its kind and its bodies."""

    kind: str
    balls: tuple[Ball, ...]

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Total susceptibility of the truth."""
        return float(sum(b.total_chi_ppm_mm3 for b in self.balls))

    @property
    def centre_mm(self) -> FloatArray:
        """Middle of the bodies, weighted by volume, head mm."""
        weights = np.array([b.radius_mm**3 * b.stretch for b in self.balls])
        centres = np.array([b.centre_mm for b in self.balls])
        return np.asarray(weights @ centres / weights.sum())

    @property
    def shape(self) -> str:
        """``sphere``, ``two`` or ``ellipsoid``."""
        if len(self.balls) > 1:
            return "two"
        return "sphere" if self.balls[0].stretch == 1 else "ellipsoid"


def draw_lesions(
    recipe: LesionRecipe, places_mm: FloatArray, rng: np.random.Generator
) -> tuple[PhantomLesion, ...]:
    """Draw the lesions of a phantom.

    Parameters
    ----------
    recipe : LesionRecipe
        How many, how strong, how far apart.
    places_mm : ndarray of shape (n, 3)
        Where lesions may lie, head mm; taken at random.
    rng : Generator
        Seeded.

    Raises
    ------
    ConfigError
        There is no room for so many.
    """
    if recipe.distribution == "given":
        return tuple(_given(row) for row in recipe.given)
    kinds = [
        *["microbleed"] * recipe.microbleeds, *["calcification"] * recipe.calcifications, *["iron"] * recipe.iron,
        *["air"] * recipe.air, *["flow-void"] * recipe.flow_voids,
    ]  # fmt: skip
    lesions: list[PhantomLesion] = []
    order = iter(rng.permutation(len(places_mm)))
    for number, kind in enumerate(kinds):
        while True:
            index = next(order, None)
            if index is None:
                raise ConfigError(
                    f"lesions: {len(kinds)} do not fit {recipe.apart_mm:g} mm apart; expected fewer or closer"
                )
            place = places_mm[index]
            if all(np.linalg.norm(place - other.centre_mm) > recipe.apart_mm for other in lesions):
                break
        if recipe.jitter_mm:
            place = place + rng.uniform(-recipe.jitter_mm, recipe.jitter_mm, 3)
        lesions.append(_draw(kind, place, _moment(recipe, number, len(kinds), rng), recipe, rng))
    return tuple(lesions)


def _moment(recipe: LesionRecipe, number: int, count: int, rng: np.random.Generator) -> float:
    low, high = recipe.range_ppm_mm3
    if recipe.distribution == "series":
        return float(low * (high / low) ** (number / max(count - 1, 1)))
    if recipe.distribution == "log-uniform":
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    moment = 0.0
    while not low <= moment <= high:
        moment = recipe.median_ppm_mm3 * float(np.exp(recipe.sigma_ln * rng.standard_normal()))
    return moment


def _draw(
    kind: str, place: FloatArray, moment: float, recipe: LesionRecipe, rng: np.random.Generator
) -> PhantomLesion:
    dchi = float(np.exp(rng.uniform(*np.log(recipe.dchi_ppm))))
    direction = rng.standard_normal(3)
    direction = direction / np.linalg.norm(direction)
    chance = rng.random()
    if kind in ("iron", "air", "flow-void"):
        return PhantomLesion(kind, (_mimic(kind, place, moment, rng),))
    dchi = dchi if kind == "microbleed" else -dchi
    if recipe.two_balls <= chance < recipe.two_balls + recipe.ellipsoids:
        stretch = float(rng.uniform(*STRETCH))
        radius = _radius(moment / stretch, dchi)
        return PhantomLesion(kind, (Ball(_triple(place), radius, dchi, _triple(direction), stretch),))
    two = chance < recipe.two_balls
    radius = _radius(moment / 2 if two else moment, dchi)
    shifts = (-radius, radius) if two else (0.0,)
    return PhantomLesion(kind, tuple(Ball(_triple(place + s * direction), radius, dchi) for s in shifts))


def _mimic(kind: str, place: FloatArray, moment: float, rng: np.random.Generator) -> Ball:
    if kind == "air":
        return Ball(_triple(place), _radius(moment, AIR_PPM), AIR_PPM)
    if kind == "iron":
        dchi = float(rng.uniform(*IRON_PPM))
        return Ball(_triple(place), _radius(moment, dchi), dchi, signal=IRON_SIGNAL)
    return Ball(_triple(place), float(rng.uniform(0.8, 2.0)), 0.0)


def _given(row: dict[str, object]) -> PhantomLesion:
    """Return a lesion from a recipe's own words; `apart_mm` and `axis` make two balls of it."""
    try:
        radius, dchi = float(str(row["radius_mm"])), float(str(row["dchi_ppm"]))
        place = np.asarray(row["centre_mm"], dtype=float)
    except KeyError as error:
        raise ConfigError(f"lesions.given: no {error}; expected centre_mm, radius_mm and dchi_ppm") from error
    shift = 0.5 * float(str(row.get("apart_mm", 0.0)))
    axis = np.asarray(row.get("axis", (0.0, 0.0, 1.0)), dtype=float)
    places = [place - shift * axis, place + shift * axis] if shift else [place]
    kind = str(row.get("kind", "microbleed" if dchi > 0 else "calcification"))
    signal, decay_hz = (float(str(row.get(name, 0.0))) for name in ("signal", "decay_hz"))
    return PhantomLesion(
        kind, tuple(Ball(_triple(p), radius, dchi, signal=signal, decay_hz=decay_hz) for p in places)
    )


def _radius(moment: float, dchi: float) -> float:
    return float((3 * moment / (4 * np.pi * abs(dchi))) ** (1 / 3))


def _triple(point: FloatArray) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def ball_field(offset_mm: FloatArray, ball: Ball, b0_dir: FloatArray) -> FloatArray:
    """Return the field (ppm) of a ball at (3, ...) offsets from its centre; inside it is uniform 0 (Lorentz)."""
    r2 = (offset_mm**2).sum(axis=0)
    along = np.tensordot(b0_dir, offset_mm, axes=1)
    outside = r2 > ball.radius_mm**2
    safe = np.where(outside, r2, 1.0)
    field = ball.total_chi_ppm_mm3 * (3 * along**2 / safe - 1) / (4 * np.pi * safe**1.5)
    return np.where(outside, field, 0.0)
