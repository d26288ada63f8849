"""Errors of a scan that are not white: breathing between lines of k-space, noise that varies over the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.model import Grid
from qsmcmb.phantoms.head_anatomy import HEAD_CENTRE_MM
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.scan_errors import (
    BREATH_S,
    BREATHING_PPM,
    CENTRAL_NOISE,
    ScanErrors,
    breathe,
    breathing_ppm,
    breathing_share,
    noise_share,
)
from qsmcmb.phantoms.scanner import Pose
from qsmcmb.phantoms.tissue_scan import TissueScan

IN_PLACE = Pose(rotation=np.eye(3), centre=HEAD_CENTRE_MM, shift=np.zeros(3))


def centred_grid(n: int, voxel_mm: float) -> Grid:
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = HEAD_CENTRE_MM - voxel_mm * n / 2
    return Grid.from_affine((n, n, n), affine)


@pytest.mark.parametrize("axes", [(1, 2), (1,)])
def test_each_line_holds_the_phase_of_its_time(axes: tuple[int, ...], rng: np.random.Generator) -> None:
    n = 8
    image = rng.standard_normal((n, n, n)) + 1j * rng.standard_normal((n, n, n))
    share = np.broadcast_to(np.linspace(0, 1, n), (n, n, n))
    phase = rng.uniform(-0.25, 0.25, (n, n))
    made = np.fft.fftn(breathe(image, share, phase, axes), axes=axes)
    for y, z in ((0, 0), (3, 5), (7, 2)):
        # What the whole head would give at the time of this line, or of this line of its slice.
        line = np.fft.fftn(image * np.exp(1j * phase[y, z] * share), axes=axes)[:, y, z]
        np.testing.assert_allclose(made[:, y, z], line, atol=2e-3 * np.abs(line).max())


def test_a_breath_takes_four_seconds(rng: np.random.Generator) -> None:
    ppm = breathing_ppm(4000, 0.05, rng)
    assert np.abs(ppm).max() == pytest.approx(BREATHING_PPM, rel=0.01)
    rises = np.count_nonzero((ppm[:-1] < 0) & (ppm[1:] >= 0))
    assert rises == pytest.approx(4000 * 0.05 / BREATH_S, rel=0.1)


def test_breathing_is_strongest_at_the_base_and_noise_in_the_middle() -> None:
    grid = centred_grid(20, 10.0)
    share, noise = breathing_share(grid, IN_PLACE), noise_share(grid, IN_PLACE, 1.0)
    assert share[10, 10, 2] == pytest.approx(1)
    assert share[10, 10, 18] == pytest.approx(0, abs=1e-6)
    assert noise[10, 10, 10] == pytest.approx(1 + CENTRAL_NOISE)
    assert noise[0, 0, 0] < 1.05


SESSION = Protocol(label="a", b0_tesla=7.0, te_s=(0.005, 0.02), snr=1e6)


def tiny_head(tissue: str) -> Recipe:
    small = replace(read_recipe("smallhead"), size=0.3, fov_mm=(60.0, 72.0, 60.0), voxel_mm=3.0, checksum="")
    return replace(small, tissue=tissue, sessions=(SESSION,))


def test_the_error_of_breathing_grows_with_echo_time() -> None:
    recipe = tiny_head("structured")
    made = TissueScan(recipe, SESSION)
    quiet, breathing = made.scan([]), made.scan([], rng=np.random.default_rng(1))
    change = np.angle(np.exp(1j * (breathing.scan.phase_rad - quiet.scan.phase_rad)))[:, quiet.brain]
    first, last = np.sqrt(np.median(change**2, axis=1))
    assert 0.001 < first < 0.1
    assert last / first == pytest.approx(4, rel=0.25)
    np.testing.assert_array_equal(
        made.scan([], rng=np.random.default_rng(1)).scan.phase_rad, breathing.scan.phase_rad
    )


def test_a_uniform_head_neither_breathes_nor_has_noise_that_varies() -> None:
    recipe = tiny_head("uniform")
    grid = centred_grid(8, 3.0)
    errors = ScanErrors(recipe, SESSION, grid, IN_PLACE, np.random.default_rng(1))
    image = np.ones(grid.shape, np.complex64)
    assert errors.breathe(image, 1000.0) is image
    assert errors.noise == 1
    # Nor does a structured one that is formed without noise.
    assert ScanErrors(tiny_head("structured"), SESSION, grid, IN_PLACE, None).breathe(image, 1000.0) is image
