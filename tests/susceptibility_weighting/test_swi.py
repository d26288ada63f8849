"""Susceptibility weighting by hand: the phase mask of Haacke 2004 on a few voxels, and the minimum over a slab."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.susceptibility_weighting.swi import make_swi, project_minimum
from qsmcmb.typing import FloatArray

GRID = Grid((15, 13, 11), (1.0, 1.2, 1.5))
MIDDLE = (7, 6, 5)
EVERYWHERE = np.ones(GRID.shape, bool)
SIGMA_MM = 1.5


def one_voxel(phase: float, echoes: int = 1) -> tuple[FloatArray, FloatArray]:
    """Return unit magnitude and a phase of 0 but for the middle voxel."""
    volume = np.zeros((echoes, *GRID.shape), np.float32)
    volume[(-1, *MIDDLE)] = phase
    return volume, np.ones_like(volume)


def low_pass_weight(offset: tuple[int, int, int]) -> float:
    """Weight that the Gaussian gives a voxel so far away."""
    weight = 1.0
    for away, size in zip(offset, GRID.voxel_size_mm, strict=True):
        sigma = SIGMA_MM / size
        reach = int(3 * sigma + 0.5)
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        weight *= line[reach + away] / line.sum() if abs(away) <= reach else 0.0
    return float(weight)


def high_pass(phase: float, offset: tuple[int, int, int]) -> float:
    """Phase of a voxel so far from the turned one, less that of the Gaussian mean of all phasors around it."""
    g = low_pass_weight(offset)
    own = phase if offset == (0, 0, 0) else 0.0
    return float(np.angle(np.exp(1j * own) * np.conj(1 - g + g * np.exp(1j * phase))))


@pytest.mark.parametrize("power", [1, 4])
@pytest.mark.parametrize("phase", [0.4, 1.5, 3.0, -0.7, -2.0])
def test_positive_high_pass_phase_darkens_by_its_part_of_half_a_turn(phase: float, power: int) -> None:
    image = make_swi(*one_voxel(phase), EVERYWHERE, GRID, sigma_mm=SIGMA_MM, power=power)
    for offset in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 0)):
        at = tuple(m + o for m, o in zip(MIDDLE, offset, strict=True))
        high = high_pass(phase, offset)
        expected = (1 - high / np.pi) ** power if high > 0 else 1.0
        assert image[at] == pytest.approx(expected, rel=1e-4), offset
    # Further than the Gaussian reaches.
    assert image[0, 0, 0] == pytest.approx(1.0, abs=1e-6)
    # A positive spot darkens itself, a negative one its surroundings, which are above the mean then.
    assert (image[MIDDLE] < image[8, 6, 5]) == (phase > 0)


def test_the_longest_echo_is_what_is_seen() -> None:
    phase, magnitude = one_voxel(1.5, echoes=3)
    phase[0] = 2.0
    magnitude *= np.array([9.0, 5.0, 2.0], np.float32)[:, None, None, None]
    image = make_swi(phase, magnitude, EVERYWHERE, GRID, sigma_mm=SIGMA_MM)
    alone = make_swi(phase[2:], magnitude[2:], EVERYWHERE, GRID, sigma_mm=SIGMA_MM)
    np.testing.assert_array_equal(image, alone)
    assert image[0, 0, 0] == pytest.approx(2.0)


def test_all_echoes_are_the_mean_of_each_weighted_alone() -> None:
    phase, magnitude = one_voxel(1.5, echoes=3)
    phase[:, 7, 6, 5] = [0.5, 1.0, 1.5]
    magnitude *= np.array([9.0, 5.0, 2.0], np.float32)[:, None, None, None]
    image = make_swi(phase, magnitude, EVERYWHERE, GRID, sigma_mm=SIGMA_MM, echoes="all")
    each = [make_swi(phase[[e]], magnitude[[e]], EVERYWHERE, GRID, sigma_mm=SIGMA_MM) for e in range(3)]
    np.testing.assert_allclose(image, np.mean(each, axis=0), rtol=1e-6)
    assert image[0, 0, 0] == pytest.approx(16 / 3)
    expected = (
        sum(m * (1 - high_pass(p, (0, 0, 0)) / np.pi) ** 4 for m, p in ((9, 0.5), (5, 1.0), (2, 1.5))) / 3
    )
    assert image[MIDDLE] == pytest.approx(expected, rel=1e-4)
    one = make_swi(phase[2:], magnitude[2:], EVERYWHERE, GRID, sigma_mm=SIGMA_MM, echoes="all")
    np.testing.assert_array_equal(one, each[2])
    with pytest.raises(InvalidInputError, match="echoes"):
        make_swi(phase, magnitude, EVERYWHERE, GRID, echoes="first")


def test_a_slow_phase_is_taken_off_and_turns_do_not_matter() -> None:
    """Ten turns along x, slow against the Gaussian, darken nothing that a flat phase would not."""
    phase, magnitude = one_voxel(1.5)
    slope = 0.5 * np.arange(GRID.shape[0], dtype=np.float32)[:, None, None]
    wrapped = np.angle(np.exp(1j * (phase + slope))).astype(np.float32)
    flat, sloped = (make_swi(p, magnitude, EVERYWHERE, GRID, sigma_mm=0.6) for p in (phase, wrapped))
    inner = (slice(3, -3),) * 3
    np.testing.assert_allclose(sloped[inner], flat[inner], atol=0.05)
    assert sloped[MIDDLE] < 0.6


def test_outside_the_mask_the_magnitude_is_shown_and_the_phase_is_not_used() -> None:
    phase, magnitude = one_voxel(1.5)
    mask = EVERYWHERE.copy()
    mask[:7] = False
    phase[0, :7] = 2.5
    magnitude[0, :7] = 3.0
    image = make_swi(phase, magnitude, mask, GRID, sigma_mm=SIGMA_MM)
    np.testing.assert_array_equal(image[:7], 3.0)
    phase[0, :7] = np.nan
    np.testing.assert_array_equal(make_swi(phase, magnitude, mask, GRID, sigma_mm=SIGMA_MM), image)
    # At the edge half of the phasors are missing from the mean, which is shorter then and turned further.
    g = low_pass_weight((0, 0, 0))
    along = sum(low_pass_weight((d, 0, 0)) for d in range(5)) / sum(
        low_pass_weight((d, 0, 0)) for d in range(-4, 5)
    )
    high = np.angle(np.exp(1.5j) * np.conj(along - g + g * np.exp(1.5j)))
    assert image[MIDDLE] == pytest.approx((1 - high / np.pi) ** 4, rel=1e-4)


def test_a_vein_is_dark_across_its_whole_width_and_only_there() -> None:
    grid = Grid((20, 18, 16), (0.8, 0.8, 1.5))
    vein = np.zeros(grid.shape, bool)
    vein[9:11, 8:10] = True
    phase = np.where(vein, 1.2, 0.0).astype(np.float32)[None]
    image = make_swi(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid)
    assert image[vein].max() < 0.35
    assert image[~vein].min() > 0.99
    projected = project_minimum(image, grid)
    assert projected[vein].max() < 0.35
    assert projected[~vein].min() > 0.99


@pytest.mark.parametrize(("thickness_mm", "slices"), [(1.5, 1), (4.5, 3), (7.5, 5), (0.1, 1), (5.0, 3)])
def test_the_projection_is_the_minimum_over_so_many_slices(
    thickness_mm: float, slices: int, rng: np.random.Generator
) -> None:
    image = rng.random(GRID.shape).astype(np.float32)
    found = project_minimum(image, GRID, thickness_mm=thickness_mm)
    reach = slices // 2
    for z in range(GRID.shape[2]):
        near = image[:, :, max(z - reach, 0) : z + reach + 1]
        np.testing.assert_array_equal(found[:, :, z], near.min(axis=2))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("b0_dir", "axis"), [((0.9, 0.3, -0.3), 0), ((0.0, -0.9, 0.436), 1), ((0.5, 0.5, 0.707), 2)]
)
def test_slabs_lie_across_the_axis_nearest_to_b0(
    b0_dir: tuple[float, float, float], axis: int, rng: np.random.Generator
) -> None:
    norm = float(np.linalg.norm(b0_dir))
    direction = tuple(b / norm for b in b0_dir)
    grid = Grid(GRID.shape, GRID.voxel_size_mm, direction)  # type: ignore[arg-type]
    image = rng.random(GRID.shape).astype(np.float32)
    found = project_minimum(image, grid, thickness_mm=3 * GRID.voxel_size_mm[axis])
    np.testing.assert_array_equal(found, ndimage.minimum_filter1d(image, 3, axis=axis))


@pytest.mark.parametrize(
    ("options", "match"),
    [({"sigma_mm": 0.0}, "sigma_mm = 0"), ({"sigma_mm": 60.0}, "sigma_mm"), ({"power": 0}, "power = 0"),
     ({"power": 9}, "power = 9")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, float], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        make_swi(*one_voxel(1.0), EVERYWHERE, GRID, **options)


def test_shapes_and_thickness_are_checked() -> None:
    phase, magnitude = one_voxel(1.0, echoes=2)
    with pytest.raises(InvalidInputError, match=r"phase_rad\.shape"):
        make_swi(phase[:1], magnitude, EVERYWHERE, GRID)
    with pytest.raises(InvalidInputError, match=r"magnitude\.shape"):
        make_swi(phase, magnitude[..., :-1], EVERYWHERE, GRID)
    with pytest.raises(InvalidInputError, match="thickness_mm = 0"):
        project_minimum(magnitude[0], GRID, thickness_mm=0.0)
    with pytest.raises(InvalidInputError, match=r"swi\.shape"):
        project_minimum(magnitude[0, :-1], GRID)
