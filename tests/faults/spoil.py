"""Ways in which the files of a tiny scan go wrong."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from tests.scenes.bids_scans import TE_S, write_scan

ECHOES = range(1, len(TE_S) + 1)
PARTS = ("mag", "phase")
Change = Callable[[Path], object]


def sound(bids: Path) -> Path:
    """Write the scan as it should be."""
    write_scan(bids)
    (bids / "dataset_description.json").write_text(
        '{"Name": "tiny", "BIDSVersion": "1.8.0", "DatasetType": "raw"}'
    )
    return bids


def stem(bids: Path, echo: int = 1, part: str = "phase") -> Path:
    return bids / "sub-01/anat" / f"sub-01_echo-{echo}_part-{part}_MEGRE"


def image(bids: Path, echo: int = 1, part: str = "phase") -> Path:
    return stem(bids, echo, part).with_suffix(".nii.gz")


def sidecar(bids: Path, echo: int = 1, part: str = "phase") -> Path:
    return stem(bids, echo, part).with_suffix(".json")


def content(change: Callable[[bytes], bytes], **which: Any) -> Change:
    """Change the file as it lies on disk."""

    def apply(bids: Path) -> None:
        path = image(bids, **which)
        path.write_bytes(change(path.read_bytes()))

    return apply


def header(position: int, kind: str, value: object, *, everywhere: bool = False) -> Change:
    """Put numbers into the header of one image, or of all."""
    data = np.array(value, dtype=kind).tobytes()

    def apply(bids: Path) -> None:
        for echo in ECHOES if everywhere else (1,):
            for part in PARTS if everywhere else ("phase",):
                path = image(bids, echo, part)
                raw = bytearray(gzip.decompress(path.read_bytes()))
                raw[position : position + len(data)] = data
                path.write_bytes(gzip.compress(bytes(raw), 1))

    return apply


def fields(*, echoes: tuple[int, ...] = (1,), parts: tuple[str, ...] = PARTS, **values: object) -> Change:
    """Set fields of sidecars; None takes one out."""

    def apply(bids: Path) -> None:
        for echo in echoes:
            for part in parts:
                path = sidecar(bids, echo, part)
                record = {**json.loads(path.read_text()), **values}
                path.write_text(json.dumps({k: v for k, v in record.items() if v is not None}))

    return apply


def text(value: str | bytes) -> Change:
    """Write a sidecar anew."""
    return lambda bids: sidecar(bids).write_bytes(value if isinstance(value, bytes) else value.encode())


def values(
    change: Callable[[np.ndarray], np.ndarray],
    *,
    parts: tuple[str, ...],
    affine: Callable[[np.ndarray], np.ndarray] = np.copy,
    echoes: tuple[int, ...] = tuple(ECHOES),
) -> Change:
    """Change voxels, in the type that the change gives them, or the frame."""

    def apply(bids: Path) -> None:
        for echo in echoes:
            for part in parts:
                path = image(bids, echo, part)
                loaded = nibabel.load(path)
                data = change(np.asarray(loaded.dataobj))  # type: ignore[attr-defined]
                made = nibabel.Nifti1Image(data, affine(loaded.affine))  # type: ignore[attr-defined]
                made.header.set_xyzt_units("mm")
                nibabel.save(made, path)

    return apply


def all_of(*changes: Change) -> Change:
    return lambda bids: [change(bids) for change in changes]


def remove(**which: Any) -> Change:
    return lambda bids: [path(bids, **which).unlink() for path in (image, sidecar)]


def pipe(bids: Path) -> None:
    image(bids).unlink()
    os.mkfifo(image(bids))


def folder(bids: Path) -> None:
    image(bids).unlink()
    image(bids).mkdir()


def linked(bids: Path) -> None:
    store = bids / ".git/annex/objects"
    store.mkdir(parents=True)
    shutil.move(image(bids), store / "ab.nii.gz")
    image(bids).symlink_to("../../.git/annex/objects/ab.nii.gz")


def loop(bids: Path) -> None:
    image(bids).unlink()
    image(bids).symlink_to(image(bids).name)


def inherited(bids: Path) -> None:
    for echo in ECHOES:
        fields(echoes=(echo,), MagneticFieldStrength=None)(bids)
    (bids / "MEGRE.json").write_text('{"MagneticFieldStrength": 3.0}')


def scanner_units(bids: Path) -> None:
    """Store the phase as Siemens does: integers of 0 to 4095, slope 2, intercept -4096."""
    for echo in ECHOES:
        path = image(bids, echo)
        loaded = nibabel.load(path)
        stored = np.clip(np.rint(np.asarray(loaded.dataobj) / np.pi * 2048) + 2048, 0, 4095)  # type: ignore[attr-defined]
        made = nibabel.Nifti1Image(stored.astype(np.int16), loaded.affine)  # type: ignore[attr-defined]
        made.header.set_slope_inter(2, -4096)
        made.header.set_xyzt_units("mm")
        nibabel.save(made, path)
        fields(echoes=(echo,), parts=("phase",), Units="arbitrary")(bids)
