"""Moments of a source: lengths of known bodies, and the field that a shape adds to its dipole's."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.source_moments import half_lengths_mm, source_moments
from qsmcmb.typing import FloatArray
from tests.scenes.lesion_signal import B0_DIR

B0 = (float(B0_DIR[0]), float(B0_DIR[1]), float(B0_DIR[2]))
PAIR = np.array([[3.0, 1.0, 0.2, 0.5, 0.8], [3.0, -1.0, 0.2, 0.5, 0.8]])
"""Two equal balls along the first axis, their middle off the point."""


def field_of(rows: FloatArray, points: FloatArray) -> FloatArray:
    """Return the field of balls at points (3, n), by its formula."""
    out = np.zeros(points.shape[1])
    for total, *centre, _ in rows:
        offset = points - np.reshape(centre, (3, 1))
        r = np.linalg.norm(offset, axis=0)
        out += total * (3 * (B0_DIR @ offset / r) ** 2 - 1) / (4 * np.pi * r**3)
    return out


def test_a_spheroid_has_its_lengths() -> None:
    """Half length sqrt(0.6^2 + 0.8^2) = 1 mm, radius across 0.6 mm."""
    focus = 0.8 * np.array([0.6, 0.64, 0.48])
    rows = np.array([[-4.0, 0.3, -0.2, 0.1, 0.6, *focus]])
    moments = source_moments(rows, B0)
    assert half_lengths_mm(rows) == pytest.approx([1.0])
    assert moments.principal_lengths_mm == pytest.approx([2.0, 1.2, 1.2])
    assert moments.elongation == pytest.approx(2 / 1.2)
    assert abs(np.dot(moments.long_axis, focus) / 0.8) == pytest.approx(1.0)
    assert (moments.total_chi_ppm_mm3, moments.absolute_chi_ppm_mm3) == (-4.0, 4.0)
    assert moments.centre_mm == pytest.approx((0.3, -0.2, 0.1))


def test_a_pair_is_longer_than_it_is_wide() -> None:
    moments = source_moments(PAIR, B0)
    # Second moments along the axis 1 + 0.8^2 / 5, across it 0.8^2 / 5.
    along, across = (2 * np.sqrt(5 * v) for v in (1 + 0.128, 0.128))
    assert moments.principal_lengths_mm == pytest.approx([along, across, across])
    assert np.abs(moments.long_axis) == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize("second", [3.0, -2.0], ids=["one sign", "both signs"])
def test_the_remainder_is_what_a_dipole_lacks(second: float) -> None:
    rows = PAIR.copy()
    rows[1, 0] = second
    moments = source_moments(rows, B0)
    size = np.abs(rows[:, 0])
    centre = size @ rows[:, 1:4] / size.sum()
    rng = np.random.default_rng(3)
    directions = rng.standard_normal((3, 20_000))
    directions /= np.linalg.norm(directions, axis=0)
    for distance, found in zip((3.0, 5.0, 8.0), moments.remainder, strict=True):
        points = centre[:, None] + distance * directions
        dipole = field_of(np.array([[1.0, *centre, 1.0]]), points)
        left = field_of(rows, points) - rows[:, 0].sum() * dipole
        assert found == pytest.approx(np.linalg.norm(left) / np.linalg.norm(size.sum() * dipole), rel=0.03)


def test_the_remainder_of_one_sign_falls_with_the_square_of_the_distance() -> None:
    remainder = source_moments(PAIR, B0).remainder
    assert remainder[1] is not None
    assert remainder[2] is not None
    assert remainder[1] / remainder[2] == pytest.approx((8 / 5) ** 2, rel=0.1)


def test_within_the_source_no_remainder_is_given() -> None:
    rows = PAIR.copy()
    rows[:, 1] *= 2.5
    assert [r is None for r in source_moments(rows, B0).remainder] == [True, False, False]
