"""Voxels that are means over their volume, or samples of k-space: found from the lesions themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.voxel_mean_choice import choose_voxel_means
from qsmcmb.microbleeds.fit.refinement import fit_among_tissue
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.lesions_in_scan import put_lesions

BALL = PhantomLesion("microbleed", (Ball(centre_mm=(0.9, -0.7, 0.4), radius_mm=3.0, dchi_ppm=2.0),))


def patch_of(ball: PhantomLesion, grid: Grid, sampling: str, rng: np.random.Generator) -> Patch:
    """Return the patch of a ball in a liquid, its image sampled in k-space or averaged over each voxel."""
    ones = np.ones((1, *grid.shape), np.float32)
    scan = GreScan(phase_rad=0 * ones, magnitude=100 * ones, te_s=(0.004,), b0_tesla=3.0, grid=grid)
    inside = ones[0] > 0
    made = put_lesions(scan, [ball], inside, rng=rng, sampling=sampling).scan
    field_hz = made.phase_rad[0] / (2 * np.pi * 0.004)
    fields = ScanFields(field_hz=field_hz, offset_rad=0 * ones[0], mask=inside)
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=3.0, noise_sd=0.5, heterogeneity=0.0)
    return cut_patch(made, grid.to_voxel(np.array([0.5, -0.5, 0.2])), fields, acquisition)


@pytest.mark.parametrize("sampling", ["k-space", "voxel"])
def test_coarse_voxels_are_read_by_their_own_sampling(sampling: str, rng: np.random.Generator) -> None:
    patch = patch_of(BALL, Grid.isotropic((20, 20, 20), 3.0), sampling, rng)
    # A ball of 8 mm would hold 79 voxels, too few for a fit.
    assert patch.radius_mm == 12
    assert patch.inside.sum() > 240
    chosen, fits = choose_voxel_means([patch], patch.acquisition, {})
    assert chosen.voxel_means == (sampling == "voxel")
    assert (0 in fits) == (sampling == "k-space")
    if fits:
        read = fit_among_tissue(fits[0], chosen).source.total_chi_ppm_mm3
        assert read == pytest.approx(BALL.total_chi_ppm_mm3, rel=0.02)


@pytest.mark.parametrize("sampling", ["k-space", "voxel"])
def test_thick_voxels_may_be_means_along_all_axes(sampling: str, rng: np.random.Generator) -> None:
    grid = Grid.isotropic((24, 24, 12), 2.0)
    grid = replace(grid, affine=grid.affine @ np.diag([1.0, 1.0, 2.0, 1.0]), voxel_size_mm=(2.0, 2.0, 4.0))
    patch = patch_of(BALL, grid, sampling, rng)
    known = replace(patch.acquisition, slice_profile=SliceProfile(2, 1.0))
    chosen, _ = choose_voxel_means([patch], known, {})
    assert chosen == (replace(patch.acquisition, voxel_means=True) if sampling == "voxel" else known)


def test_zero_filled_images_are_no_means() -> None:
    acquisition = Acquisition(te_s=(0.01,), b0_tesla=3.0, noise_sd=1.0, windows=(KSpaceWindow(edge=0.8),) * 3)
    assert choose_voxel_means([], acquisition, {}) == (acquisition, {})
