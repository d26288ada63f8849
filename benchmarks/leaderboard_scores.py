"""How far what a method gives is from the truth: in its own mask and in one that all methods share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from leaderboard_cases import Case
from scipy.ndimage import binary_erosion

if TYPE_CHECKING:
    from leaderboard_run import Inputs

CORE_VOXELS = 6
LEAST_PPM_MM3 = 2.0
"""Lesions of heads below this do not count: tissue alone changes their sums by more, and its streaks hide theirs."""
CONE_SHELL_MM = (4.0, 10.0)
CONE_BANDS = 5


def scores_of(family: str, case: Case, inputs: Inputs, result: Any) -> dict[str, float | None]:
    """Return the scores of what a family's method gives; names that end in _core are of the shared mask."""
    found = {
        "masking": _score_mask, "unwrapping": _score_unwrapped, "field_mapping": _score_field,
        "background_removal": _score_local, "dipole_inversion": _score_map, "relaxometry": _score_decay,
    }[family](case, inputs, result)  # fmt: skip
    return {k: None if v is None or not np.isfinite(v) else float(v) for k, v in found.items()}


def _core(inputs: Inputs) -> Any:
    """Return the mask that all methods share: the brain without its outer voxels."""
    return binary_erosion(inputs.mask, iterations=CORE_VOXELS)


def _of_core(scores: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_core": value for name, value in scores.items()}


def _score_mask(case: Case, inputs: Inputs, made: Any) -> dict[str, Any]:
    truth = inputs.mask
    scores = {
        "dice": 200 * (made & truth).sum() / (made.sum() + truth.sum()),
        "brain_kept": 100 * (made & truth).sum() / truth.sum(),
    }
    if "points" in case:
        scores["lesions_kept"] = 100 * float(np.mean(_at_points(case, made)))
    elif "lesions" in case:
        labels = case["lesions"]
        kept = [bool(made[labels == n].all()) for n in range(1, labels.max() + 1)]
        scores["lesions_kept"] = 100 * float(np.mean(kept))
    return scores


def _at_points(case: Case, volume: Any) -> Any:
    voxels = np.rint(case.grid.to_voxel(case["points"][:, :3])).astype(int)
    return volume[tuple(voxels.T)]


def _score_unwrapped(case: Case, inputs: Inputs, unwrapped: Any) -> dict[str, Any]:
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


def _score_field(case: Case, inputs: Inputs, fitted: Any) -> dict[str, Any]:
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


def _score_local(case: Case, inputs: Inputs, local: Any) -> dict[str, Any]:
    from qsmcmb.dipole_inversion.head import invert
    from qsmcmb.validation.scores import nrmse

    scores: dict[str, Any] = {"kept": 100 * local.mask.sum() / inputs.mask.sum()}
    core = _core(inputs)
    if "local_true_ppm" in case:
        found, truth = local.local_field_hz, case["local_true_ppm"]
        scores |= _likeness(found, truth, local.mask) | _of_core(_likeness(found, truth, core & local.mask))
        # Where a method gives nothing its field is 0: erosion wins nothing.
        scores["nrmse_brain"] = nrmse(found, truth, inputs.mask)
    # Lesions on the map that one inversion makes of any local field.
    chi = invert(local.local_field_hz, local.mask, inputs.grid, method="tkd")
    own, shared = (_lesion_scores(case, local.mask, chi, among) for among in (local.mask, core))
    return scores | {f"tkd_{k}": v for k, v in (own | _of_core(shared)).items()}


def _likeness(found: Any, truth: Any, mask: Any) -> dict[str, Any]:
    """Scores that fields and maps share."""
    from qsmcmb.core.morphology import bounding_box
    from qsmcmb.validation import scores

    # They take what lies outside the mask as 0, and the volume beyond it too.
    box = bounding_box(mask)
    found, truth, mask = found[box], truth[box], mask[box]
    return {
        "nrmse": scores.nrmse(found, truth, mask),
        "nrmse_detrended": scores.nrmse_detrended(found, truth, mask),
        "hfen": scores.hfen(found, truth, mask),
        "xsim": scores.xsim(found, truth, mask),
    }


def _score_map(case: Case, inputs: Inputs, chi: Any) -> dict[str, Any]:
    mask = inputs.mask if "local_mask" not in case else chi != 0
    if "points" in case and "chi_ppm" in case:
        # The truth of a voxel half in bone is the mean of both, which no local field holds.
        mask = binary_erosion(mask)
    core = mask & _core(inputs)
    own, shared = (
        _tissue_scores(case, chi, where)
        | _lesion_scores(case, mask, chi, where)
        | {"cone_streaks": cone_streaks(case, chi, mask, where)}
        for where in (mask, core)
    )
    return own | _of_core(shared)


def _tissue_scores(case: Case, chi: Any, mask: Any) -> dict[str, Any]:
    from qsmcmb.validation import scores
    from qsmcmb.validation.lesion_scores import streaks

    if "chi_ppm" not in case:
        return {}
    truth, labels = case["chi_ppm"], case["lesions"]
    return {
        **_likeness(chi, truth, mask),
        "regions": scores.region_error(chi, truth, mask & (labels == 0), case["regions"]),
        "streaks": streaks(chi, truth, mask, labels),
    }


def _lesion_scores(case: Case, mask: Any, chi: Any, among: Any) -> dict[str, Any]:
    """Return what the map recovers of the lesions that lie in `among`; the sums are over `mask`."""
    from qsmcmb.validation.lesion_scores import moment_ratios, point_moments

    if "points" in case:
        points = case["points"]
        sums, held = point_moments(chi, mask, case.grid, points[:, :3]), points[:, 3]
        if "chi_ppm" in case:
            # Tissue in the ball or the shell counts for nothing, where it is known.
            sums += held - point_moments(case["chi_ppm"], mask, case.grid, points[:, :3])
        ratios = sums / held
        ratios[~_at_points(case, among) | (np.abs(held) < LEAST_PPM_MM3)] = np.nan
    else:
        labels = case["lesions"]
        inside = [n == 0 or bool(among[labels == n].all()) for n in range(labels.max() + 1)]
        ratios = moment_ratios(chi, case["chi_ppm"], mask, np.where(np.array(inside)[labels], labels, 0))
    good = ratios[np.isfinite(ratios)]
    if not len(good):
        return {"moment": None, "lesions": 0}
    return {
        "moment": np.median(good), "moment_spread": np.percentile(good, 75) - np.percentile(good, 25),
        "moment_error": 100 * np.median(np.abs(good - 1)), "lesions": len(good),
    }  # fmt: skip


def cone_streaks(case: Case, chi_ppm: Any, mask: Any, among: Any) -> float:
    """Return streaks beside lesions where the truth of the tissue is not known, percent.

    Streaks run along cones around B0. The map in a shell 4 to 10 mm from the lesion is averaged over five bands of
    equal solid angle from the poles to the equator, so that tissue, which knows nothing of the cones, averages out; the
    SD of the bands' means over the mean susceptibility that the lesion would have in the ball of 4 mm is the score,
    the median over lesions of 2 ppm mm3 and more whose centre lies in `among`. 4 mm around other lesions do not count.
    What is left of tissue is a floor that methods share. NaN where no lesion's shell lies in the mask.
    """
    if "points" not in case:
        return float("nan")
    points, grid = case["points"], case.grid
    near, far = CONE_SHELL_MM
    ball_mm3 = 4 / 3 * np.pi * near**3
    centres, size = grid.to_voxel(points[:, :3]), np.array(grid.voxel_size_mm)
    found = []
    for number in np.flatnonzero((np.abs(points[:, 3]) >= LEAST_PPM_MM3) & _at_points(case, among)):
        first = np.maximum(0, np.floor(centres[number] - far / size).astype(int))
        end = np.minimum(grid.shape, np.ceil(centres[number] + far / size).astype(int) + 1)
        box = tuple(slice(a, b) for a, b in zip(first, end, strict=True))
        voxels = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), axis=-1)
        away = (voxels - centres[:, None, None, None]) * size
        distance = np.sqrt((away**2).sum(axis=-1))
        shell = mask[box] & (distance[number] > near) & (distance[number] <= far)
        shell &= (np.delete(distance, number, axis=0) > near).all(axis=0)
        polar = np.abs(away[number] @ np.array(grid.b0_dir))[shell] / distance[number][shell]
        band = np.minimum((CONE_BANDS * polar).astype(int), CONE_BANDS - 1)
        count = np.bincount(band, minlength=CONE_BANDS)
        if count.all():
            means = np.bincount(band, chi_ppm[box][shell].astype(np.float64), CONE_BANDS) / count
            found.append(100 * means.std() / (abs(points[number, 3]) / ball_mm3))
    return float(np.median(found)) if found else float("nan")


def _score_decay(case: Case, inputs: Inputs, rate: Any) -> dict[str, Any]:
    from qsmcmb.validation.scores import nrmse

    if "r2star_hz" not in case:
        return {"median_hz": np.median(rate[inputs.mask])}
    error = (rate - case["r2star_hz"])[inputs.mask]
    return {"nrmse": nrmse(rate, case["r2star_hz"], inputs.mask), "median_error_hz": np.median(np.abs(error))}
