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
from qsmcmb.microbleeds.calibration.filter_taper import with_windows
from qsmcmb.microbleeds.calibration.heterogeneity import texture_of
from qsmcmb.microbleeds.calibration.psf_width import scan_blur
from qsmcmb.microbleeds.calibration.slice_profile_choice import with_slices
from qsmcmb.microbleeds.crosscheck.signal_loss import measure_signal_loss
from qsmcmb.microbleeds.crosscheck.visible_void import larger_than_ball
from qsmcmb.microbleeds.fit.adjacent_vein import beside_vein
from qsmcmb.microbleeds.fit.initial import first_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum
from qsmcmb.microbleeds.fit.refinement import refine
from qsmcmb.microbleeds.fit.shape_selection import rough_fit
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, describe_fit
from qsmcmb.microbleeds.fit.vein import Vein, find_vein
from qsmcmb.microbleeds.results.duplicates import SAME_LESION_MM
from qsmcmb.microbleeds.results.measurement import Detail, _describe
from qsmcmb.microbleeds.signal.acquisition import WHOLE, Windows
from qsmcmb.microbleeds.signal.model import Source
from qsmcmb.microbleeds.signal.patch import RADIUS_MM, Neighbourhood, cut_neighbourhood
from qsmcmb.microbleeds.signal.point_spread import PointSpread
from qsmcmb.microbleeds.signal.reference_patches import lesion_free_places
from qsmcmb.model import GreScan, Microbleed
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray, IntArray

UNIT = "ppm mm3"
NEIGHBOUR_MM = 14.0
LIMIT_SD = 5.0
TELLING = 6
"""Lesions around which the tissue's texture is looked at."""
FOUND_SD = 3.0
"""Total susceptibility over its SD from which there is something."""


class FieldData(NamedTuple):
    """What the earlier stages know: field (Hz), receive phase (rad), mask, noise SD, map (ppm), R2* (1/s)."""

    field_hz: FloatArray
    offset_rad: FloatArray
    mask: BoolArray
    noise: float
    chi_ppm: FloatArray | None = None
    r2star_hz: FloatArray | None = None
    windows: Windows = WHOLE
    """What the reconstruction left of k-space along each axis."""


class Measured(NamedTuple):
    """Lesions, their label image, the fitted balls (centre in mm from each point, voxel axes)."""

    lesions: tuple[Microbleed, ...]
    labels: IntArray
    sources: tuple[Source, ...]
    details: tuple[Detail | None, ...] = ()
    """For each lesion; None where nothing could be fitted."""


# The matrices are small: more BLAS threads only wait for each other, and their count would show in the last bits.
@threadpool_limits.wrap(limits=1, user_api="blas")
def quantify_lesions(
    scan: GreScan,
    points_mm: FloatArray,
    data: FieldData,
    *,
    kinds: Sequence[str | None] | None = None,
    scores: Sequence[float | None] | None = None,
    n_readers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Measure the total susceptibility of lesions at given points.

    Parameters
    ----------
    scan : GreScan
        The scan; its wrapped phase and magnitude are what is fitted.
    points_mm : ndarray of shape (n, 3)
        Positions, scanner RAS+ mm; within about 2 mm.
    data : FieldData
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
    nears = _with_texture([_near(scan, v, data) for v in voxels], scan, voxels, data)
    nears = with_windows(with_slices(nears))
    optima = run_each(lambda near: None if near is None else first_fit(near), nears)
    blur = scan_blur([o for o in optima if o is not None])
    fits: list[LesionFit | None] = [None] * len(nears)
    veins: list[Vein | None] = [None] * len(nears)
    beside: list[Vein | None] = [None] * len(nears)
    places_mm = voxels * np.array(scan.grid.voxel_size_mm)
    in_reach = np.linalg.norm(places_mm[:, None] - places_mm, axis=2) <= NEIGHBOUR_MM
    done = count(1)

    def fit_together(group: IntArray) -> None:
        """Fit lesions that see each other one after another, each with what is known of the others."""
        for i in group:
            optimum = optima[i]
            if optimum is not None:
                near = optimum.model.near
                others = np.flatnonzero(in_reach[i])
                around = _neighbours(i, others, places_mm, optima, near)
                if around is not None:
                    core = optimum.model.core
                    optimum = rough_fit(near, optimum.source, neighbours=around, blur=blur, core=core)
                refined, veins[i], beside[i] = _with_vein(refine(optimum, blur))
                fits[i] = fit = describe_fit(refined, _places(scan, refined.model.near, voxels, data))
                optima[i] = fit.optimum
            if progress:
                progress(next(done), len(nears))

    # Directly or through others: what one group fits no other reads.
    n_groups, group_of = connected_components(in_reach, directed=False)
    groups = [np.flatnonzero(group_of == g) for g in range(n_groups)]
    # What lasts longest first, so that no thread waits for it at the end: many lesions, and what no ball describes.
    lasts = [0.0 if o is None else o.core_residual() for o in optima]
    run_each(fit_together, sorted(groups, key=lambda group: sum(lasts[i] for i in group), reverse=True))
    lesions: list[Microbleed] = []
    details: list[Detail | None] = []
    for i, (near, fit) in enumerate(zip(nears, fits, strict=True)):
        point = (float(points_mm[i, 0]), float(points_mm[i, 1]), float(points_mm[i, 2]))
        kind, score = kinds[i] if kinds else None, scores[i] if scores else None
        source = "reader" if n_readers is None or i < n_readers else "detector"
        missing = _why_not(scan, voxels[i], data, fit)
        if missing:
            lesions.append(Microbleed(i + 1, point, kind or "other", source=source, flags=(missing,)))
            details.append(None)
            continue
        assert near is not None
        assert fit is not None
        detail = Detail(near, fit, measure_signal_loss(near, fit.source), veins[i], beside[i])
        details.append(detail)
        lesions.append(
            _describe(scan, i + 1, detail, data, kind=kind, score=score, source=source, labels=labels)
        )
    sources = tuple(f.source if f else Source(0.0, (0.0, 0.0, 0.0), 1.0) for f in fits)
    return Measured(tuple(lesions), labels, sources, tuple(details))


def _with_vein(refined: Optimum) -> tuple[Optimum, Vein | None, Vein | None]:
    """Return the fit, the vein that explains the scan better than it, and one that does so together with it."""
    # A vein is a poor lesion: its SD is no reason not to look.
    found = abs(refined.source.total_chi_ppm_mm3) > FOUND_SD * refined.sandwich()
    vein = find_vein(refined) if found else None
    if vein is not None:
        return refined, vein, None
    together, beside = beside_vein(refined)
    return together, None, beside


def _near(scan: GreScan, voxel: FloatArray, data: FieldData) -> Neighbourhood | None:
    if not _in_volume(scan, voxel):
        return None
    near = cut_neighbourhood(
        scan,
        voxel,
        field_hz=data.field_hz,
        offset_rad=data.offset_rad,
        mask=data.mask,
        noise=data.noise,
        windows=data.windows,
    )
    return near if near.covered > 0.2 and near.inside.sum() > 80 else None


def _why_not(scan: GreScan, voxel: FloatArray, data: FieldData, fit: LesionFit | None) -> str | None:
    """Return the flag of a point that has no number."""
    if fit is None:
        return "outside-mask" if _in_volume(scan, voxel) else "outside-volume"
    # Above a sinus all may be dark, too, and the lesion be seen in the phase.
    clear = abs(fit.source.total_chi_ppm_mm3) > LIMIT_SD * fit.sd_ppm_mm3
    hidden = not clear and larger_than_ball(scan, voxel, data.mask, RADIUS_MM)
    return "too-large" if fit.outgrown or hidden else None


def _in_volume(scan: GreScan, voxel: FloatArray) -> bool:
    return bool(np.all(voxel >= -0.5) and np.all(voxel <= np.array(scan.grid.shape) - 0.5))


def _with_texture(
    nears: list[Neighbourhood | None], scan: GreScan, voxels: FloatArray, data: FieldData
) -> list[Neighbourhood | None]:
    """Return neighbourhoods that know how much the scan's tissue differs from place to place."""
    some = [n for n in nears if n is not None][:TELLING]
    places = run_each(lambda near: _places(scan, near, voxels, data), some)
    texture = texture_of([place for around in places for place in around])
    return [None if n is None else replace(n, texture=texture) for n in nears]


def _places(scan: GreScan, near: Neighbourhood, voxels: FloatArray, data: FieldData) -> list[Neighbourhood]:
    return lesion_free_places(
        near, scan, field_hz=data.field_hz, offset_rad=data.offset_rad, mask=data.mask, lesion_voxels=voxels
    )


def _neighbours(
    i: int, in_reach: IntArray, places_mm: FloatArray, optima: Sequence[Optimum | None], near: Neighbourhood
) -> ComplexArray | None:
    """Return the factor of the other lesions in reach on the signal around point i (voxel axes); None without any.

    A fit that ends where this one does is a second point on the same lesion, not a neighbour.
    """
    factor, own = None, optima[i]
    for j in in_reach:
        other = optima[j]
        if j == i or other is None:
            continue
        shift = places_mm[j] - places_mm[i]
        centre = shift + other.source.centre_mm
        if own is not None and np.linalg.norm(centre - own.source.centre_mm) < SAME_LESION_MM:
            continue
        rows = other.rows
        rows[:, 1:4] += shift
        spread = PointSpread(near, other.source.total_chi_ppm_mm3, centre, rows[:, 4].max())
        this = spread.factor(rows, other.decay_hz, other.blur_mm2, shape=other.model.shape)[0]
        this = 1 + this.reshape(-1)
        factor = this if factor is None else factor * this
    return factor
