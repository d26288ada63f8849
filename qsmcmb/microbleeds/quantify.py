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
from qsmcmb.microbleeds.field_form import fit_ball_form
from qsmcmb.microbleeds.first_fit import first_fit
from qsmcmb.microbleeds.k_space_window import WHOLE, Windows
from qsmcmb.microbleeds.lesion_fit import LesionFit, describe_fit, refine, rough_fit, scan_blur
from qsmcmb.microbleeds.lesion_model import Source
from qsmcmb.microbleeds.neighbourhood import RADIUS_MM, Neighbourhood, cut_neighbourhood, lesion_free_places
from qsmcmb.microbleeds.optimum import Optimum
from qsmcmb.microbleeds.point_spread import PointSpread
from qsmcmb.microbleeds.same_lesion import SAME_LESION_MM
from qsmcmb.microbleeds.shape import larger_than_ball, measure_void
from qsmcmb.microbleeds.signal_loss import SignalLoss, measure_signal_loss
from qsmcmb.microbleeds.slice_choice import with_slices
from qsmcmb.microbleeds.tissue import texture_of
from qsmcmb.microbleeds.vein import Vein, find_vein
from qsmcmb.microbleeds.vein_beside import beside_vein
from qsmcmb.microbleeds.window_choice import with_windows
from qsmcmb.model import Estimate, GreScan, Microbleed
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray, IntArray

UNIT = "ppm mm3"
NEIGHBOUR_MM = 14.0
LIMIT_SD = 5.0
TELLING = 6
"""Lesions around which the tissue's texture is looked at."""
FOUND_SD = 3.0
"""Total susceptibility over its SD from which there is something."""
DEFINITE_SCORE = 0.5
POOR_FIT = 1.0
"""Weighted residual, of all or of the core, above which the model does not hold."""


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


class Detail(NamedTuple):
    """What a lesion's numbers rest on."""

    near: Neighbourhood
    fit: LesionFit
    loss: SignalLoss | None
    vein: Vein | None = None
    """What explains the scan better than a lesion."""
    beside: Vein | None = None
    """What explains the scan better together with the lesion."""


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


def _describe(
    scan: GreScan, label: int, detail: Detail, data: FieldData, *,
    kind: str | None, score: float | None, source: str, labels: IntArray,
) -> Microbleed:  # fmt: skip
    near, fit, loss, vein, _ = detail
    moment = fit.source.total_chi_ppm_mm3
    void = measure_void(near)
    shift = np.array(fit.source.centre_mm) / np.array(scan.grid.voxel_size_mm)
    origin = (
        np.array([s.start for s in near.box])
        - np.array([a[0] for a in near.axes_mm]) / scan.grid.voxel_size_mm
    )
    centre = scan.grid.to_world(origin + shift)
    radius = np.sqrt((near.coordinates_mm**2).sum(axis=0))
    region = void.mask if void.mask.any() else radius <= max(near.grid.voxel_size_mm)
    box = labels[near.box]
    box[region & (box == 0)] = label
    estimate = Estimate(moment, float(np.hypot(fit.sd_ppm_mm3, _doubt(detail))), UNIT)
    limit = LIMIT_SD * fit.noise_sd_ppm_mm3
    r2star = None if data.r2star_hz is None else float(np.median(data.r2star_hz[near.box][region]))
    found = abs(moment) > FOUND_SD * estimate.sd
    if vein is not None and source != "reader":
        kind = "vein"
    kind = kind or ("vein" if vein else "calcification" if moment < 0 and found else "microbleed")
    clear = score is None or score >= DEFINITE_SCORE
    definite = found and clear and fit.residual < 1.5 and near.covered > 0.6
    return Microbleed(
        label=label,
        position_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        kind=kind,
        certainty=("definite" if definite else "possible") if found or source == "reader" else "rejected",
        bombs_certainty="certain" if definite else "uncertain",
        score=score,
        total_chi_ppm_mm3=estimate,
        total_chi_loss_ppm_mm3=loss.total_chi_ppm_mm3 if loss else None,
        detection_limit_ppm_mm3=limit,
        volume_mm3=void.volume_mm3,
        diameter_mm=void.diameter_mm,
        r2star_hz=r2star,
        source=source,
        flags=_flags(detail, found=found),
    )


def _doubt(detail: Detail) -> float:
    """Return by how much what explains the scan better differs from the fit: a ball that keeps its signal, or a vein.

    A fit that finds such a ball and does not settle has a ball too large for the neighbourhood, and a vein's total
    susceptibility depends on where it is taken to end: nothing is known.
    """
    near, fit = detail.near, detail.fit
    if detail.vein is not None:
        return abs(fit.source.total_chi_ppm_mm3)
    lost = fit.kept and not fit.converged
    missed = fit.residual > POOR_FIT or (fit.core_residual > POOR_FIT and not fit.kept)
    ball = fit_ball_form(near, near.field_hz) if lost or missed else None
    if ball is None:
        return 0.0
    moment = fit.source.total_chi_ppm_mm3
    return max(abs(ball.total_chi_ppm_mm3 - moment), abs(moment) if lost else 0.0)


def _flags(detail: Detail, *, found: bool) -> tuple[str, ...]:
    near, fit, flags = detail.near, detail.fit, []
    if near.covered < 0.9:
        flags.append("near-mask-edge")
    if len(near.te_s) == 1:
        flags.append("single-echo")
    if not fit.converged:
        flags.append("not-converged")
    if max(fit.residual, fit.core_residual) > POOR_FIT:
        flags.append("poor-fit")
    if detail.vein is not None:
        flags.append("vein-like")
    if not found:
        flags.append("not-above-noise")
    return tuple(flags)
