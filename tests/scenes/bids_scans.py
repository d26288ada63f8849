"""Tiny scans of a BIDS data set, with any entities in their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from qsmcmb.io.nifti import save_volume

TE_S = (0.005, 0.010, 0.015)
SHAPE = (12, 13, 14)


def write_scan(
    bids: Path,
    entities: str = "",
    *,
    suffix: str = "MEGRE",
    folder: str = "anat",
    parts: tuple[str, ...] = ("mag", "phase"),
    te_s: tuple[float, ...] = TE_S,
    receive: complex = 1.0,
    shape: tuple[int, int, int] = SHAPE,
) -> None:
    """Write a tiny scan of participant 01; a part "" is a magnitude whose name lacks the entity."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    turns = 2 * np.pi * (18.0 * x + 12.0 * y + 6.0 * z)
    brain = (x / 0.8) ** 2 + (y / 0.9) ** 2 + ((z + 0.1 * x) / 0.7) ** 2 < 1
    tissue = 1.0 + 0.2 * np.cos(5 * x) * np.sin(4 * y + z) + 0.2 * (z > 0.2 * x)
    (bids / "sub-01" / folder).mkdir(parents=True, exist_ok=True)
    for number, te in enumerate(te_s, start=1):
        signal = receive * np.where(brain, tissue, 0.01) * np.exp(1j * te * turns)
        echo = f"_echo-{number}" if len(te_s) > 1 else ""
        session = "_" + folder.split("/")[0] if "/" in folder else ""
        for part in parts:
            named = f"_part-{part}" if part else ""
            stem = bids / "sub-01" / folder / f"sub-01{session}{entities}{echo}{named}_{suffix}"
            data = np.angle(signal) if part == "phase" else np.abs(signal)
            save_volume(stem.with_suffix(".nii.gz"), data.astype(np.float32), np.eye(4))
            record = {"EchoTime": te, "MagneticFieldStrength": 3.0, "Units": "rad"}
            stem.with_suffix(".json").write_text(json.dumps(record))
