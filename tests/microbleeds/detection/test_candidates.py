"""Candidates: what is found, what is left out, and how each is scored."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.detection.candidates import Candidate, find_candidates, search_candidates
from qsmcmb.microbleeds.detection.examined import ExaminedPoint, Gate
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

SHAPE = (48, 44, 40)
GRID = Grid(SHAPE, (1.0, 1.1, 1.2))
SIZE = np.array(GRID.voxel_size_mm)
MASK = np.ones(SHAPE, bool)
MIDDLE = np.array([22.0, 21.0, 19.0])


def within(voxel: FloatArray, radii_mm: float | tuple[float, float, float]) -> BoolArray:
    offset = (np.indices(SHAPE) - np.reshape(voxel, (3, 1, 1, 1))) * np.reshape(SIZE, (3, 1, 1, 1))
    scaled = offset / np.reshape(np.broadcast_to(radii_mm, 3), (3, 1, 1, 1))
    return np.asarray((scaled**2).sum(axis=0) < 1)


def scene(*bodies: tuple[BoolArray, float], darkness: float = 0.6) -> tuple[FloatArray, FloatArray]:
    """Return map and two echoes: bodies of a susceptibility, dark by this part on the last echo alone."""
    chi, magnitude = np.zeros(SHAPE), np.ones((2, *SHAPE))
    for body, ppm in bodies:
        chi[body] = ppm
        magnitude[1][body] = 1 - darkness
    return chi, magnitude


def found_in(*bodies: tuple[BoolArray, float], darkness: float = 0.6, **options: float) -> list[Candidate]:
    return find_candidates(*scene(*bodies, darkness=darkness), MASK, GRID, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ppm", "kind"), [(0.8, "microbleed"), (-0.8, "calcification")])
def test_a_ball_is_found_where_it_is(ppm: float, kind: str) -> None:
    [candidate] = found_in((within(MIDDLE, 2.2), ppm))
    assert candidate.kind == kind
    np.testing.assert_allclose(candidate.voxel, MIDDLE, atol=0.02)
    assert 0.9 < candidate.score <= 1


def test_the_score_is_the_product_of_its_terms() -> None:
    body = within(MIDDLE, 1.3)
    ppm, darkness = 0.25, 0.25
    [candidate] = found_in((body, ppm), darkness=darkness, min_score=0.0)
    chi, magnitude = scene((body, ppm), darkness=darkness)
    mean = ndimage.gaussian_filter(np.clip(chi, -0.1, 0.1), 4.0 / SIZE)
    contrast = (chi - mean)[body]
    moment = contrast.sum() * GRID.voxel_volume_mm3
    index = np.argwhere(body) * SIZE
    principal = np.linalg.eigvalsh(np.cov(index.T, bias=True, aweights=contrast) + np.diag(SIZE**2 / 12))
    roundness = 1.5 / max(np.sqrt(principal[-1] / principal[0]), 1.5)
    smoothed = ndimage.gaussian_filter(magnitude[1], 0.5)
    dark = 1 - np.percentile(smoothed[ndimage.binary_dilation(body)], 10)
    expected = (1 - np.exp(-moment / 2)) * (dark / 0.4) * roundness
    assert candidate.score == pytest.approx(expected, rel=1e-4)
    # A darker one has no more than all of it.
    assert found_in((body, ppm), darkness=0.9)[0].score == pytest.approx(expected * 0.4 / dark, rel=1e-4)
    assert found_in((body, 2 * ppm), darkness=darkness)[0].score > 1.05 * candidate.score


def test_what_is_weak_bright_long_or_large_is_no_candidate() -> None:
    ball = within(MIDDLE, 2.2)
    assert found_in((ball, 0.10)) == []
    assert found_in((ball, 0.14), min_score=0.0)
    assert found_in((ball, 0.14), threshold_ppm=0.2, min_score=0.0) == []
    assert found_in((ball, 0.8), darkness=0.08) == []
    assert found_in((ball, 0.8), darkness=0.2, min_darkening=0.3) == []
    long = within(MIDDLE, (5.2, 1.3, 1.3))
    assert found_in((long, 0.8), min_score=0.0) == []
    assert found_in((long, 0.8), min_score=0.0, max_elongation=9.0)
    # Eleven voxels of 1 mm along one axis are 11 mm, twelve are more.
    assert found_in((within(MIDDLE, (5.9, 4.0, 4.0)), 0.8), min_score=0.0)
    assert found_in((within(MIDDLE, (6.1, 4.0, 4.0)), 0.8), min_score=0.0) == []
    single = np.zeros(SHAPE, bool)
    single[22, 21, 19] = True
    assert found_in((single, 3.0), min_score=0.0) == []
    single[23, 22, 20] = True
    # Voxels that touch at a corner are one.
    assert len(found_in((single, 3.0), min_score=0.0, max_elongation=9.0)) == 1


@pytest.mark.parametrize(
    ("shape", "is_long"),
    [((1, 2, 1), False), ((2, 2, 2), False), ((7, 1, 1), True), ((7, 1, 2), True), ((1, 2, 3), True)],
)
def test_the_length_of_a_thick_slice_makes_no_vein(shape: tuple[int, int, int], is_long: bool) -> None:
    grid = Grid((40, 40, 12), (1.0, 1.0, 4.0))
    body = np.zeros(grid.shape, bool)
    body[tuple(slice(5, 5 + n) for n in shape)] = True
    chi, magnitude = np.where(body, 0.8, 0.0), np.ones((2, *grid.shape))
    magnitude[1][body] = 0.2
    # A region of one or two slices may be a ball; three slices are longer than any.
    point = strongest(search_candidates(chi, magnitude, body | True, grid, min_score=0.0).examined)
    assert (point.gate in (Gate.ELONGATED, Gate.TOO_LARGE)) == is_long
    assert ((point.elongation or 0) > 3) == is_long


def test_the_best_come_first_and_close_ones_are_left_out() -> None:
    strong, weak = within(MIDDLE, 2.2), within(np.add(MIDDLE, (12.0, 0.0, 0.0)), 1.5)
    first, second = found_in((weak, 0.5), (strong, 0.8))
    np.testing.assert_allclose(first.voxel, MIDDLE, atol=0.05)
    assert first.score > second.score
    assert len(found_in((weak, 0.5), (strong, 0.8), max_candidates=1)) == 1
    for apart, count in ((6.0, 2), (5.0, 1)):
        streak = within(np.add(MIDDLE, (apart, 0.0, 0.0)), 1.2)
        found = found_in((streak, -0.6), (within(MIDDLE, 1.8), 0.8), min_score=0.0)
        assert len(found) == count
        assert found[0].kind == "microbleed"


@pytest.mark.parametrize(
    ("depth_mm", "factor"), [(0.5, 0.3), (1.4, 0.3), (2.0, 0.5), (2.5, 0.75), (4.0, 1.0)]
)
def test_the_score_rises_below_the_brains_surface(
    monkeypatch: pytest.MonkeyPatch, depth_mm: float, factor: float
) -> None:
    import qsmcmb.microbleeds.detection.scene as module

    ball = within(MIDDLE, 2.2)
    [deep] = found_in((ball, 0.8))
    monkeypatch.setattr(module, "distance_inside_mm", lambda mask, size: np.full(SHAPE, depth_mm))
    [found] = found_in((ball, 0.8), min_score=0.0)
    assert found.score == pytest.approx(factor * deep.score)


def test_bone_in_the_mask_is_not_depth() -> None:
    """Three layers that are dark at the first echo are no brain: what lies below them lies at the surface."""
    mask = np.zeros(SHAPE, bool)
    mask[10:] = True
    body = np.zeros(SHAPE, bool)
    body[13:15, 20:22, 18:20] = True
    chi, magnitude = scene((body, 1.5))
    [deep] = find_candidates(chi, magnitude, mask, GRID, min_score=0.0)
    magnitude[0, 10:13] = 0.29
    [below_bone] = find_candidates(chi, magnitude, mask, GRID, min_score=0.0)
    assert below_bone.score < 0.7 * deep.score
    magnitude[0, 10:13] = 0.31
    [below_brain] = find_candidates(chi, magnitude, mask, GRID, min_score=0.0)
    assert below_brain.score == deep.score


def test_a_wide_offset_of_the_map_is_no_contrast() -> None:
    ball = within(MIDDLE, 2.2)
    chi, magnitude = scene((ball, 0.8))
    [plain] = find_candidates(chi, magnitude, MASK, GRID)
    [above] = find_candidates(chi + 0.05, magnitude, MASK, GRID)
    assert above.score == pytest.approx(plain.score, rel=0.02)
    # Values outside the mask are not seen.
    mask = np.zeros(SHAPE, bool)
    mask[8:40, 8:36, 6:34] = True
    [inside] = find_candidates(np.where(mask, chi, 5.0), magnitude, mask, GRID)
    assert inside.score == pytest.approx(plain.score, rel=0.02)
    assert find_candidates(chi, magnitude, ~ball, GRID) == []


def test_surroundings_are_those_within_four_mm() -> None:
    """Darkness further away changes nothing; nearer the lesion is compared with it."""
    ball = within(MIDDLE, 2.2)
    chi, magnitude = scene((ball, 0.8), darkness=0.2)
    [plain] = find_candidates(chi, magnitude, MASK, GRID)
    far = magnitude.copy()
    far[1][~within(MIDDLE, 12.0)] = 0.1
    [same] = find_candidates(chi, far, MASK, GRID)
    assert same.score == pytest.approx(plain.score, rel=1e-6)
    near = magnitude.copy()
    near[1][~within(MIDDLE, 4.0)] *= 0.5
    assert find_candidates(chi, near, MASK, GRID) == []


def dipole_of(voxel: FloatArray, total_ppm_mm3: float) -> FloatArray:
    """Return a lesion's field with noise of 1 ppb, ppm; none in the ball of 1.5 mm in which it lies."""
    xyz = (np.indices(SHAPE).reshape(3, -1) - np.reshape(voxel, (3, 1))) * SIZE[:, None]
    field = total_ppm_mm3 * point_dipole_field(xyz, np.array(GRID.b0_dir))
    field[(xyz**2).sum(axis=0) < 1.5**2] = 0
    noise = 0.001 * np.random.default_rng(3).standard_normal(SHAPE)
    return np.asarray((field.reshape(SHAPE) + noise).astype(np.float32))


FIELD_SD = np.full(SHAPE, 0.001, np.float32)


def test_a_lesion_on_a_vein_is_found_above_a_higher_threshold() -> None:
    ball, vein = within(MIDDLE, 2.2), within(MIDDLE, (30.0, 1.4, 1.4))
    both = scene((vein, 0.2), (ball, 0.8))
    search = search_candidates(*both, MASK, GRID)
    [candidate] = [c for c in search.candidates if c.kind == "microbleed"]
    assert candidate.test == "threshold"
    np.testing.assert_allclose(candidate.voxel, MIDDLE, atol=0.1)
    assert any(p.test == "map" and p.gate == Gate.TOO_LARGE for p in search.examined)
    assert not [
        c for c in search_candidates(*scene((vein, 0.4)), MASK, GRID).candidates if c.kind == "microbleed"
    ]


def test_a_dipole_is_found_where_the_map_is_flat() -> None:
    flat, magnitude = scene((within(MIDDLE, 2.2), 0.0))
    field = dipole_of(MIDDLE, 4.0)
    assert find_candidates(flat, magnitude, MASK, GRID) == []
    [candidate] = find_candidates(flat, magnitude, MASK, GRID, local_field_ppm=field, field_sd_ppm=FIELD_SD)
    assert candidate.test == "dipole"
    assert np.linalg.norm((np.array(candidate.voxel) - MIDDLE) * SIZE) < 1.0
    # A dipole without darkness, or of the other sign, is none.
    bright = np.ones_like(magnitude)
    search = search_candidates(flat, bright, MASK, GRID, local_field_ppm=field, field_sd_ppm=FIELD_SD)
    assert search.candidates == []
    assert any(p.gate == Gate.NOT_DARK for p in search.examined)
    search = search_candidates(flat, magnitude, MASK, GRID, local_field_ppm=-field, field_sd_ppm=FIELD_SD)
    assert search.candidates == []
    assert any(p.gate == Gate.OTHER_SIGN for p in search.examined)


def test_map_and_dipole_of_one_lesion_are_one_candidate() -> None:
    both = scene((within(MIDDLE, 2.2), 0.8))
    [plain] = find_candidates(*both, MASK, GRID)
    [joined] = find_candidates(
        *both, MASK, GRID, local_field_ppm=dipole_of(MIDDLE, 30.0), field_sd_ppm=FIELD_SD
    )
    assert joined.test == "map+dipole"
    assert joined._replace(test="map") == plain


def strongest(points: list[ExaminedPoint]) -> ExaminedPoint:
    """Return the strongest region above the lowest threshold; around it lie weaker ones of both signs."""
    return max((p for p in points if p.test == "map"), key=lambda p: p.total_ppm_mm3 or 0.0)


def gates(*bodies: tuple[BoolArray, float], darkness: float = 0.6, **options: float) -> list[ExaminedPoint]:
    volumes = scene(*bodies, darkness=darkness)
    return search_candidates(*volumes, MASK, GRID, **options).examined  # type: ignore[arg-type]


def test_each_gate_says_what_it_found_and_what_it_needs() -> None:
    ball = within(MIDDLE, 2.2)
    large = strongest(gates((within(MIDDLE, (7.1, 6.0, 6.0)), 0.8)))
    assert (large.gate, large.found, large.needed) == (Gate.TOO_LARGE, 15.0, 11.0)
    long = strongest(gates((within(MIDDLE, (5.2, 1.3, 1.3)), 0.17)))
    assert long.gate == Gate.ELONGATED
    assert long.found == long.elongation
    assert long.needed == 3.0
    bright = strongest(gates((ball, 0.17), darkness=0.05))
    assert bright.gate == Gate.NOT_DARK
    assert bright.found == pytest.approx(0.05, abs=0.01)
    [low] = gates((ball, 0.8), min_score=0.999999, darkness=0.39)[:1]
    assert (low.gate, low.needed) == (Gate.SCORE, 0.999999)
    two = ((ball, 0.8), (within(np.add(MIDDLE, (12.0, 0.0, 0.0)), 1.8), 0.8))
    best, other = gates(*two, max_candidates=1)[:2]
    assert best.gate is None
    assert (other.gate, other.found, other.needed) == (Gate.BEYOND_CAP, 2.0, 1.0)
    streak = within(np.add(MIDDLE, (4.0, 0.0, 0.0)), 1.2)
    _, close = gates((within(MIDDLE, 1.8), 0.8), (streak, -0.6), min_score=0.0)[:2]
    assert close.gate == Gate.NEAR_BETTER
    assert close.found == pytest.approx(4.0, abs=0.5)
    np.testing.assert_allclose(best.position_mm, GRID.to_world(MIDDLE), atol=0.1)
