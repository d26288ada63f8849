"""Finished results of a subject as files, without a pipeline: what a page or a reviewer reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmcmb.io.lesion_table import lesion_row
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.microbleeds.results.lesion_pictures import PICTURES, LesionPicture, write_pictures
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()


def oblique_grid(shape: tuple[int, int, int] = (44, 52, 40), voxel_mm: float = 1.2) -> Grid:
    """Return a grid that is turned by 12 degrees, its first axis towards the left and its last two swapped."""
    turn = np.deg2rad(12.0)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]) * voxel_mm
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2) + (3.0, -8.0, 5.0)
    return Grid.from_affine(shape, affine)


def lesions_at(points_mm: FloatArray) -> list[Microbleed]:
    """Return microbleeds at some points, every third one possible."""
    return [
        Microbleed(
            label=n, position_mm=(float(x), float(y), float(z)), score=0.9,
            certainty="possible" if n % 3 == 0 else "definite", detection_limit_ppm_mm3=0.8, diameter_mm=3.1,
            total_chi_ppm_mm3=Estimate(2.0 + n, 0.2, "ppm mm3", (1.6 + n, 2.4 + n)), volume_mm3=15.5,
            side="left", territory="lobar",
        )
        for n, (x, y, z) in enumerate(points_mm, start=1)
    ]  # fmt: skip


def write_results(
    out: Path,
    participant: str,
    session: str,
    *,
    lesions: Sequence[Microbleed],
    grid: Grid | None = None,
    seed: int = 1,
) -> SessionResults:
    """Write the results of one session: noise within a ball for a brain, and 1.2 ppm at each lesion."""
    grid = grid or oblique_grid()
    place = Place.of_session(out, participant, session)
    place.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"))
    middle = np.array(grid.shape)[:, None, None, None] / 2
    brain = (((index - middle) / (0.42 * middle * 2)) ** 2).sum(axis=0) < 1
    chi = np.where(brain, rng.normal(0, 0.03, grid.shape), 0)
    labels = np.zeros(grid.shape, np.int32)
    for lesion in lesions:
        at = np.rint(grid.to_voxel(np.array(lesion.position_mm))).astype(int)
        near = ((index - at[:, None, None, None]) ** 2).sum(axis=0) <= 2
        chi[near], labels[near] = 1.2345, lesion.label
    volumes = {
        "Chimap": chi, "desc-swi_T2starw": 400 - 200 * chi, "desc-minIP_T2starw": 380 - 200 * chi,
        "desc-local_fieldmap": 20 * chi,
    }  # fmt: skip
    for ending, volume in volumes.items():
        save_volume(place.path(f"{ending}.nii.gz"), volume.astype(np.float32), grid.affine)
    save_volume(place.path("desc-brain_mask.nii.gz"), brain.astype(np.uint8), grid.affine)
    save_volume(place.path("desc-cmb_dseg.nii.gz"), labels, grid.affine)
    write_tsv(place.path("desc-cmb_lesions.tsv"), [lesion_row(m) for m in lesions], list(LESION_COLUMNS))
    box = {m.label: LesionPicture(np.ones((5, 5, 5), np.float32), (2, 2, 2), None) for m in lesions}
    write_pictures(place.path(f"{PICTURES}.npz"), box)
    write_json(place.path("Chimap.json"), {"Units": "ppm", "ReferenceRegion": "brain"})
    burden = {
        "n_definite": len(lesions), "n_possible": 0, "burden_ppm_mm3": 12.5, "burden_low_ppm_mm3": 11.0,
        "burden_high_ppm_mm3": 14.0, "pattern": "strictly lobar", "count_class": "2-4", "Warnings": [],
        "EchoTime": [0.005, 0.012], "VoxelSize": list(grid.voxel_size_mm), "MagneticFieldStrength": 3.0,
        "Sources": ["bids:raw:a.nii.gz"], "SourceChecksums": {"bids:raw:a.nii.gz": "sha256:0"}, "Steps": {},
        "Input": {"PhaseScale": "12 bits, 0 to 4095 (Siemens)"}, "GeneratedBy": [{"Name": "qsmcmb", "Version": "1"}],
    }  # fmt: skip
    write_json(place.path("desc-cmb_burden.json"), burden)
    return SessionResults(place, participant, session)
