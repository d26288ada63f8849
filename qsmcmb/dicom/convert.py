"""dcm2niix on the slices of one image at a time, within limits; its result is held against the headers."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.dicom.headers import PRIVATE, Frame, read_bytes, read_dataset
from qsmcmb.dicom.images import DicomImage
from qsmcmb.dicom.packages import dcm2niix_program
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.converted import read_converted
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import Volume

__all__: tuple[str, ...] = ()

TIME_LIMIT_S = 300
"""Longest time for one image, s: a whole head takes less than ten."""
BYTES_PER_VOXEL = 8
"""Most bytes that the converter may write for a voxel: it writes two or four."""
SPARE_BYTES = 2**22
"""What a file may hold besides voxels, bytes."""
CORNER_TOLERANCE_MM = 0.05
"""Largest distance of the outermost voxels between headers and converted image, mm."""
TE_TOLERANCE_S = 5e-6
"""Largest difference of the echo time between headers and sidecar, s: what rounding leaves."""
GROUPS = ("NumberOfFrames", "PixelData")
"""What a single frame does not take over from its file, beside sequences."""
FRAME_VALUES = (
    "ImageType", "EchoTime", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "RepetitionTime", "FlipAngle", "RescaleSlope", "RescaleIntercept", "MagneticFieldStrength",
    "ScanningSequence", "SequenceVariant", "MRAcquisitionType",
)  # fmt: skip
"""What a single frame takes from its own group."""


class Converted(NamedTuple):
    """A converted image with the converter's sidecar."""

    volume: Volume
    sidecar: dict[str, Any]


def convert_image(image: DicomImage, work: Path, opened: dict[Path, Any] | None = None) -> Converted:
    """Convert one image in a folder of its own.

    `opened` holds the file that was read last: one of many frames serves several images.

    Raises
    ------
    InvalidInputError
        CONVERT: the converter failed, broke a limit, or gave something else than the headers describe.
    MissingPackageError
        PACKAGE: dcm2niix is not installed.
    """
    staged, out = work / "in", work / "out"
    for folder in (staged, out):
        folder.mkdir(parents=True)
    _stage(image.frames, staged, {} if opened is None else opened)
    _run(staged, out, limit=BYTES_PER_VOXEL * int(np.prod(image.shape)) + SPARE_BYTES)
    images = sorted(out.glob("*.nii"))
    if len(images) != 1:
        raise _unlike(image, "images", len(images), "one")
    volume = read_converted(images[0])
    _check_geometry(image, volume)
    sidecar_path = images[0].with_suffix(".json")
    sidecar = read_sidecar(sidecar_path) if sidecar_path.is_file() else {}
    te_s = sidecar.get("EchoTime", image.te_s)
    if not isinstance(te_s, int | float) or abs(te_s - image.te_s) > TE_TOLERANCE_S:
        raise _unlike(image, "EchoTime", te_s, f"{image.te_s:g} s as in the headers")
    shutil.rmtree(staged)
    return Converted(volume, sidecar)


def _unlike(image: DicomImage, what: str, found: object, expected: str) -> InvalidInputError:
    """Return the error of a result that is not what the headers describe."""
    return InvalidInputError(
        "CONVERT", image.frames[0].path, field=f"{what} of dcm2niix", found=found, expected=expected,
        fix="leave the series out of the folder, or convert it by hand",
    )  # fmt: skip


def _stage(frames: tuple[Frame, ...], folder: Path, opened: dict[Path, Any]) -> None:
    """Lay the frames out for the converter: a link to a whole file, or a file made from one frame."""
    counts = Counter(frame.path for frame in frames)
    # By file, so that one with many frames is opened once; the name keeps the slice's place.
    for path, group in itertools.groupby(
        sorted(enumerate(frames), key=_file_of), key=lambda pair: pair[1].path
    ):
        members = list(group)
        if counts[path] == members[0][1].n_frames:
            _stage_whole(path, folder / f"{members[0][0]:05d}.dcm")
            continue
        if path not in opened:
            opened.clear()
            opened[path] = read_dataset(path, pixels=True)
        for i, frame in members:
            _single_frame(opened[path], frame).save_as(folder / f"{i:05d}.dcm", enforce_file_format=True)


def _file_of(pair: tuple[int, Frame]) -> tuple[str, int]:
    """Return the file and the place of a frame, for sorting."""
    return str(pair[1].path), pair[0]


def _stage_whole(path: Path, name: Path) -> None:
    """Lay a whole file out: a link, or its content where it is gzipped."""
    if path.suffix == ".gz":
        name.write_bytes(read_bytes(path))
    else:
        name.symlink_to(path.resolve())


def _single_frame(dataset: Any, frame: Frame) -> Any:
    """Return one frame of an enhanced file as an image of its own."""
    from pydicom.dataset import Dataset
    from pydicom.encaps import encapsulate, get_frame
    from pydicom.uid import MRImageStorage

    single = Dataset()
    for element in dataset:
        if element.keyword not in GROUPS and element.VR != "SQ" and not element.tag.is_private:
            single.add(element)
    single.file_meta = dataset.file_meta
    single.SOPClassUID = single.file_meta.MediaStorageSOPClassUID = MRImageStorage
    single.SOPInstanceUID = f"{str(dataset.SOPInstanceUID)[:56].rstrip('.')}.{frame.index + 1}"
    values = {**frame.values, "EchoTime": frame.values.get("EffectiveEchoTime", frame.values.get("EchoTime"))}
    for name in FRAME_VALUES:
        if name in values:
            setattr(single, name, list(values[name]) if isinstance(values[name], tuple) else values[name])
    for name in ("ComplexImageComponent", "EffectiveEchoTime"):
        if name in single:
            del single[name]
    if "PhilipsScaleSlope" in frame.values:
        group, creator, offset = PRIVATE["PhilipsScaleSlope"]
        block = single.private_block(group, creator, create=True)
        block.add_new(offset, "FL", frame.values["PhilipsScaleSlope"])
    single.InstanceNumber = frame.index + 1
    if single.file_meta.TransferSyntaxUID.is_encapsulated:
        found = get_frame(dataset.PixelData, frame.index, number_of_frames=frame.n_frames)
        single.PixelData = encapsulate([found])
    else:
        size = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
        single.PixelData = dataset.PixelData[frame.index * size : (frame.index + 1) * size]
    return single


def _run(staged: Path, out: Path, *, limit: int) -> None:
    """Run the converter without a shell, a terminal or the user's settings."""
    command = [
        str(dcm2niix_program()), "-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-w", "0", "-f", "image",
        "-o", str(out), str(staged),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIME_LIMIT_S,
            check=False, env={"PATH": os.defpath, "HOME": str(out), "LC_ALL": "C"}, cwd=out,
            preexec_fn=_limiter(limit),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InvalidInputError(
            "CONVERT", staged, field="time of dcm2niix", found=f"more than {TIME_LIMIT_S} s", expected="less",
            fix="leave the series out of the folder",
        ) from error  # fmt: skip
    if done.returncode != 0:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise InvalidInputError(
            "CONVERT", staged, field="exit code of dcm2niix", found=f"{done.returncode} ({last[0][:200]})",
            expected="0", fix="leave the series out of the folder, or convert it by hand",
        )  # fmt: skip


def _limiter(limit: int) -> Callable[[], None] | None:
    """Return what sets the limits in the converter's process, where the system has them."""
    if sys.platform == "win32":
        return None
    import resource

    def limit_process() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT_S, TIME_LIMIT_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return limit_process


def _check_geometry(image: DicomImage, volume: Volume) -> None:
    """Raise unless shape and outermost voxels are those of the headers; the converter may turn a 3D volume's axes."""
    shape = volume.data.shape
    if sorted(shape) != sorted(image.shape):
        raise _unlike(image, "shape", shape, f"{image.shape} as in the headers")
    ends = np.array([[i * (n - 1) for i, n in zip(bits, shape, strict=True)] for bits in np.ndindex(2, 2, 2)])
    found = ends @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    distance = np.linalg.norm(found[:, None] - image.corners_mm()[None], axis=-1).min(axis=1).max()
    if distance > CORNER_TOLERANCE_MM:
        raise _unlike(image, "corners", f"{distance:.2f} mm off", "those of the headers")
