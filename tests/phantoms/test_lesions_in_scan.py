"""Lesions put into a scan: the scan stays as it is elsewhere, the field is a dipole's, nothing is left inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.errors import ConfigError
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from qsmcmb.phantoms.lesions_in_scan import SAMPLINGS, put_lesions
from qsmcmb.units import GAMMA_MHZ_PER_T

BALL = PhantomLesion("microbleed", (Ball(centre_mm=(1.5, 0.0, 0.0), radius_mm=4.0, dchi_ppm=0.1),))


@pytest.fixture
def scan(rng: np.random.Generator) -> GreScan:
    # Odd and even edges, voxels of 3 mm.
    shape = (21, 20, 18)
    phase = rng.uniform(-np.pi, np.pi, (2, *shape)).astype(np.float32)
    magnitude = rng.uniform(50, 100, (2, *shape)).astype(np.float32)
    grid = Grid.isotropic(shape, 3.0)
    return GreScan(phase_rad=phase, magnitude=magnitude, te_s=(0.002, 0.005), b0_tesla=3.0, grid=grid)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_without_lesions_the_scan_is_the_same(scan: GreScan, sampling: str, rng: np.random.Generator) -> None:
    made = put_lesions(scan, [], np.ones(scan.grid.shape, bool), rng=rng, sampling=sampling).scan
    np.testing.assert_allclose(made.magnitude, scan.magnitude, rtol=1e-5)
    np.testing.assert_allclose(made.phase_rad, scan.phase_rad, atol=1e-5)


@pytest.mark.parametrize(("sampling", "largest"), [("k-space", 0.3), ("voxel", 0.02)])
def test_the_field_is_that_of_a_dipole_and_nothing_is_left_inside(
    scan: GreScan, sampling: str, largest: float, rng: np.random.Generator
) -> None:
    even = GreScan(
        phase_rad=0 * scan.phase_rad,
        magnitude=0 * scan.magnitude + 1,
        te_s=scan.te_s,
        b0_tesla=3.0,
        grid=scan.grid,
    )
    session = put_lesions(even, [BALL], np.ones(scan.grid.shape, bool), rng=rng, sampling=sampling)
    made, voxels = session.scan, np.indices(scan.grid.shape).reshape(3, -1)
    offset = scan.grid.to_world(voxels.T).T - np.array([[1.5], [0.0], [0.0]])
    field = BALL.total_chi_ppm_mm3 * point_dipole_field(offset, np.array(scan.grid.b0_dir))
    phase = 2 * np.pi * GAMMA_MHZ_PER_T * 3.0 * 0.005 * field
    far = (offset**2).sum(axis=0) > 12**2
    assert np.abs(made.phase_rad[1].ravel() - phase)[far].max() < 0.02
    inside = (offset**2).sum(axis=0) < 1.6**2
    assert made.magnitude[:, inside.reshape(scan.grid.shape)].max() < largest
    assert session.lesions[0].S_ppm_mm3 == pytest.approx(BALL.total_chi_ppm_mm3)


def test_an_unknown_sampling_is_refused(scan: GreScan, rng: np.random.Generator) -> None:
    with pytest.raises(ConfigError, match="k-space, voxel"):
        put_lesions(scan, [], np.ones(scan.grid.shape, bool), rng=rng, sampling="sinc")


def test_what_the_scan_is_stays(scan: GreScan, rng: np.random.Generator) -> None:
    first = replace(
        scan, phase_rad=scan.phase_rad[:1], magnitude=scan.magnitude[:1], te_s=scan.te_s[:1],
        difference_te_s=(0.005, 0.005 + scan.te_s[0]),
    )  # fmt: skip
    made = put_lesions(first, [BALL], np.ones(scan.grid.shape, bool), rng=rng).scan
    assert made.phase_difference
    assert not np.array_equal(made.phase_rad, first.phase_rad)
