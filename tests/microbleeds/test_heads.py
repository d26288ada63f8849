"""Heads that other code made: the lesion fit against their truth; the real crop without wraps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.io.tables import read_tsv
from qsmcmb.microbleeds.detection.candidates import find_candidates

pytestmark = pytest.mark.shared


def truth(shared_data: Path, session: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    stem = f"sub-dev01_ses-{session}"
    rows = read_tsv(shared_data / f"heads-truth/sub-dev01/ses-{session}/{stem}_lesions.tsv")
    points = np.array([[float(r[c] or 0) for c in ("x_mm", "y_mm", "z_mm")] for r in rows])
    return points, np.array([float(r["S_ppm_mm3"] or 0) for r in rows]), [str(r["kind"]) for r in rows]


def test_lesion_fit_on_heads_of_other_code(shared_data: Path) -> None:
    held: list[bool] = []
    for session in ("15T", "3T", "7T"):
        scan = qc.load_scan(shared_data / "heads", participant="dev01", session=session)
        points, total, _ = truth(shared_data, session)
        frame = qc.quantify(scan, points).to_dataframe()
        strong = np.abs(total) > 2
        error = np.abs(frame["total_chi_ppm_mm3"].to_numpy() / total - 1)[strong]
        assert np.median(error) < 0.02
        assert error.max() < 0.08
        low, high = (frame[f"total_chi_{end}_ppm_mm3"].to_numpy() for end in ("low", "high"))
        held += list((low <= total) & (total <= high))
        assert (np.sign(frame["total_chi_ppm_mm3"]) == np.sign(total))[strong].all()
    assert np.mean(held) > 0.9


def test_whole_scan_finds_the_lesions_and_the_map_has_their_sign(shared_data: Path) -> None:
    scan = qc.load_scan(shared_data / "heads", participant="dev01", session="3T")
    points, total, _ = truth(shared_data, "3T")
    result = qc.run_scan(scan, points_mm=points[:2])
    strong = np.abs(total) > 2
    found = find_candidates(result.chi_ppm, scan.magnitude, result.masks.chi, scan.grid)
    where = scan.grid.to_world(np.array([c.voxel for c in found]))
    kinds = np.array([c.kind for c in found])
    distance = np.linalg.norm(where[None] - points[:, None], axis=2)
    assert (distance.min(axis=1)[strong] < 3).all()
    nearest = kinds[distance.argmin(axis=1)][strong]
    assert ((nearest == "calcification") == (total[strong] < 0)).all()
    # No false candidate is as sure as a true one.
    false = [c.score for c, d in zip(found, distance.min(axis=0), strict=True) if d > 4]
    assert max(false, default=0.0) < 0.5


def test_real_crop_unwraps_without_steps(shared_data: Path) -> None:
    folder = shared_data / "gre-crop-3echo"
    te_s = (0.004, 0.008, 0.012)
    scan = qc.load_files(
        [folder / "Phase.nii"], [folder / "Mag.nii"], te_s, 3.0, phase_range=(-0.003674, 0.003674)
    )
    mask = qc.mask_brain(scan.magnitude, scan.phase_rad, scan.grid)
    unwrapped = qc.unwrap(scan.phase_rad, mask, scan.grid, magnitude=scan.magnitude, te_s=te_s)
    np.testing.assert_allclose(np.angle(np.exp(1j * (unwrapped - scan.phase_rad)))[:, mask], 0, atol=1e-3)
    # Echo differences are linear in time: a voxel off by 2 pi in one echo would show.
    odd = unwrapped[2] - 2 * unwrapped[1] + unwrapped[0]
    spread = np.abs(odd[mask] - np.median(odd[mask]))
    assert np.mean(spread > np.pi) < 2e-3
    steps = [np.abs(np.diff(unwrapped[0], axis=a)) for a in range(3)]
    pairs = [mask.take(range(1, n), a) & mask.take(range(n - 1), a) for a, n in enumerate(mask.shape)]
    wraps = sum(int((s[p] > np.pi).sum()) for s, p in zip(steps, pairs, strict=True))
    assert wraps < 1e-3 * sum(int(p.sum()) for p in pairs)
