"""Measure lesions: fit each, then again with its neighbours' fields in place; add what is visible of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from qsmcmb.core.workers import run_each
from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.calibration.filter_taper import choose_filter_taper
from qsmcmb.microbleeds.calibration.heterogeneity import tissue_heterogeneity
from qsmcmb.microbleeds.calibration.psf_width import estimate_psf_width2
from qsmcmb.microbleeds.calibration.slice_profile_choice import choose_slice_profile
from qsmcmb.microbleeds.crosscheck.signal_loss import measure_signal_loss
from qsmcmb.microbleeds.crosscheck.visible_void import dark_beyond_ball
from qsmcmb.microbleeds.fit.adjacent_vein import fit_adjacent_vein
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, summarise_fit
from qsmcmb.microbleeds.fit.vein import Vein, find_vein
from qsmcmb.microbleeds.results.duplicates import SAME_LESION_MM
from qsmcmb.microbleeds.results.measurement import LesionMeasurement, describe_lesion
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindows
from qsmcmb.microbleeds.signal.model import Source
from qsmcmb.microbleeds.signal.patch import RADIUS_MM, Patch, cut_patch
from qsmcmb.microbleeds.signal.point_spread import PointSpread
from qsmcmb.microbleeds.signal.reference_patches import find_reference_patches
from qsmcmb.model import GreScan, Microbleed
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray, IntArray

UNIT = "ppm mm3"
NEIGHBOUR_MM = 14.0
LIMIT_SD = 5.0
N_HETEROGENEITY_LESIONS = 6
"""Lesions around which the tissue's texture is looked at."""
FOUND_SD = 3.0
"""Total susceptibility over its SD from which there is something."""


class ScanFields(NamedTuple):
    """What the earlier stages know: field (Hz), receive phase (rad), mask, noise SD, map (ppm), R2* (1/s)."""

    field_hz: FloatArray
    offset_rad: FloatArray
    mask: BoolArray
    noise: float
    chi_ppm: FloatArray | None = None
    r2star_hz: FloatArray | None = None
    windows: KSpaceWindows = FULL_K_SPACE
    """What the reconstruction left of k-space along each axis."""


class MeasuredLesions(NamedTuple):
    """Lesions, their label image, the fitted balls (centre in mm from each point, voxel axes)."""

    lesions: tuple[Microbleed, ...]
    labels: IntArray
    sources: tuple[Source, ...]
    details: tuple[LesionMeasurement | None, ...] = ()
    """For each lesion; None where nothing could be fitted."""


# The matrices are small: more BLAS threads only wait for each other, and their count would show in the last bits.
@threadpool_limits.wrap(limits=1, user_api="blas")
def measure_lesions(
    scan: GreScan,
    points_mm: FloatArray,
    data: ScanFields,
    *,
    kinds: Sequence[str | None] | None = None,
    scores: Sequence[float | None] | None = None,
    n_readers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredLesions:
    """Measure the total susceptibility of lesions at given points.

    Parameters
    ----------
    scan : GreScan
        The scan; its wrapped phase and magnitude are what is fitted.
    points_mm : ndarray of shape (n, 3)
        Positions, scanner RAS+ mm; within about 2 mm.
    data : ScanFields
        Results of the earlier stages.
    kinds, scores : sequence, optional
        Kind and score of each point, where known.
    n_readers : int, optional
        The first this many points come from a reader (all, by default), the rest from the detector.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    Measured

    Raises
    ------
    InvalidInputError
        POINTS when `points_mm` is not (n, 3) or not finite.
    """
    points_mm = np.asarray(points_mm, dtype=float).reshape(-1, 3) if np.size(points_mm) else np.zeros((0, 3))
    if not np.isfinite(points_mm).all():
        raise InvalidInputError(
            "POINTS", "points_mm", field="x_mm, y_mm, z_mm", found="values that are not finite",
            expected="finite scanner coordinates in mm", fix="correct the table of points",
        )  # fmt: skip
    voxels = scan.grid.to_voxel(points_mm)
    labels = np.zeros(scan.grid.shape, np.int32)
    patches = _with_heterogeneity([_near(scan, v, data) for v in voxels], scan, voxels, data)
    patches = choose_filter_taper(choose_slice_profile(patches))
    states = run_each(lambda patch: None if patch is None else initial_fit(patch), patches)
    psf_width2 = estimate_psf_width2([o for o in states if o is not None])
    fits: list[LesionFit | None] = [None] * len(patches)
    veins: list[Vein | None] = [None] * len(patches)
    beside: list[Vein | None] = [None] * len(patches)
    positions_mm = voxels * np.array(scan.grid.voxel_size_mm)
    in_reach = np.linalg.norm(positions_mm[:, None] - positions_mm, axis=2) <= NEIGHBOUR_MM
    done = count(1)

    def fit_together(group: IntArray) -> None:
        """Fit lesions that see each other one after another, each with what is known of the others."""
        for i in group:
            state = states[i]
            if state is not None:
                patch = state.model.patch
                others = np.flatnonzero(in_reach[i])
                around = _neighbours(i, others, positions_mm, states, patch)
                if around is not None:
                    core = state.model.core
                    state = select_shape(
                        patch, state.source, neighbours=around, psf_width2=psf_width2, core=core
                    )
                refined, veins[i], beside[i] = _compare_with_vein(refine_with_tissue_prior(state, psf_width2))
                fits[i] = fit = summarise_fit(
                    refined, _reference_patches(scan, refined.model.patch, voxels, data)
                )
                states[i] = fit.state
            if progress:
                progress(next(done), len(patches))

    # Directly or through others: what one group fits no other reads.
    n_groups, group_of = connected_components(in_reach, directed=False)
    groups = [np.flatnonzero(group_of == g) for g in range(n_groups)]
    # What lasts longest first, so that no thread waits for it at the end: many lesions, and what no ball describes.
    lasts = [0.0 if o is None else o.core_residual() for o in states]
    run_each(fit_together, sorted(groups, key=lambda group: sum(lasts[i] for i in group), reverse=True))
    lesions: list[Microbleed] = []
    details: list[LesionMeasurement | None] = []
    for i, (patch, fit) in enumerate(zip(patches, fits, strict=True)):
        point = (float(points_mm[i, 0]), float(points_mm[i, 1]), float(points_mm[i, 2]))
        kind, score = kinds[i] if kinds else None, scores[i] if scores else None
        source = "reader" if n_readers is None or i < n_readers else "detector"
        missing = _reason_without_number(scan, voxels[i], data, fit)
        if missing:
            lesions.append(Microbleed(i + 1, point, kind or "other", source=source, flags=(missing,)))
            details.append(None)
            continue
        assert patch is not None
        assert fit is not None
        detail = LesionMeasurement(patch, fit, measure_signal_loss(patch, fit.source), veins[i], beside[i])
        details.append(detail)
        lesions.append(
            describe_lesion(scan, i + 1, detail, data, kind=kind, score=score, source=source, labels=labels)
        )
    sources = tuple(f.source if f else Source(0.0, (0.0, 0.0, 0.0), 1.0) for f in fits)
    return MeasuredLesions(tuple(lesions), labels, sources, tuple(details))


def _compare_with_vein(refined: FitState) -> tuple[FitState, Vein | None, Vein | None]:
    """Return the fit, the vein that explains the scan better than it, and one that does so together with it."""
    # A vein is a poor lesion: its SD is no reason not to look.
    found = abs(refined.source.total_chi_ppm_mm3) > FOUND_SD * refined.sandwich_sd()
    vein = find_vein(refined) if found else None
    if vein is not None:
        return refined, vein, None
    together, beside = fit_adjacent_vein(refined)
    return together, None, beside


def _near(scan: GreScan, voxel: FloatArray, data: ScanFields) -> Patch | None:
    if not _in_volume(scan, voxel):
        return None
    patch = cut_patch(
        scan,
        voxel,
        field_hz=data.field_hz,
        offset_rad=data.offset_rad,
        mask=data.mask,
        noise=data.noise,
        windows=data.windows,
    )
    return patch if patch.fraction_in_mask > 0.2 and patch.inside.sum() > 80 else None


def _reason_without_number(
    scan: GreScan, voxel: FloatArray, data: ScanFields, fit: LesionFit | None
) -> str | None:
    """Return the flag of a point that has no number."""
    if fit is None:
        return "outside-mask" if _in_volume(scan, voxel) else "outside-volume"
    # Above a sinus all may be dark, too, and the lesion be seen in the phase.
    clear = abs(fit.source.total_chi_ppm_mm3) > LIMIT_SD * fit.sd_ppm_mm3
    hidden = not clear and dark_beyond_ball(scan, voxel, data.mask, RADIUS_MM)
    return "too-large" if fit.exceeds_patch or hidden else None


def _in_volume(scan: GreScan, voxel: FloatArray) -> bool:
    return bool(np.all(voxel >= -0.5) and np.all(voxel <= np.array(scan.grid.shape) - 0.5))


def _with_heterogeneity(
    patches: list[Patch | None], scan: GreScan, voxels: FloatArray, data: ScanFields
) -> list[Patch | None]:
    """Return neighbourhoods that know how much the scan's tissue differs from place to place."""
    some = [n for n in patches if n is not None][:N_HETEROGENEITY_LESIONS]
    places = run_each(lambda patch: _reference_patches(scan, patch, voxels, data), some)
    heterogeneity = tissue_heterogeneity([place for around in places for place in around])
    return [None if n is None else replace(n, heterogeneity=heterogeneity) for n in patches]


def _reference_patches(scan: GreScan, patch: Patch, voxels: FloatArray, data: ScanFields) -> list[Patch]:
    return find_reference_patches(
        patch, scan, field_hz=data.field_hz, offset_rad=data.offset_rad, mask=data.mask, lesion_voxels=voxels
    )


def _neighbours(
    i: int, in_reach: IntArray, positions_mm: FloatArray, states: Sequence[FitState | None], patch: Patch
) -> ComplexArray | None:
    """Return the factor of the other lesions in reach on the signal around point i (voxel axes); None without any.

    A fit that ends where this one does is a second point on the same lesion, not a neighbour.
    """
    factor, own = None, states[i]
    for j in in_reach:
        other = states[j]
        if j == i or other is None:
            continue
        shift = positions_mm[j] - positions_mm[i]
        centre = shift + other.source.centre_mm
        if own is not None and np.linalg.norm(centre - own.source.centre_mm) < SAME_LESION_MM:
            continue
        rows = other.rows
        rows[:, 1:4] += shift
        spread = PointSpread(patch, other.source.total_chi_ppm_mm3, centre, rows[:, 4].max())
        this = spread.factor(rows, other.decay_hz, other.psf_width2_mm2, shape=other.model.shape)[0]
        this = 1 + this.reshape(-1)
        factor = this if factor is None else factor * this
    return factor
