"""Simulated heads of the detection benchmark, with structure in their tissue, kept in a folder once made.

Each holds irregular and regular microbleeds, calcifications, iron deposits in a nucleus of both sides, a void without a
field, veins, nuclei and air; `3T-none` holds all of these but microbleeds. The heads are small, so that a scan takes
seconds and no lesion is easier; those of `full` conditions have the size of an adult's. The seed makes the head, its
pose, what lies in it and the noise; heads of one seed and size in several conditions are one head.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray

SIZES = {"small": (0.45, (88.0, 104.0, 88.0)), "full": (1.0, (180.0, 216.0, 180.0))}
"""Ratio of a head's size to the template's, and the field of view, mm."""
LESIONS: dict[str, dict[str, Any]] = {
    "small": {
        "microbleeds": 7, "calcifications": 2, "iron": 1, "flow_voids": 1, "range_ppm_mm3": (0.7, 40.0),
        "apart_mm": 11.0,
    },
    "full": {
        "microbleeds": 12, "calcifications": 4, "iron": 2, "flow_voids": 2, "range_ppm_mm3": (0.7, 40.0),
        "apart_mm": 13.0,
    },
}  # fmt: skip
"""Log-uniform microbleeds, half of them irregular: a quarter lies below 2 ppm mm3."""
TERRITORIES = ("outside", "lobar", "deep", "infratentorial")
"""Names of the numbers of an anatomy's territories."""
FULL_TURN = 32767
"""Integer that stands for pi in a kept phase."""
CONDITIONS: dict[str, dict[str, Any]] = {
    "3T": {"b0_tesla": 3.0, "te_s": (0.005, 0.012, 0.019, 0.026), "snr": 120.0},
    "3T-short": {"b0_tesla": 3.0, "te_s": (0.004, 0.008, 0.012, 0.016), "snr": 120.0},
    "15T": {"b0_tesla": 1.5, "te_s": (0.008, 0.018, 0.028, 0.038), "snr": 80.0},
    "7T": {"b0_tesla": 7.0, "te_s": (0.004, 0.009, 0.014, 0.019), "snr": 160.0},
    "3T-2mm": {"b0_tesla": 3.0, "te_s": (0.005, 0.012, 0.019, 0.026), "snr": 200.0, "voxel_mm": (2.0, 2.0, 2.0)},
    "3T-4mm": {
        "b0_tesla": 3.0, "te_s": (0.005, 0.012, 0.019, 0.026), "snr": 160.0, "voxel_mm": (1.0, 1.0, 4.0), "two_d": True,
    },
    "3T-none": {"b0_tesla": 3.0, "te_s": (0.005, 0.012, 0.019, 0.026), "snr": 120.0},
}  # fmt: skip
CONDITIONS |= {f"{name}-full": CONDITIONS[name] for name in ("3T", "15T", "3T-2mm", "3T-4mm", "3T-none")}
"""Field strength, echo times, SNR of a voxel and voxel size (1 mm where none is named); 4 mm: slices of a 2D scan."""


class Lesion(NamedTuple):
    """The truth of one lesion."""

    id: int
    kind: str
    shape: str
    territory: str
    total_ppm_mm3: float
    position_mm: tuple[float, float, float]

    @property
    def total_chi_ppm_mm3(self) -> Any:
        """Total susceptibility as the detection limit map wants it."""
        from qsmcmb.model import Estimate

        return Estimate(self.total_ppm_mm3, 0.0, "ppm mm3")

    @property
    def diameter_mm(self) -> float:
        """Apparent diameter, mm: that of a usual microbleed, so that its core is known."""
        return 4.0


class Head(NamedTuple):
    """A simulated scan with its truth."""

    name: str
    scan: GreScan
    lesions: tuple[Lesion, ...]
    brain: BoolArray


def read_head(condition: str, seed: int, folder: Path) -> Head:
    """Return a head, simulated where the folder does not hold it yet."""
    path = folder / f"{condition}_{seed}_{_recipe_key(condition)}.npz"
    if not path.exists():
        _simulate(condition, seed, path)
    with np.load(path) as kept:
        told = json.loads(str(kept["told"]))
        grid = Grid.from_affine(kept["phase"].shape[1:], kept["affine"])
        scan = GreScan(
            phase_rad=kept["phase"] * np.float32(np.pi / FULL_TURN), magnitude=kept["magnitude"].astype(np.float32),
            te_s=tuple(told["te_s"]), b0_tesla=told["b0_tesla"], grid=grid, name=f"{condition}_{seed}",
        )  # fmt: skip
        lesions = tuple(
            Lesion(
                r["id"], r["kind"], r["shape"], TERRITORIES[r["territory"]], r["S_ppm_mm3"],
                (r["x_mm"], r["y_mm"], r["z_mm"]),
            )
            for r in told["lesions"]
        )  # fmt: skip
        return Head(path.stem, scan, lesions, kept["brain"])


def _recipe_key(condition: str) -> str:
    """Return the part of a file's name that changes with what its condition holds."""
    size = size_of(condition)
    made_of = json.dumps([SIZES[size], LESIONS[size], CONDITIONS[condition]])
    return hashlib.sha256(made_of.encode()).hexdigest()[:6]


def size_of(condition: str) -> str:
    """Return the size of a condition's heads."""
    return "full" if condition.endswith("-full") else "small"


@lru_cache(maxsize=1)
def _anatomy(seed: int, size: str) -> tuple[Any, Any]:
    """Return the recipe and the anatomy of a seed."""
    return make_anatomy_of(seed, size, LESIONS[size])


def make_anatomy_of(seed: int, size: str, lesions: dict[str, Any]) -> tuple[Any, Any]:
    """Return the recipe and the anatomy of a head with structure in its tissue."""
    from qsmcmb.phantoms.anatomies import make_anatomy
    from qsmcmb.phantoms.recipe import read_recipe

    recipe = read_recipe("structured_smallhead")
    lesions_of_recipe = dataclasses.replace(recipe.lesions, **lesions)
    ratio, fov_mm = SIZES[size]
    recipe = dataclasses.replace(recipe, seed=seed, size=ratio, fov_mm=fov_mm, lesions=lesions_of_recipe)
    return recipe, make_anatomy(recipe)


def _simulate(condition: str, seed: int, path: Path) -> None:
    """Simulate a head and keep it."""
    from qsmcmb.phantoms.build import lesions_of
    from qsmcmb.phantoms.recipe import Protocol
    from qsmcmb.phantoms.tissue_scan import TissueScan

    recipe, anatomy = _anatomy(seed, size_of(condition))
    number = list(CONDITIONS).index(condition)
    rng = np.random.default_rng([seed, 11, number])
    protocol = Protocol(
        label=condition, **CONDITIONS[condition], rotation_deg=tuple(rng.uniform(-5, 5, 3)),
        shift_mm=tuple(rng.uniform(-2, 2, 3)), tilt_deg=float(rng.uniform(-15, 15)),
    )  # fmt: skip
    lesions = [m for m in lesions_of(recipe, anatomy) if "none" not in condition or m.kind != "microbleed"]
    session = TissueScan(recipe, protocol, anatomy).scan(lesions, rng=rng)
    scan = session.scan
    territory = anatomy.territory(np.array([m.centre_mm for m in lesions]).T)
    rows = [{**row._asdict(), "territory": int(n)} for row, n in zip(session.lesions, territory, strict=True)]
    told = {"te_s": scan.te_s, "b0_tesla": scan.b0_tesla, "lesions": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of another process's name until it is whole: several may share the folder.
    part = path.with_suffix(f".{np.random.default_rng().integers(10**9)}.npz")
    np.savez_compressed(
        part, told=json.dumps(told), affine=scan.grid.affine, brain=session.brain,
        phase=np.round(scan.phase_rad * (FULL_TURN / np.pi)).astype(np.int16),
        magnitude=np.clip(np.round(scan.magnitude * 8), 0, 65535).astype(np.uint16),
    )  # fmt: skip
    part.replace(path)
