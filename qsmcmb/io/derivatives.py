"""Names and records of the derivatives: where a result lies and what its sidecar says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.core.software import software_versions
from qsmcmb.errors import OutputError
from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import generated_by, write_json, write_tsv
from qsmcmb.model import Grid, Provenance
from qsmcmb.typing import AnyArray

BIDS_VERSION = "1.10.0"
IGNORED = (
    "*_fieldmap.*",
    "*_R2starmap.*",
    "*_desc-cmb_*",
    "*_desc-detectionlimit_*",
    "*.html",
    "logs/",
    ".qsmcmb/",
)


@dataclass(frozen=True)
class Place:
    """Folder and name prefix of one session's results; `recon` has no prefix.

    Examples
    --------
    >>> Place(Path("out/sub-01/anat"), "sub-01").path("Chimap.nii.gz").name
    'sub-01_Chimap.nii.gz'
    """

    folder: Path
    prefix: str = ""

    def path(self, ending: str) -> Path:
        """Return the path of the file with this ending."""
        return self.folder / (f"{self.prefix}_{ending}" if self.prefix else ending)

    @classmethod
    def of_session(cls, out: Path, participant: str, session: str | None) -> Place:
        """Return the place of a session under the derivatives folder."""
        parts = [f"sub-{participant}"] + ([f"ses-{session}"] if session else [])
        return cls(out.joinpath(*parts, "anat"), "_".join(parts))


def provenance_record(provenance: Provenance) -> dict[str, Any]:
    """Return the provenance as it stands in every JSON; where it names no software, the one that writes."""
    return {
        **software_record(provenance.software or software_versions()),
        "Sources": [name for name, _ in provenance.sources],
        "SourceChecksums": {name: f"sha256:{digest}" for name, digest in provenance.sources},
        "Steps": {step: dict(options) for step, options in provenance.steps},
    }


def software_record(software: Mapping[str, str]) -> dict[str, Any]:
    """Return the versions as they stand in every JSON: BIDS names the pipeline, `Software` what it ran on.

    Parameters
    ----------
    software : mapping of str to str
        (name: version), qsmcmb among them.

    Examples
    --------
    >>> software_record({"qsmcmb": "0.2.0", "numpy": "2.4.6"})["Software"]
    {'numpy': '2.4.6'}
    """
    return {
        "GeneratedBy": generated_by(software["qsmcmb"]),
        "Software": {name: v for name, v in software.items() if name != "qsmcmb"},
    }


def write_image(
    place: Place,
    ending: str,
    data: AnyArray,
    grid: Grid,
    *,
    record: Mapping[str, Any],
    provenance: Provenance,
) -> Path:
    """Write an image, then its JSON with provenance."""
    path = place.path(f"{ending}.nii.gz")
    save_volume(path, data, grid.affine)
    write_json(place.path(f"{ending}.json"), {**record, **provenance_record(provenance)})
    return path


def check_image_name(path: Path) -> None:
    """Raise unless an image can be written under this name.

    Raises
    ------
    OutputError
        The folder cannot be written, or the name is no NIfTI name.
    """
    if not path.name.removesuffix(".gz").endswith(".nii"):
        raise OutputError(
            "OUT", path, field="name", found=path.name, expected="a name ending in .nii or .nii.gz",
            fix=f"write {path.name}.nii.gz",
        )  # fmt: skip
    make_folder(path.parent)


def write_single(path: Path, data: AnyArray, grid: Grid, record: Mapping[str, Any]) -> None:
    """Write an image under a name that the user chose, and its JSON beside it."""
    check_image_name(path)
    save_volume(path, data, grid.affine)
    write_json(path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json"), record)


def write_table(
    place: Place,
    ending: str,
    rows: list[dict[str, Any]],
    *,
    columns: Mapping[str, Any],
    provenance: Provenance,
) -> Path:
    """Write a table, then the JSON that describes its columns, with provenance."""
    path = place.path(f"{ending}.tsv")
    write_tsv(path, rows, list(columns))
    write_json(place.path(f"{ending}.json"), {**columns, **provenance_record(provenance)})
    return path


def write_dataset_description(out: Path, *, name: str, version: str, source: str | None = None) -> None:
    """Write dataset_description.json and .bidsignore of a derivatives folder."""
    record: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": generated_by(version),
    }
    if source:
        record["SourceDatasets"] = [{"URL": source}]
    atomic_write(out / ".bidsignore", ("\n".join(IGNORED) + "\n").encode())
    write_json(out / "dataset_description.json", record)


def b0_record(grid: Grid) -> dict[str, Any]:
    """Return the direction of B0 as written into sidecars."""
    return {"B0Direction": [float(np.round(b, 7)) for b in grid.b0_dir], "B0DirectionFrame": "voxel axes"}
