"""Joint refinement of all lesions of a scan: each beside its neighbours, and against veins.

1. The signal of the other lesions within NEIGHBOUR_MM, by their latest fits, is a factor of a lesion's model. Lesions
   that reach each other, directly or through others, are refined one after another, groups of them in parallel.
2. The refined fit, with the tissue's Gaussian process prior, is compared with a vein and with a vein beside the lesion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from qsmcmb.core.length_scale import length_scale
from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.calibration.calibrate import Calibration
from qsmcmb.microbleeds.fit.adjacent_vein import fit_adjacent_vein
from qsmcmb.microbleeds.fit.free_source_fit import is_free
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, summarise_fit
from qsmcmb.microbleeds.fit.vein import Vein, find_vein
from qsmcmb.microbleeds.results.duplicates import MAX_SAME_FIT_MM
from qsmcmb.microbleeds.results.naming import MIN_SIGNIFICANCE
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.microbleeds.signal.point_spread import PointSpread
from qsmcmb.microbleeds.signal.reference_patches import find_reference_patches
from qsmcmb.microbleeds.signal.source_shapes import ROW_CENTRE, ROW_RADIUS
from qsmcmb.model import GreScan
from qsmcmb.typing import ComplexArray, FloatArray, IntArray

__all__: tuple[str, ...] = ()

NEIGHBOUR_MM = 14.0
"""Distance, mm, up to which the signal of another lesion is part of a lesion's model: its patch ends at 8 mm."""


class FitJob(NamedTuple):
    """The scan, the results of its earlier stages, and all points as voxel indices."""

    scan: GreScan
    """The scan."""
    fields: ScanFields
    """Results of its earlier stages."""
    voxels: FloatArray
    """All points, fractional voxel indices, (n, 3)."""

    @property
    def positions_mm(self) -> FloatArray:
        """The points along the axes of the voxels, mm, (n, 3)."""
        return self.voxels * np.array(self.scan.grid.voxel_size_mm)

    @property
    def reach_mm(self) -> float:
        """Distance, mm, up to which the signal of another lesion is part of a lesion's model."""
        return NEIGHBOUR_MM * length_scale(self.scan.grid)

    def reference_patches(self, patch: Patch) -> list[Patch]:
        """Return lesion-free patches of the same shape around a lesion's."""
        return find_reference_patches(patch, self.scan, self.fields, lesion_voxels=self.voxels)


class RefinedFit(NamedTuple):
    """Refined fit of one lesion, and the veins that explain the scan better than it, or together with it."""

    fit: LesionFit
    vein: Vein | None
    adjacent_vein: Vein | None


def fit_all_lesions(
    job: FitJob,
    calibration: Calibration,
    min_free_significance: Sequence[float],
    progress: Callable[[int, int], None] | None,
) -> list[RefinedFit | None]:
    """Return the refined fit of each point, lesions within NEIGHBOUR_MM one after another."""
    states = list(calibration.states)
    refined: list[RefinedFit | None] = [None] * len(states)
    positions_mm = job.positions_mm
    in_reach = np.linalg.norm(positions_mm[:, None] - positions_mm, axis=2) <= job.reach_mm
    done = count(1)

    def fit_group(group: IntArray) -> None:
        for i in group:
            state = states[i]
            if state is not None:
                neighbours = _neighbour_factor(i, np.flatnonzero(in_reach[i]), positions_mm, states)
                # Neighbours change what a lesion's shape is: only a lone lesion's free source still holds.
                known = calibration.fits_among_tissue.get(i) if neighbours is None else None
                start = state if known is None else _start_from(state, known)
                is_simple = known is not None and not is_free(known)
                fit = _refine(
                    job, start, calibration.acquisition, neighbours,
                    is_simple=is_simple, min_free_significance=min_free_significance[i],
                )  # fmt: skip
                refined[i] = fit
                # Later lesions of the group see this one as refined.
                states[i] = fit.fit.state
            if progress:
                progress(next(done), len(states))

    # Reach counts directly or through others, so that no group reads a state that another one writes.
    n_groups, group_of = connected_components(in_reach, directed=False)
    groups = [np.flatnonzero(group_of == g) for g in range(n_groups)]
    # The longest groups first, so that no thread waits for one at the end: many lesions, and poorly described ones.
    effort = [0.0 if state is None else state.core_residual() for state in states]
    run_each(fit_group, sorted(groups, key=lambda group: sum(effort[i] for i in group), reverse=True))
    return refined


def _start_from(state: FitState, known: FitState) -> FitState:
    """Return the fit to refine: the calibration's free source, or the initial fit where none was better.

    Either has the models that the calibration has compared.
    """
    return known if is_free(known) else state.with_compared_models(known.compared_models)


def _refine(
    job: FitJob,
    state: FitState,
    acquisition: Acquisition,
    neighbours: ComplexArray | None,
    *,
    is_simple: bool,
    min_free_significance: float,
) -> RefinedFit:
    """Return the final fit of one lesion beside its neighbours, and the veins that explain the scan better."""
    if neighbours is not None:
        # The initial fit knew no neighbours: the shape is chosen anew with their signal in the model.
        patch = state.model.patch.with_acquisition(acquisition)
        state = select_shape(patch, state.source, neighbours=neighbours, core_decay=state.model.core_decay)
    refined = refine_with_tissue_prior(
        state, acquisition, is_simple=is_simple, min_free_significance=min_free_significance
    )
    # By the residual's SD alone: a vein fits poorly as a lesion, and the whole SD would hide it.
    significant = abs(refined.source.total_chi_ppm_mm3) > MIN_SIGNIFICANCE * refined.sandwich_sd()
    vein, adjacent_vein = find_vein(refined) if significant else None, None
    if vein is None:
        refined, adjacent_vein = fit_adjacent_vein(refined)
    return RefinedFit(summarise_fit(refined, job.reference_patches(refined.model.patch)), vein, adjacent_vein)


def _neighbour_factor(
    i: int, in_reach: IntArray, positions_mm: FloatArray, states: Sequence[FitState | None]
) -> ComplexArray | None:
    """Return the factor of the other lesions in reach on the signal around point i (voxel axes); None without any.

    A fit that ends where this one does is a second point on the same lesion, not a neighbour.
    """
    factor, own = None, states[i]
    assert own is not None
    for j in in_reach:
        other = states[j]
        if j == i or other is None:
            continue
        shift = positions_mm[j] - positions_mm[i]
        centre = shift + other.source.centre_mm
        if np.linalg.norm(centre - own.source.centre_mm) < MAX_SAME_FIT_MM:
            continue
        rows = other.rows
        rows[:, ROW_CENTRE] += shift
        spread = PointSpread(
            own.model.patch, other.source.total_chi_ppm_mm3, centre, rows[:, ROW_RADIUS].max()
        )
        # The point spread acts on the factor less 1, and returns that.
        change = spread.factor(rows, other.decay_hz, other.psf_width2_mm2, shape=other.model.shape)[0]
        one = 1 + change.reshape(-1)
        factor = one if factor is None else factor * one
    return factor
