"""The optional packages of this room, and the error that names how to install them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from qsmcmb.errors import MissingPackageError

__all__: tuple[str, ...] = ()

EXTRA = "dicom"
"""Name of the optional dependencies that hold both packages."""


def require(*names: str) -> None:
    """Raise unless all of these packages can be imported.

    Raises
    ------
    MissingPackageError
        PACKAGE: the message names the extra to install.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            "PACKAGE", ", ".join(missing), field="installed", found="no", expected="yes",
            fix=f'pip install "qsmcmb[{EXTRA}]"',
        )  # fmt: skip


def dcm2niix_program() -> Path:
    """Return the path of the converter that the wheel brings."""
    require("dcm2niix")
    import dcm2niix

    return Path(dcm2niix.bin)
