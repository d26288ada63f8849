"""Names and records of the derivatives: in which file a result lies and what its sidecar says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.core.software import software_versions
from qsmcmb.errors import OutputError
from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.records import B0Record, ProvenanceRecord, SoftwareRecord
from qsmcmb.io.tables import generated_by, write_json, write_tsv
from qsmcmb.model import Grid, Provenance
from qsmcmb.typing import AnyArray

__all__ = (
    "Place",
    "b0_record",
    "check_image_name",
    "provenance_record",
    "raw_sources",
    "write_dataset_description",
    "write_image",
    "write_single",
    "write_table",
)

BIDS_VERSION = "1.10.0"
"""Version of the BIDS specification that the derivatives follow."""
RAW = "raw"
"""Name by which results link the raw data set."""
IGNORED = (
    "*_fieldmap.*",
    "*_desc-cmb_*",
    "*_desc-detectionlimit_*",
    "*.html",
    "logs/",
    ".qsmcmb/",
)
"""Patterns of .bidsignore: results that BIDS has no name for yet."""


@dataclass(frozen=True)
class Place:
    """Folder and name prefix of one session's results; `recon` has no prefix.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    prefix : str, optional
        Beginning of their names, e.g. ``sub-01_ses-1``.

    Examples
    --------
    >>> Place(Path("out/sub-01/anat"), "sub-01").path("Chimap.nii.gz").name
    'sub-01_Chimap.nii.gz'
    """

    folder: Path
    prefix: str = ""

    def path(self, ending: str) -> Path:
        """Return the path of the file with an ending.

        Parameters
        ----------
        ending : str
            End of the name, e.g. ``"Chimap.nii.gz"``.

        Returns
        -------
        Path
            Folder, prefix and ending.

        Examples
        --------
        >>> Place(Path("out")).path("Chimap.nii.gz").as_posix()
        'out/Chimap.nii.gz'
        """
        return self.folder / (f"{self.prefix}_{ending}" if self.prefix else ending)

    @classmethod
    def of_session(
        cls, out: Path, participant: str, session: str | None, entities: Mapping[str, str] | None = None
    ) -> Place:
        """Return the folder and prefix of a scan in a derivatives folder.

        Parameters
        ----------
        out : Path
            The derivatives folder.
        participant : str
            Label without `sub-`.
        session : str or None
            Label without `ses-`; None without sessions.
        entities : mapping, optional
            Entities that tell the scan from others of its session, in BIDS' order.

        Returns
        -------
        Place
            OUT/sub-*/[ses-*/]anat and its prefix.

        Examples
        --------
        >>> Place.of_session(Path("out"), "01", None, {"acq": "qsm"}).path("Chimap.nii.gz").as_posix()
        'out/sub-01/anat/sub-01_acq-qsm_Chimap.nii.gz'
        """
        parts = [f"sub-{participant}"] + ([f"ses-{session}"] if session else [])
        of_scan = [f"{name}-{value}" for name, value in (entities or {}).items()]
        return cls(out.joinpath(*parts, "anat"), "_".join([*parts, *of_scan]))


def provenance_record(provenance: Provenance) -> ProvenanceRecord:
    """Return the provenance as it stands in every JSON.

    Parameters
    ----------
    provenance : Provenance
        Sources, steps and software.

    Returns
    -------
    ProvenanceRecord
        The same by BIDS keys.

    Examples
    --------
    >>> provenance_record(Provenance(sources=(("a.nii", "6b86"),)))["SourceChecksums"]
    {'a.nii': 'sha256:6b86'}
    """
    record: ProvenanceRecord = {
        **software_record(provenance.software or software_versions()),
        "Sources": [name for name, _ in provenance.sources],
        "SourceChecksums": {name: f"sha256:{digest}" for name, digest in provenance.sources},
        "Input": dict(provenance.read_as),
        "Steps": {step: dict(options) for step, options in provenance.steps},
    }
    if provenance.field_strength:
        record["MagneticFieldStrength"], record["MagneticFieldStrengthSource"] = provenance.field_strength
    return record


def software_record(software: Mapping[str, str]) -> SoftwareRecord:
    """Return the versions as they stand in every JSON: BIDS names the pipeline, `Software` what it ran on.

    Parameters
    ----------
    software : mapping of str to str
        (name: version), qsmcmb among them.

    Returns
    -------
    SoftwareRecord
        The same by BIDS keys.

    Examples
    --------
    >>> software_record({"qsmcmb": "0.2.0", "numpy": "2.4.6"})["Software"]
    {'numpy': '2.4.6'}
    """
    return SoftwareRecord(
        GeneratedBy=generated_by(software["qsmcmb"]),
        Software={name: v for name, v in software.items() if name != "qsmcmb"},
    )


def write_image(
    place: Place,
    ending: str,
    data: AnyArray,
    grid: Grid,
    *,
    record: Mapping[str, Any],
    provenance: Provenance,
) -> Path:
    """Write an image, then its JSON with provenance.

    Parameters
    ----------
    place : Place
        Folder and prefix of the session.
    ending : str
        End of the name without extension, e.g. ``"Chimap"``.
    data : ndarray of shape (x, y, z) or (x, y, z, n)
        The image, in the unit that `record` states.
    grid : Grid
        Geometry.
    record : mapping
        Keys of the JSON: unit, method, reference ...
    provenance : Provenance
        Goes into the JSON, too.

    Returns
    -------
    Path
        The image's file.

    Examples
    --------
    >>> import tempfile
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place, record = Place(Path(folder)), {"Units": "ppm"}
    ...     path = write_image(place, "Chimap", np.zeros(grid.shape), grid, record=record, provenance=Provenance())
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['Chimap.json', 'Chimap.nii.gz']
    """
    path = place.path(f"{ending}.nii.gz")
    save_volume(path, data, grid.affine)
    write_json(place.path(f"{ending}.json"), {**record, **provenance_record(provenance)})
    return path


def check_image_name(path: Path) -> None:
    """Raise unless an image can be written under this name.

    Parameters
    ----------
    path : Path
        Name that the user chose; its folder is created.

    Raises
    ------
    OutputError
        OUT: the folder cannot be written, or the name is no NIfTI name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_image_name(Path(folder) / "chi.nii.gz")
    """
    if not path.name.removesuffix(".gz").endswith(".nii"):
        raise OutputError(
            "OUT", path, field="name", found=path.name, expected="a name ending in .nii or .nii.gz",
            fix=f"write {path.name}.nii.gz",
        )  # fmt: skip
    make_folder(path.parent)


def write_single(path: Path, data: AnyArray, grid: Grid, record: Mapping[str, Any]) -> None:
    """Write an image under a name that the user chose, and its JSON beside it.

    Parameters
    ----------
    path : Path
        Name of the image, ending in .nii or .nii.gz.
    data : ndarray of shape (x, y, z) or (x, y, z, n)
        The image, in the unit that `record` states.
    grid : Grid
        Geometry.
    record : mapping
        Keys of the JSON.

    Raises
    ------
    OutputError
        OUT: the folder cannot be written, or the name is no NIfTI name.

    Examples
    --------
    >>> import tempfile
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_single(Path(folder) / "chi.nii", np.zeros(grid.shape), grid, {"Units": "ppm"})
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['chi.json', 'chi.nii']
    """
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
    warnings: Sequence[str] = (),
) -> Path:
    """Write a table, then the JSON that describes its columns, with provenance.

    Parameters
    ----------
    place : Place
        Folder and prefix of the session.
    ending : str
        End of the name without extension, e.g. ``"desc-cmb_lesions"``.
    rows : list of dict
        Column to value, for each row; columns that a row lacks become n/a.
    columns : mapping
        Column, in the table's order, to its description.
    provenance : Provenance
        Goes into the JSON, too.
    warnings : sequence of str, optional
        What the user must know of the numbers; goes into the JSON where there is any.

    Returns
    -------
    Path
        The table's file.

    Examples
    --------
    >>> import tempfile
    >>> columns = {"x_mm": {"Description": "Centre", "Units": "mm"}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_table(Place(Path(folder)), "points", [{"x_mm": 1.5}], columns=columns, provenance=Provenance())
    ...     path.read_text().split()
    ['x_mm', '1.5']
    """
    path = place.path(f"{ending}.tsv")
    write_tsv(path, rows, list(columns))
    said = {"Warnings": list(warnings)} if warnings else {}
    write_json(place.path(f"{ending}.json"), {**columns, **said, **provenance_record(provenance)})
    return path


def raw_sources(sources: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the sources of a scan as its results name them: by the link to the raw data set.

    Parameters
    ----------
    sources : sequence of (str, str)
        BIDS URIs within the raw data set, with their checksums.

    Returns
    -------
    tuple of (str, str)
        The same by the name that `write_dataset_description` links.

    Examples
    --------
    >>> raw_sources([("bids::sub-01/anat/a.nii", "6b86")])
    (('bids:raw:sub-01/anat/a.nii', '6b86'),)
    """
    within = "bids::"
    return tuple(
        (f"bids:{RAW}:{name.removeprefix(within)}" if name.startswith(within) else name, digest)
        for name, digest in sources
    )


def _link(out: Path, raw: Path) -> str:
    """Return the address of the raw data set: relative where it holds the derivatives, so that both can move."""
    root, folder = raw.resolve(), out.resolve()
    if root not in folder.parents:
        return root.as_uri()
    return "/".join([".."] * len(folder.relative_to(root).parts))


def write_dataset_description(out: Path, *, name: str, version: str, raw: Path) -> None:
    """Write dataset_description.json and .bidsignore of a derivatives folder.

    Parameters
    ----------
    out : Path
        The derivatives folder.
    name : str
        Name of the data set.
    version : str
        Version of qsmcmb.
    raw : Path
        Folder of the raw data set, which `bids:raw:` in the sources of results stands for.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = Path(folder) / "derivatives" / "qsmcmb"
    ...     out.mkdir(parents=True)
    ...     write_dataset_description(out, name="qsmcmb", version="0.2.0", raw=Path(folder))
    ...     json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
    {'raw': '../..'}
    """
    record: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": generated_by(version),
        "SourceDatasets": [{"URL": _link(out, raw)}],
        "DatasetLinks": {RAW: _link(out, raw)},
    }
    atomic_write(out / ".bidsignore", ("\n".join(IGNORED) + "\n").encode())
    write_json(out / "dataset_description.json", record)


def b0_record(grid: Grid, source: str) -> B0Record:
    """Return the direction of B0 as written into sidecars.

    Parameters
    ----------
    grid : Grid
        Geometry.
    source : str
        What states it.

    Returns
    -------
    B0Record
        Unit vector, rounded to seven digits, the axes that it is given in, and what states it.

    Examples
    --------
    >>> b0_record(Grid.isotropic((8, 8, 8), 1.0), "--b0-dir")["B0Direction"]
    [0.0, 0.0, 1.0]
    """
    return {
        "B0Direction": [float(np.round(b, 7)) for b in grid.b0_dir],
        "B0DirectionFrame": "voxel axes",
        "B0DirectionSource": source,
    }
