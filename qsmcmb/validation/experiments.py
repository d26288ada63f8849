"""The experiments: which phantoms, scanned how. Everything random comes from a head's seed.

A head of number n is the same in all experiments but for its lesions; each session has its own pose unless the
experiment is about one thing alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from qsmcmb.phantoms.recipe import GivenLesion, LesionRecipe, Protocol, Recipe
from qsmcmb.typing import Triple
from qsmcmb.validation.phantom_dataset import HAEMATOMA

__all__ = (
    "FULL",
    "QUICK",
    "SHAPES",
    "Experiment",
    "Size",
    "all_experiments",
)

FIRST_SEED = 30000
"""Seed of the first head: none of the recipes' or tests' seeds is near, so that nothing was tuned on these heads."""
FOV_MM = (180.0, 216.0, 180.0)
"""Field of view of a full head, mm: the template with room for its pose."""
HETEROGENEITY_PPM = 0.004
"""SD of the tissue's random susceptibility, ppm: that of the recipes' heterogeneous heads."""
FIELDS = {
    "15T": (1.5, (0.008, 0.018, 0.028, 0.038), 80.0),
    "3T": (3.0, (0.005, 0.012, 0.019, 0.026), 120.0),
    "7T": (7.0, (0.004, 0.009, 0.014, 0.019), 160.0),
}
"""Session to field strength (T), echo times (s) and SNR of unit signal in 1 mm3: protocols that are usual at each."""
TE_SETS = {
    "TE10": (0.0025, 0.005, 0.0075, 0.010),
    "TE20": (0.005, 0.010, 0.015, 0.020),
    "TE40": (0.010, 0.020, 0.030, 0.040),
}
"""Session to echo times, s: the longest doubles from one to the next."""
HAEMATOMA_MM, HAEMATOMA_PPM, HAEMATOMA_DECAY_HZ = (9.0, 13.0), (0.6, 1.2), 60.0
"""Range of the radius (mm) and susceptibility (ppm), and R2* above the tissue's (1/s), of acute haematomas:
deoxygenated blood.
"""


SHAPES = {"all": 0.4, "regular": 0.0, "irregular": 1.0}
"""Mix of shapes to the fraction of microbleeds that are irregular; with calcifications it is more than a third of all
lesions.
"""
SHAPED = ("fields", "te", "voxels", "counts", "repeat")
"""Experiments with microbleeds of irregular shapes; the others are about balls."""


class _Sampling(TypedDict, total=False):
    """Keys of a protocol that say how voxels are sampled."""

    voxel_mm: Triple
    two_d: bool
    slice_gap: float
    acquired: Triple
    window: str


class _Pose(TypedDict):
    """Keys of a protocol that say how the phantom lies."""

    rotation_deg: Triple
    shift_mm: Triple
    tilt_deg: float
    tilt_y_deg: float


VOXELS: dict[str, _Sampling] = {
    "iso06": {"voxel_mm": (0.6, 0.6, 0.6)},
    "iso08": {"voxel_mm": (0.8, 0.8, 0.8)},
    "iso1": {},
    "iso2": {"voxel_mm": (2.0, 2.0, 2.0)},
    "thick": {"voxel_mm": (0.8, 0.8, 3.0), "two_d": True, "slice_gap": 0.1},
    "zerofilled": {"voxel_mm": (0.8, 0.8, 0.8), "acquired": (0.8, 0.8, 0.8), "window": "tukey"},
}
"""Session to how its voxels are sampled: isotropic from 0.6 to 2 mm, thick slices, zero-filled."""


@dataclass(frozen=True)
class Experiment:
    """Phantoms with all their sessions, and what is run on them.

    Parameters
    ----------
    name : str
        Key of the experiment.
    title : str
        One line.
    recipes : tuple of Recipe
        The phantoms.
    maps : bool, optional
        Whether the whole pipeline (maps, visible volumes, detector) runs, not only the lesion fit.

    Examples
    --------
    >>> Experiment("repeat", "One head scanned three times", ()).maps
    False
    """

    name: str
    title: str
    recipes: tuple[Recipe, ...]
    maps: bool = False


@dataclass(frozen=True)
class Size:
    """How much is simulated.

    Parameters
    ----------
    heads : int, optional
        Number of heads for accuracy and agreement over field strengths.
    side_heads : int, optional
        Number of heads for each of the other experiments.
    lesions : int, optional
        Number of lesions in each head.
    scale : float, optional
        Ratio of the heads' size to the template's; below 1 they are small and quick.

    Examples
    --------
    >>> Size(heads=2).lesions
    20
    """

    heads: int = 12
    side_heads: int = 3
    lesions: int = 20
    scale: float = 1.0


FULL = Size()
"""Size of the validation: 240 lesions, so that a 95 % interval's coverage is known to 1.4 %."""
QUICK = Size(heads=2, side_heads=1, lesions=10, scale=0.55)
"""Size of a trial run: minutes, and every experiment."""


def all_experiments(size: Size, shapes: str = "all") -> tuple[Experiment, ...]:
    """Return the experiments at a size, the most important first.

    Parameters
    ----------
    size : Size
        How much is simulated.
    shapes : {"all", "regular", "irregular"}, optional
        Which microbleeds of the experiments on lesions in heads have an irregular shape: two fifths, none, or all (and
        no lesion is a calcification).

    Returns
    -------
    tuple of Experiment
        Experiments in the order in which they are run.

    Examples
    --------
    >>> [e.name for e in all_experiments(QUICK)][:3]
    ['fields', 'te', 'voxels']
    """
    heads = [_head(n, size) for n in range(size.heads)]
    side = heads[: size.side_heads]
    # Voxels of 0.6 mm on a full head would take 12 GB.
    small = dataclasses.replace(
        size, scale=min(size.scale, QUICK.scale), lesions=min(size.lesions, QUICK.lesions)
    )
    small_heads = [_head(n, small) for n in range(size.side_heads)]
    small_voxels = ["iso08"] if size.scale < 1 else ["iso06", "iso08"]
    voxels = [*small_voxels, "iso1", "iso2", "thick", "zerofilled"]
    experiments = (
        Experiment(
            "fields", "Same heads at 1.5, 3 and 7 T, each in its own pose",
            tuple(_sessions(h, [_field(h.seed, name) for name in FIELDS]) for h in heads),
        ),
        Experiment(
            "te", "Longest echo 10 to 40 ms at 3 T, whole pipeline",
            tuple(_sessions(h, [_echoes(h.seed, name) for name in TE_SETS]) for h in side), maps=True,
        ),
        Experiment(
            "voxels", "Voxels of 0.6 to 2 mm, thick slices, zero-filled, at 3 T",
            tuple(_sessions(h, [_voxel(h.seed, name) for name in voxels]) for h in small_heads),
        ),
        Experiment(
            "counts", "Lesions of patients' sizes on thin and thick images at three field strengths, whole pipeline",
            tuple(_counts(h, size) for h in side), maps=True,
        ),
        Experiment(
            "haematomas", "Haematomas of several millilitres at 3 T, longest echo 10 to 40 ms, whole pipeline",
            tuple(_haematomas(h) for h in side), maps=True,
        ),
        Experiment("repeat", "One head scanned three times at 3 T", tuple(_repeats(h) for h in side)),
        Experiment("beads", "Glass beads of 2 to 6 mm at 1.5 T (Cheng 2015)", (_beads(),)),
        Experiment("iron", "One iron deposit at two echo times (Dixon 2009)", (_iron(),)),
        Experiment("water", "Balls in water: no clutter", tuple(_water(n) for n in range(size.side_heads))),
        Experiment("tubes", "Gadolinium in balls at 1.5, 3 and 7 T (Deh 2019)", (_gadolinium(),), maps=True),
    )  # fmt: skip
    return tuple(_shaped(e, shapes) if e.name in SHAPED else e for e in experiments)


def _shaped(experiment: Experiment, shapes: str) -> Experiment:
    """Return an experiment whose microbleeds are irregular as a mix says; seeds, places and sizes stay."""
    recipes = []
    for recipe in experiment.recipes:
        lesions = dataclasses.replace(recipe.lesions, irregular=SHAPES[shapes])
        if shapes == "irregular":
            count = lesions.microbleeds + lesions.calcifications
            lesions = dataclasses.replace(lesions, microbleeds=count, calcifications=0)
        recipes.append(dataclasses.replace(recipe, lesions=lesions))
    return dataclasses.replace(experiment, recipes=tuple(recipes))


def _head(number: int, size: Size) -> Recipe:
    """Return the head of a number, without sessions: its lesions have the sizes of the accuracy table."""
    seed = FIRST_SEED + number
    calcifications = max(1, size.lesions // 10)
    lesions = LesionRecipe(
        microbleeds=size.lesions - calcifications, calcifications=calcifications, distribution="log-uniform",
        range_ppm_mm3=(1.0, 60.0), dchi_ppm=(0.4, 3.0), ellipsoids=0.1, apart_mm=13.0, jitter_mm=1.5,
    )  # fmt: skip
    x, y, z = (4.0 * round(size.scale * f / 4) for f in FOV_MM)
    return Recipe(
        name=f"head{number:02d}", title=f"Head {number}", kind="head", tissue="uniform", seed=seed,
        subject=f"head{number:02d}", voxel_mm=1.0, fov_mm=(x, y, z), lesions=lesions, sessions=(), size=size.scale,
        heterogeneity_ppm=HETEROGENEITY_PPM,
    )  # fmt: skip


def _sessions(recipe: Recipe, sessions: list[Protocol]) -> Recipe:
    """Return a recipe with other sessions."""
    return dataclasses.replace(recipe, sessions=tuple(sessions))


def _pose(seed: int, number: int) -> _Pose:
    """Return the pose of a session of a head."""
    rng = np.random.default_rng([seed, 7, number])
    turn, shift = rng.uniform(-8, 8, 3), rng.uniform(-2.5, 2.5, 3)
    return {
        "rotation_deg": (float(turn[0]), float(turn[1]), float(turn[2])),
        "shift_mm": (float(shift[0]), float(shift[1]), float(shift[2])),
        "tilt_deg": float(rng.uniform(-15, 15)),
        "tilt_y_deg": float(rng.uniform(-5, 5)),
    }


def _field(seed: int, name: str) -> Protocol:
    """Return the session of a head at a field strength."""
    b0, te_s, snr = FIELDS[name]
    return dataclasses.replace(
        Protocol(label=name, b0_tesla=b0, te_s=te_s, snr=snr, snr_per_mm3=True),
        **_pose(seed, list(FIELDS).index(name)),
    )


def _echoes(seed: int, name: str) -> Protocol:
    """Return the session of a head at 3 T with other echo times."""
    return dataclasses.replace(_field(seed, "3T"), label=name, te_s=TE_SETS[name])


def _voxel(seed: int, name: str) -> Protocol:
    """Return the session of a head at 3 T with other voxels."""
    pose = _pose(seed, 10 + list(VOXELS).index(name))
    return dataclasses.replace(_field(seed, "3T"), label=name, **pose, **VOXELS[name])


def _counts(head: Recipe, size: Size) -> Recipe:
    """Return a head with lesions of patients' sizes, on thin and on thick images."""
    lesions = LesionRecipe(
        microbleeds=size.lesions, range_ppm_mm3=(0.3, 60.0), dchi_ppm=(0.4, 3.0), apart_mm=11.0, jitter_mm=1.5
    )
    thick = dataclasses.replace(
        _field(head.seed, "15T"), label="thick15T", te_s=(0.025,), voxel_mm=(1.0, 1.0, 5.0), two_d=True,
        slice_gap=0.2,
    )  # fmt: skip
    protocols = [*(_field(head.seed, name) for name in FIELDS), thick]
    return dataclasses.replace(_sessions(head, protocols), lesions=lesions)


def _haematomas(head: Recipe) -> Recipe:
    # Where hypertension makes most: the putamen and the white matter around it, one in each hemisphere.
    """Return a head with two haematomas, at three longest echo times."""
    rng = np.random.default_rng([head.seed, 30])
    rows: list[GivenLesion] = []
    for side in (-1.0, 1.0):
        centre = head.size * (np.array([26.0 * side, 3.0, 4.0]) + rng.uniform(-2, 2, 3))
        radius, dchi = head.size * rng.uniform(*HAEMATOMA_MM), rng.uniform(*HAEMATOMA_PPM)
        rows.append(
            {"centre_mm": (centre[0], centre[1], centre[2]), "radius_mm": radius, "dchi_ppm": dchi,
             "kind": HAEMATOMA, "signal": 1.0, "decay_hz": HAEMATOMA_DECAY_HZ}
        )  # fmt: skip
    lesions = LesionRecipe(distribution="given", given=tuple(rows))
    return dataclasses.replace(
        _sessions(head, [_echoes(head.seed, name) for name in TE_SETS]), lesions=lesions
    )


def _repeats(head: Recipe) -> Recipe:
    """Return a head in three sessions that differ by pose and noise alone."""
    poses = [_pose(head.seed, 20 + n) for n in range(3)]
    base = _field(head.seed, "3T")
    return _sessions(
        head, [dataclasses.replace(base, label=f"scan{n + 1}", **pose) for n, pose in enumerate(poses)]
    )


def _given(name: str, title: str, rows: list[GivenLesion], sessions: list[Protocol]) -> Recipe:
    """Return a recipe of balls in water that are written out."""
    lesions = LesionRecipe(distribution="given", given=tuple(rows))
    return Recipe(
        name=name,
        title=title,
        kind="spheres",
        seed=31,
        subject=name,
        voxel_mm=1.0,
        fov_mm=(96.0, 96.0, 80.0),
        lesions=lesions,
        sessions=tuple(sessions),
    )


def _lattice(count: int, apart_mm: float) -> list[tuple[float, float, float]]:
    """Return positions on a small lattice turned out of the voxels' axes."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    near = steps[np.argsort((steps**2).sum(axis=1), kind="stable")][:count]
    points = apart_mm * near + np.array([[0.31, -0.17, 0.43]]) * np.arange(count)[:, None] / max(count, 1)
    return [(float(p[0]), float(p[1]), float(p[2])) for p in points]


def _beads() -> Recipe:
    """Return glass beads of 2 to 6 mm diameter at 1.5 T."""
    radii = (1.0, 1.5, 2.0, 2.5, 3.0)
    rows: list[GivenLesion] = [
        {"centre_mm": p, "radius_mm": r, "dchi_ppm": -1.8, "kind": "calcification"}
        for p, r in zip(_lattice(len(radii), 20.0), radii, strict=True)
    ]
    sessions = [
        Protocol(label="15T", b0_tesla=1.5, te_s=(0.005, 0.010, 0.015, 0.020), snr=80.0, tilt_deg=8.0)
    ]
    return _given("beads", "Glass beads in gel", rows, sessions)


def _iron() -> Recipe:
    """Return one iron deposit at two echo times."""
    rows: list[GivenLesion] = [{"centre_mm": (0.4, -0.3, 0.2), "radius_mm": 0.6, "dchi_ppm": 20.0}]
    sessions = [
        Protocol(label="TE10", b0_tesla=3.0, te_s=(0.0098,), snr=100.0),
        Protocol(label="TE25", b0_tesla=3.0, te_s=(0.025,), snr=100.0),
    ]
    return _given("iron", "Iron deposit", rows, sessions)


def _water(number: int) -> Recipe:
    """Return balls in water at 3 T."""
    lesions = LesionRecipe(
        microbleeds=10, distribution="log-uniform", range_ppm_mm3=(1.0, 60.0), two_balls=0.0, apart_mm=17.0,
        jitter_mm=1.0,
    )  # fmt: skip
    sessions = (dataclasses.replace(_field(number, "3T"), shift_mm=(0.0, 0.0, 0.0)),)
    return Recipe(
        name=f"water{number}", title="Balls in water", kind="spheres", seed=60 + number, subject=f"water{number}",
        voxel_mm=1.0, fov_mm=(96.0, 96.0, 96.0), lesions=lesions, sessions=sessions,
    )  # fmt: skip


def _gadolinium() -> Recipe:
    # 4 mm balls of solutions of 0.26 to 3.56 ppm, whose signal stays.
    """Return balls of gadolinium solutions at three field strengths."""
    strengths = (0.26, 0.52, 0.89, 1.78, 3.56)
    rows: list[GivenLesion] = [
        {"centre_mm": p, "radius_mm": 4.0, "dchi_ppm": c, "kind": "iron", "signal": 1.0}
        for p, c in zip(_lattice(len(strengths), 20.0), strengths, strict=True)
    ]
    # Echoes that no field strength wraps between.
    sessions = [
        Protocol(label=name, b0_tesla=b0, te_s=tuple(n * 0.0036 / b0 for n in (1, 2, 3, 4)), snr=snr)
        for name, (b0, _, snr) in FIELDS.items()
    ]
    return _given("gadolinium", "Gadolinium in water", rows, sessions)
