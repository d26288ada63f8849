"""A `GreScan` from the volumes of one scan: shapes, affines, scaling and echo order checked."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.core.copies import find_copies
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.agreement import check_parts_scaling, check_phase_scaling, scaling_notes
from qsmcmb.io.echo_order import check_echo_order
from qsmcmb.io.field_strength import FieldStrength
from qsmcmb.io.filtered_phase import lacks_low_frequencies, stated_filter
from qsmcmb.io.frame import compare_frames
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.magnitude_values import check_other_than_phase, magnitude_notes
from qsmcmb.io.nifti import Volume
from qsmcmb.io.phase_scaling import PhaseData, phase_scale, to_radians
from qsmcmb.io.phase_values import check_phase_values
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("parse_te",)


def split_echoes(volumes: Sequence[Volume]) -> list[Volume]:
    """Return one 3D volume per echo from 3D files or one 4D file."""
    echoes: list[Volume] = []
    for volume in volumes:
        if volume.data.ndim == 3:
            echoes.append(volume)
        else:
            echoes.extend(volume._replace(data=volume.data[..., i]) for i in range(volume.data.shape[3]))
    return echoes


def assemble(
    phase: Sequence[Volume],
    magnitude: Sequence[Volume],
    te_s: Sequence[float],
    b0: FieldStrength,
    *,
    name: str,
    units: object,
    strict_units: bool,
    options: InputOptions | None = None,
    b0_dir: tuple[float, float, float] | None = None,
    image_types: Sequence[object] = (),
    warnings: Sequence[str] = (),
) -> GreScan:
    """Return the scan; all arguments are in the order of the echoes, ascending."""
    options = options or InputOptions()
    if options.sign not in (1, -1):
        raise InvalidInputError(
            "PHASE-SIGN", name, field="phase_sign", found=options.sign, expected="1 or -1",
            fix="pass --phase-sign -1 for phase that falls with a paramagnetic field",
        )  # fmt: skip
    grid, frame_notes = common_grid([*phase, *magnitude], b0_dir)
    notes = [
        *warnings,
        *b0.notes,
        *frame_notes,
        *dict.fromkeys(w for v in (*phase, *magnitude) for w in v.warnings),
        *scaling_notes(magnitude, "magnitude"),
        *(scaling_notes(phase, "phase") if units == "rad" else ()),
    ]
    if units != "rad":
        check_phase_scaling(phase)
    check_other_than_phase(phase, magnitude)
    copies = find_copies([m.data for m in magnitude])
    is_shared = bool(copies)
    if is_shared:
        number = (
            f"all {len(te_s)} echoes" if len(copies) == len(te_s) else f"{len(copies)} of {len(te_s)} echoes"
        )
        notes.append(f"{magnitude[copies[0]].path.name}: one magnitude serves {number}")
    check_phase_values(phase, magnitude, is_range_stated=options.phase_range is not None)
    data = PhaseData(phase, magnitude, te_s, b0.tesla)
    scale = phase_scale(data, units=units, options=options, strict=strict_units)
    if scale.is_noted:
        notes.append(f"phase read as {scale.why}")
    phase_rad = np.empty((len(phase), *grid.shape), np.float32)
    mag = np.empty_like(phase_rad)
    not_finite: list[tuple[str, BoolArray]] = []
    for i, (p, m) in enumerate(zip(phase, magnitude, strict=True)):
        p_values, m_values = p.values(), m.values()
        missing = [(v.path, ~np.isfinite(values)) for v, values in ((p, p_values), (m, m_values))]
        not_finite += [(path.name, where) for path, where in missing if where.any()]
        notes += [
            f"{path.name}: {int(where.sum())} voxels are not finite; taken as without signal"
            for path, where in missing if where.any()
        ]  # fmt: skip
        bad = missing[0][1] | missing[1][1]
        if bad.any():
            p_values, m_values = np.where(bad, 0, p_values), np.where(bad, 0, m_values)
        phase_rad[i] = to_radians(p_values, scale, options.sign)
        phase_rad[i][bad] = 0
        notes += magnitude_notes(m_values, m.path)
        mag[i] = np.maximum(m_values, 0)
    check_echo_order(phase, magnitude, te_s, phase_rad, mag)
    word = stated_filter(image_types)
    filtered = options.phase_filtered
    if filtered is None:
        filtered = lacks_low_frequencies(phase_rad, mag, grid, stated=bool(word))
    if filtered or word:
        notes.append(_filter_note(word, filtered=filtered))
    sources = tuple(dict.fromkeys((v.path.as_posix(), v.sha256) for v in (*phase, *magnitude)))
    return GreScan(
        phase_rad=phase_rad, magnitude=mag, te_s=tuple(float(t) for t in te_s), b0_tesla=b0.tesla,
        b0_source=b0.source, b0_dir_source="--b0-dir" if b0_dir else phase[0].frame, grid=grid, name=name,
        sources=sources, warnings=tuple(dict.fromkeys(notes)),
        read_as={**_phase_record(units, options, scale.why), "PhaseFiltered": filtered}, phase_filtered=filtered,
        magnitude_is_shared=is_shared, decay_known=not is_shared, not_finite=tuple(not_finite),
    )  # fmt: skip


def _filter_note(word: str, *, filtered: bool) -> str:
    """Return the sentence on filtered phase."""
    reason = f"ImageType has {word}" if word else "the phase has no low spatial frequencies"
    if filtered:
        return (
            f"{reason}: the phase was high-pass filtered (by the scanner, for SWI), so that values are too low by an "
            "unknown amount; nothing has an interval, nothing is definite. Export the phase unfiltered"
        )
    return f"{reason}, but the phase has its low spatial frequencies: taken as unfiltered"


def _phase_record(units: object, options: InputOptions, why: str) -> dict[str, Any]:
    """Return how the phase was read, by the keys of the JSON files."""
    record: dict[str, Any] = {"PhaseUnits": units, "PhaseScale": why, "PhaseSign": options.sign}
    stated = options.record()
    return {**record, "Options": stated} if stated else record


def common_grid(
    volumes: Sequence[Volume], b0_dir: tuple[float, float, float] | None
) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid that all volumes share, that of the first, and what must be said of it.

    Raises
    ------
    InvalidInputError
        ORIENT or FRAME without an orientation in the scanner, unless `b0_dir` states it; SHAPE or AFFINE where the
        volumes lie apart.
    """
    first = volumes[0]
    for volume in volumes:
        if b0_dir is None:
            _check_oriented(volume)
    notes = () if b0_dir is None else _notes_of_positions(first)
    distances = [0.0]
    for other in volumes[1:]:
        if other.data.shape != first.data.shape:
            raise InvalidInputError(
                "SHAPE", other.path, field="shape",
                found=f"{other.data.shape}, {first.data.shape} in {first.path.name}",
                expected="the same shape for phase and magnitude of all echoes", fix="export the images again",
            )  # fmt: skip
        distance = compare_frames(
            other.path, other.affine, first.affine, shape=first.data.shape, whose=first.path.name,
            fix="export the images again: phase and magnitude of all echoes share one affine",
        )  # fmt: skip
        distances.append(distance)
    if any(distances):
        notes += (
            f"headers lie up to {max(distances):.2g} mm apart at the corners ({sum(d > 0 for d in distances)} images); "
            f"that of {first.path.name} is used",
        )
    nx, ny, nz = first.data.shape
    grid = Grid.from_affine((nx, ny, nz), first.affine)
    return (grid if b0_dir is None else dataclasses.replace(grid, b0_dir=b0_dir)), notes


def _check_oriented(volume: Volume) -> None:
    """Raise where the header doesn't say how the image lies in the scanner."""
    known = "or pass --b0-dir X Y Z, the direction of B0 in voxel axes, to the commands that take it"
    if not volume.oriented:
        raise InvalidInputError(
            "ORIENT", volume.path, field="qform_code, sform_code", found="0, 0", expected="an orientation",
            fix=f"correct the header, {known}",
        )  # fmt: skip
    if volume.is_template:
        raise InvalidInputError(
            "FRAME", volume.path, field="frame", found=volume.frame, expected="the scanner's frame (code 1)",
            fix="give the image as the scanner wrote it; if the affine is the scanner's, set its code to 1 (nibabel: "
            f"image.set_sform(image.affine, 1)); {known}",
        )  # fmt: skip


def _notes_of_positions(volume: Volume) -> tuple[str, ...]:
    """Return what positions mean where the header has no frame of the scanner."""
    if not volume.oriented:
        return (
            f"{volume.path.name}: no orientation in the header; positions are mm from the volume's centre",
        )
    if volume.is_template:
        return (f"{volume.path.name}: positions are in the coordinates of {volume.frame}, not the scanner's",)
    return ()


def combine_real_imaginary(real: Volume, imaginary: Volume) -> tuple[Volume, Volume]:
    """Return magnitude and phase (rad) volumes of a real and an imaginary one."""
    re, im = real.values(), imaginary.values()
    if re.shape != im.shape:
        raise InvalidInputError(
            "SHAPE", imaginary.path, field="shape", found=im.shape, expected=f"{re.shape} as {real.path.name}",
            fix="export the images again",
        )  # fmt: skip
    check_parts_scaling(real, imaginary)
    magnitude: FloatArray = np.hypot(re, im)
    return (
        real._replace(data=magnitude, slope=1.0, inter=0.0),
        imaginary._replace(data=np.arctan2(im, re), slope=1.0, inter=0.0),
    )


def parse_te(text: str) -> tuple[float, ...]:
    """Return echo times from text such as `4,8,12ms` or `0.004,0.008s`.

    Parameters
    ----------
    text : str
        Numbers separated by commas, then the unit, ms or s.

    Returns
    -------
    tuple of float
        Echo times, s, 0 to 0.3, ascending.

    Raises
    ------
    InvalidInputError
        TUNITS without a suffix, TE-TYPE for what is not a number, TE-ORDER for times not ascending.

    Examples
    --------
    >>> parse_te("4,8,12ms")
    (0.004, 0.008, 0.012)
    """
    body = text.strip()
    factor = 1e-3 if body.endswith("ms") else 1.0
    if not body.endswith("s"):
        raise InvalidInputError(
            "TUNITS", "--te", field="te", found=text, expected="echo times with a suffix, ms or s",
            fix=f"write {text}ms or {text}s",
        )  # fmt: skip
    try:
        times = tuple(round(float(part.strip().removesuffix("ms").removesuffix("s")) * factor, 9)
                      for part in body.split(","))  # fmt: skip
    except ValueError as error:
        raise InvalidInputError(
            "TE-TYPE", "--te", field="te", found=text, expected="numbers separated by commas, then ms or s",
            fix="write for example 4,8,12ms",
        ) from error  # fmt: skip
    if not all(0 < t < 0.3 for t in times) or any(b <= a for a, b in itertools.pairwise(times)):
        raise InvalidInputError(
            "TE-ORDER", "--te", field="te", found=text, expected="ascending echo times between 0 and 300 ms",
            fix="give files and echo times in ascending order",
        )  # fmt: skip
    return times


def paths_of(values: Sequence[str | Path]) -> list[Path]:
    """Return the arguments as paths."""
    return [Path(v) for v in values]
