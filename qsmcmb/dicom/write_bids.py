"""A planned import written: all of it or nothing, and no file that was there before is touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from qsmcmb.dicom.study import ImportPlan
from qsmcmb.errors import OutputError
from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.bids_writer import write_raw_dataset
from qsmcmb.io.converted import stored_image_bytes
from qsmcmb.io.reading import read_regular
from qsmcmb.io.tables import write_json, write_tsv

__all__ = ("write_import",)


def write_import(plan: ImportPlan) -> list[Path]:
    """Write the images of a plan with their sidecars.

    Parameters
    ----------
    plan : ImportPlan
        From `plan_import`. Its times of acquisition go to `*_scans.tsv`.

    Returns
    -------
    list of Path
        The images.

    Raises
    ------
    OutputError
        OUT: the folder cannot be written, or a file is there already; then nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_import(ImportPlan(Path(folder) / "bids", (), (), {}))
    []
    """
    root = make_folder(plan.root)
    if not (root / "dataset_description.json").exists() and not (root / "README").exists():
        write_raw_dataset(root, "Imported from DICOM by qsmcmb")
    staged = Path(tempfile.mkdtemp(dir=root, prefix=".qsmcmb-import-"))
    try:
        names = _stage(plan, staged)
        _move(staged, root, names)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if any("_coil-" in f.stem for f in plan.files):
        _ignore_coils(root)
    return [root / f"{planned.stem}.nii.gz" for planned in plan.files]


def _stage(plan: ImportPlan, staged: Path) -> list[str]:
    """Write everything in a folder beside its place; return the names, images before sidecars."""
    images, others = [], []
    there = _images_by_size(plan.root)
    for planned in plan.files:
        volume = planned.converted.volume
        path = staged / f"{planned.stem}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = stored_image_bytes(volume.data, volume.affine, slope=planned.slope, inter=planned.inter)
        _refuse_twin(there.get(len(content), ()), content, planned.stem)
        atomic_write(path, content)
        write_json(staged / f"{planned.stem}.json", planned.sidecar)
        images.append(f"{planned.stem}.nii.gz")
        others.append(f"{planned.stem}.json")
    return images + others + _stage_dates(plan, staged)


def _images_by_size(root: Path) -> dict[int, list[Path]]:
    """Return the images of the data set by their size in bytes: only those of one size can be the same."""
    images: dict[int, list[Path]] = {}
    for path in root.glob("sub-*/**/*.nii.gz"):
        images.setdefault(path.stat().st_size, []).append(path)
    return images


def _refuse_twin(alike: Iterable[Path], content: bytes, stem: str) -> None:
    """Raise where the data set holds an image's bytes under another name: they would count as another person's."""
    for path in alike:
        if read_regular(path) == content:
            raise OutputError(
                "OUT", path, field="image", found=f"the same image as {stem}", expected="scans that are not there yet",
                fix="leave these DICOM files out, or remove what was imported before",
            )  # fmt: skip


def _stage_dates(plan: ImportPlan, staged: Path) -> list[str]:
    """Write a table of acquisition times for each session that has none."""
    sessions: dict[str, list[dict[str, str | None]]] = {}
    for stem, when in plan.acquired.items():
        session, _, name = stem.rpartition("/")[0].rpartition("/")[0], "", stem.split("/", 2)[2]
        sessions.setdefault(session, []).append({"filename": f"{name}.nii.gz", "acq_time": when or None})
    names = []
    for session, rows in sessions.items():
        name = f"{session}/{session.replace('/', '_')}_scans.tsv"
        if (plan.root / name).exists():
            raise OutputError(
                "OUT", plan.root / name, field="file", found="there already", expected="a session without dates",
                fix="pass --no-dates and add the rows by hand",
            )  # fmt: skip
        write_tsv(staged / name, rows, ["filename", "acq_time"])
        names.append(name)
    return names


def _move(staged: Path, root: Path, names: list[str]) -> None:
    """Give staged files their final names; where one is taken, take back those already given."""
    done: list[Path] = []
    try:
        for name in names:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(staged / name, target)  # Fails where the name is taken, which a rename would not.
            done.append(target)
    except OSError as error:
        for target in done:
            with contextlib.suppress(OSError):
                target.unlink()
        raise OutputError(
            "OUT", error.filename2 or root, field="file", found=error.strerror or error,
            expected="a name that is free, on a disk with hard links",
            fix="choose another data set or label",
        ) from error  # fmt: skip


def _ignore_coils(root: Path) -> None:
    """Name channels in .bidsignore: BIDS has no entity for them."""
    path = root / ".bidsignore"
    lines = read_regular(path).decode().splitlines() if path.exists() else []
    if "*_coil-*" not in lines:
        atomic_write(path, ("\n".join([*lines, "*_coil-*"]) + "\n").encode())
