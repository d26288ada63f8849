"""Folder of the tables that the package ships for studies and trials."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ("data_folder",)


def data_folder() -> Path:
    """Return the folder of the shipped tables: in the installed package, or in the source tree.

    Returns
    -------
    Path
        Folder with `trials.tsv` and `measured_errors.tsv`.

    Examples
    --------
    >>> sorted(p.suffix for p in data_folder().iterdir() if p.name == "trials.tsv")
    ['.tsv']
    """
    packaged = Path(str(resources.files("qsmcmb"))) / "_data" / "cohorts"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "data" / "cohorts"
