"""Scans of a BIDS data set: multi-echo GRE under sub-*/[ses-*/]anat and nowhere else.

The index is one pass over the named folders: `derivatives/`, `sourcedata/`, `code/` and dot-folders are never
entered, and an entity matches exactly (`rec-adapt` is not `rec-adaptSoS`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError, MissingMetadataError, NothingMatchedError
from qsmcmb.io.agreement import check_scan_agreement
from qsmcmb.io.assemble import assemble, combine_real_imaginary
from qsmcmb.io.echo_times import EchoTime, check_echo_times, check_parts, phase_echo_times
from qsmcmb.io.field_strength import FieldStrength, find_field_strength
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.io.tables import read_tsv
from qsmcmb.model import GreScan

__all__ = (
    "Image",
    "SessionFiles",
    "acquisition_times",
    "list_sessions",
    "load_scan",
)

SUFFIXES = ("MEGRE", "T2starw")
"""BIDS suffixes of images that are read: multi-echo and T2*-weighted gradient echo."""
PARTS = ("mag", "phase", "real", "imag")
"""Values of the BIDS entity `part` that are read."""
COMPUTED = "rad (computed)"
"""Unit of phase that is computed from real and imaginary parts."""
EXTENSIONS = (".nii", ".nii.gz")
"""Endings of image files that are read."""


@dataclass(frozen=True)
class Image:
    """One image file of a BIDS data set with the entities of its name.

    Parameters
    ----------
    path : Path
        The file.
    entities : dict
        BIDS entity to its value, e.g. ``{"sub": "01", "echo": "1", "part": "phase"}``.
    suffix : str
        BIDS suffix, ``MEGRE`` or ``T2starw``.

    Examples
    --------
    >>> Image(Path("sub-01_part-mag_MEGRE.nii"), {"sub": "01", "part": "mag"}, "MEGRE").entities["part"]
    'mag'
    """

    path: Path
    entities: dict[str, str]
    suffix: str


@dataclass(frozen=True)
class SessionFiles:
    """The images of one scan: one subject, session, run and suffix.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    participant : str
        Label without `sub-`.
    session : str or None
        Label without `ses-`; None without sessions.
    images : tuple of Image
        Every part of every echo.

    Examples
    --------
    >>> SessionFiles(Path("bids"), "01", "1", ()).prefix
    'sub-01_ses-1'
    """

    root: Path
    participant: str
    session: str | None
    images: tuple[Image, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Name in messages: `sub-01/ses-1`, or `sub-01` without sessions."""
        return f"sub-{self.participant}" + (f"/ses-{self.session}" if self.session else "")

    @property
    def label(self) -> str:
        """Session with its key: `ses-1`, or an empty string without sessions."""
        return f"ses-{self.session}" if self.session else ""

    @property
    def prefix(self) -> str:
        """Beginning of file names: `sub-01_ses-1`, or `sub-01` without sessions."""
        return self.name.replace("/", "_")


def list_sessions(
    bids: str | Path,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    filters: Mapping[str, str] | None = None,
) -> list[SessionFiles]:
    """Return the scans of a data set, sorted, after exact selection by labels and entities.

    Parameters
    ----------
    bids : path
        Folder of the data set.
    participants : sequence of str, optional
        Labels, with or without `sub-`; all by default.
    sessions : sequence of str, optional
        Labels, with or without `ses-`; all by default.
    filters : mapping, optional
        Entities that must match exactly, e.g. ``{"run": "1", "suffix": "MEGRE"}``.

    Returns
    -------
    list of SessionFiles
        One for each scan, by participant, then session.

    Raises
    ------
    InvalidInputError
        BIDS: there is no such folder.
    NothingMatchedError
        NO-MATCH: the message lists the labels that there are.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from qsmcmb.io.bids_writer import write_raw_scan
    >>> from qsmcmb.model import Grid
    >>> volume = np.zeros((1, 8, 8, 8), np.float32)
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> scan = GreScan(phase_rad=volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_raw_scan(Path(folder), scan, "01", "1")
    ...     [files.name for files in list_sessions(folder, participants=["sub-01"])]
    ['sub-01/ses-1']
    """
    root = Path(bids)
    if not root.is_dir():
        raise InvalidInputError(
            "BIDS", root, field="folder", found="nothing", expected="a BIDS data set", fix="check the path"
        )
    wanted = {p.removeprefix("sub-") for p in participants}
    wanted_sessions = {s.removeprefix("ses-") for s in sessions}
    found, labels = [], []
    for subject in sorted(p for p in root.glob("sub-*") if p.is_dir()):
        for anat in sorted([subject / "anat", *subject.glob("ses-*/anat")]):
            images = _images(anat, filters or {}) if anat.is_dir() else []
            if not images:
                continue
            label = subject.name.removeprefix("sub-")
            session = anat.parent.name.removeprefix("ses-") if anat.parent != subject else None
            labels.append(f"sub-{label}" + (f"/ses-{session}" if session else ""))
            if (not wanted or label in wanted) and (not wanted_sessions or session in wanted_sessions):
                found.append(SessionFiles(root, label, session, tuple(images)))
    if not found:
        raise NothingMatchedError(
            "NO-MATCH", root, field="selection",
            found=f"participants {sorted(wanted) or 'all'}, sessions {sorted(wanted_sessions) or 'all'}, "
            f"filters {dict(filters or {})}",
            expected=f"one of: {', '.join(labels) or 'no MEGRE or T2starw image was found'}",
            fix="correct the labels or the filter",
        )  # fmt: skip
    return found


def _images(anat: Path, filters: Mapping[str, str]) -> list[Image]:
    """Return the images of an anat folder that match the filters."""
    from bids2table import parse_bids_entities

    images = []
    for path in sorted(anat.iterdir()):
        entities = parse_bids_entities(path)
        wanted = entities.get("suffix") in SUFFIXES and entities.get("part") in PARTS
        if wanted and entities.get("ext") in EXTENSIONS and all(
            entities.get(name) == value for name, value in filters.items()
        ):  # fmt: skip
            images.append(Image(path, entities, entities["suffix"]))
    return images


def _sidecar(image: Image, root: Path) -> dict[str, Any]:
    """Return the metadata of an image: all JSON files that apply, from the root down, nearest last."""
    merged: dict[str, Any] = {}
    folders = [root, *reversed([p for p in image.path.parents if root in p.parents])]
    for folder in folders:
        for path in sorted(folder.glob(f"*{image.suffix}.json"), key=lambda p: len(p.name)):
            tokens = path.name.removesuffix(".json").split("_")[:-1]
            if all("-" in t and image.entities.get(t.split("-", 1)[0]) == t.split("-", 1)[1] for t in tokens):
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
        Entities that must match exactly, e.g. ``{"run": "1", "suffix": "MEGRE"}``.
    phase_units : {"rad", "arbitrary"}, optional
        Unit of the stored phase, in place of the sidecars' `Units`.
    phase_range : tuple of float, optional
        Stored values that stand for -pi and pi.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field; 1 by default.

    Returns
    -------
    GreScan
        Phase in rad, echo times in s, by ascending echo time; sources are BIDS URIs.

    Raises
    ------
    InvalidInputError
        The code names the gate: DUP, SIDECAR, TE-*, TUNITS, B0, SHAPE, AFFINE, PHASUNITS, UNITS-MISSING ...
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
    echoes = _by_echo(files)
    metas = [{part: _sidecar(image, files.root) for part, image in echo.items()} for echo in echoes]
    times = _echo_times(echoes, metas)
    te_s = [t.te_s for t in times]
    order = sorted(range(len(te_s)), key=lambda i: te_s[i])
    warnings = [t.note for t in times if t.note]
    if order != list(range(len(te_s))):
        warnings.append("echo numbers and echo times disagree; sorted by echo time")
    echoes, metas, te_s = [echoes[i] for i in order], [metas[i] for i in order], [te_s[i] for i in order]
    paths = [next(iter(echo.values())).path for echo in echoes]
    check_echo_times(te_s, paths)
    numbers = [int(e["phase" if "phase" in e else "imag"].entities.get("echo", 1)) for e in echoes]
    if sorted(numbers) != list(range(1, len(numbers) + 1)) and len(numbers) > 1:
        warnings.append(f"echoes {numbers} are there; the missing ones are left out")
    units, b0 = _units(metas), _field_strength(echoes, metas)
    magnitude, phase = _read(echoes)
    scan = assemble(
        phase, magnitude, te_s, b0, name=files.name, units=units, strict_units=True,
        options=_options(units, phase_units, phase_range, phase_sign), warnings=warnings,
    )  # fmt: skip
    root = files.root.as_posix().rstrip("/")
    sources = tuple(("bids::" + name.removeprefix(root + "/"), digest) for name, digest in scan.sources)
    return dataclasses.replace(scan, sources=sources)


def _options(
    units: object, phase_units: str | None, phase_range: tuple[float, float] | None, phase_sign: int | None
) -> InputOptions:
    """Return the user's word on the phase; of phase computed from real and imaginary part only the sign is open."""
    if units == COMPUTED:
        return InputOptions("rad", None, phase_sign)
    return InputOptions(phase_units, phase_range, phase_sign)


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
            fix="name participant and session",
        )  # fmt: skip
    return found[0]


def _by_echo(files: SessionFiles) -> list[dict[str, Image]]:
    """Return part -> image for each echo; anything that makes two scans of one is refused."""
    table: dict[tuple[int, str], Image] = {}
    for image in files.images:
        key = (int(image.entities.get("echo", "1")), image.entities["part"])
        if key in table:
            raise InvalidInputError(
                "DUP", image.path, field="echo and part", found=f"also in {table[key].path.name}",
                expected="one image for each echo and part",
                fix="remove one, or choose with --bids-filter-file (run, rec, acq, suffix)",
            )  # fmt: skip
        table[key] = image
    echoes = []
    for number in sorted({n for n, _ in table}):
        parts = {part: image for (n, part), image in table.items() if n == number}
        for pair in (("phase", "mag"), ("real", "imag")):
            if all(p in parts for p in pair):
                echoes.append({p: parts[p] for p in pair})
                break
        else:
            image = next(iter(parts.values()))
            raise MissingMetadataError(
                "PART", image.path, field="part", found=", ".join(sorted(parts)),
                expected="mag and phase, or real and imag, for each echo", fix="add the missing image",
            )  # fmt: skip
    return echoes


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
        for volume in volumes.values():
            if volume.data.ndim != 3:
                raise InvalidInputError(
                    "DIM", volume.path, field="dim", found=volume.data.shape, expected="a 3D volume per echo",
                    fix="split the image by echo (echo-1, echo-2, ...)",
                )  # fmt: skip
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
