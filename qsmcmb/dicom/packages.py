"""The optional packages of this room, and the error that names how to install them."""

from __future__ import annotations

from pathlib import Path

from qsmcmb.core.packages import require as require_extra

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
    require_extra(*names, extra=EXTRA)


def dcm2niix_program() -> Path:
    """Return the path of the converter that the wheel brings."""
    require("dcm2niix")
    import dcm2niix

    return Path(dcm2niix.bin)
