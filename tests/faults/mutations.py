"""Random changes of one header or one sidecar of a small scan, each of which follows from its number."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import SILENT_MM, corner_distance_mm
from qsmcmb.io.nifti import save_volume
from qsmcmb.model import GreScan

TE_S = (0.006, 0.012, 0.018)
SHAPE = (14, 15, 16)
AFFINE = np.array([[1.2, 0, 0, -8.0], [0, 1.18, -0.2, -9.0], [0, 0.2, 1.18, -7.5], [0, 0, 0, 1.0]])
HEADER_BYTES = 352
FIELDS = {
    "sizeof_hdr": (0, "<i4", 1), "dim": (40, "<i2", 8), "intent_code": (68, "<i2", 1), "datatype": (70, "<i2", 1),
    "bitpix": (72, "<i2", 1), "pixdim": (76, "<f4", 8), "vox_offset": (108, "<f4", 1), "scl_slope": (112, "<f4", 1),
    "scl_inter": (116, "<f4", 1), "xyzt_units": (123, "u1", 1), "cal_max": (124, "<f4", 1), "toffset": (136, "<f4", 1),
    "qform_code": (252, "<i2", 1), "sform_code": (254, "<i2", 1), "quatern": (256, "<f4", 6),
    "srow": (280, "<f4", 12), "magic": (344, "u1", 4),
}  # fmt: skip
"""Place, type and number of the values of each field of the header."""
TOLERANCE = 1e-4
"""Relative difference of numbers that changes nothing: a header holds single precision."""


class Outcome(NamedTuple):
    """What became of a changed scan: refused, said, the same, or different without a word."""

    what: str
    change: str


SCANS = {"three": (TE_S, False), "one": ((0.018,), False), "one-integers": ((0.018,), True)}
"""Echo times of each scan that is changed, and whether it is stored as integers, as scanners do."""


def write_small_scan(bids: Path, te_s: tuple[float, ...] = TE_S, *, as_integers: bool = False) -> Path:
    """Write the echoes of a ball of tissue with a source in it, with noise.

    Integers are those of a Siemens: phase of 0 to 4095 whose unit the header's scaling states, and no frequency.
    """
    rng = np.random.default_rng(7)
    axes = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    head = (x / 6) ** 2 + (y / 6.5) ** 2 + (z / 7) ** 2 < 1
    r2 = (x - 1) ** 2 + y**2 + (z - 1) ** 2 + 2.0
    turns = 2 * np.pi * (60 * (3 * (z - 1) ** 2 / r2 - 1) / r2**1.5 * 4 + 8 * x + 2 * y)
    anat = bids / "sub-01/anat"
    anat.mkdir(parents=True)
    (bids / "dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.8.0"}')
    for number, te in enumerate(te_s, start=1):
        signal = head * (900 + 100 * np.cos(x)) * np.exp(-20 * te + 1j * te * turns)
        signal = signal + rng.normal(0, 8, SHAPE) + 1j * rng.normal(0, 8, SHAPE)
        for part, data in (("mag", np.abs(signal)), ("phase", np.angle(signal))):
            several = len(te_s) > 1
            name = f"echo-{number}_part-{part}_MEGRE" if several else f"part-{part}_T2starw"
            stem = anat / f"sub-01_{name}"
            if as_integers:
                save_integers(stem.with_suffix(".nii.gz"), data, part)
            else:
                save_volume(stem.with_suffix(".nii.gz"), data.astype(np.float32), AFFINE)
            record: dict[str, Any] = {
                "Manufacturer": "Siemens", "MagneticFieldStrength": 3, "ImagingFrequency": 123.25, "EchoTime": te,
                "RepetitionTime": 0.03, "FlipAngle": 15, "EchoNumber": number,
            }  # fmt: skip
            if part == "phase":
                record["Units"] = "arbitrary" if as_integers else "rad"
            if as_integers:
                del record["ImagingFrequency"]
            stem.with_suffix(".json").write_text(json.dumps(record, indent=1))
    return bids


def save_integers(path: Path, data: np.ndarray, part: str) -> None:
    """Write a magnitude as it is, rounded, and a phase of 0 to 4095 with slope 2 and intercept -4096."""
    stored = np.rint(data) if part == "mag" else np.clip(np.rint(data / np.pi * 2048) + 2048, 0, 4095)
    image = nibabel.Nifti1Image(stored.astype(np.int16), AFFINE)  # type: ignore[attr-defined]
    image.header.set_xyzt_units("mm")
    if part == "phase":
        image.header.set_slope_inter(2, -4096)
    nibabel.save(image, path)


def outcome_of(number: int, original: Path, bids: Path, reference: GreScan) -> Outcome:
    """Change one file in a copy of the scan, load it, and put it back."""
    rng = np.random.default_rng([20261129, number])
    paths = sorted((original / "sub-01/anat").iterdir())
    source = paths[rng.integers(len(paths))]
    path = bids / source.relative_to(original)
    before = source.read_bytes()
    if path.suffix == ".json":
        content, change = _change_json(before.decode(), rng)
    else:
        content, change = _change_header(gzip.decompress(before), rng)
    try:
        path.write_bytes(content)
        return Outcome(_load(bids, reference), f"{number}: {path.name}: {change}")
    finally:
        path.write_bytes(before)


def _load(bids: Path, reference: GreScan) -> str:
    try:
        scan = qc.load_scan(bids, participant="01")
    except InvalidInputError:
        return "refused"
    except MemoryError:
        return "refused"
    if set(scan.warnings) - set(reference.warnings):
        return "said"
    return "same" if _same(scan, reference) else "different"


def _same(one: GreScan, two: GreScan) -> bool:
    """Say whether two scans give the same map."""
    if one.phase_rad.shape != two.phase_rad.shape:
        return False
    numbers = [
        (one.te_s, two.te_s), (one.b0_tesla, two.b0_tesla),
        (one.magnitude / one.magnitude.max(), two.magnitude / two.magnitude.max()),
        (np.exp(1j * one.phase_rad), np.exp(1j * two.phase_rad)),
    ]  # fmt: skip
    in_place = corner_distance_mm(one.grid.affine, two.grid.affine, SHAPE) <= SILENT_MM
    along_b0 = np.allclose(one.grid.b0_dir, two.grid.b0_dir, atol=SILENT_MM / max(SHAPE))
    return (
        in_place and along_b0 and all(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE) for a, b in numbers)
    )


def _change_header(raw: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Return an image with another header, packed again so that its checksum fits."""
    content = bytearray(raw)
    kind = rng.integers(3)
    if kind == 0:
        place, bit = int(rng.integers(HEADER_BYTES)), int(rng.integers(8))
        content[place] ^= 1 << bit
        change = f"bit {bit} of byte {place}"
    elif kind == 1:
        place, value = int(rng.integers(HEADER_BYTES)), int(rng.integers(256))
        change = f"byte {place}: {content[place]} to {value}"
        content[place] = value
    else:
        name = list(FIELDS)[rng.integers(len(FIELDS))]
        place, dtype, count = FIELDS[name]
        item = np.dtype(dtype).itemsize
        place += item * int(rng.integers(count))
        old = np.frombuffer(bytes(content[place : place + item]), dtype)[0]
        new = _number(old, np.dtype(dtype), rng)
        content[place : place + item] = np.array(new).astype(dtype).tobytes()
        change = f"{name} at {place}: {old} to {new}"
    return gzip.compress(bytes(content), 1, mtime=0), change


def _number(old: Any, dtype: np.dtype[Any], rng: np.random.Generator) -> Any:
    """Return another number of a field."""
    if dtype.kind == "f":
        scale = rng.choice([-1.0, 0.0, 1e-3, 0.5, 0.99, 1.01, 2.0, 1e3])
        return rng.choice([old * scale, old + 1.0, np.nan, np.inf, 1e-30, 3e38])
    limits = np.iinfo(dtype)
    return int(
        np.clip(rng.choice([0, 1, 2, -1, int(old) + 1, int(old) - 1, limits.max]), limits.min, limits.max)
    )


def _change_json(text: str, rng: np.random.Generator) -> tuple[bytes, str]:
    """Return a sidecar with another value, another key, or another byte."""
    record = json.loads(text)
    key = list(record)[rng.integers(len(record))]
    kind = rng.integers(5)
    if kind == 0:
        raw = bytearray(text.encode())
        place = int(rng.integers(len(raw)))
        raw[place] = int(rng.integers(256))
        return bytes(raw), f"byte {place} to {raw[place]}"
    if kind == 1:
        return text[: rng.integers(len(text))].encode(), "cut"
    if kind == 2:
        record[key + "x"] = record.pop(key)
        return json.dumps(record).encode(), f"{key} renamed"
    if kind == 3:
        return (text.rstrip()[:-1] + f', "{key}": {json.dumps(record[key])}}}').encode(), f"{key} twice"
    old = record[key]
    others: list[Any] = [
        "",
        "3",
        None,
        True,
        [],
        [old],
        {},
        {"a": old},
        -1,
        0,
        1e300,
        10**20,
        "rad",
        "arbitrary",
        "GE",
    ]
    if isinstance(old, int | float):
        others += [old * factor for factor in (-1, 0.1, 0.5, 0.99, 1.001, 1.01, 1.1, 2, 10, 1000)]
    record[key] = others[rng.integers(len(others))]
    return json.dumps(record).encode(), f"{key}: {old!r} to {record[key]!r}"
