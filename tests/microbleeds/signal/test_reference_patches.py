"""Reference patches: tissue around a lesion, in the mask and clear of all lesions."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.microbleeds.signal.reference_patches import find_reference_patches
from qsmcmb.model import GreScan, Grid

SIZE = np.array([1.5, 1.5, 2.0])
SHAPE = (50, 50, 40)
GRID = Grid(SHAPE, (1.5, 1.5, 2.0))
VOXEL = np.array([25.2, 24.7, 20.1])
ACQUISITION = Acquisition(te_s=(0.006, 0.013), b0_tesla=3.0, noise_sd=0.1)
DISTANCES_MM = (9.0, 13.0, 17.0, 22.0)


@pytest.fixture
def scene() -> tuple[GreScan, ScanFields, Patch]:
    rng = np.random.default_rng(1)
    phase, magnitude = rng.uniform(-3, 3, (2, *SHAPE)), rng.uniform(1, 2, (2, *SHAPE))
    scan = GreScan(phase.astype(np.float32), magnitude.astype(np.float32), (0.006, 0.013), 3.0, GRID)
    offset, field = rng.standard_normal((2, *SHAPE))
    fields = ScanFields(field_hz=field, offset_rad=offset, mask=np.ones(SHAPE, bool))
    return scan, fields, cut_patch(scan, VOXEL, fields, ACQUISITION)


def shifts_of(patch: Patch, found: list[Patch]) -> np.ndarray:
    return np.array([[b.start - a.start for a, b in zip(patch.box, f.box, strict=True)] for f in found])


def test_the_nearest_free_ones_are_taken_in_whole_voxels(scene: tuple[GreScan, ScanFields, Patch]) -> None:
    scan, fields, patch = scene
    found = find_reference_patches(patch, scan, fields, lesion_voxels=VOXEL[None])
    assert len(found) == 16
    shifts = shifts_of(patch, found)
    away = np.linalg.norm(shifts * SIZE, axis=1)
    assert ((away > 8.5) & (away < 14)).all()
    assert len({tuple(s) for s in shifts.tolist()}) == 16
    for reference, shift in zip(found, shifts, strict=True):
        # 9 mm in one of 26 directions, or 13 mm where rounding to voxels has brought it too near.
        steps = np.sign(shift)
        aimed = [np.rint(d * steps / np.linalg.norm(steps) / SIZE) for d in DISTANCES_MM[:2]]
        assert any((shift == a).all() for a in aimed)
        signal = scan.magnitude * np.exp(1j * (scan.phase_rad - fields.offset_rad))
        np.testing.assert_allclose(reference.signal, signal[(slice(None), *reference.box)], rtol=1e-5)
        np.testing.assert_array_equal(reference.field_hz, fields.field_hz[reference.box])
        np.testing.assert_array_equal(reference.inside, patch.inside)
        assert reference.axes_mm is patch.axes_mm


def test_all_lesions_are_kept_away_from(scene: tuple[GreScan, ScanFields, Patch]) -> None:
    scan, fields, patch = scene
    others = VOXEL + np.array([[0.0, 0.0, 0.0], [5.6, 5.6, 0.0], [0.0, -12.0, 3.0]])
    found = find_reference_patches(patch, scan, fields, lesion_voxels=others)
    assert found
    centres = VOXEL + shifts_of(patch, found)
    distance = np.linalg.norm((centres[:, None] - others) * SIZE, axis=2)
    assert distance.min() > 8.5
    # Where another lesion lies at 12 mm a patch is looked for up to 22 mm.
    further = np.linalg.norm(shifts_of(patch, found) * SIZE, axis=1)
    assert ((further > 20) & (further < 24)).sum() == 1


def test_nearly_all_of_it_lies_in_the_mask_and_has_signal(scene: tuple[GreScan, ScanFields, Patch]) -> None:
    scan, fields, patch = scene
    fields.mask[:24] = False
    scan.magnitude[0, :, :, 26:] = 0
    found = find_reference_patches(patch, scan, fields, lesion_voxels=VOXEL[None])
    assert found
    for reference in found:
        usable = fields.mask[reference.box] & (scan.magnitude[0][reference.box] > 0)
        assert usable[reference.inside].mean() >= 0.98
    some = {tuple(np.sign(s)) for s in shifts_of(patch, found).tolist()}
    assert all(s[0] == 1 for s in some)
    fields.mask[:] = False
    assert find_reference_patches(patch, scan, fields, lesion_voxels=VOXEL[None]) == []


def test_none_leaves_the_volume(scene: tuple[GreScan, ScanFields, Patch]) -> None:
    scan, fields, _ = scene
    corner = np.array([8.0, 8.0, 7.0])
    patch = cut_patch(scan, corner, fields, ACQUISITION)
    found = find_reference_patches(patch, scan, fields, lesion_voxels=corner[None])
    assert found
    for reference in found:
        assert all(s.start >= 0 for s in reference.box)
        assert all(s.stop <= n for s, n in zip(reference.box, SHAPE, strict=True))
        assert reference.signal.shape[1:] == patch.inside.shape
    # Seven of 26 directions lead inwards, and those along the walls.
    assert len({tuple(np.sign(s)) for s in shifts_of(patch, found).tolist()}) == len(found) <= 7
