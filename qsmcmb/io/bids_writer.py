"""A scan written as raw BIDS: float magnitude, phase in rad, sidecars in seconds and tesla."""

from __future__ import annotations

from pathlib import Path

from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.derivatives import BIDS_VERSION
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json
from qsmcmb.model import GreScan


def write_raw_dataset(root: Path, name: str, *, acknowledgement: str = "") -> None:
    """Write dataset_description.json and README of a raw data set."""
    make_folder(root)
    record = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "raw"}
    if acknowledgement:
        record["Acknowledgements"] = acknowledgement
    write_json(root / "dataset_description.json", record)
    atomic_write(root / "README", f"{name}\n".encode())


def write_raw_scan(root: Path, scan: GreScan, participant: str, session: str) -> Path:
    """Write the echoes of a scan under sub-*/ses-*/anat; JSON last.

    Returns
    -------
    Path
        The anat folder.
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
