"""The derivatives as a BIDS data set: its description, what its validator passes over, and the link to the raw data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qsmcmb.io.atomic import atomic_write
from qsmcmb.io.tables import generated_by, write_json

__all__ = ("BIDS_VERSION", "raw_sources", "write_dataset_description")

BIDS_VERSION = "1.10.0"
"""Version of the BIDS specification that the derivatives follow."""
RAW = "raw"
"""Name by which results link the raw data set."""
IGNORED = (
    "*_fieldmap.*",
    "*_desc-cmb_*",
    "*_desc-mars_*",
    "*_desc-bombs_*",
    "*_desc-regions_*",
    "*_desc-siderosis_*",
    "*_desc-detectionlimit_*",
    "*_desc-quality.*",
    "*.html",
    "logs/",
    ".qsmcmb/",
)
"""Patterns of .bidsignore: results that BIDS has no name for yet."""


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
    # First that by which a run knows the folder again, if it is killed between the two.
    write_json(out / "dataset_description.json", record)
    atomic_write(out / ".bidsignore", ("\n".join(IGNORED) + "\n").encode())


def _link(out: Path, raw: Path) -> str:
    """Return the address of the raw data set: relative where it holds the derivatives, so that both can move."""
    root, folder = raw.resolve(), out.resolve()
    if root not in folder.parents:
        return root.as_uri()
    return "/".join([".."] * len(folder.relative_to(root).parts))
