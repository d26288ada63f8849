"""One method on one case, in its own process: scores, seconds, transforms, memory; one JSON."""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from leaderboard_cases import Case
from leaderboard_floor import (
    Traffic,
    Transforms,
    bandwidth,
    mapping_seconds,
    median_pair_seconds,
    pair_seconds,
)
from leaderboard_scores import scores_of

FAMILIES = ("masking", "unwrapping", "field_mapping", "background_removal", "dipole_inversion", "relaxometry")
SPEED = ("seconds", "call_pairs", "pair_s", "bytes_per_s", "moved_bytes", "mapping_s")
"""What a record holds of speed; None in each where a run was not timed."""
QUICK_S = 40.0
"""A method that takes longer is not called twice: compiling and planning are taken off instead."""
REPEATS = 4
WARM_VOXELS = 40
"""Edge of the corner of the case on which a method is called first, so that its loops are compiled."""


def run_method(
    case: Case, family: str, method: str, threads: int, *, timed: bool = True
) -> tuple[dict[str, Any], Any]:
    """Call a method as the pipeline would, once where not timed; return its record and a plane of what it gives."""
    call = {
        "masking": _mask, "unwrapping": _unwrap, "field_mapping": _map_field,
        "background_removal": _background, "dipole_inversion": _invert, "relaxometry": _decay,
    }[family]  # fmt: skip
    inputs = Inputs(case)
    try:
        call(method, inputs.corner())()
    except Exception as error:
        print(f"{method}: no warm-up on a corner ({error})")
    job = call(method, inputs)
    with Transforms() as transforms:
        before = _memory_mib(reset=True)
        result, seconds = _timed(job)
        peak = _memory_mib()
        seconds -= transforms.planning_s
        counts, ratios = dict(transforms.counts), []
        if timed:
            beside = median_pair_seconds(inputs.grid.shape)
            for _ in range(REPEATS if seconds < QUICK_S / REPEATS else int(seconds < QUICK_S)):
                transforms.reset()
                result, again = _timed(job)
                seconds, counts = min(seconds, again), dict(transforms.counts)
                before_it, beside = beside, median_pair_seconds(inputs.grid.shape)
                ratios.append(2 * again / (before_it + beside))
    box = _box_shape(inputs.mask)
    # A mask is looked for in the whole field of view.
    smallest = inputs.grid.shape if family == "masking" else box
    working = max(counts, key=lambda shape: float(np.prod(shape)), default=smallest)
    extra = peak - before
    record = {
        "family": family, "method": method, "case": case.folder.name, "label": case.about["label"],
        "threads": threads, "echoes": len(case.te_s), "peak_rss_mib": peak, "extra_mib": extra,
        "volumes": extra / (4 * float(np.prod(working)) / 2**20), "grid": _name(inputs.grid.shape),
        "working_grid": _name(working), "transform_pairs": {_name(shape): n / 2 for shape, n in counts.items()},
        **dict.fromkeys(SPEED), "scores": scores_of(family, case, inputs, result),
    }  # fmt: skip
    if timed:
        with Traffic(float(inputs.mask.sum() / np.prod(box))) as traffic:
            job()
        # What transforms and copies cost here and now; the page takes the best of all runs.
        record |= {
            "seconds": seconds, "call_pairs": float(np.median(ratios)) if ratios else None,
            "pair_s": {_name(shape): pair_seconds(shape) for shape in {*counts, inputs.grid.shape}},
            "bytes_per_s": bandwidth(inputs.grid.shape), "moved_bytes": traffic.moved,
            "mapping_s": mapping_seconds(inputs.mask),
        }  # fmt: skip
    return record, _plane(family, case, result)


class Inputs:
    """Arrays that the families take; a corner of them serves to compile."""

    def __init__(self, case: Case, box: tuple[slice, slice, slice] | None = None) -> None:
        self.case, self.box, self.te_s, self.b0_tesla = case, box, case.te_s, case.b0_tesla
        grid = case.grid
        self.grid = grid
        if box is not None:
            shape = tuple(s.stop - s.start for s in box)
            self.grid = grid.cropped(tuple(s.start for s in box), shape)
        self.mask = self["mask"]

    def __getitem__(self, name: str) -> Any:
        array = self.case[name]
        return array if self.box is None else np.ascontiguousarray(array[(..., *self.box)])

    def get(self, name: str) -> Any:
        """Return an array, or None where the case lacks it."""
        return self[name] if name in self.case else None

    def corner(self) -> Inputs:
        """Return a small box in the middle of the mask."""
        middle = [int(np.median(i)) for i in np.nonzero(self.mask)]
        half = WARM_VOXELS // 2
        box = [
            slice(max(0, m - half), min(n, m + half)) for m, n in zip(middle, self.mask.shape, strict=True)
        ]
        return Inputs(self.case, (box[0], box[1], box[2]))


def _timed(job: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = job()
    return result, time.perf_counter() - start


def _memory_mib(*, reset: bool = False) -> float:
    """Return the peak memory of this process, or after a reset what it holds now."""
    if reset:
        # What was freed but is still held would hide what the method takes.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
    try:
        status = Path("/proc/self/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _name(shape: tuple[int, int, int]) -> str:
    return "x".join(str(int(n)) for n in shape)


def _box_shape(mask: Any) -> tuple[int, int, int]:
    from qsmcmb.core.morphology import bounding_box

    nx, ny, nz = (s.stop - s.start for s in bounding_box(mask))
    return nx, ny, nz


def _phase(inputs: Inputs) -> Any:
    phase = inputs["phase"]
    offset = inputs.get("offset_rad")
    return phase if offset is None else np.angle(np.exp(1j * (phase - offset))).astype(np.float32)


def _mask(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.masking.brain import mask_brain

    magnitude, phase = inputs["magnitude"], inputs["phase"]
    return lambda: mask_brain(magnitude, phase, inputs.grid, method=method)


def _unwrap(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.unwrapping.head import unwrap

    phase, magnitude = _phase(inputs), inputs["magnitude"]
    return lambda: unwrap(
        phase, inputs.mask, inputs.grid, method=method, magnitude=magnitude, te_s=inputs.te_s
    )


def _map_field(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.field_mapping.head import map_field

    magnitude = inputs["magnitude"]
    unwrapped = _unwrap("romeo", inputs)()
    return lambda: map_field(unwrapped, magnitude, inputs.mask, inputs.grid, te_s=inputs.te_s, method=method)


def _background(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.background_removal.head import remove_background

    total, sd = inputs["total_ppm"], inputs["sd_ppm"]
    return lambda: remove_background(total, inputs.mask, inputs.grid, method=method, field_sd_hz=sd)


def _invert(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.dipole_inversion.head import invert, starting_point

    start = starting_point(method)
    if start == "wrapped phase":
        field, mask = _phase(inputs), inputs.mask
    elif start == "total field":
        field, mask = inputs["total_ppm"], inputs.mask
    else:
        field, mask = inputs["local_ppm"], inputs.get("local_mask")
        mask = inputs.mask if mask is None else mask
    magnitude, sd = inputs["magnitude"], inputs["sd_ppm"]
    return lambda: invert(
        field, mask, inputs.grid, method=method, field_sd_ppm=sd, magnitude=magnitude, te_s=inputs.te_s,
        b0_tesla=inputs.b0_tesla,
    )  # fmt: skip


def _decay(method: str, inputs: Inputs) -> Callable[[], Any]:
    from qsmcmb.relaxometry.r2star import map_r2star

    magnitude = inputs["magnitude"]
    return lambda: map_r2star(magnitude, inputs.mask, te_s=inputs.te_s, method=method)


def _plane(family: str, case: Case, result: Any) -> Any:
    """Return the plane through the first lesion, for pictures; None where there is nothing to see."""
    if family not in ("background_removal", "dipole_inversion"):
        return None
    volume = result if family == "dipole_inversion" else result.local_field_hz
    if "lesions" in case:
        z = int(np.median(np.nonzero(case["lesions"] == 1)[2]))
    else:
        z = round(float(case.grid.to_voxel(case["points"][0, :3])[2]))
    return volume[:, :, z].astype(np.float16)


def write_record(path: Path, record: dict[str, Any], plane: Any) -> None:
    """Write a record whole or not at all, its plane before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if plane is not None:
        np.save(path.with_suffix(".npy"), plane)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1))
    part.replace(path)
