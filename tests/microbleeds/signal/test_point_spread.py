"""The point spread: the cells on which a signal is formed do not show in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import CELL_MM, COARSE_CELL_MM, MAX_SMOOTH_PHASE, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, Source
from qsmcmb.model import Grid
from qsmcmb.typing import ComplexArray, FloatArray
from tests.scenes.patches import NO_FILTER, SMALL_BALL, scanned, small_patch, with_acquisition


@pytest.mark.parametrize("total", [3.0, 60.0])
def test_the_cells_do_not_show(total: float) -> None:
    radius = float((3 * total / (4 * np.pi * 1.3)) ** (1 / 3))
    patch = scanned(np.array([[total, 0.3, -0.4, 0.2, radius]]), tilt_hz_per_mm=12.0)
    source = Source(total, (0.3, -0.4, 0.2), radius)
    patch = with_fitted_field(patch, source)

    def seen(cell_mm: float) -> np.ndarray:
        spread = PointSpread(patch, total, np.array(source.centre_mm), radius, cell_mm=cell_mm)
        return spread.factor(np.array([source.row()]), 100.0, 0.1)[0]

    finest = seen(0.15)
    assert np.linalg.norm(seen(CELL_MM) - finest) < 0.01 * np.linalg.norm(finest)
    assert np.linalg.norm(seen(COARSE_CELL_MM) - finest) < 0.03 * np.linalg.norm(finest)


def test_a_smooth_phase_is_its_mean_within_one_percent() -> None:
    across_voxel = np.exp(1j * MAX_SMOOTH_PHASE * np.linspace(-0.5, 0.5, 1001))
    assert abs(across_voxel.mean() - 1) < 0.01


@pytest.mark.parametrize(
    ("window", "tolerance"),
    # The crop holds one of both Nyquist frequencies: without a filter that rings through the image.
    [
        (NO_FILTER, 0.09),
        (KSpaceWindow(0.7), 0.14),
        (KSpaceWindow(0.8, 0.5, 0.0), 0.025),
        (KSpaceWindow(1.0, 1.0, 0.08), 0.025),
    ],
    ids=["full", "zero-filled", "tukey", "hamming"],
)
@pytest.mark.parametrize("total", [3.0, -30.0])
def test_voxels_see_what_k_space_holds(total: float, window: KSpaceWindow, tolerance: float) -> None:
    """The signal of fine cells, cropped in k-space, is the tissue's times the factor: unit tissue shows it."""
    radius = float((3 * abs(total) / (4 * np.pi * 1.3)) ** (1 / 3))
    source = Source(total, (0.3, -0.4, 0.2), radius)
    patch = scanned(np.array([source.row()]), window)
    spread = PointSpread(patch, total, np.array(source.centre_mm), radius)
    # The simulation's cells are a box of 1/6 mm.
    factor = spread.factor(np.array([source.row()]), 1e4, 1 / 36)[0]
    truth = patch.signal[:, patch.inside]
    assert np.linalg.norm(1 + factor - truth) < tolerance * np.linalg.norm(truth - 1)
    if window.taper == 0:
        return
    # Voxels at the edge see hardly any of the cells: the smooth part.
    far = np.linalg.norm(patch.coordinates_mm[:, patch.inside], axis=0) > 6.5
    assert np.linalg.norm((1 + factor - truth)[:, far]) < 0.04 * np.linalg.norm((truth - 1)[:, far])


def test_what_lies_on_one_side_is_seen_on_that_side() -> None:
    """A ball beside the centre of the cells: mirrored at it, the smooth part would be all wrong."""
    source = Source(3.0, (1.6, -0.9, 0.7), 0.8)
    patch = scanned(np.array([source.row()]), KSpaceWindow(0.8, 0.5, 0.0))
    spread = PointSpread(patch, 3.0, np.zeros(3), 0.8)
    factor = spread.factor(np.array([source.row()]), 1e4, 1 / 36)[0]
    truth = patch.signal[:, patch.inside]
    far = np.linalg.norm(patch.coordinates_mm[:, patch.inside], axis=0) > 6.5
    assert np.linalg.norm((1 + factor - truth)[:, far]) < 0.1 * np.linalg.norm((truth - 1)[:, far])


def test_slices_see_the_mean_over_their_profile() -> None:
    """A wide dark ball without a field, over thick slices: the part of each voxel that it takes."""
    axis = np.arange(-6.0, 7.0)
    z = 3.0 * np.arange(-3, 4)
    patch = small_patch()
    x, y, zz = np.meshgrid(axis, axis, z, indexing="ij")
    patch = replace(
        with_acquisition(patch, slice_profile=SliceProfile(2, 1.0), windows=(KSpaceWindow(),) * 3),
        grid=Grid((13, 13, 7), (1.0, 1.0, 3.0), (0.0, 0.0, 1.0)),
        signal=np.ones((2, 13, 13, 7), complex),
        field_hz=np.zeros((13, 13, 7)),
        inside=x**2 + y**2 + zz**2 <= 81,
        axes_mm=(axis, axis, z),
        radius_mm=9.0,
    )
    source = Source(1e-9, (0.0, 0.0, 1.0), 4.0)
    spread = PointSpread(patch, 1e-9, np.array(source.centre_mm), 4.0)
    lost = np.zeros(patch.inside.shape)
    lost[patch.inside] = -spread.factor(np.array([source.row()]), 1e4, 0.0)[0, 0].real
    # Along the axis through the middle, with flanks of 0.6 mm around 1.5 mm from each slice's middle.
    h = np.arange(-4.5, 5.5, 0.001)
    for k, at in enumerate(z):
        weight = SliceProfile(2, 1.0).point_spread((h - at) / 3.0)
        inside = (np.abs(h - 1.0) < 4.0) * weight
        assert lost[6, 6, k] == pytest.approx(inside.sum() / (3.0 / 0.001), abs=0.12)
    # The whole of the lost signal is the ball's volume.
    assert lost.sum() * 3.0 == pytest.approx(4 / 3 * np.pi * 64, rel=0.01)


def spread_and_row() -> tuple[PointSpread, FloatArray]:
    return PointSpread(small_patch(), 2.0, np.array(SMALL_BALL.centre_mm), 0.8), np.array([SMALL_BALL.row()])


@pytest.mark.parametrize("parameter", range(5))
def test_derivatives_by_rows_are_differences(parameter: int) -> None:
    spread, row = spread_and_row()
    made = spread.factor(row, 100.0, 0.3, derivatives=True)
    assert made.shape[0] == 8
    step = np.zeros_like(row)
    step[0, parameter] = 5e-3
    difference = (spread.factor(row + step, 100.0, 0.3) - spread.factor(row - step, 100.0, 0.3))[0] / 1e-2
    # The radius moves the edge across cells in steps.
    tolerance = 0.1 if parameter == 4 else 0.02
    assert np.linalg.norm(difference - made[1 + parameter]) < tolerance * np.linalg.norm(difference)


def test_derivatives_by_decay_and_width_are_differences() -> None:
    spread, row = spread_and_row()
    made = spread.factor(row, 100.0, 0.3, derivatives=True)
    by_decay = (spread.factor(row, 101.0, 0.3) - spread.factor(row, 99.0, 0.3))[0] / np.log(101 / 99)
    assert np.linalg.norm(by_decay - made[6]) < 0.01 * np.linalg.norm(by_decay)
    by_width = (spread.factor(row, 100.0, 0.32) - spread.factor(row, 100.0, 0.28))[0] / 0.04
    assert np.linalg.norm(by_width - made[7]) < 0.05 * np.linalg.norm(by_width)
    # At a width of 0, too.
    at_zero = spread.factor(row, 100.0, 0.0, derivatives=True)
    forward = (spread.factor(row, 100.0, 0.02) - at_zero[:1])[0] / 0.02
    assert np.linalg.norm(forward - at_zero[7]) < 0.01 * np.linalg.norm(forward)


def test_what_was_asked_for_last_is_not_mixed_up() -> None:
    spread, row = spread_and_row()

    def fresh(row: FloatArray, decay: float, width2: float, derivatives: bool) -> ComplexArray:
        return spread_and_row()[0].factor(row, decay, width2, derivatives=derivatives)

    asked = [
        (row, 100.0, 0.3, False), (row, 100.0, 0.3, True), (row, 100.0, 0.3, False), (row, 90.0, 0.3, False),
        (row, 90.0, 0.2, True), (row + 0.1, 90.0, 0.2, True), (row + 0.1, 90.0, 0.2, False), (row, 90.0, 0.2, False),
    ]  # fmt: skip
    for question in asked:
        *given, derivatives = question
        found = spread.factor(*given, derivatives=derivatives)
        # With derivatives and without the phases of several balls are added in another order, in single precision.
        np.testing.assert_allclose(found, fresh(*question), atol=2e-6)
        assert len(found) == (8 if derivatives else 1)
    # The same rows are another body in another shape: a pair in the place of a ball is asked for by its rows.
    p = np.array([2.0, *SMALL_BALL.centre_mm, np.log(0.6), 0.2, np.log(90.0), 0.4, 0.0, 0.3])
    pair = spread.factor(BALL_PAIR.rows(p), 90.0, 0.2, shape=BALL_PAIR)
    assert np.linalg.norm(pair - spread.factor(row, 90.0, 0.2)) > 0.1


def test_two_balls_far_from_each_other_see_each_other_as_a_product() -> None:
    spread = PointSpread(small_patch(), 6.0, np.zeros(3), 2.5)
    one, two = ([1.0, 2.0, 0.0, 0.0, 0.6], [0.8, -2.0, 0.5, 0.0, 0.6])
    both = 1 + spread.factor(np.array([one, two]), 100.0, 0.2)[0]
    apart = (1 + spread.factor(np.array([one]), 100.0, 0.2)[0]) * (
        1 + spread.factor(np.array([two]), 100.0, 0.2)[0]
    )
    assert np.linalg.norm(both - apart) < 0.06 * np.linalg.norm(both - 1)


def test_a_phase_difference_is_the_second_echo_times_the_conjugate_first() -> None:
    te_s = (0.006, 0.014)
    patch = small_patch(te_s=te_s)
    pair = with_acquisition(patch, te_s=(te_s[1] - te_s[0],), difference_te_s=te_s)

    def seen(of: Patch, total: float, *, derivatives: bool = False) -> ComplexArray:
        source = SMALL_BALL._replace(total_chi_ppm_mm3=total)
        spread = PointSpread(of, SMALL_BALL.total_chi_ppm_mm3, np.zeros(3), SMALL_BALL.radius_mm)
        return spread.factor(np.array([source.row()]), 100.0, 0.16, derivatives=derivatives)

    first, second = 1 + seen(patch, 2.0)[0]
    difference = seen(pair, 2.0, derivatives=True)
    np.testing.assert_allclose(1 + difference[0, 0], second * first.conj(), atol=1e-6)
    slope = (seen(pair, 2.01)[0, 0] - seen(pair, 1.99)[0, 0]) / 0.02
    np.testing.assert_allclose(difference[1, 0], slope, atol=2e-3 * np.abs(slope).max())
