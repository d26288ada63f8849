"""Images that a data set holds in place of scans that are read: the message when no scan is found."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.entities import entity_values, natural_key
from qsmcmb.io.reading import open_regular

__all__ = ("describe_unread",)

READ = "MEGRE or T2starw images with phase (part-phase, or part-real and part-imag) in sub-*/[ses-*/]anat"
"""Images that are read."""
DICOM_PREAMBLE, DICOM_MARK = 128, b"DICM"
"""Bytes before the mark of a DICOM file, and the mark."""
MAX_LOOKED_AT = 20
"""Files that are looked at for the mark."""


class _Found(NamedTuple):
    """An image that is not read: its folder's type, its file and its entities."""

    datatype: str
    path: Path
    entities: dict[str, str]


def describe_unread(root: Path) -> NothingMatchedError:
    """Return the error of a data set without a scan that is read, with what it holds instead.

    Parameters
    ----------
    root : Path
        Folder of the data set.

    Returns
    -------
    NothingMatchedError
        NO-MATCH; its fix names the files to copy or rename where there are candidates.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     func = Path(folder) / "sub-01" / "func"
    ...     func.mkdir(parents=True)
    ...     (func / "sub-01_task-rest_bold.nii.gz").touch()
    ...     describe_unread(Path(folder)).found
    'none; there is func/ (1 image: suffix bold; task rest), which is not read'
    """
    images = _images(root)
    kinds = sorted({image.datatype for image in images})
    shown = [_kind(kind, [i for i in images if i.datatype == kind]) for kind in kinds]
    found = f"none; there is {'; '.join(shown)}" if shown else "none, and no other image in sub-*/[ses-*/]*/"
    return NothingMatchedError(
        "NO-MATCH", root, field="scans", found=found, expected=READ, fix=_fix(images, root)
    )


def _images(root: Path) -> list[_Found]:
    """Return all images below the participants' folders."""
    from bids2table import parse_bids_entities

    paths = [p for pattern in ("sub-*/*/*.nii*", "sub-*/ses-*/*/*.nii*") for p in root.glob(pattern)]
    return [
        _Found(path.parent.name, path, dict(parse_bids_entities(path.name)))
        for path in sorted(paths, key=lambda p: natural_key(p.name))
    ]


def _kind(datatype: str, images: Sequence[_Found]) -> str:
    """Return what a type of folder holds."""
    values = entity_values(i.entities for i in images)
    parts = values.split("; ")
    parts.sort(key=lambda p: not p.startswith("suffix"))
    count = f"{len(images)} image{'s' if len(images) > 1 else ''}"
    unread = "" if datatype == "anat" else ", which is not read"
    return f"{datatype}/ ({count}: {'; '.join(parts)}){unread}"


def _fix(images: Sequence[_Found], root: Path) -> str:
    """Return how the first candidates are made a scan that is read."""
    maps = {i.entities.get("suffix", ""): i for i in reversed(images) if i.datatype == "fmap"}
    magnitude = "magnitude2" if "magnitude2" in maps else "magnitude1"
    copies = {"phasediff": "part-phase_T2starw", magnitude: "part-mag_T2starw"}
    if "phase1" in maps:
        echoes = {f"phase{n}": f"echo-{n}_part-phase_MEGRE" for n in (1, 2)}
        copies = {**echoes, **{f"magnitude{n}": f"echo-{n}_part-mag_MEGRE" for n in (1, 2)}}
    if "phasediff" in maps or "phase1" in maps:
        pairs = [f"{maps[s].path.name} as {_name(maps[s], new)}" for s, new in copies.items() if s in maps]
        return f"to measure a field map, copy with their JSON files into anat/: {', '.join(pairs)}"
    phases = [i for i in images if i.entities.get("part") in ("phase", "real", "imag")]
    if phases:
        first = phases[0].entities
        name = _name(phases[0], f"echo-{first.get('echo', '1')}_part-{first['part']}_MEGRE")
        return (
            "to measure them, copy every part of each echo, 3D, with its JSON file into anat/ under the suffix MEGRE: "
            f"{phases[0].path.name} as {name}"
        )
    if _holds_dicom(root):
        return f"bring the DICOM files into BIDS first: qsmcmb import {root} BIDS"
    return "name each echo's images sub-01_echo-1_part-mag_MEGRE.nii.gz and sub-01_echo-1_part-phase_MEGRE.nii.gz"


def _holds_dicom(root: Path) -> bool:
    """Say whether one of the first files of a folder, at any depth, starts as DICOM files do."""
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in sorted(names))
    return any(_is_dicom(path) for path in itertools.islice(files, MAX_LOOKED_AT))


def _is_dicom(path: Path) -> bool:
    """Say whether a file has the mark of DICOM behind its preamble."""
    try:
        with open_regular(path) as stream:
            return stream.read(DICOM_PREAMBLE + len(DICOM_MARK))[DICOM_PREAMBLE:] == DICOM_MARK
    except (OSError, InvalidInputError):
        return False


def _name(image: _Found, end: str) -> str:
    """Return a name with an image's participant, session, acquisition and run, and its ending."""
    held = [f"{n}-{image.entities[n]}" for n in ("sub", "ses", "acq", "rec", "run") if n in image.entities]
    return "_".join([*held, end]) + image.entities["ext"]
