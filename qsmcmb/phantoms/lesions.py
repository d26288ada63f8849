"""Lesions of a phantom: balls, or two touching balls, with an analytic field outside and inside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.phantoms.recipe import LesionRecipe
from qsmcmb.typing import FloatArray

DCHI_PPM = (0.6, 3.0)
TWO_BALLS = 0.25
"""Part of the lesions that are two touching balls."""
APART_MM = 15.0


class Ball(NamedTuple):
    """Centre (head mm), radius (mm), and susceptibility against its surroundings (ppm)."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    dchi_ppm: float

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Volume times contrast."""
        return 4 / 3 * np.pi * self.radius_mm**3 * self.dchi_ppm


class PhantomLesion(NamedTuple):
    """One lesion: its kind and its balls."""

    kind: str
    balls: tuple[Ball, ...]

    @property
    def total_chi_ppm_mm3(self) -> float:
        """Total susceptibility of the truth."""
        return float(sum(b.total_chi_ppm_mm3 for b in self.balls))

    @property
    def centre_mm(self) -> FloatArray:
        """Middle of the balls, weighted by total susceptibility, head mm."""
        weights = np.array([abs(b.total_chi_ppm_mm3) for b in self.balls])
        centres = np.array([b.centre_mm for b in self.balls])
        return np.asarray(weights @ centres / weights.sum())


def draw_lesions(
    recipe: LesionRecipe, places_mm: FloatArray, rng: np.random.Generator
) -> tuple[PhantomLesion, ...]:
    """Draw the lesions of a phantom.

    Parameters
    ----------
    recipe : LesionRecipe
        How many and how strong.
    places_mm : ndarray of shape (n, 3)
        Where lesions may lie, head mm; taken at random, at least 15 mm apart.
    rng : Generator
        Seeded.
    """
    kinds = ["microbleed"] * recipe.microbleeds + ["calcification"] * recipe.calcifications
    lesions: list[PhantomLesion] = []
    order = iter(rng.permutation(len(places_mm)))
    for kind in kinds:
        while True:
            place = places_mm[next(order)]
            if all(np.linalg.norm(place - other.centre_mm) > APART_MM for other in lesions):
                break
        lesions.append(_draw(kind, place, recipe, rng))
    return tuple(lesions)


def _draw(kind: str, place: FloatArray, recipe: LesionRecipe, rng: np.random.Generator) -> PhantomLesion:
    low, high = recipe.range_ppm_mm3
    moment = 0.0
    while not low <= moment <= high:
        moment = recipe.median_ppm_mm3 * float(np.exp(recipe.sigma_ln * rng.standard_normal()))
    dchi = float(np.exp(rng.uniform(*np.log(DCHI_PPM))))
    sign = 1.0 if kind == "microbleed" else -1.0
    direction = rng.standard_normal(3)
    direction = direction / np.linalg.norm(direction)
    two = rng.random() < TWO_BALLS
    share = moment / 2 if two else moment
    radius = float((3 * share / (4 * np.pi * dchi)) ** (1 / 3))
    shifts = (-radius, radius) if two else (0.0,)
    balls = tuple(Ball(_triple(place + s * direction), radius, sign * dchi) for s in shifts)
    return PhantomLesion(kind, balls)


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
