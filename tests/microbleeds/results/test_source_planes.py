"""Planes through a source hold the susceptibility of its bodies, where they are."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.results.source_planes import SourcePlane, source_planes
from qsmcmb.typing import FloatArray

SIZE = (0.9, 1.0, 2.0)


def pixel(plane: SourcePlane, one: float, two: float) -> float:
    """Return the susceptibility at a point of a plane, mm from the given point."""
    left, right, bottom, top = plane.extent_mm
    n, m = plane.chi_ppm.shape
    return float(
        plane.chi_ppm[int((one - left) / (right - left) * n), int((two - bottom) / (top - bottom) * m)]
    )


def area_mm2(plane: SourcePlane) -> float:
    """Return the area with susceptibility."""
    left, right, bottom, top = plane.extent_mm
    return float((plane.chi_ppm != 0).mean() * (right - left) * (top - bottom))


def test_a_ball_is_a_disc_of_its_contrast_in_each_plane() -> None:
    centre = (0.4, -0.3, 0.2)
    planes = source_planes(np.array([[4.0, *centre, 1.2]]), centre, SIZE)
    assert [plane.axes for plane in planes] == [(0, 1), (0, 2), (1, 2)]
    assert [plane.voxel_mm for plane in planes] == [(0.9, 1.0), (0.9, 2.0), (1.0, 2.0)]
    for plane in planes:
        one, two = plane.axes
        assert plane.centre_mm == (centre[one], centre[two])
        assert pixel(plane, centre[one] + 1.1, centre[two]) == pytest.approx(4 / (4 / 3 * np.pi * 1.2**3))
        assert pixel(plane, centre[one] + 1.3, centre[two]) == 0
        assert area_mm2(plane) == pytest.approx(np.pi * 1.2**2, rel=0.02)
        # The given point and all of the ball are shown.
        assert plane.extent_mm[0] <= min(0, centre[one] - 1.2)
        assert plane.extent_mm[1] >= max(0, centre[one] + 1.2)


def test_balls_add_where_they_overlap_with_their_signs() -> None:
    rows = np.array([[4.0, 0.5, 0.0, 0.0, 1.0], [-2.0, -0.5, 0.0, 0.0, 1.0]])
    plane = source_planes(rows, (0.0, 0.0, 0.0), SIZE)[0]
    unit = 1 / (4 / 3 * np.pi)
    assert [pixel(plane, x, 0.0) for x in (1.2, 0.0, -1.2)] == pytest.approx([4 * unit, 2 * unit, -2 * unit])


@pytest.mark.parametrize("axis", np.eye(3), ids=["first", "second", "third"])
def test_a_spheroid_lies_along_its_focus(axis: FloatArray) -> None:
    """Half length 1 mm, radius across 0.6 mm."""
    planes = source_planes(np.array([[2.0, 0.0, 0.0, 0.0, 0.6, *(0.8 * axis)]]), (0.0, 0.0, 0.0), SIZE)
    long_axis = int(np.argmax(axis))
    for plane in planes:
        half = [1.0 if a == long_axis else 0.6 for a in plane.axes]
        assert area_mm2(plane) == pytest.approx(np.pi * half[0] * half[1], rel=0.03)
        assert pixel(plane, half[0] - 0.05, 0.0) == pytest.approx(2 / (4 / 3 * np.pi * 0.36))
        assert pixel(plane, 0.0, half[1] + 0.05) == 0
