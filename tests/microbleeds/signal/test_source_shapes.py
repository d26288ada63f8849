"""Shapes of a source: what each is made of, what it knows of itself, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.source_shapes import (
    AXES,
    BALL,
    BALL_PAIR,
    CYLINDER,
    LAYOUT,
    SPHEROID,
    Source,
    SourceShape,
)
from qsmcmb.typing import FloatArray

SHAPES = [BALL, BALL_PAIR, SPHEROID, CYLINDER]
P = np.array([0.9, 0.3, -0.2, 0.1, np.log(0.8), 0.4, 4.0, 0.5, -0.6, 0.7])


def parameters(shape: SourceShape) -> FloatArray:
    return P[: shape.n_source_parameters]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_rows_have_the_strength_and_the_centre_of_the_source(shape: SourceShape) -> None:
    rows = shape.rows(parameters(shape))
    assert rows[:, 0].sum() == pytest.approx(0.9)
    np.testing.assert_allclose(rows[:, 1:4].mean(axis=0), P[1:4])
    # The tissue's coefficients that follow change nothing.
    np.testing.assert_array_equal(shape.rows(np.concatenate([parameters(shape), [5.0, 6.0]])), rows)


def test_each_shape_has_the_volume_of_its_radius() -> None:
    ball, pair, spheroid, cylinder = (shape.rows(parameters(shape)) for shape in SHAPES)
    assert ball[0, 4] == pytest.approx(0.8)
    np.testing.assert_allclose(pair[:, 4], 0.8)
    np.testing.assert_allclose(pair[0, 1:4] - pair[1, 1:4], 2 * P[7:10])
    across, focus = spheroid[0, 4], spheroid[0, 5:8]
    np.testing.assert_array_equal(focus, P[7:10])
    assert across**2 * np.sqrt(across**2 + focus @ focus) == pytest.approx(0.8**3)
    assert cylinder[0, 4] == pytest.approx(0.8)
    np.testing.assert_allclose(cylinder[0, 5:8], P[7:10] / np.sqrt(1.1))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_chain_rule_is_that_of_the_rows(shape: SourceShape) -> None:
    """Derivatives of any function of the rows, the decay and the width become those by the parameters."""
    p = parameters(shape)
    rows = shape.rows(p)
    rng = np.random.default_rng(1)
    by_rows, by_decay, by_width = rng.standard_normal((*rows.shape, 3)), np.full(3, 2.0), np.full(3, 5.0)
    flat = by_rows[:, : shape.n_row_parameters].reshape(-1, 3)
    found = shape.chain_rule(p, np.concatenate([flat, by_decay[None], by_width[None]]).astype(complex))
    assert found.shape == (shape.n_source_parameters, 3)

    def function(p: FloatArray) -> FloatArray:
        return np.einsum("ij,ijk->k", shape.rows(p), by_rows) + p[5] * by_width + p[6] * by_decay

    for i in range(len(p)):
        step = np.zeros(len(p))
        step[i] = 1e-5
        np.testing.assert_allclose(found[i], (function(p + step) - function(p - step)) / 2e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [BALL_PAIR, SPHEROID, CYLINDER], ids=lambda shape: shape.name)
def test_what_a_shape_knows_has_its_slopes(shape: SourceShape) -> None:
    known = shape.shape_prior(P)
    assert known is not None
    assert known[0].shape == (1,)
    assert known[1].shape == (1, shape.n_source_parameters)
    for i in range(shape.n_source_parameters):
        step = np.zeros(10)
        step[i] = 1e-5
        above, below = shape.shape_prior(P + step), shape.shape_prior(P - step)
        assert above is not None
        assert below is not None
        assert (above[0] - below[0]) / 2e-5 == pytest.approx(known[1][:, i], abs=1e-4)


def with_axis(length: float) -> FloatArray:
    p = P.copy()
    p[LAYOUT.axis] *= length / np.sqrt(1.1)
    return p


def test_what_each_shape_expects_of_itself() -> None:
    assert BALL.shape_prior(P[:7]) is None
    # Balls that touch; a factor of e^0.4 further is one SD.
    for length, expected in ((0.8, 0.0), (0.8 * np.exp(0.4), 1.0), (0.8 * np.exp(-0.8), -2.0)):
        pair = BALL_PAIR.shape_prior(with_axis(length))
        assert pair[0] == pytest.approx(expected, abs=1e-9)
    # No nearer than 0.05 mm: the logarithm stays finite.
    near = BALL_PAIR.shape_prior(with_axis(1e-9))
    assert near[0] == pytest.approx(np.log(0.05 / 0.8) / 0.4)
    np.testing.assert_allclose(near[1][0, LAYOUT.axis], 0.0, atol=1e-5)
    # A focus at 1.2 radii is one SD from a ball.
    assert SPHEROID.shape_prior(with_axis(1.2 * 0.8))[0] == pytest.approx(1.0)
    assert SPHEROID.shape_prior(with_axis(1e-9))[0] == pytest.approx(1e-3 / (1.2 * 0.8))
    # A direction's length is 1, within 0.1.
    assert CYLINDER.shape_prior(with_axis(1.2))[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("shape", "volume", "dchi"),
    [
        (BALL, 4 / 3 * np.pi * 0.8**3, 1.0),
        (BALL_PAIR, 8 / 3 * np.pi * 0.8**3, 1.0),
        (SPHEROID, 4 / 3 * np.pi * 0.8**3, 1.0),
        (CYLINDER, np.pi * 0.8**2, 0.4),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_susceptibility_is_compared_with_what_is_expected(
    shape: SourceShape, volume: float, dchi: float
) -> None:
    p = parameters(shape).copy()
    for total, used in ((0.9, 0.9), (-0.9, 0.9), (0.001, 0.05)):
        p[0] = total
        assert shape.log_susceptibility_ratio(p) == pytest.approx(np.log(used / volume / dchi))


def test_neither_length_nor_place_along_a_cylinder_is_determined() -> None:
    assert [shape.n_identifiable for shape in SHAPES] == [7, 10, 10, 8]
    assert [shape.is_infinite for shape in SHAPES] == [False, False, False, True]


def test_the_axes_are_the_thirteen_of_a_cube() -> None:
    assert len(AXES) == 13
    np.testing.assert_allclose(np.linalg.norm(AXES, axis=1), 1.0)
    # None is another's opposite, each has components alike in size or 0.
    assert (np.abs(AXES @ AXES.T) - np.eye(13)).max() < 0.9
    for axis in AXES:
        used = np.abs(axis[axis != 0])
        np.testing.assert_allclose(used, used[0])


def test_a_source_is_a_row_and_has_a_susceptibility() -> None:
    source = Source(-3.0, (1.0, 2.0, 3.0), 0.5)
    assert source.row() == [-3.0, 1.0, 2.0, 3.0, 0.5]
    assert source.dchi_ppm == pytest.approx(3.0 / (4 / 3 * np.pi * 0.125))
