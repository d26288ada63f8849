"""Which lesions each brain mask keeps: `python benchmarks/masks.py WORK [CASE ...]`, cases as of the leaderboard.

A lesion is kept whole when its ball of 3 mm, as far as it is brain, lies in the mask.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from leaderboard_cases import Case, prepare

from qsmcmb.masking.brain import mask_brain

BALL_MM = 3.0
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "magnitude": ("magnitude", {}),
    "magnitude, percentile 70": ("magnitude", {"threshold": "percentile"}),
    "phase_quality (0.6)": ("phase_quality", {}),
    **{f"combined, quality {q}": ("combined", {"quality": q}) for q in (0.5, 0.4, 0.35, 0.3)},
    "combined, OR": ("combined", {"combine": "or"}),
}


def main() -> None:
    """Print one row a method and case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("cases", nargs="*", default=["head", "dev"])
    given = parser.parse_args()
    print("| case | method | Dice | missing % | beyond % | centres | whole balls | of |\n|" + 8 * "---|")
    for name in given.cases:
        for case in prepare(name, given.work):
            for label, (method, options) in VARIANTS.items():
                print(f"| {case.folder.name} | {label} | {row(case, method, options)} |", flush=True)


def row(case: Case, method: str, options: dict[str, object]) -> str:
    """Return what one mask keeps, as cells of a table."""
    made = mask_brain(case["magnitude"], case["phase"], case.grid, method=method, options=options)
    truth, voxels = case["mask"], case.grid.to_voxel(case["points"][:, :3])
    size, both = truth.sum(), (made & truth).sum()
    centres = made[tuple(np.rint(voxels).astype(int).T)].sum()
    whole = sum(not (truth & ~made)[ball(case, at)].any() for at in voxels)
    cells = [
        f"{2 * both / (made.sum() + size):.3f}", f"{100 * (1 - both / size):.2f}",
        f"{100 * (made & ~truth).sum() / size:.2f}", f"{centres}", f"{whole}", f"{len(voxels)}",
    ]  # fmt: skip
    return " | ".join(cells)


def ball(case: Case, at: Any) -> tuple[Any, ...]:
    """Return the indices of the voxels within 3 mm of a point in voxels."""
    size = np.array(case.grid.voxel_size_mm)
    reach = np.ceil(BALL_MM / size).astype(int) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    near = np.rint(at).astype(int) + offsets
    near = near[(((near - at) * size) ** 2).sum(axis=1) <= BALL_MM**2]
    near = near[((near >= 0) & (near < case.grid.shape)).all(axis=1)]
    return tuple(near.T)


if __name__ == "__main__":
    main()
