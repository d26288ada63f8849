"""Faults that users meet, each with the code and the exit that it must end in."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json
from tests.faults.spoil import (
    ECHOES,
    Change,
    all_of,
    content,
    fields,
    folder,
    header,
    image,
    inherited,
    linked,
    loop,
    pipe,
    remove,
    scanner_units,
    sidecar,
    sound,
    text,
    values,
)

ALL = tuple(ECHOES)


class Fault(NamedTuple):
    """A fault, what makes it, and what must be said of it."""

    change: Change
    code: str
    exit_code: int = 65
    said: str = ""
    arguments: Callable[[Path], list[str]] = lambda _: []


def mask(shape: tuple[int, int, int], value: int) -> Change:
    """Give the scan a mask in a derivatives folder, and that one also in OUT."""

    def apply(bids: Path) -> None:
        path = bids.parent / "masks/sub-01/anat/sub-01_mask.nii.gz"
        path.parent.mkdir(parents=True)
        save_volume(path, np.full(shape, value, np.uint8), np.eye(4))

    return apply


def link_into_raw_data(below: str, target: str) -> Change:
    """Make a folder of OUT a link into the raw data."""

    def apply(bids: Path) -> None:
        out = bids.parent / "out"
        out.mkdir()
        write_json(
            out / "dataset_description.json",
            {"DatasetType": "derivative", "GeneratedBy": [{"Name": "qsmcmb"}]},
        )
        (out / below).parent.mkdir(parents=True, exist_ok=True)
        (out / below).symlink_to(bids / target)

    return apply


def mask_arguments(bids: Path) -> list[str]:
    return ["--derivatives", f"masks={bids.parent / 'masks'}", "--mask-from", "masks"]


def refused(change: Change, code: str, said: str = "") -> Fault:
    return Fault(change, code, 65, said)


def read(change: Change, said: str = "") -> Fault:
    """Return a fault that is none, or one that is said and mended."""
    return Fault(change, "", 0, said)


def nan_at(n: int) -> Change:
    def put(data: np.ndarray) -> np.ndarray:
        out = data.astype(np.float32)
        out.ravel()[:: out.size // n] = np.nan
        return out

    return values(put, parts=("mag",), echoes=(2,))


FAULTS: dict[str, Fault] = {
    ".nii.gz cut at 50%": refused(content(lambda b: b[: len(b) // 2]), "GZ-TRUNC", "ends at byte"),
    "CRC byte changed": refused(content(lambda b: b[:-6] + bytes([b[-6] ^ 255]) + b[-5:]), "GZ-CRC"),
    "size at the end changed": refused(content(lambda b: b[:-1] + bytes([b[-1] ^ 1])), "GZ-CRC"),
    "trailing garbage after member": refused(content(lambda b: b + b"garbage"), "GZ-TRAIL"),
    "0-byte file": refused(content(lambda _: b""), "EMPTY"),
    "git-LFS pointer text": refused(
        content(lambda _: b"version https://git-lfs.github.com/spec/v1\n"), "EMPTY", "git lfs pull"
    ),
    "git-annex pointer text": refused(
        content(lambda _: b"/annex/objects/MD5E-s12--ab.nii.gz\n"), "EMPTY", "git annex get"
    ),
    "plain NIfTI named .nii.gz": refused(content(gzip.decompress), "NAME", "rename it"),
    "compressed twice": refused(content(gzip.compress), "NAME", "decompress it once"),
    "gz named .nii": refused(lambda b: image(b).rename(image(b).with_suffix("")), "NAME", "rename it"),
    "header dims 32767^3, tiny file": refused(header(42, "<i2", [32767] * 3), "DIM"),
    "negative dim": refused(header(42, "<i2", -3), "DIM"),
    "dim 0": refused(header(42, "<i2", 0), "DIM"),
    "dim[0]=9": refused(header(40, "<i2", 9), "DIM"),
    "pixdim negative": refused(header(80, "<f4", -2), "VOX"),
    "pixdim NaN": refused(header(80, "<f4", np.nan), "VOX"),
    "pixdim inf": refused(header(80, "<f4", np.inf), "VOX"),
    "declared unit micron": refused(header(123, "u1", 3, everywhere=True), "UNITS"),
    "unknown unit, pixdim 0.0008": refused(
        all_of(header(80, "<f4", [0.0008] * 3), header(123, "u1", 0)), "UNITS"
    ),
    "unknown unit, plausible": read(header(123, "u1", 0, everywhere=True), "length unit not stated"),
    "qform=sform=0": refused(header(252, "<i2", [0, 0]), "ORIENT"),
    "singular sform": refused(header(280, "<f4", [0.0] * 12), "ORIENT"),
    "scl_slope NaN": refused(header(112, "<f4", np.nan), "SCL"),
    "scl_inter inf": refused(header(116, "<f4", np.inf), "SCL"),
    "int16 phase slope 2 inter -4096": read(scanner_units),
    "Units rad but values to 4095": refused(
        values(
            lambda d: np.linspace(0, 4095, d.size).reshape(d.shape).astype(np.int16),
            parts=("phase",),
            echoes=(1,),
        ),
        "PHASUNITS",
    ),
    "Units missing, and the header's scaling states nothing": refused(
        all_of(*(fields(echoes=(e,), parts=("phase",), Units=None) for e in ECHOES)), "UNITS-MISSING"
    ),
    "Units deg": refused(
        all_of(*(fields(echoes=(e,), parts=("phase",), Units="deg") for e in ECHOES)), "PHASUNITS"
    ),
    "Units Hz": refused(
        all_of(*(fields(echoes=(e,), parts=("phase",), Units="Hz") for e in ECHOES)), "PHASUNITS"
    ),
    "EchoTime 4.0 (ms)": refused(fields(EchoTime=4.0), "TUNITS", "0.004"),
    "EchoTime 0.9 for echo 1 and others smaller": refused(fields(EchoTime=0.9), "TE-ORDER"),
    "EchoTime string": refused(fields(EchoTime="0.004"), "TE-TYPE"),
    "EchoTime bool": refused(fields(EchoTime=True), "TE-TYPE"),
    "EchoTime NaN": refused(text('{"EchoTime": NaN}'), "JSON"),
    "EchoTime 0": refused(fields(EchoTime=0), "TE-TYPE"),
    "EchoTime negative": refused(fields(EchoTime=-0.005), "TE-TYPE"),
    "EchoTime list": refused(fields(EchoTime=[0.005]), "TE-TYPE"),
    "two echoes same TE": refused(fields(EchoTime=0.010), "TE-EQUAL"),
    "EchoTime >= RepetitionTime": refused(fields(RepetitionTime=0.003), "TE-TR"),
    "TE of mag and phase sidecars differ": refused(fields(parts=("mag",), EchoTime=0.006), "TE-MISMATCH"),
    "sidecar missing, inherited JSON present": read(inherited),
    "sidecar missing everywhere": refused(
        lambda b: [sidecar(b, e, p).unlink() for e in ALL for p in ("mag", "phase")], "SIDECAR"
    ),
    "JSON syntax error": refused(text('{"EchoTime": 0.005,}'), "JSON", "line 1:"),
    "JSON with BOM": read(lambda b: sidecar(b).write_bytes(b"\xef\xbb\xbf" + sidecar(b).read_bytes())),
    "JSON in UTF-16": refused(
        lambda b: sidecar(b).write_bytes(sidecar(b).read_text().encode("utf-16")), "JSON", "UTF-8"
    ),
    "JSON 100k nesting": refused(text('{"a":' * 100_000), "JSON", "nesting"),
    "integers of thousands of digits": refused(
        text('{"EchoTime": ' + "9" * 5000 + "}"), "JSON", "5000 digits"
    ),
    "a number beyond any": refused(text('{"EchoTime": 1e999}'), "JSON"),
    "MagneticFieldStrength missing": refused(
        all_of(*(fields(echoes=(e,), MagneticFieldStrength=None) for e in ECHOES)), "B0"
    ),
    "MagneticFieldStrength 30000": refused(
        all_of(*(fields(echoes=(e,), MagneticFieldStrength=30000) for e in ECHOES)), "B0"
    ),
    "0.3 T with ImagingFrequency 123 MHz": refused(
        all_of(*(fields(echoes=(e,), MagneticFieldStrength=0.3, ImagingFrequency=123) for e in ECHOES)), "B0"
    ),
    "3 T with ImagingFrequency 123.2": read(
        all_of(*(fields(echoes=(e,), ImagingFrequency=123.2) for e in ECHOES)), "ImagingFrequency"
    ),
    "field strengths of one scan disagree": refused(
        fields(echoes=(3,), MagneticFieldStrength=1.5), "SCAN-MISMATCH"
    ),
    "mag one slice short": refused(values(lambda d: d[:, :, :-1], parts=("mag",), echoes=(1,)), "SHAPE"),
    "affine differs 1e-6 between echoes": read(
        values(np.copy, parts=("phase",), echoes=(2,), affine=lambda a: a + 1e-6 * np.eye(4)[0][:, None])
    ),
    "affine differs 1 mm between echoes": refused(
        values(
            np.copy, parts=("phase",), echoes=(2,), affine=lambda a: a + np.pad([[1.0]], ((0, 3), (3, 0)))
        ),
        "AFFINE",
    ),
    "missing middle echo (1,3)": read(all_of(remove(echo=2), remove(echo=2, part="mag")), "missing"),
    "phase without magnitude": refused(lambda b: image(b, part="mag").unlink(), "PART"),
    "single slice": refused(header(46, "<i2", 1), "DIM-MIN"),
    "< 8 voxels in a dim": refused(values(lambda d: d[:, :7], parts=("mag", "phase")), "DIM-MIN"),
    "all-zero phase": refused(values(np.zeros_like, parts=("phase",), echoes=(1,)), "PHASE-FLAT"),
    "all-zero magnitude": refused(values(np.zeros_like, parts=("mag",), echoes=(2,)), "MAG-EMPTY"),
    "magnitude negative": refused(values(np.negative, parts=("mag",), echoes=(2,)), "MAG-NEGATIVE"),
    "some voxels of the magnitude negative": read(
        values(
            lambda d: np.where(np.arange(d.size).reshape(d.shape) == 5, -1, d).astype(np.float32),
            parts=("mag",),
        ),
        "negative",
    ),
    "complex dtype": refused(header(70, "<i2", [32, 64]), "DTYPE", "real and imaginary"),
    "RGB dtype": refused(header(70, "<i2", [128, 24]), "DTYPE"),
    "float128 dtype": refused(header(70, "<i2", [1536, 128]), "DTYPE"),
    "uint64 dtype": refused(header(70, "<i2", [1280, 64]), "DTYPE"),
    "bitpix contradicts datatype": refused(header(72, "<i2", 16), "HEADER"),
    "data offset in the header": refused(header(108, "<f4", 100), "HEADER"),
    "magic of no NIfTI": refused(header(344, "S4", b"abc"), "HEADER"),
    "size of the header": refused(header(0, "<i4", 349), "HEADER"),
    "qform and sform differ": refused(
        all_of(header(252, "<i2", [1, 1]), header(280, "<f4", [0, 1, 0, 0, -1, 0, 0, 0])), "FRAME"
    ),
    "dataset without dataset_description": read(
        lambda b: (b / "dataset_description.json").unlink(), "dataset_description"
    ),
    ".nii and .nii.gz both present": refused(
        lambda b: image(b).with_suffix("").write_bytes(gzip.decompress(image(b).read_bytes())), "DUP"
    ),
    "FIFO in place of a file": refused(pipe, "FILE", "a named pipe"),
    "device in place of a file": refused(
        lambda b: (image(b).unlink(), image(b).symlink_to("/dev/zero")), "FILE", "a device"
    ),
    "folder in place of a file": refused(folder, "FILE", "a folder"),
    "FIFO in place of a sidecar": refused(
        lambda b: (sidecar(b).unlink(), os.mkfifo(sidecar(b))), "FILE", "a named pipe"
    ),
    "symlinked inputs inside dataset (annex)": read(linked),
    "symlink that leads to nothing": refused(
        lambda b: (image(b).unlink(), image(b).symlink_to("nowhere")), "FILE", "leads to nothing"
    ),
    "symlink loop": refused(loop, "FILE"),
    "echo label that is no number": refused(
        lambda b: [
            p.rename(p.with_name(p.name.replace("echo-1", "echo-one")))
            for p in sorted((b / "sub-01/anat").iterdir())
        ],
        "ENTITY",
    ),
    "no session at all": Fault(lambda b: shutil.rmtree(b / "sub-01"), "NO-MATCH", 66),
    "one of several labels matches nothing": Fault(
        lambda _: None, "NO-MATCH", 66, "sub-99", lambda _: ["--participant-label", "01", "99"]
    ),
    "a session that is not there": Fault(
        lambda _: None, "NO-MATCH", 66, "ses-2", lambda _: ["--session-label", "2"]
    ),
    "a filter that leaves nothing": Fault(
        lambda b: (b / "filter.json").write_text('{"acq": "adapt"}'),
        "NO-MATCH",
        66,
        "adapt",
        lambda b: ["--bids-filter-file", str(b / "filter.json")],
    ),
    "points of an unknown participant": Fault(
        lambda b: (b.parent / "p.tsv").write_text("participant_id\tx_mm\ty_mm\tz_mm\nsub-07\t1\t2\t3\n"),
        "POINTS",
        65,
        "07",
        lambda b: ["--points", str(b.parent / "p.tsv")],
    ),
    "points in a pipe": Fault(
        lambda b: os.mkfifo(b.parent / "p.tsv"),
        "FILE",
        65,
        "a named pipe",
        lambda b: ["--points", str(b.parent / "p.tsv")],
    ),
    "a mask on another grid": Fault(mask((12, 13, 15), 1), "SHAPE", 65, "", mask_arguments),
    "an all-zero mask": Fault(mask((12, 13, 14), 0), "MASK-EMPTY", 65, "", mask_arguments),
    "OUT is one of the inputs": Fault(
        mask((12, 13, 14), 1),
        "OVERWRITE",
        2,
        "",
        lambda b: ["--derivatives", f"masks={b.parent / 'out'}", "--mask-from", "masks"],
    ),
    "OUT is another data set": Fault(lambda b: sound(b.parent / "out"), "OUT-FOREIGN", 2, "tiny"),
    "OUT/sub-01 is a link into raw data": Fault(
        link_into_raw_data("sub-01", "sub-01"), "PATH", 2, "leads to"
    ),
    "OUT/sub-01/anat is a link into raw data": Fault(
        link_into_raw_data("sub-01/anat", "sub-01/anat"), "PATH", 2, "leads to"
    ),
    "a folder of a session that does not run is a link into raw data": Fault(
        link_into_raw_data("sub-02/ses-1/anat", "sub-01/anat"), "PATH", 2, "leads to"
    ),
    "a folder of the manifest is a link into raw data": Fault(
        link_into_raw_data(".qsmcmb/manifest", "sub-01"), "PATH", 2, "leads to"
    ),
    "OUT cannot be created": Fault(lambda b: (b.parent / "out").write_text("a file"), "OUT", 73),
}
"""Name of each fault, and the fault: what is refused ends before anything is computed, what is read may be said."""
