"""The field fit: dipoles and balls under a cubic are found exactly, and what counts as void."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.fit.field_fit import (
    SEARCH_RADII_MM,
    START_RADIUS_MM,
    best_kernel,
    detrend_field,
    fit_point_dipole,
    fit_signal_retaining_ball,
    voxels_outside_void,
    with_fitted_field,
)
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

B0_DIR = (0.36, 0.48, 0.8)
AXES = tuple((np.arange(15) - 7) * v for v in (1.0, 1.1, 0.9))
XYZ = np.stack(np.meshgrid(*AXES, indexing="ij"))
CUBIC = np.random.default_rng(5).normal(0.0, 20.0, 20)


def scene(total: float, centre: tuple[float, float, float], radius_mm: float = 0.0) -> FloatArray:
    """Return the field (Hz at 3 T) of a ball, whose inside has none of its own, on a cubic."""
    offset = (XYZ - np.reshape(centre, (3, 1, 1, 1))).reshape(3, -1)
    ppm = total * point_dipole_field(offset, np.array(B0_DIR))
    ppm = np.where((offset**2).sum(axis=0) > radius_mm**2, ppm, 0.0) if radius_mm else ppm
    hz = GAMMA_MHZ_PER_T * 3.0 * ppm + polynomials(XYZ.reshape(3, -1) / 6.5, 3) @ CUBIC
    return np.asarray(hz.reshape(15, 15, 15))


def patch_of(field_hz: FloatArray, magnitude: FloatArray | None = None) -> Patch:
    bright = np.full((15, 15, 15), 100.0)
    return Patch(
        acquisition=Acquisition(te_s=(0.005, 0.02), b0_tesla=3.0, noise_sd=1.0),
        grid=Grid((15, 15, 15), (1.0, 1.1, 0.9), B0_DIR),
        # The first echo is dark all over: the longest one shows the void.
        signal=np.stack([1e-3 * bright, bright if magnitude is None else magnitude]).astype(complex),
        field_hz=field_hz,
        inside=(XYZ**2).sum(axis=0) <= 6.5**2,
        axes_mm=AXES,  # type: ignore[arg-type]
        radius_mm=6.5,
        fraction_in_mask=1.0,
        box=(slice(0, 15), slice(0, 15), slice(0, 15)),
    )


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (1.0, -1.0, 0.0), (-1.0, 0.0, 1.0)])
@pytest.mark.parametrize("total", [3.0, -3.0])
def test_a_dipole_under_a_cubic_is_found_exactly(total: float, centre: tuple[float, float, float]) -> None:
    patch = patch_of(scene(total, centre))
    found = fit_point_dipole(patch, patch.field_hz)
    assert found.total_chi_ppm_mm3 == pytest.approx(total, rel=1e-6)
    assert found.centre_mm == centre
    assert found.radius_mm == START_RADIUS_MM


def test_the_background_beside_a_source_is_the_cubic() -> None:
    source = Source(3.0, (0.4, -0.3, 0.2), 1.0)
    known = with_fitted_field(patch_of(scene(3.0, source.centre_mm)), source)
    np.testing.assert_allclose(known.background, CUBIC, atol=1e-6)


@pytest.mark.parametrize("radius_mm", [1.5, 2.5, 4.0])
def test_a_ball_that_retains_its_signal_is_found_with_its_radius(radius_mm: float) -> None:
    assert radius_mm in SEARCH_RADII_MM
    total = 4 / 3 * np.pi * radius_mm**3 * -0.6
    patch = patch_of(scene(total, (1.0, 0.0, -1.0), radius_mm))
    ball = fit_signal_retaining_ball(patch, patch.field_hz)
    assert ball is not None
    assert ball.total_chi_ppm_mm3 == pytest.approx(total, rel=1e-6)
    assert ball.centre_mm == (1.0, 0.0, -1.0)
    assert ball.radius_mm == radius_mm


@pytest.mark.parametrize(("level", "retains"), [(70.0, True), (50.0, False)])
def test_a_ball_that_is_dark_inside_retains_nothing(level: float, retains: bool) -> None:
    distance = np.sqrt(((XYZ - np.reshape((1.0, 0.0, -1.0), (3, 1, 1, 1))) ** 2).sum(axis=0))
    # Within 0.6 of the radius the magnitude counts; the edge is dark anyhow.
    magnitude = np.where(distance < 0.6 * 4.0, level, np.where(distance < 4.0, 20.0, 100.0))
    total = 4 / 3 * np.pi * 4.0**3 * 0.6
    patch = patch_of(scene(total, (1.0, 0.0, -1.0), 4.0), magnitude)
    assert (fit_signal_retaining_ball(patch, patch.field_hz) is not None) == retains


def test_the_void_and_the_point_are_left_out() -> None:
    magnitude = np.full((15, 15, 15), 100.0)
    magnitude[3, 7, 7], magnitude[11, 7, 7] = 59.0, 61.0
    patch = patch_of(scene(0.0, (0.0, 0.0, 0.0)), magnitude)
    usable = voxels_outside_void(patch)
    radius = np.sqrt((XYZ**2).sum(axis=0))
    # One and a half of the longest edge, 1.1 mm.
    expected = patch.inside & (radius > 1.65)
    expected[3, 7, 7] = False
    np.testing.assert_array_equal(usable, expected)


def test_with_too_few_bright_voxels_all_are_used() -> None:
    bright = np.zeros((15, 15, 15), bool)
    radius = np.sqrt((XYZ**2).sum(axis=0))
    patch = patch_of(scene(0.0, (0.0, 0.0, 0.0)))
    order = np.argwhere(patch.inside & (radius > 3.0))
    for count, few in ((60, True), (61, False)):
        bright[:] = False
        bright[tuple(order[:count].T)] = True
        # More than half must be dark for the median, by which bright is told, to be so.
        dark = patch_of(patch.field_hz, np.where(bright, 100.0, 0.0))
        assert (voxels_outside_void(dark).sum() == patch.inside.sum()) == few


def test_detrending_takes_the_cubic_off_in_ppm() -> None:
    patch = patch_of(scene(0.0, (0.0, 0.0, 0.0)))
    rough = np.random.default_rng(2).standard_normal(patch.inside.shape)
    usable = patch.inside & (XYZ[0] > -3)
    detrended = detrend_field(patch, patch.field_hz + rough, usable)
    basis = polynomials(XYZ[:, usable] / 6.5, 3)
    left = rough[usable] - basis @ np.linalg.lstsq(basis, rough[usable], rcond=None)[0]
    np.testing.assert_allclose(detrended.values, left / (GAMMA_MHZ_PER_T * 3.0), atol=1e-9)
    np.testing.assert_array_equal(detrended.xyz, XYZ[:, usable])


def test_the_best_kernel_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(4)
    patch = patch_of(scene(2.0, (0.0, 0.0, 0.0)))
    field = patch.field_hz + rng.standard_normal(patch.inside.shape)
    detrended = detrend_field(patch, field, patch.inside)
    kernels = rng.standard_normal((4, int(patch.inside.sum()))) + 0.2 * detrended.values
    kernels[2] += 3 * detrended.values
    kernels[3] = detrended.basis[:, 1]
    found = best_kernel(detrended, kernels)
    assert found.number == 2
    # Kernel and cubic fitted together to the field itself.
    values = field[patch.inside] / (GAMMA_MHZ_PER_T * 3.0)
    design = np.column_stack([kernels[2], detrended.basis])
    fitted, left = np.linalg.lstsq(design, values, rcond=None)[:2]
    assert found.strength == pytest.approx(fitted[0], rel=1e-8)
    assert found.explained == pytest.approx((detrended.values**2).sum() - left[0], rel=1e-8)


def test_a_patch_without_voxels_has_none_outside_the_void() -> None:
    patch = patch_of(scene(0.0, (0.0, 0.0, 0.0)))
    empty = replace(patch, inside=np.zeros_like(patch.inside))
    assert not voxels_outside_void(empty).any()
