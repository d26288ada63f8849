"""Heads to train the classifier of candidates on: microbleeds among everything that is taken for them, with the truth.

Seeds from 83001 are for training and calibration alone; no head of the detection benchmark has one of them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from detection_heads import FULL_TURN, make_anatomy_of, size_of

from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

LESIONS: dict[str, dict[str, Any]] = {
    "small": {
        "microbleeds": 8, "calcifications": 4, "iron": 2, "air": 1, "flow_voids": 2, "range_ppm_mm3": (0.5, 40.0),
        "apart_mm": 9.0,
    },
    "full": {
        "microbleeds": 24, "calcifications": 12, "iron": 3, "air": 2, "flow_voids": 5, "range_ppm_mm3": (0.5, 60.0),
        "apart_mm": 12.0,
    },
}  # fmt: skip
PROTOCOLS: dict[str, dict[str, Any]] = {
    "3T": {"b0_tesla": 3.0, "te_s": (0.005, 0.012, 0.019, 0.026), "snr": 120.0},
    "15T": {"b0_tesla": 1.5, "te_s": (0.008, 0.018, 0.028, 0.038), "snr": 80.0},
    "7T": {"b0_tesla": 7.0, "te_s": (0.004, 0.009, 0.014, 0.019), "snr": 160.0},
    "3T-2mm": {"b0_tesla": 3.0, "te_s": (0.006, 0.013, 0.020, 0.027), "snr": 200.0, "voxel_mm": (2.0, 2.0, 2.0)},
    "3T-4mm": {
        "b0_tesla": 3.0, "te_s": (0.006, 0.013, 0.020, 0.027), "snr": 160.0, "voxel_mm": (1.0, 1.0, 4.0),
        "two_d": True,
    },
}  # fmt: skip
PROTOCOLS |= {f"{name}-full": protocol for name, protocol in PROTOCOLS.items()}


class MimicHead(NamedTuple):
    """A simulated scan with the truth of everything in it."""

    name: str
    scan: GreScan
    lesions: list[dict[str, Any]]
    """Rows of the truth table."""
    veins_mm: FloatArray
    """Points along veins, scanner RAS+ mm, (n, 3)."""
    vein_volumes_mm3: FloatArray
    """Volume of vein at each point, mm3."""
    nuclei: IntArray
    """Number of the nucleus on the scan's grid; 0 outside."""
    brain: BoolArray


def read_mimic_head(protocol: str, seed: int, folder: Path) -> MimicHead:
    """Return a head, simulated where the folder does not hold it yet."""
    path = folder / f"mimics_{protocol}_{seed}.npz"
    if not path.exists():
        _simulate(protocol, seed, path)
    with np.load(path) as stored:
        truth = json.loads(str(stored["truth"]))
        grid = Grid.from_affine(stored["phase"].shape[1:], stored["affine"])
        scan = GreScan(
            phase_rad=stored["phase"] * np.float32(np.pi / FULL_TURN),
            magnitude=stored["magnitude"].astype(np.float32), te_s=tuple(truth["te_s"]), b0_tesla=truth["b0_tesla"],
            grid=grid, name=path.stem,
        )  # fmt: skip
        return MimicHead(
            path.stem, scan, truth["lesions"], stored["veins_mm"], stored["vein_volumes_mm3"], stored["nuclei"],
            stored["brain"],
        )  # fmt: skip


@lru_cache(maxsize=1)
def _anatomy(seed: int, size: str) -> tuple[Any, Any]:
    """Return the recipe and the anatomy of a seed."""
    return make_anatomy_of(seed, size, LESIONS[size])


def _simulate(name: str, seed: int, path: Path) -> None:
    """Simulate a head and store it."""
    from qsmcmb.phantoms.draw import draw_lesions
    from qsmcmb.phantoms.recipe import Protocol
    from qsmcmb.phantoms.tissue_scan import TissueScan

    recipe, anatomy = _anatomy(seed, size_of(name))
    rng = np.random.default_rng([seed, 21, list(PROTOCOLS).index(name)])
    # Echo times and noise of a seed's own: the classifier shall not learn one protocol.
    wanted = PROTOCOLS[name]
    stretch = float(rng.uniform(0.8, 1.2))
    wanted = {
        **wanted,
        "te_s": tuple(te * stretch for te in wanted["te_s"]),
        "snr": wanted["snr"] * float(rng.uniform(0.6, 1.3)),
    }
    protocol = Protocol(
        label=name, **wanted, rotation_deg=tuple(rng.uniform(-5, 5, 3)), shift_mm=tuple(rng.uniform(-2, 2, 3)),
        tilt_deg=float(rng.uniform(-15, 15)),
    )  # fmt: skip
    head = TissueScan(recipe, protocol, anatomy)
    lesions = draw_lesions(recipe.lesions, anatomy.lesion_positions(), rng, anatomy.iron_nuclei())
    session = head.scan(lesions, rng=rng)
    scan, (veins, volumes) = session.scan, anatomy.veins()
    affine = head.pose.head_affine(scan.grid)
    voxels = np.moveaxis(np.indices(scan.grid.shape, dtype=np.float32), 0, -1)
    head_mm = np.moveaxis(voxels @ affine[:, :3].T + affine[:, 3], -1, 0)
    truth = {"te_s": scan.te_s, "b0_tesla": scan.b0_tesla, "lesions": [r._asdict() for r in session.lesions]}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{np.random.default_rng().integers(10**9)}.npz")
    np.savez_compressed(
        part, truth=json.dumps(truth), affine=scan.grid.affine, brain=session.brain,
        phase=np.round(scan.phase_rad * (FULL_TURN / np.pi)).astype(np.int16),
        magnitude=np.clip(np.round(scan.magnitude * 8), 0, 65535).astype(np.uint16),
        veins_mm=head.pose.to_world(veins).astype(np.float32), vein_volumes_mm3=volumes.astype(np.float32),
        nuclei=anatomy.nuclei(head_mm).astype(np.uint8),
    )  # fmt: skip
    part.replace(path)
