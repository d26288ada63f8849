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
from leaderboard_floor import Traffic, Transforms, bandwidth, median_pair_seconds, pair_seconds

FAMILIES = ("masking", "unwrapping", "field_mapping", "background_removal", "dipole_inversion", "relaxometry")
CORE_VOXELS = 6
QUICK_S = 40.0
"""A method that takes longer is not called twice: compiling and planning are taken off instead."""
REPEATS = 4
WARM_VOXELS = 40
"""Edge of the corner of the case on which a method is called first, so that its loops are compiled."""


def run_method(case: Case, family: str, method: str, threads: int) -> tuple[dict[str, Any], Any]:
    """Call a method as the pipeline would; return its record and a plane of what it gives."""
    call = {
        "masking": _mask, "unwrapping": _unwrap, "field_mapping": _map_field,
        "background_removal": _background, "dipole_inversion": _invert, "relaxometry": _decay,
    }[family]  # fmt: skip
    inputs = _Inputs(case)
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
        beside = median_pair_seconds(inputs.grid.shape)
        for _ in range(REPEATS if seconds < QUICK_S / REPEATS else int(seconds < QUICK_S)):
            transforms.reset()
            result, again = _timed(job)
            seconds, counts = min(seconds, again), dict(transforms.counts)
            before_it, beside = beside, median_pair_seconds(inputs.grid.shape)
            ratios.append(2 * again / (before_it + beside))
    box = _box_shape(inputs.mask)
    with Traffic(float(inputs.mask.sum() / np.prod(box))) as traffic:
        job()
    working = max(counts, key=lambda shape: float(np.prod(shape)), default=box)
    extra = peak - before
    record = {
        "family": family, "method": method, "case": case.folder.name, "label": case.about["label"],
        "threads": threads, "echoes": len(case.te_s), "seconds": seconds, "peak_rss_mib": peak, "extra_mib": extra,
        "volumes": extra / (4 * float(np.prod(working)) / 2**20), "grid": _name(inputs.grid.shape),
        "working_grid": _name(working), "transform_pairs": {_name(shape): n / 2 for shape, n in counts.items()},
        # What transforms and copies cost here and now; the page takes the best of all runs.
        "call_pairs": float(np.median(ratios)) if ratios else None,
        "pair_s": {_name(shape): pair_seconds(shape) for shape in {*counts, inputs.grid.shape}},
        "bytes_per_s": bandwidth(inputs.grid.shape), "moved_bytes": traffic.moved,
        **_scores(family, case, inputs, result),
    }  # fmt: skip
    return record, _plane(family, case, result)


class _Inputs:
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

    def corner(self) -> _Inputs:
        """Return a small box in the middle of the mask."""
        middle = [int(np.median(i)) for i in np.nonzero(self.mask)]
        half = WARM_VOXELS // 2
        box = [
            slice(max(0, m - half), min(n, m + half)) for m, n in zip(middle, self.mask.shape, strict=True)
        ]
        return _Inputs(self.case, (box[0], box[1], box[2]))


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


def _phase(inputs: _Inputs) -> Any:
    phase = inputs["phase"]
    offset = inputs.get("offset_rad")
    return phase if offset is None else np.angle(np.exp(1j * (phase - offset))).astype(np.float32)


def _mask(method: str, inputs: _Inputs) -> Callable[[], Any]:
    from qsmcmb.masking.brain import mask_brain

    magnitude, phase = inputs["magnitude"], inputs["phase"]
    return lambda: mask_brain(magnitude, phase, inputs.grid, method=method)


def _unwrap(method: str, inputs: _Inputs) -> Callable[[], Any]:
    from qsmcmb.unwrapping.head import unwrap

    phase, magnitude = _phase(inputs), inputs["magnitude"]
    return lambda: unwrap(
        phase, inputs.mask, inputs.grid, method=method, magnitude=magnitude, te_s=inputs.te_s
    )


def _map_field(method: str, inputs: _Inputs) -> Callable[[], Any]:
    from qsmcmb.field_mapping.head import map_field

    magnitude = inputs["magnitude"]
    unwrapped = _unwrap("romeo", inputs)()
    return lambda: map_field(unwrapped, magnitude, inputs.mask, inputs.grid, te_s=inputs.te_s, method=method)


def _background(method: str, inputs: _Inputs) -> Callable[[], Any]:
    from qsmcmb.background_removal.head import remove_background

    total, sd = inputs["total_ppm"], inputs["sd_ppm"]
    return lambda: remove_background(total, inputs.mask, inputs.grid, method=method, field_sd_hz=sd)


def _invert(method: str, inputs: _Inputs) -> Callable[[], Any]:
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


def _decay(method: str, inputs: _Inputs) -> Callable[[], Any]:
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


def _scores(family: str, case: Case, inputs: _Inputs, result: Any) -> dict[str, Any]:
    found = {
        "masking": _score_mask, "unwrapping": _score_unwrapped, "field_mapping": _score_field,
        "background_removal": _score_local, "dipole_inversion": _score_map, "relaxometry": _score_decay,
    }[family](case, inputs, result)  # fmt: skip
    return {"scores": {k: None if v is None or not np.isfinite(v) else float(v) for k, v in found.items()}}


def _core(inputs: _Inputs) -> Any:
    """Return the mask that all methods share: the brain without its outer voxels."""
    from scipy import ndimage

    return ndimage.binary_erosion(inputs.mask, iterations=CORE_VOXELS)


def _score_mask(case: Case, inputs: _Inputs, made: Any) -> dict[str, Any]:
    truth = inputs.mask
    scores = {
        "dice": 200 * (made & truth).sum() / (made.sum() + truth.sum()),
        "brain_kept": 100 * (made & truth).sum() / truth.sum(),
    }
    if "points" in case:
        voxels = np.rint(case.grid.to_voxel(case["points"][:, :3])).astype(int)
        scores["lesions_kept"] = 100 * float(np.mean(made[tuple(voxels.T)]))
    elif "lesions" in case:
        labels = case["lesions"]
        kept = [bool(made[labels == n].all()) for n in range(1, labels.max() + 1)]
        scores["lesions_kept"] = 100 * float(np.mean(kept))
    return scores


def _score_unwrapped(case: Case, inputs: _Inputs, unwrapped: Any) -> dict[str, Any]:
    from qsmcmb.validation.scores import wrong_wraps

    if "total_true_ppm" in case:
        turns = 2e-6 * np.pi * 42.577478518e6 * case.b0_tesla
        truths = [turns * te * case["total_true_ppm"] for te in case.te_s]
        wrong = [wrong_wraps(u, t, inputs.mask) for u, t in zip(unwrapped, truths, strict=True)]
        return {"wrong_wraps": np.mean(wrong), "wrong_wraps_worst": np.max(wrong)}
    # No truth: each later echo against the first two's line through time.
    te = np.array(case.te_s)
    slope = (unwrapped[1] - unwrapped[0]) / (te[1] - te[0])
    lines = [unwrapped[0] + slope * (t - te[0]) for t in te[2:]]
    wrong = [wrong_wraps(u, t, inputs.mask) for u, t in zip(unwrapped[2:], lines, strict=True)]
    return {"off_in_time": np.mean(wrong) if wrong else None}


def _score_field(case: Case, inputs: _Inputs, fitted: Any) -> dict[str, Any]:
    from qsmcmb.units import hz_to_ppm
    from qsmcmb.validation.scores import nrmse

    sd = hz_to_ppm(fitted.field_sd_hz, case.b0_tesla)[inputs.mask]
    if "total_true_ppm" not in case:
        return {"median_sd_ppb": 1000 * np.median(sd)}
    found, truth = hz_to_ppm(fitted.total_field_hz, case.b0_tesla), case["total_true_ppm"]
    error = (found - truth)[inputs.mask]
    error -= np.median(error)
    return {
        "nrmse": nrmse(found, truth, inputs.mask),
        "rms_error_ppb": 1000 * np.sqrt(np.mean(error**2)),
        "median_error_ppb": 1000 * np.median(np.abs(error)),
        "error_over_sd": np.median(np.abs(error) / sd) / 0.6745,
    }


def _score_local(case: Case, inputs: _Inputs, local: Any) -> dict[str, Any]:
    from qsmcmb.validation.scores import nrmse, nrmse_detrended, xsim

    scores: dict[str, Any] = {"kept": 100 * local.mask.sum() / inputs.mask.sum()}
    if "local_true_ppm" in case:
        found, truth = local.local_field_hz, case["local_true_ppm"]
        scores |= {
            "nrmse": nrmse(found, truth, local.mask),
            "nrmse_core": nrmse(found, truth, _core(inputs) & local.mask),
            # Where a method gives nothing its field is 0: erosion wins nothing.
            "nrmse_brain": nrmse(found, truth, inputs.mask),
            "nrmse_detrended": nrmse_detrended(found, truth, local.mask),
            "xsim": xsim(found, truth, local.mask),
        }
    return scores | _moments_of_local(case, inputs, local)


def _moments_of_local(case: Case, inputs: _Inputs, local: Any) -> dict[str, Any]:
    """Lesions on the map that one inversion, TKD, makes of the local field."""
    from qsmcmb.dipole_inversion.head import invert

    chi = invert(local.local_field_hz, local.mask, inputs.grid, method="tkd")
    return {f"tkd_{k}": v for k, v in _lesion_scores(case, local.mask, chi).items()}


def _score_map(case: Case, inputs: _Inputs, chi: Any) -> dict[str, Any]:
    from qsmcmb.validation import scores

    mask = inputs.mask if "local_mask" not in case else chi != 0
    found = _lesion_scores(case, mask, chi)
    if "chi_ppm" not in case:
        return found
    truth, core = case["chi_ppm"], _core(inputs)
    labels = case["lesions"]
    return {
        "nrmse": scores.nrmse(chi, truth, mask),
        "nrmse_core": scores.nrmse(chi, truth, core),
        "nrmse_detrended": scores.nrmse_detrended(chi, truth, mask),
        "hfen": scores.hfen(chi, truth, mask),
        "xsim": scores.xsim(chi, truth, mask),
        "regions": scores.region_error(chi, truth, mask & (labels == 0), case["regions"]),
        "streaks": scores.streaks(chi, truth, mask, labels),
        **found,
    }


def _lesion_scores(case: Case, mask: Any, chi: Any) -> dict[str, Any]:
    from qsmcmb.validation.scores import moment_ratios, point_moments

    if "points" in case:
        points = case["points"]
        ratios = point_moments(chi, mask, case.grid, points[:, :3]) / points[:, 3]
    else:
        ratios = moment_ratios(chi, case["chi_ppm"], mask, case["lesions"])
    good = ratios[np.isfinite(ratios)]
    if not len(good):
        return {"moment": None}
    return {
        "moment": np.median(good), "moment_spread": np.percentile(good, 75) - np.percentile(good, 25),
        "moment_error": 100 * np.median(np.abs(good - 1)), "lesions": len(good),
    }  # fmt: skip


def _score_decay(case: Case, inputs: _Inputs, rate: Any) -> dict[str, Any]:
    from qsmcmb.validation.scores import nrmse

    if "r2star_hz" not in case:
        return {"median_hz": np.median(rate[inputs.mask])}
    error = (rate - case["r2star_hz"])[inputs.mask]
    return {"nrmse": nrmse(rate, case["r2star_hz"], inputs.mask), "median_error_hz": np.median(np.abs(error))}


def write_record(path: Path, record: dict[str, Any], plane: Any) -> None:
    """Write a record whole or not at all, its plane before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if plane is not None:
        np.save(path.with_suffix(".npy"), plane)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1))
    part.replace(path)
