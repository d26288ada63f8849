"""Lesions drawn by a recipe: how many of which kind, size and shape, and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.errors import ConfigError
from qsmcmb.phantoms.anatomy import AIR_PPM, NucleusPair
from qsmcmb.phantoms.irregular import irregular_lesion
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.recipe import GivenLesion, LesionRecipe
from qsmcmb.typing import FloatArray

__all__ = ("draw_lesions",)

STRETCH = (1.3, 2.0)
"""Range of the ratio of length to width of ellipsoids: from hardly longer than a ball to twice as long."""
IRON_PPM = (0.1, 0.25)
"""Range of the susceptibility of iron deposits above what is around them, ppm: up to twice that of the deep nuclei."""
OTHER_SIDE = (0.6, 1.4)
"""Range of the ratio of a deposit's total susceptibility to that on the other side."""
IRON_SIGNAL = 0.7
"""Ratio of the signal inside iron deposits to that of the tissue: they darken little beside their decay."""


def draw_lesions(
    recipe: LesionRecipe,
    positions_mm: FloatArray,
    rng: np.random.Generator,
    nuclei: Sequence[NucleusPair] = (),
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
    nuclei : sequence of NucleusPair, optional
        Where iron deposits lie, on both sides; without any, iron lies where lesions do.

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
    irregular = _irregular_shapes(recipe, rng)
    lesions: list[PhantomLesion] = []
    order = iter(rng.permutation(len(positions_mm)))
    free_nuclei = [nuclei[i] for i in rng.permutation(len(nuclei))] if recipe.iron else []
    for number, kind in enumerate(kinds):
        if kind == "iron" and nuclei:
            pair = _take_free(free_nuclei, lesions, recipe)
            lesions += _deposits(pair, _total_chi(recipe, number, len(kinds), rng), rng)
            continue
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
        total_chi = _total_chi(recipe, number, len(kinds), rng)
        lesion = _draw(kind, position, total_chi, recipe, rng)
        if number in irregular:
            shape, own = irregular[number]
            dchi = lesion.balls[0].dchi_ppm
            lesion = irregular_lesion(shape, position, total_chi_ppm_mm3=total_chi, dchi_ppm=dchi, rng=own)
        lesions.append(lesion)
    return tuple(lesions)


def _take_free(
    nuclei: list[NucleusPair], lesions: Sequence[PhantomLesion], recipe: LesionRecipe
) -> NucleusPair:
    """Remove and return the first of the nuclei that lies apart from the lesions; else that farthest from them."""
    if not nuclei:
        raise ConfigError(f"lesions: found {recipe.iron} for iron; expected no more than the head has nuclei")
    others = [m.centre_mm for m in lesions if m.kind != "iron"]
    away = [
        min((np.linalg.norm(pair.centres_mm - other, axis=1).min() for other in others), default=np.inf)
        for pair in nuclei
    ]
    apart = [number for number, distance in enumerate(away) if distance > recipe.apart_mm]
    return nuclei.pop(apart[0] if apart else int(np.argmax(away)))


def _deposits(pair: NucleusPair, total_chi: float, rng: np.random.Generator) -> list[PhantomLesion]:
    """Return the iron deposits of a nucleus on both sides: not larger than it, alike but not the same."""
    totals = (total_chi, total_chi * float(rng.uniform(*OTHER_SIDE)))
    deposits = []
    for side, total in zip(rng.permutation(2), totals, strict=True):
        ball = _mimic("iron", pair.centres_mm[side], total, rng)
        ball = ball._replace(radius_mm=min(ball.radius_mm, pair.radius_mm))
        shift = rng.standard_normal(3)
        reach = (pair.radius_mm - ball.radius_mm) * rng.random() / np.linalg.norm(shift)
        centre = _triple(pair.centres_mm[side] + reach * shift)
        deposits.append(PhantomLesion("iron", (ball._replace(centre_mm=centre),)))
    return deposits


def _irregular_shapes(
    recipe: LesionRecipe, rng: np.random.Generator
) -> dict[int, tuple[str, np.random.Generator]]:
    """Return shape and generator of each microbleed, by its number, that is irregular; nothing is drawn from `rng`."""
    count = round(recipe.irregular * recipe.microbleeds)
    if not count:
        return {}
    first, *own = rng.spawn(1 + count)
    shapes = first.permutation(recipe.irregular_shapes)
    numbers = first.permutation(recipe.microbleeds)[:count]
    return {int(n): (str(shapes[i % len(shapes)]), own[i]) for i, n in enumerate(numbers)}


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
