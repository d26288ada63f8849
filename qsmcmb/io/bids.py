"""One scan of a BIDS data set from its images and sidecars."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError, MissingMetadataError
from qsmcmb.io.agreement import check_scan_agreement
from qsmcmb.io.assemble import assemble, combine_real_imaginary
from qsmcmb.io.bids_index import Image, SessionFiles, list_sessions
from qsmcmb.io.echo_times import EchoTime, check_echo_times, check_parts, phase_echo_times
from qsmcmb.io.entities import natural_key, same_value
from qsmcmb.io.field_strength import FieldStrength, find_field_strength
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.io.phase_scaling import sign_notes
from qsmcmb.io.tables import read_tsv
from qsmcmb.io.volume_series import refuse_list_of_echo_times, refuse_series
from qsmcmb.model import GreScan

__all__ = ("Combine", "acquisition_times", "load_scan")

COMPUTED = "rad (computed)"
"""Unit of phase that is computed from real and imaginary parts."""
PAIRS = (("phase", "mag"), ("real", "imag"))
"""Parts that make an echo."""
Combine = Callable[[Sequence[GreScan]], GreScan]
"""Function that makes one scan of those of its receive channels."""


def _sidecar(image: Image, root: Path) -> dict[str, Any]:
    """Return the metadata of an image: all JSON files that apply, from the root down, nearest last."""
    merged: dict[str, Any] = {}
    folders = [root, *reversed([p for p in image.path.parents if root in p.parents])]
    for folder in folders:
        for path in sorted(folder.glob(f"*{image.suffix}.json"), key=lambda p: len(p.name)):
            tokens = path.name.removesuffix(".json").split("_")[:-1]
            pairs = [t.partition("-") for t in tokens]
            if all(dash and same_value(key, image.entities.get(key), value) for key, dash, value in pairs):
                merged.update(read_sidecar(path))
    return merged


def load_scan(
    bids: str | Path | SessionFiles,
    *,
    participant: str | None = None,
    session: str | None = None,
    filters: Mapping[str, str] | None = None,
    phase_units: str | None = None,
    phase_range: tuple[float, float] | None = None,
    phase_sign: int | None = None,
    phase_filtered: bool | None = None,
    combine: Combine | None = None,
) -> GreScan:
    """Load one scan of a BIDS data set.

    Parameters
    ----------
    bids : path or SessionFiles
        Folder of the data set, or one entry of `list_sessions`.
    participant : str, optional
        Label without `sub-`; needed where the data set has several.
    session : str, optional
        Label without `ses-`; needed where the participant has several.
    filters : mapping, optional
        Entities that must match, e.g. ``{"run": "1", "suffix": "MEGRE"}``: indices as numbers, labels exactly.
    phase_units : {"rad", "arbitrary"}, optional
        Unit of the stored phase, in place of the sidecars' `Units`.
    phase_range : tuple of float, optional
        Stored values that stand for -pi and pi.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field; 1 by default.
    phase_filtered : bool, optional
        Whether the scanner has high-pass filtered the phase; by default the phase itself says so.
    combine : callable, optional
        Combination of uncombined receive channels; without it they are refused.

    Returns
    -------
    GreScan
        Phase in rad, echo times in s, by ascending echo time; sources are BIDS URIs.

    Raises
    ------
    InvalidInputError
        The code names the gate: DUP, PART, COILS, ECHO-RUNS, SIDECAR, TE-*, TUNITS, B0, SHAPE, AFFINE, PHASUNITS,
        UNITS-MISSING ...
    NothingMatchedError
        NO-MATCH: the labels or filters select nothing.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from qsmcmb.io.bids_writer import write_raw_scan
    >>> from qsmcmb.model import Grid
    >>> phase_rad = np.linspace(-3, 3, 512, dtype=np.float32).reshape(1, 8, 8, 8)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=phase_rad, magnitude=phase_rad + 4, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_raw_scan(Path(folder), scan, "01", "1")
    ...     load_scan(folder, participant="01").te_s
    (0.02,)
    """
    files = bids if isinstance(bids, SessionFiles) else _select(bids, participant, session, filters)
    stated = InputOptions(phase_units, phase_range, phase_sign, phase_filtered)
    _check_runs(files)
    channels = sorted({i.channel for i in files.images if i.channel is not None}, key=natural_key)
    if len(channels) < 2:
        alone = [f"channel {c} is the only one and stands for the scan" for c in channels]
        return _load(files, stated, [*files.notes, *alone])
    if combine is None:
        raise InvalidInputError(
            "COILS", files.images[0].path, field="coil", found=", ".join(channels), expected="combined images",
            fix="load the scan by qsmcmb.load_scan, which combines channels",
        )  # fmt: skip
    scans = []
    for channel in channels:
        images = tuple(i for i in files.images if i.channel == channel)
        scans.append(_load(dataclasses.replace(files, images=images), stated, files.notes))
    return combine(scans)


def _load(files: SessionFiles, stated: InputOptions, notes: Sequence[str]) -> GreScan:
    """Return a scan from combined images, or from those of one channel."""
    echoes = _by_echo(files)
    metas = [{part: _sidecar(image, files.root) for part, image in echo.items()} for echo in echoes]
    for echo, meta in zip(echoes, metas, strict=True):
        for part, image in echo.items():
            refuse_list_of_echo_times(meta[part], image.path)
    times = _echo_times(echoes, metas)
    te_s = [t.te_s for t in times]
    order = sorted(range(len(te_s)), key=lambda i: te_s[i])
    makers = [meta.get("Manufacturer") for parts in metas for meta in parts.values()]
    warnings = [*notes, *(t.note for t in times if t.note), *sign_notes(makers, stated)]
    if order != list(range(len(te_s))):
        warnings.append("echo numbers and echo times disagree; sorted by echo time")
    echoes, metas, te_s = [echoes[i] for i in order], [metas[i] for i in order], [te_s[i] for i in order]
    paths = [next(iter(echo.values())).path for echo in echoes]
    check_echo_times(te_s, paths)
    numbers = [next(iter(echo.values())).echo for echo in echoes]
    if sorted(numbers) != list(range(1, len(numbers) + 1)) and len(numbers) > 1:
        warnings.append(f"echoes {numbers} are there; the missing ones are left out")
    units, b0 = _units(metas), _field_strength(echoes, metas)
    magnitude, phase = _read(echoes)
    scan = assemble(
        phase, magnitude, te_s, b0, name=files.name, units=units, strict_units=True,
        options=_options(units, stated), warnings=warnings,
        image_types=[m["phase"].get("ImageType") for m in metas if "phase" in m],
    )  # fmt: skip
    root = files.root.as_posix().rstrip("/")
    sources = tuple(("bids::" + name.removeprefix(root + "/"), digest) for name, digest in scan.sources)
    return dataclasses.replace(scan, sources=sources, phase_difference=any(t.note for t in times))


def _options(units: object, stated: InputOptions) -> InputOptions:
    """Return the user's word on the phase; of phase computed from real and imaginary part the unit is known."""
    if units == COMPUTED:
        return dataclasses.replace(stated, phase_units="rad", phase_range=None)
    return stated


def _select(
    bids: str | Path, participant: str | None, session: str | None, filters: Mapping[str, str] | None
) -> SessionFiles:
    """Return the one scan that the labels name."""
    found = list_sessions(
        bids, participants=[participant] if participant else (), sessions=[session] if session else (),
        filters=filters,
    )  # fmt: skip
    if len(found) > 1:
        raise InvalidInputError(
            "DUP", bids, field="selection", found=", ".join(f.name for f in found), expected="one scan",
            fix="name participant and session, and choose by filters (run, acq, rec, suffix) among several scans",
        )  # fmt: skip
    return found[0]


def _check_runs(files: SessionFiles) -> None:
    """Raise where runs of one echo each differ in their echo time: a converter has numbered echoes as runs."""
    first = files.images[0]
    others = [image for image in files.other_runs if image.echo == first.echo]
    if not others or len({image.echo for image in files.images}) > 1:
        return
    images = sorted([first, *others], key=lambda i: natural_key(i.entities.get("run", "")))
    stated = [_sidecar(image, files.root).get("EchoTime") for image in images]
    times = [float(t) for t in stated if isinstance(t, int | float)]
    if len(times) < len(stated) or len({round(t, 6) for t in times}) == 1:
        return
    runs = [image.entities.get("run", "none") for image in images]
    pairs = ", ".join(f"run-{run} to echo-{n}" for n, run in enumerate(runs, start=1))
    raise InvalidInputError(
        "ECHO-RUNS", first.path, field="run", found=f"{', '.join(runs)} with EchoTime {', '.join(map(str, times))} s",
        expected="runs that repeat one echo time",
        fix=f"echoes: rename images and JSON files, {pairs}; scans of their own: give each an acq- label",
    )  # fmt: skip


def _by_echo(files: SessionFiles) -> list[dict[str, Image]]:
    """Return part -> image for each echo; anything that makes two scans of one is refused."""
    table: dict[tuple[int, str], Image] = {}
    for image in files.images:
        key = (image.echo, image.part)
        if key in table:
            raise InvalidInputError(
                "DUP", image.path, field="echo and part", found=f"also in {table[key].path.name}",
                expected="one image for each echo and part",
                fix="remove one, or give it another run, rec or acq in its name",
            )  # fmt: skip
        table[key] = image
    echoes = []
    for number in sorted({n for n, _ in table}):
        parts = {part: image for (n, part), image in table.items() if n == number}
        pair = next((p for p in PAIRS if set(p) <= set(parts)), None)
        if pair is None:
            raise _several_volumes(parts) or _without_partner(table)
        echoes.append({p: parts[p] for p in pair})
    return echoes


def _several_volumes(parts: Mapping[str, Image]) -> InvalidInputError | None:
    """Return the error of a lone image that holds several volumes, perhaps magnitude and phase."""
    lone = parts.get("mag")
    volume = read_volume(lone.path) if lone else None
    if lone is None or volume is None or volume.data.ndim == 3:
        return None
    return refuse_series(volume, lone.entities, lone.suffix)


def _without_partner(table: Mapping[tuple[int, str], Image]) -> MissingMetadataError:
    """Return the error for echoes that have one of their two images, with all of these echoes."""
    partners = {"phase": "mag", "mag": "phase", "real": "imag", "imag": "real"}
    lacking: dict[str, list[int]] = {}
    for number, part in sorted(table):
        if (number, partners[part]) not in table:
            lacking.setdefault(partners[part], []).append(number)
    found = "; ".join(f"no {part} for echo {', '.join(map(str, n))}" for part, n in lacking.items())
    is_shared = "mag" in lacking and len(table) > 1
    more = (
        "; where the scanner wrote one magnitude for all echoes, `qsmcmb recon` takes it: --phase FILE... --mag FILE"
        if is_shared else ""
    )  # fmt: skip
    first = next(image for (n, part), image in sorted(table.items()) if n in lacking.get(partners[part], []))
    return MissingMetadataError(
        "PART", first.path, field="part", found=found, expected="mag and phase, or real and imag, for each echo",
        fix=f"add the missing images, of the same suffix and entities but part{more}",
    )  # fmt: skip


def _echo_times(
    echoes: Sequence[dict[str, Image]], metas: Sequence[dict[str, dict[str, Any]]]
) -> list[EchoTime]:
    """Return the echo times, on which both images of an echo must agree."""
    # The first image is the phase, or one that becomes part of it.
    parts = [list(echo) for echo in echoes]
    times = phase_echo_times(
        [meta[part[0]] for meta, part in zip(metas, parts, strict=True)],
        [echo[part[0]].path for echo, part in zip(echoes, parts, strict=True)],
    )
    for time, echo, meta, (first, second) in zip(times, echoes, metas, parts, strict=True):
        check_parts(time, meta[second], echo[second].path, echo[first].path, meta[first])
    return times


def _field_strength(
    echoes: Sequence[dict[str, Image]], metas: Sequence[dict[str, dict[str, Any]]]
) -> FieldStrength:
    """Return the field strength, once all sidecars of the scan agree on it and on what else is the scan's."""
    images = [
        (part, image.path, meta[part])
        for echo, meta in zip(echoes, metas, strict=True)
        for part, image in echo.items()
    ]
    found = find_field_strength([meta for _, _, meta in images], [path for _, path, _ in images])
    check_scan_agreement(images)
    return found


def _units(metas: Sequence[dict[str, dict[str, Any]]]) -> object:
    """Return the unit of phase that the sidecars state, None where they state none."""
    if "phase" not in metas[0]:
        return COMPUTED
    return next((m["phase"]["Units"] for m in metas if "Units" in m["phase"]), None)


def _read(echoes: Sequence[dict[str, Image]]) -> tuple[list[Volume], list[Volume]]:
    """Return the magnitude and phase volumes of all echoes."""
    magnitude, phase = [], []
    for echo in echoes:
        volumes = {part: read_volume(image.path) for part, image in echo.items()}
        # The magnitude tells more than the phase.
        for part in sorted(volumes):
            if volumes[part].data.ndim != 3:
                raise refuse_series(volumes[part], echo[part].entities, echo[part].suffix)
        if "phase" in volumes:
            magnitude.append(volumes["mag"])
            phase.append(volumes["phase"])
        else:
            m, p = combine_real_imaginary(volumes["real"], volumes["imag"])
            magnitude.append(m)
            phase.append(p)
    return magnitude, phase


def acquisition_times(root: Path, participant: str) -> dict[str, datetime]:
    """Return when a participant's sessions were acquired, where a table says.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    participant : str
        Label without `sub-`.

    Returns
    -------
    dict
        Session without `ses-` to its `acq_time` in sub-*_sessions.tsv, else in the session's scans.tsv.

    Raises
    ------
    InvalidInputError
        TSV: a table that cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.tables import write_tsv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     subject = Path(folder) / "sub-01"
    ...     subject.mkdir()
    ...     row = {"session_id": "ses-1", "acq_time": "2020-05-04T10:00:00"}
    ...     write_tsv(subject / "sub-01_sessions.tsv", [row], ["session_id", "acq_time"])
    ...     acquisition_times(Path(folder), "01")
    {'1': datetime.datetime(2020, 5, 4, 10, 0)}
    """
    subject = root / f"sub-{participant}"
    tables = [subject / f"sub-{participant}_sessions.tsv", *sorted(subject.glob("ses-*/*_scans.tsv"))]
    times: dict[str, datetime] = {}
    for table in tables:
        for row in read_tsv(table) if table.is_file() else []:
            session = (row.get("session_id") or table.parent.name).removeprefix("ses-")
            with contextlib.suppress(ValueError):
                times.setdefault(session, datetime.fromisoformat(row.get("acq_time") or ""))
    return times
