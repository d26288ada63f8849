"""Results read back from a derivatives folder: what report and longitudinal analysis need, nothing recomputed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.derivatives import Place
from qsmcmb.io.nifti import read_volume
from qsmcmb.io.tables import read_tsv
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

NUMBERS = (
    "label", "x_mm", "y_mm", "z_mm", "score", "total_chi_ppm_mm3", "total_chi_sd_ppm_mm3", "total_chi_low_ppm_mm3",
    "total_chi_high_ppm_mm3", "total_chi_sum_ppm_mm3", "total_chi_sum_raw_ppm_mm3", "total_chi_loss_ppm_mm3",
    "detection_limit_ppm_mm3", "volume_mm3", "diameter_mm", "r2star_hz",
)  # fmt: skip


@dataclass(frozen=True)
class SessionResults:
    """One session on disk."""

    place: Place
    participant: str
    session: str

    @property
    def name(self) -> str:
        """`ses-1`, or `sub-01` without sessions."""
        return (
            f"ses-{self.session}"
            if self.session
            else f"sub-{self.participant}"
            if self.participant
            else "scan"
        )

    def image(self, ending: str) -> tuple[FloatArray, Grid]:
        """Return an image by the end of its name, e.g. ``"Chimap"``, with its grid."""
        volume = read_volume(self.place.path(f"{ending}.nii.gz"))
        nx, ny, nz = volume.data.shape
        return volume.values(), Grid.from_affine((nx, ny, nz), volume.affine)

    def canonical(self, ending: str) -> tuple[FloatArray, Grid]:
        """Return an image with its axes as close to RAS+ as flips and swaps bring them: for pictures."""
        import nibabel

        data, grid = self.image(ending)
        image = nibabel.as_closest_canonical(nibabel.Nifti1Image(data, grid.affine))
        nx, ny, nz = image.shape
        return np.asarray(image.dataobj), Grid.from_affine((nx, ny, nz), np.asarray(image.affine))

    def has(self, ending: str) -> bool:
        """Return whether the image is there."""
        return self.place.path(f"{ending}.nii.gz").exists()

    def record(self, ending: str) -> dict[str, Any]:
        """Return a JSON record by the end of its name."""
        path = self.place.path(f"{ending}.json")
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                "RESULT", path, field="file", found=error, expected="a JSON record of a finished session",
                fix="run the session again",
            ) from error  # fmt: skip

    def lesion_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the lesion table, numbers as float, unknown cells as None."""
        rows: list[dict[str, Any]] = []
        for row in read_tsv(self.place.path("desc-cmb_lesions.tsv")):
            rows.append({k: float(v) if k in NUMBERS and v is not None else v for k, v in row.items()})
        return rows


def list_participants(out: Path) -> list[str]:
    """Return the participants that have results."""
    return sorted(p.name.removeprefix("sub-") for p in out.glob("sub-*") if p.is_dir())


def list_results(out: Path, participant: str) -> list[SessionResults]:
    """Return the finished sessions of a participant, by label: those whose burden record, written last, is there."""
    subject = out / f"sub-{participant}"
    found = []
    for anat in sorted([subject / "anat", *subject.glob("ses-*/anat")]):
        session = anat.parent.name.removeprefix("ses-") if anat.parent != subject else ""
        place = Place.of_session(out, participant, session or None)
        if place.path("desc-cmb_burden.json").exists():
            found.append(SessionResults(place, participant, session))
    return found
