"""The experiments: which phantoms, scanned how. Everything random comes from a head's seed.

A head of number n is the same in all experiments but for its lesions; each session has its own pose unless the
experiment is about one thing alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.validation.phantom_dataset import HAEMATOMA

FIRST_SEED = 30000
"""Heads of the validation; none of the recipes' or tests' seeds is near."""
FOV_MM = (180.0, 216.0, 180.0)
TEXTURE_PPM = 0.004
FIELDS = {
    "15T": (1.5, (0.008, 0.018, 0.028, 0.038), 80.0),
    "3T": (3.0, (0.005, 0.012, 0.019, 0.026), 120.0),
    "7T": (7.0, (0.004, 0.009, 0.014, 0.019), 160.0),
}
"""Field strength (T), echo times (s), SNR of unit signal in 1 mm3."""
TE_SETS = {
    "TE10": (0.0025, 0.005, 0.0075, 0.010),
    "TE20": (0.005, 0.010, 0.015, 0.020),
    "TE40": (0.010, 0.020, 0.030, 0.040),
}
HAEMATOMA_MM, HAEMATOMA_PPM, HAEMATOMA_DECAY_HZ = (9.0, 13.0), (0.6, 1.2), 60.0
"""Radius, susceptibility and R2* above the tissue's of acute haematomas: deoxygenated blood."""
VOXELS: dict[str, dict[str, Any]] = {
    "iso06": {"voxel_mm": (0.6, 0.6, 0.6)},
    "iso08": {"voxel_mm": (0.8, 0.8, 0.8)},
    "iso1": {},
    "iso2": {"voxel_mm": (2.0, 2.0, 2.0)},
    "thick": {"voxel_mm": (0.8, 0.8, 3.0), "two_d": True, "slice_gap": 0.1},
    "zerofilled": {"voxel_mm": (0.8, 0.8, 0.8), "acquired": (0.8, 0.8, 0.8), "window": "tukey"},
}


@dataclass(frozen=True)
class Experiment:
    """Phantoms with all their sessions, and whether the whole pipeline (maps, visible volumes, detector) runs."""

    name: str
    title: str
    recipes: tuple[Recipe, ...]
    maps: bool = False


@dataclass(frozen=True)
class Size:
    """How much is simulated.

    Parameters
    ----------
    heads : int
        For accuracy and agreement over field strengths.
    side_heads : int
        For each of the other experiments.
    lesions : int
        In each head.
    scale : float
        Size of the heads; below 1 they are small and quick.
    """

    heads: int = 12
    side_heads: int = 3
    lesions: int = 20
    scale: float = 1.0


FULL = Size()
QUICK = Size(heads=2, side_heads=1, lesions=10, scale=0.55)


def all_experiments(size: Size) -> tuple[Experiment, ...]:
    """Return the experiments at a size, the most telling first.

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
    return (
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


def _head(number: int, size: Size) -> Recipe:
    seed = FIRST_SEED + number
    calcifications = max(1, size.lesions // 10)
    lesions = LesionRecipe(
        microbleeds=size.lesions - calcifications, calcifications=calcifications, distribution="log-uniform",
        range_ppm_mm3=(1.0, 60.0), dchi_ppm=(0.4, 3.0), ellipsoids=0.1, apart_mm=13.0, jitter_mm=1.5,
    )  # fmt: skip
    x, y, z = (4.0 * round(size.scale * f / 4) for f in FOV_MM)
    return Recipe(
        f"head{number:02d}", f"Head {number}", "head", seed, f"head{number:02d}", 1.0, (x, y, z), lesions, (),
        size=size.scale, texture_ppm=TEXTURE_PPM,
    )  # fmt: skip


def _sessions(recipe: Recipe, sessions: list[Protocol]) -> Recipe:
    return dataclasses.replace(recipe, sessions=tuple(sessions))


def _pose(seed: int, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 7, number])
    turn, shift = rng.uniform(-8, 8, 3), rng.uniform(-2.5, 2.5, 3)
    return {
        "rotation_deg": (float(turn[0]), float(turn[1]), float(turn[2])),
        "shift_mm": (float(shift[0]), float(shift[1]), float(shift[2])),
        "tilt_deg": float(rng.uniform(-15, 15)),
        "tilt_y_deg": float(rng.uniform(-5, 5)),
    }


def _field(seed: int, name: str) -> Protocol:
    b0, te_s, snr = FIELDS[name]
    return dataclasses.replace(
        Protocol(name, b0, te_s, snr, snr_per_mm3=True), **_pose(seed, list(FIELDS).index(name))
    )


def _echoes(seed: int, name: str) -> Protocol:
    return dataclasses.replace(_field(seed, "3T"), label=name, te_s=TE_SETS[name])


def _voxel(seed: int, name: str) -> Protocol:
    pose = _pose(seed, 10 + list(VOXELS).index(name))
    return dataclasses.replace(_field(seed, "3T"), label=name, **pose, **VOXELS[name])


def _counts(head: Recipe, size: Size) -> Recipe:
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
    rng = np.random.default_rng([head.seed, 30])
    rows = []
    for side in (-1.0, 1.0):
        centre = head.size * (np.array([26.0 * side, 3.0, 4.0]) + rng.uniform(-2, 2, 3))
        radius, dchi = head.size * rng.uniform(*HAEMATOMA_MM), rng.uniform(*HAEMATOMA_PPM)
        rows.append(
            {"centre_mm": tuple(centre), "radius_mm": radius, "dchi_ppm": dchi, "kind": HAEMATOMA, "signal": 1.0,
             "decay_hz": HAEMATOMA_DECAY_HZ}
        )  # fmt: skip
    lesions = LesionRecipe(distribution="given", given=tuple(rows))
    return dataclasses.replace(
        _sessions(head, [_echoes(head.seed, name) for name in TE_SETS]), lesions=lesions
    )


def _repeats(head: Recipe) -> Recipe:
    poses = [_pose(head.seed, 20 + n) for n in range(3)]
    base = _field(head.seed, "3T")
    return _sessions(
        head, [dataclasses.replace(base, label=f"scan{n + 1}", **pose) for n, pose in enumerate(poses)]
    )


def _given(name: str, title: str, rows: list[dict[str, Any]], sessions: list[Protocol]) -> Recipe:
    lesions = LesionRecipe(distribution="given", given=tuple(rows))
    return Recipe(name, title, "spheres", 31, name, 1.0, (96.0, 96.0, 80.0), lesions, tuple(sessions))


def _places(count: int, apart_mm: float) -> list[tuple[float, float, float]]:
    """Return places on a small lattice turned out of the voxels' axes."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    near = steps[np.argsort((steps**2).sum(axis=1), kind="stable")][:count]
    points = apart_mm * near + np.array([[0.31, -0.17, 0.43]]) * np.arange(count)[:, None] / max(count, 1)
    return [(float(p[0]), float(p[1]), float(p[2])) for p in points]


def _beads() -> Recipe:
    radii = (1.0, 1.5, 2.0, 2.5, 3.0)
    rows: list[dict[str, Any]] = [
        {"centre_mm": p, "radius_mm": r, "dchi_ppm": -1.8, "kind": "calcification"}
        for p, r in zip(_places(len(radii), 20.0), radii, strict=True)
    ]
    sessions = [Protocol("15T", 1.5, (0.005, 0.010, 0.015, 0.020), 80.0, tilt_deg=8.0)]
    return _given("beads", "Glass beads in gel", rows, sessions)


def _iron() -> Recipe:
    rows: list[dict[str, Any]] = [{"centre_mm": (0.4, -0.3, 0.2), "radius_mm": 0.6, "dchi_ppm": 20.0}]
    sessions = [Protocol("TE10", 3.0, (0.0098,), 100.0), Protocol("TE25", 3.0, (0.025,), 100.0)]
    return _given("iron", "Iron deposit", rows, sessions)


def _water(number: int) -> Recipe:
    lesions = LesionRecipe(
        microbleeds=10, distribution="log-uniform", range_ppm_mm3=(1.0, 60.0), two_balls=0.0, apart_mm=17.0,
        jitter_mm=1.0,
    )  # fmt: skip
    sessions = (dataclasses.replace(_field(number, "3T"), shift_mm=(0.0, 0.0, 0.0)),)
    return Recipe(
        f"water{number}", "Balls in water", "spheres", 60 + number, f"water{number}", 1.0, (96.0, 96.0, 96.0),
        lesions, sessions,
    )  # fmt: skip


def _gadolinium() -> Recipe:
    # 4 mm balls of solutions of 0.26 to 3.56 ppm, signal kept.
    strengths = (0.26, 0.52, 0.89, 1.78, 3.56)
    rows: list[dict[str, Any]] = [
        {"centre_mm": p, "radius_mm": 4.0, "dchi_ppm": c, "kind": "iron", "signal": 1.0}
        for p, c in zip(_places(len(strengths), 20.0), strengths, strict=True)
    ]
    # Echoes that no field strength wraps between.
    sessions = [
        Protocol(name, b0, tuple(n * 0.0036 / b0 for n in (1, 2, 3, 4)), snr)
        for name, (b0, _, snr) in FIELDS.items()
    ]
    return _given("gadolinium", "Gadolinium in water", rows, sessions)
