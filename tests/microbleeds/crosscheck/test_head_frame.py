"""A nucleus has a mirror partner, a lesion has none; depth is that below the mask's surface."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.crosscheck.head_frame import HeadFrame, find_head_frame
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import Grid

GRID = Grid.isotropic((60, 70, 60), 2.0)
WORLD = np.moveaxis(
    GRID.to_world(np.moveaxis(np.indices(GRID.shape), 0, -1).reshape(-1, 3).astype(float)), -1, 0
)
BRAIN = ((WORLD[0] / 40) ** 2 + (WORLD[1] / 52) ** 2 + (WORLD[2] / 42) ** 2 < 1).reshape(GRID.shape)
PARTNERS, LONE = ((18.0, 4.0, 2.0), (-18.0, 4.0, 2.0)), (-22.0, -20.0, 10.0)


def frame(sign: float = 1.0) -> HeadFrame:
    """Return the frame of a head with a nucleus on both sides and a lesion on one."""
    chi = np.zeros(GRID.shape, np.float32)
    for place, radius, ppm in [(PARTNERS[0], 5, 0.1), (PARTNERS[1], 5, 0.12), (LONE, 3, 0.4)]:
        ball = ((WORLD - np.reshape(place, (3, 1))) ** 2).sum(axis=0) < radius**2
        chi += sign * ppm * ball.reshape(GRID.shape)
    nothing = np.zeros(GRID.shape, np.float32)
    return find_head_frame(ScanFields(nothing, nothing, BRAIN, None, chi), GRID)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_partners_across_the_midline(sign: float) -> None:
    found = frame(sign)
    nucleus = found.mirror_ratio(np.array(PARTNERS[0]), sign)
    lesion = found.mirror_ratio(np.array(LONE), sign)
    assert nucleus == pytest.approx(1.2, abs=0.1)
    assert lesion == pytest.approx(0, abs=0.1)


def test_no_partner_at_the_midline_or_without_a_map() -> None:
    found = frame()
    assert found.mirror_ratio(np.array([1.0, 10.0, 0.0]), 1.0) is None
    # Beside the midline a candidate is not its own partner.
    chi = np.zeros(GRID.shape, np.float32)
    lone = (((WORLD - np.array([[5.0], [4.0], [2.0]])) ** 2).sum(axis=0) < 3.0**2).reshape(GRID.shape)
    chi[lone] = 0.4
    nothing = np.zeros(GRID.shape, np.float32)
    beside = find_head_frame(ScanFields(nothing, nothing, BRAIN, None, chi), GRID)
    ratio = beside.mirror_ratio(np.array([5.0, 4.0, 2.0]), 1.0)
    assert ratio is not None
    assert ratio < 0.3
    assert found._replace(contrast_ppm=None).mirror_ratio(np.array(LONE), 1.0) is None
    # Outside the volume there is nothing.
    assert found.mirror_ratio(np.array([500.0, 0.0, 0.0]), 1.0) == 0.0


def test_depth() -> None:
    found = frame()
    assert found.depth_at(np.array([0.0, 0.0, 0.0])) == pytest.approx(40, abs=3)
    assert found.depth_at(np.array([38.0, 0.0, 0.0])) == pytest.approx(2, abs=2)
    assert found.depth_at(np.array([55.0, 0.0, 0.0])) == 0.0
    assert found.depth_at(np.array([500.0, 0.0, 0.0])) is None
