"""Scans written as raw BIDS: float magnitude, phase in rad, sidecars in seconds and tesla."""

from __future__ import annotations

from pathlib import Path

from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.dataset_description import BIDS_VERSION
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json
from qsmcmb.model import GreScan

__all__ = (
    "write_raw_dataset",
    "write_raw_scan",
)


def write_raw_dataset(root: Path, name: str, *, acknowledgement: str = "") -> None:
    """Write dataset_description.json and README of a raw data set.

    Parameters
    ----------
    root : Path
        Folder of the data set; it is created.
    name : str
        Name of the data set.
    acknowledgement : str, optional
        Notice that the data's licence asks for.

    Raises
    ------
    OutputError
        OUT: the folder cannot be created or written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_raw_dataset(Path(folder), "phantom")
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['README', 'dataset_description.json']
    """
    make_folder(root)
    record = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "raw"}
    if acknowledgement:
        record["Acknowledgements"] = acknowledgement
    write_json(root / "dataset_description.json", record)
    atomic_write(root / "README", f"{name}\n".encode())


def write_raw_scan(root: Path, scan: GreScan, participant: str, session: str) -> Path:
    """Write the echoes of a scan under sub-*/ses-*/anat, each image before its JSON.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    scan : GreScan
        Phase (rad) and magnitude.
    participant : str
        Label without `sub-`.
    session : str
        Label without `ses-`.

    Returns
    -------
    Path
        The anat folder.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from qsmcmb.model import Grid
    >>> volume = np.zeros((1, 8, 8, 8), np.float32)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     anat = write_raw_scan(Path(folder), scan, "01", "1")
    ...     sorted(p.name for p in anat.glob("*.json"))[0]
    'sub-01_ses-1_echo-1_part-mag_MEGRE.json'
    """
    folder = root / f"sub-{participant}" / f"ses-{session}" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    for echo, te_s in enumerate(scan.te_s):
        for part, data, units in (
            ("mag", scan.magnitude[echo], "arbitrary"), ("phase", scan.phase_rad[echo], "rad"),
        ):  # fmt: skip
            stem = f"sub-{participant}_ses-{session}_echo-{echo + 1}_part-{part}_MEGRE"
            save_volume(folder / f"{stem}.nii.gz", data, scan.grid.affine)
            record = {
                "EchoTime": te_s, "EchoNumber": echo + 1, "MagneticFieldStrength": scan.b0_tesla, "Units": units,
            }  # fmt: skip
            write_json(folder / f"{stem}.json", record)
    return folder
