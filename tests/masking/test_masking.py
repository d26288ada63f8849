"""Masks: what each option does, loops against twins, lesions of the heads kept."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import qsmcmb as qc
from qsmcmb.core.morphology import close_gaps, dilate, erode, fill_holes, largest_component, shave
from qsmcmb.errors import InvalidInputError
from qsmcmb.masking.brain import bright, coherence, otsu
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

GRID = Grid((40, 37, 34), (1.0, 1.2, 1.5))
GOLDEN = {"magnitude": 10177, "phase_quality": 8654, "combined": 9947}
"""Voxels of the mask of each method that needs no package of its own."""


def head(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, BoolArray]:
    """A ball of signal with a dark void at its surface, in noise."""
    axes = [(np.arange(n) - (n - 1) / 2) * v for n, v in zip(GRID.shape, GRID.voxel_size_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    brain = x**2 + y**2 + z**2 < 16**2
    void = (x - 13) ** 2 + y**2 + z**2 < 2.5**2
    signal = (brain & ~void).astype(complex) * np.exp(0.2j * x)
    noisy = signal + 0.04 * (rng.standard_normal(GRID.shape) + 1j * rng.standard_normal(GRID.shape))
    return np.abs(noisy)[None].astype(np.float32), np.angle(noisy)[None].astype(np.float32), brain


@pytest.mark.parametrize("method", GOLDEN)
def test_void_at_the_surface_stays_inside(method: str, rng: np.random.Generator) -> None:
    magnitude, phase, brain = head(rng)
    made = qc.mask_brain(magnitude, phase, GRID, method=method)
    assert made[33, 18, 16]
    assert 2 * (made & brain).sum() / (made.sum() + brain.sum()) > 0.93


@pytest.mark.parametrize("method", GOLDEN)
def test_as_many_voxels_as_ever(method: str, rng: np.random.Generator) -> None:
    magnitude, phase, _ = head(rng)
    assert int(qc.mask_brain(magnitude, phase, GRID, method=method).sum()) == pytest.approx(
        GOLDEN[method], abs=15
    )


@pytest.mark.parametrize(
    ("method", "options"),
    [("magnitude", {"threshold": "percentile", "percentile": 80.0}), ("combined", {"combine": "or"}),
     ("combined", {"shave_layers": 1}), ("phase_quality", {"shave_layers": 2})],
)  # fmt: skip
def test_options_still_find_the_brain(
    method: str, options: dict[str, object], rng: np.random.Generator
) -> None:
    magnitude, phase, brain = head(rng)
    made = qc.mask_brain(magnitude, phase, GRID, method=method, options=options)
    assert 2 * (made & brain).sum() / (made.sum() + brain.sum()) > 0.93


def test_and_asks_for_both_and_or_for_either(rng: np.random.Generator) -> None:
    """One end of the brain is dark but coherent, the other bright but without a phase."""
    magnitude, phase, brain = head(rng)
    x = np.arange(GRID.shape[0])[:, None, None]
    dark, incoherent = brain & (x > 26), brain & (x < 14)
    magnitude = np.where(dark, 0.02, magnitude).astype(np.float32)
    phase = np.where(incoherent, rng.uniform(-np.pi, np.pi, phase.shape), phase)
    phase = np.where(dark, 0.2 * x, phase).astype(np.float32)
    options = {"open_mm": 0.0, "close_mm": 0.0}
    both, either = (
        qc.mask_brain(magnitude, phase, GRID, options={"combine": c, **options}) for c in ("and", "or")
    )
    assert either[dark].mean() > 0.95
    assert either[incoherent].mean() > 0.95
    # A smoothed step is bright a voxel or two beyond it.
    assert both[brain & (x > 28)].mean() < 0.05
    assert both[brain & (x < 12)].mean() < 0.05
    assert both[brain & ~dark & ~incoherent].mean() > 0.95


@pytest.mark.parametrize(
    ("options", "match"),
    [({"combine": "xor"}, "combine"), ({"quality": 1.5}, "quality"), ({"open_mm": -1.0}, "open_mm"),
     ({"close_mm": 50.0}, "close_mm"), ({"shave_layers": -1}, "shave_layers")],
)  # fmt: skip
def test_options_out_of_range_are_refused(
    options: dict[str, object], match: str, rng: np.random.Generator
) -> None:
    magnitude, phase, _ = head(rng)
    with pytest.raises(InvalidInputError, match=match):
        qc.mask_brain(magnitude, phase, GRID, options=options)


def test_otsus_threshold_parts_two_classes_as_far_as_can_be(rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(1.0, 0.4, 3000), rng.normal(6.0, 0.8, 1000)]).astype(np.float32)
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    apart = []
    for last in range(255):
        low, high = (counts[s].sum() for s in (slice(0, last + 1), slice(last + 1, None)))
        means = [
            np.average(middles[s], weights=counts[s]) for s in (slice(0, last + 1), slice(last + 1, None))
        ]
        apart.append(low * high * (means[0] - means[1]) ** 2)
    assert otsu(values) == pytest.approx(middles[int(np.argmax(apart))])


@pytest.mark.parametrize("threshold", ["otsu", "percentile"])
def test_bright_is_above_its_threshold_after_smoothing_over_a_millimetre(
    threshold: str, rng: np.random.Generator
) -> None:
    magnitude = np.where(np.indices(GRID.shape)[0] > 20, 5.0, 1.0) + 0.5 * rng.standard_normal(GRID.shape)
    echoes = np.stack([magnitude, 0 * magnitude]).astype(np.float32)
    smooth = ndimage.gaussian_filter(echoes[0], [1 / v for v in GRID.voxel_size_mm], truncate=3.0)
    some = smooth[::2, ::2, ::2]
    limit = np.percentile(some, 62.0)
    if threshold == "otsu":
        limit = 0.75 * otsu(np.clip(some, 0, np.percentile(some, 99)))
    found = bright(echoes, GRID, threshold=threshold, percentile=62.0)
    np.testing.assert_array_equal(found, smooth > limit)


@pytest.mark.loops
def test_coherence_is_its_plain_twin(rng: np.random.Generator) -> None:
    phase = rng.uniform(-np.pi, np.pi, (13, 9, 7)).astype(np.float32)
    parts = [ndimage.uniform_filter(f(phase.astype(float)), 3) for f in (np.cos, np.sin)]
    np.testing.assert_allclose(coherence(phase), np.hypot(*parts), atol=1e-5)


@pytest.mark.parametrize("radius_mm", [1.0, 2.0, 3.7])
def test_balls_are_those_of_the_full_distance(radius_mm: float, rng: np.random.Generator) -> None:
    size = (1.0, 1.3, 2.0)
    mask = ndimage.binary_opening(rng.random((21, 18, 14)) > 0.35)
    outside = ndimage.distance_transform_edt(~mask, sampling=size)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=size)[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(dilate(mask, radius_mm, size), outside <= radius_mm)
    np.testing.assert_array_equal(erode(mask, radius_mm, size), inside > radius_mm)
    # Closing: what no ball outside reaches that does not touch the mask; beyond the volume there is room.
    room = 6
    wide = np.pad(mask, room)
    apart = ndimage.distance_transform_edt(~wide, sampling=size) > radius_mm
    closed = ndimage.distance_transform_edt(~apart, sampling=size) > radius_mm
    inner = (slice(room, -room),) * 3
    found = close_gaps(mask, radius_mm, size)
    np.testing.assert_array_equal(found, mask | closed[inner])
    assert radius_mm < 2 or (found & ~mask).any()


def test_holes_parts_and_nothing_at_all() -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[1:9, 1:9, 1:9] = True
    mask[3:5, 3:5, 3:5] = False
    mask[10:, 10:, 10:] = True
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
    assert largest_component(mask).sum() == 8**3 - 8
    empty = np.zeros((4, 4, 4), bool)
    for made in (
        fill_holes(empty),
        largest_component(empty),
        erode(empty, 1, (1, 1, 1)),
        dilate(empty, 1, (1, 1, 1)),
    ):
        assert not made.any()


def test_cavities_up_to_a_size_are_filled() -> None:
    mask = np.ones((20, 20, 20), bool)
    mask[3:6, 3:6, 3:6] = False
    mask[8:18, 8:18, 8:18] = False
    found = fill_holes(mask, 0.1)
    assert found[3:6, 3:6, 3:6].all()
    assert not found[8:18, 8:18, 8:18].any()


@pytest.mark.parametrize("method", ["magnitude", "combined"])
def test_a_scalp_closed_all_around_is_left_out(method: str, rng: np.random.Generator) -> None:
    """The gap at the skull is a cavity of the tissue: filled, it made one body of brain, skull and scalp."""
    grid = Grid.isotropic((64, 64, 64), 1.5)
    r = np.linalg.norm((np.indices(grid.shape) - 31.5) * 1.5, axis=0)
    brain, scalp = r < 34, (r > 38) & (r < 42)
    void = (
        np.linalg.norm(
            (np.indices(grid.shape) - 31.5) * 1.5 - np.array([20, 0, 0])[:, None, None, None], axis=0
        )
        < 4
    )
    signal = (brain & ~void) + 0.7 * scalp
    noisy = signal + 0.01 * (rng.standard_normal(grid.shape) + 1j * rng.standard_normal(grid.shape))
    made = qc.mask_brain(
        np.abs(noisy)[None].astype(np.float32), np.angle(noisy)[None].astype(np.float32), grid, method=method
    )
    assert not (made & scalp).any()
    assert made[void].all()
    assert 2 * (made & brain).sum() / (made.sum() + brain.sum()) > 0.95


def test_shaving_takes_dark_surface_alone() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[1:8, 1:8, 1:8] = True
    good = mask.copy()
    good[1:3] = False
    good[5, 5, 5] = False
    assert shave(mask, good, 1).sum() == mask.sum() - 49 - 24
    left = shave(mask, good, 5)
    assert left[5, 5, 5]
    assert left.sum() == mask.sum() - 2 * 49


@pytest.mark.shared
@pytest.mark.parametrize("session", ["3T", "7T"])
def test_default_keeps_every_lesion_of_the_heads_with_its_surroundings(
    session: str, shared_data: Path
) -> None:
    from qsmcmb.io.nifti import read_volume

    scan = qc.load_scan(shared_data / "heads", participant="dev01", session=session)
    made = qc.mask_brain(scan.magnitude, scan.phase_rad, scan.grid)
    folder = shared_data / "heads-truth" / "sub-dev01" / f"ses-{session}"
    stem = f"sub-dev01_ses-{session}"
    brain = read_volume(folder / f"{stem}_desc-brain_mask.nii.gz").values() > 0
    assert 2 * (made & brain).sum() / (made.sum() + brain.sum()) > 0.985
    voxels = np.argwhere(brain & ~made)
    missing_mm = scan.grid.to_world(voxels.astype(float))
    with (folder / f"{stem}_lesions.tsv").open() as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            centre = np.array([float(row[c]) for c in ("x_mm", "y_mm", "z_mm")])
            assert np.linalg.norm(missing_mm - centre, axis=1).min() > 3.0, row["id"]
