"""Irregular shapes of microbleeds, each made of balls.

========== ============================================================================================================
shape      body
========== ============================================================================================================
cluster    3 to 7 overlapping balls of one radius, each beside an earlier one
tube       overlapping balls along an arc, 2 to 3 times as long as wide: a stretch of a vessel's wall
shell      a dark rim of haemosiderin around a paler core that keeps part of its signal
slit       seven balls in a disc, 2 to 3 times as wide as thick: what a resorbed bleed leaves
diffuse    susceptibility that falls off smoothly from the centre, bright inside, with a decay in proportion to it
unequal    two balls of different radius, contrast and decay that overlap or touch
mixed      iron beside calcium: a paramagnetic and a diamagnetic ball that touch
========== ============================================================================================================

Where bodies overlap their contrasts add, and the signal is that of the first listed: bodies are listed from the inside
out. Shapes are made in any size, with contrasts against each other, and then scaled to the total susceptibility and the
mean contrast that a recipe asks for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.typing import FloatArray, Triple

__all__ = ("irregular_lesion",)

MAX_LENGTH_MM = 10.0
"""Largest length, mm: that of what is called a microbleed (Greenberg 2009, doi:10.1016/S1474-4422(09)70013-4). A longer
body is made smaller at a higher contrast.
"""
RELAXIVITY_HZ_PER_T_PPM = (46.0, 108.0)
"""Range of R2* per field strength and susceptibility in bright bodies, 1/s per T and ppm. Its lower end is that of
tissue's iron, 137 1/s per ppm at 3 T (Shin 2021, doi:10.1016/j.neuroimage.2021.118371); its upper end that of static
dephasing around scattered grains, 2 pi / (9 sqrt 3) of gamma times 2 pi (Yablonskiy and Haacke 1994,
doi:10.1002/mrm.1910320610): the signal that one small lesion takes away.
"""
CLUSTER_BALLS = (3, 7)
"""Least and largest number of balls of a cluster."""
CLUSTER_STEP = (0.8, 1.6)
"""Range of the distance of a ball of a cluster from its neighbour, radii."""
ASPECT = (2.0, 3.0)
"""Range of the ratio of length to width of tubes and slits; no shape's is above the upper end."""
TUBE_STEP = 0.8
"""Largest distance of the balls of a tube, radii: its surface is smooth to 8 % of the radius."""
TUBE_TURN_RAD = (0.5, 2.5)
"""Range of the angle by which a tube turns over its length, rad: from all but straight to a hook."""
CORE_RADIUS, CORE_CHI, CORE_SIGNAL = (0.5, 0.8), (0.0, 0.4), (0.3, 0.9)
"""Ranges of a shell's core: radius and susceptibility as ratios to the rim's, signal at TE 0 to the tissue's."""
CORE_DECAY_HZ = (0.0, 40.0)
"""Range of the R2* of a shell's core above the tissue's and beside its iron's, 1/s."""
DIFFUSE_BALLS = 5
"""Balls of a diffuse body."""
RADIUS_RATIO = (1.3, 2.2)
"""Range of the ratio of the radii of two unequal balls."""
CONTRAST_RATIO = (0.4, 2.5)
"""Range of the ratio of the contrasts of two unequal balls, log-uniform: smaller over larger ball."""
UNEQUAL_NEARNESS = (0.7, 1.0)
"""Range of the distance of two unequal balls over the sum of their radii."""
UNEQUAL_SIGNAL = (0.0, 0.8)
"""Range of the signal at TE 0 inside each of two unequal balls, over the tissue's."""
CALCIUM_FRACTION = (0.2, 0.5)
"""Range of the ratio of calcium's total susceptibility to iron's in absolute value."""
CALCIUM_CONTRAST = (0.5, 1.5)
"""Range of the ratio of calcium's contrast to iron's in absolute value."""


def irregular_lesion(
    shape: str,
    position_mm: FloatArray,
    *,
    total_chi_ppm_mm3: float,
    dchi_ppm: float,
    rng: np.random.Generator,
) -> PhantomLesion:
    """Return a microbleed of an irregular shape, turned at random.

    Parameters
    ----------
    shape : str
        One of `qsmcmb.phantoms.recipe.IRREGULAR_SHAPES`.
    position_mm : ndarray of shape (3,)
        Centre of the bodies, weighted by volume, head mm.
    total_chi_ppm_mm3 : float
        Total susceptibility, ppm mm3, > 0: the sum over its bodies, of either sign.
    dchi_ppm : float
        Mean contrast, ppm, > 0: the integral of the absolute susceptibility over the bodies' volume, of which one
        inside another does not count. Higher where the body would be longer than 10 mm.
    rng : Generator
        Seeded.

    Returns
    -------
    PhantomLesion
        The lesion.

    Examples
    --------
    >>> lesion = irregular_lesion(
    ...     "tube", np.zeros(3), total_chi_ppm_mm3=5.0, dchi_ppm=1.0, rng=np.random.default_rng(1)
    ... )
    >>> lesion.shape, round(lesion.total_chi_ppm_mm3, 6)
    ('tube', 5.0)
    """
    made = PhantomLesion("microbleed", tuple(MAKERS[shape](rng)), form=shape)
    size = (
        total_chi_ppm_mm3 * made.total_abs_ppm_mm3 / made.total_chi_ppm_mm3 / dchi_ppm / made.volume_mm3
    ) ** (1 / 3)
    size = min(size, MAX_LENGTH_MM / made.length_mm)
    contrast = total_chi_ppm_mm3 / (made.total_chi_ppm_mm3 * size**3)
    turn = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    return made._replace(
        balls=tuple(
            b._replace(
                centre_mm=_triple(position_mm + size * turn @ (np.array(b.centre_mm) - made.centre_mm)),
                radius_mm=size * b.radius_mm,
                dchi_ppm=contrast * b.dchi_ppm,
                decay_hz_per_tesla=contrast * b.decay_hz_per_tesla,
            )
            for b in made.balls
        )
    )


def _cluster(rng: np.random.Generator) -> list[Ball]:
    """Return a cluster: each next ball beside a random earlier one, in all no longer than ASPECT allows."""
    count = int(rng.integers(CLUSTER_BALLS[0], CLUSTER_BALLS[1], endpoint=True))
    centres = [np.zeros(3)]
    while len(centres) < count:
        step = rng.standard_normal(3)
        step *= rng.uniform(*CLUSTER_STEP) / np.linalg.norm(step)
        centre = centres[int(rng.integers(len(centres)))] + step
        if max(np.linalg.norm(centre - c) for c in centres) <= 2 * (ASPECT[1] - 1):
            centres.append(centre)
    return [_unit_ball(c) for c in centres]


def _tube(rng: np.random.Generator) -> list[Ball]:
    """Return a tube: balls evenly along an arc whose length makes the aspect."""
    length, angle = 2 * (rng.uniform(*ASPECT) - 1), rng.uniform(*TUBE_TURN_RAD)
    count = int(np.ceil(length / TUBE_STEP)) + 1
    turn = np.linspace(-angle / 2, angle / 2, count)
    curvature_mm = length / angle
    return [
        _unit_ball(np.array([curvature_mm * np.sin(t), curvature_mm * (1 - np.cos(t)), 0.0])) for t in turn
    ]


def _slit(rng: np.random.Generator) -> list[Ball]:
    """Return a slit: a ball and six around it in a plane, which overlap or touch."""
    distance = rng.uniform(*ASPECT) - 1
    angles = np.arange(6) * np.pi / 3
    ring = [np.array([distance * np.cos(a), distance * np.sin(a), 0.0]) for a in angles]
    return [_unit_ball(c) for c in (np.zeros(3), *ring)]


def _shell(rng: np.random.Generator) -> list[Ball]:
    """Return a shell: the core first, whose body takes away what its susceptibility lacks to the rim's."""
    radius, chi = rng.uniform(*CORE_RADIUS), rng.uniform(*CORE_CHI)
    core = _unit_ball(np.zeros(3))._replace(
        radius_mm=float(radius), dchi_ppm=float(chi - 1), signal=float(rng.uniform(*CORE_SIGNAL)),
        decay_hz=float(rng.uniform(*CORE_DECAY_HZ)),
        decay_hz_per_tesla=float(chi * rng.uniform(*RELAXIVITY_HZ_PER_T_PPM)),
    )  # fmt: skip
    return [core, _unit_ball(np.zeros(3))]


def _diffuse(rng: np.random.Generator) -> list[Ball]:
    """Return a diffuse body: susceptibility in steps of (1 - r^2)^2, the innermost ball first."""
    relaxivity = rng.uniform(*RELAXIVITY_HZ_PER_T_PPM)
    middle = (np.arange(DIFFUSE_BALLS) + 0.5) / DIFFUSE_BALLS
    local = (1 - middle**2) ** 2
    steps = local - np.append(local[1:], 0.0)
    return [
        _unit_ball(np.zeros(3))._replace(
            radius_mm=(n + 1) / DIFFUSE_BALLS, dchi_ppm=float(steps[n]), signal=1.0,
            decay_hz_per_tesla=float(relaxivity * local[n]),
        )
        for n in range(DIFFUSE_BALLS)
    ]  # fmt: skip


def _unequal(rng: np.random.Generator) -> list[Ball]:
    """Return two unequal balls, the larger first."""
    small = 1 / rng.uniform(*RADIUS_RATIO)
    away = (1 + small) * rng.uniform(*UNEQUAL_NEARNESS)
    chi = np.exp(rng.uniform(*np.log(CONTRAST_RATIO)))
    return [
        _unit_ball(np.array([x, 0.0, 0.0]))._replace(
            radius_mm=float(radius), dchi_ppm=float(c), signal=float(rng.uniform(*UNEQUAL_SIGNAL)),
            decay_hz_per_tesla=float(c * rng.uniform(*RELAXIVITY_HZ_PER_T_PPM)),
        )
        for x, radius, c in ((0.0, 1.0, 1.0), (away, small, chi))
    ]  # fmt: skip


def _mixed(rng: np.random.Generator) -> list[Ball]:
    """Return a dark ball of iron and one of calcium that touches it."""
    contrast = rng.uniform(*CALCIUM_CONTRAST)
    radius = (rng.uniform(*CALCIUM_FRACTION) / contrast) ** (1 / 3)
    calcium = _unit_ball(np.array([1 + radius, 0.0, 0.0]))
    return [
        _unit_ball(np.zeros(3)),
        calcium._replace(radius_mm=float(radius), dchi_ppm=-float(contrast)),
    ]


def _unit_ball(centre: FloatArray) -> Ball:
    """Return a dark ball of radius and contrast 1."""
    return Ball(centre_mm=_triple(centre), radius_mm=1.0, dchi_ppm=1.0)


def _triple(point: FloatArray) -> Triple:
    """Return a point as a tuple."""
    return float(point[0]), float(point[1]), float(point[2])


MAKERS: dict[str, Callable[[np.random.Generator], list[Ball]]] = {
    "cluster": _cluster,
    "tube": _tube,
    "shell": _shell,
    "slit": _slit,
    "diffuse": _diffuse,
    "unequal": _unequal,
    "mixed": _mixed,
}
"""Shape to what makes it, in any size and place."""
