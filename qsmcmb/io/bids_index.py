"""Scans of a BIDS data set: which images under sub-*/[ses-*/]anat belong together.

The index is one pass over the named folders: `derivatives/`, `sourcedata/`, `code/` and dot-folders are never
entered. Images of one scan agree in suffix and in every entity but echo, part and receive channel.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.entities import (
    channel_of,
    echo_label,
    entity_values,
    matches,
    natural_key,
    output_entities,
    same_value,
    scan_key,
    scan_name,
)
from qsmcmb.io.unread import describe_unread

__all__ = ("Image", "SessionFiles", "list_sessions")

SUFFIXES = ("MEGRE", "T2starw")
"""BIDS suffixes of images that are read: multi-echo and T2*-weighted gradient echo."""
PARTS = ("mag", "phase", "real", "imag")
"""Values of the BIDS entity `part` that are read; an image without it is magnitude."""
EXTENSIONS = (".nii", ".nii.gz")
"""Endings of image files that are read."""
MAX_SHOWN = 30
"""Sessions that a message lists: more are counted."""


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
    >>> Image(Path("sub-01_echo-1_MEGRE.nii"), {"sub": "01", "echo": "1"}, "MEGRE").part
    'mag'
    """

    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def part(self) -> str:
        """Part of the complex signal: magnitude where the name does not say."""
        return self.entities.get("part", "mag")

    @property
    def echo(self) -> int:
        """Number of the echo: 1 where the name does not say.

        Raises
        ------
        InvalidInputError
            ENTITY: the name states no number.
        """
        value = self.entities.get("echo", "1")
        if not value.isdecimal():
            raise InvalidInputError(
                "ENTITY", self.path, field="echo", found=value, expected="a number, as in echo-1",
                fix="rename the image and its JSON",
            )  # fmt: skip
        return int(value)

    @property
    def channel(self) -> str | None:
        """Receive channel; None for a combined image."""
        return channel_of(self.entities)


@dataclass(frozen=True)
class SessionFiles:
    """The images of one scan.

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
    entities : dict, optional
        Entities that the names of its results carry, in BIDS' order, e.g. ``{"acq": "qsm", "run": "1"}``.
    notes : tuple of str, optional
        What the user must know of the choice of images.
    other_runs : tuple of Image, optional
        Images of the scans that differ from this one in `run` alone, or in the echo that `acq` names (acq-e1).

    Examples
    --------
    >>> SessionFiles(Path("bids"), "01", "1", (), entities={"acq": "qsm"}).prefix
    'sub-01_ses-1_acq-qsm'
    """

    root: Path
    participant: str
    session: str | None
    images: tuple[Image, ...] = field(repr=False)
    entities: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    other_runs: tuple[Image, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Name in messages: `sub-01/ses-1`, with the scan's entities where it has any: `sub-01/ses-1/acq-qsm`."""
        return scan_name(self.participant, self.session, self.entities)

    @property
    def label(self) -> str:
        """Session with its key: `ses-1`, or an empty string without sessions."""
        return f"ses-{self.session}" if self.session else ""

    @property
    def prefix(self) -> str:
        """Beginning of file names: `sub-01_ses-1_acq-qsm`, or `sub-01` without sessions and entities."""
        return self.name.replace("/", "_")


def list_sessions(
    bids: str | Path,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    filters: Mapping[str, str] | None = None,
) -> list[SessionFiles]:
    """Return the scans of a data set, sorted, after selection by labels and entities.

    Parameters
    ----------
    bids : path
        Folder of the data set.
    participants : sequence of str, optional
        Labels, with or without `sub-`; all by default.
    sessions : sequence of str, optional
        Labels, with or without `ses-`; all by default.
    filters : mapping, optional
        Entities that must match, e.g. ``{"run": "1", "suffix": "MEGRE"}``: indices as numbers, labels exactly.

    Returns
    -------
    list of SessionFiles
        One for each scan, by participant, then session, in natural order.

    Raises
    ------
    InvalidInputError
        BIDS: there is no such folder.
    NothingMatchedError
        NO-MATCH: the message says what there is.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from qsmcmb.io.bids_writer import write_raw_scan
    >>> from qsmcmb.model import GreScan, Grid
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
    there = _scans_of(root, wanted)
    chosen = [s for s in there if not wanted_sessions or s.session in wanted_sessions]
    missing = [f"sub-{label}" for label in sorted(wanted - {s.participant for s in chosen})]
    missing += [f"ses-{label}" for label in sorted(wanted_sessions - {str(s.session) for s in chosen})]
    if missing or not chosen:
        everything = _scans_of(root, set())
        if not everything:
            raise describe_unread(root)
        raise NothingMatchedError(
            "NO-MATCH", root, field="selection", found=f"no image of {', '.join(missing)}",
            expected=f"one of: {_shown(s.name for s in everything)}", fix="correct the labels",
        )  # fmt: skip
    found = [scan for scan in (_filtered(s, filters or {}) for s in chosen) if scan.images]
    # A label that is asked for is never left out without a word.
    without = [f"sub-{label}" for label in sorted(wanted - {s.participant for s in found})]
    without += [f"ses-{label}" for label in sorted(wanted_sessions - {str(s.session) for s in found})]
    if without or not found:
        values = entity_values(image.entities for s in chosen for image in s.images)
        of = f" of {', '.join(without)}" if without else ""
        raise NothingMatchedError(
            "NO-MATCH", root, field="filter", found=f"no image{of} with {dict(filters or {})}",
            expected=f"entities of the images that there are: {values}", fix="correct the filter",
        )  # fmt: skip
    return found


def _scans_of(root: Path, participants: Collection[str]) -> list[SessionFiles]:
    """Return the scans of some participants, of all where none is named; no other's folder is looked into.

    On a cluster each task lists its own participant: the whole data set, each time, would be too much for a file
    system.
    """
    subjects = _folders(root, "sub-") if not participants else _named(root, participants)
    return [scan for subject in subjects for scan in _scans_of_subject(root, subject)]


def _named(root: Path, participants: Collection[str]) -> list[Path]:
    """Return the folders of some participants, in natural order; names differ where only their case does."""
    names = {f"sub-{label}" for label in participants} & set(os.listdir(root))
    return sorted((root / n for n in names if (root / n).is_dir()), key=lambda p: natural_key(p.name))


def _folders(parent: Path, prefix: str) -> list[Path]:
    """Return the folders whose names have a prefix, in natural order."""
    return sorted((p for p in parent.glob(f"{prefix}*") if p.is_dir()), key=lambda p: natural_key(p.name))


def _shown(names: Iterable[str]) -> str:
    """Return names for a message: the first ones, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(names[:MAX_SHOWN]) + more


def _filtered(scan: SessionFiles, filters: Mapping[str, str]) -> SessionFiles:
    """Return a scan with the images that a filter leaves."""
    return replace(scan, images=tuple(i for i in scan.images if matches(i.entities, filters)))


def _scans_of_subject(root: Path, subject: Path) -> list[SessionFiles]:
    """Return all scans of a participant.

    Results of two scans that differ in their suffix alone would have the same names: then those of T2starw have it in
    their `acq`. That holds for all sessions of the participant, so that the same scans are compared.
    """
    participant, scans = subject.name.removeprefix("sub-"), []
    for folder in (subject, *_folders(subject, "ses-")):
        session = None if folder == subject else folder.name.removeprefix("ses-")
        for images, notes in _measurable(_groups(folder / "anat")):
            scans.append(SessionFiles(root, participant, session, images, notes=notes))
    suffixes: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for scan in scans:
        suffixes.setdefault(scan_key(scan.images[0].entities), set()).add(scan.images[0].suffix)
    named = []
    for scan in scans:
        first = scan.images[0]
        ambiguous = len(suffixes[scan_key(first.entities)]) > 1 and first.suffix == "T2starw"
        entities = output_entities(first.entities, first.suffix if ambiguous else "")
        named.append(replace(scan, entities=entities, other_runs=_other_runs(scan, scans)))
    return named


def _groups(anat: Path) -> list[tuple[Image, ...]]:
    """Return the images of an anat folder, those of one scan together."""
    from bids2table import parse_bids_entities

    groups: dict[object, list[Image]] = {}
    # Files that begin with a dot are the file system's own, as ._NAME of macOS.
    there = [path for path in anat.iterdir() if not path.name.startswith(".")] if anat.is_dir() else []
    for path in sorted(there):
        entities = parse_bids_entities(path.name)
        wanted = entities.get("suffix") in SUFFIXES and entities.get("part", "mag") in PARTS
        if wanted and str(entities.get("ext")).lower() in EXTENSIONS:
            image = Image(path, {**entities, "datatype": "anat"}, entities["suffix"])
            groups.setdefault((image.suffix, scan_key(entities)), []).append(image)
    order = sorted(groups.values(), key=lambda images: natural_key(images[0].path.name))
    return [tuple(images) for images in order]


def _measurable(groups: Sequence[tuple[Image, ...]]) -> list[tuple[tuple[Image, ...], tuple[str, ...]]]:
    """Return the scans of a session that can have a phase, each with what was left out beside it.

    Channels are left out where the scanner has combined them as well, and magnitudes where other scans have phase.
    """
    with_phase = [g for g in groups if any(i.part != "mag" for i in g)]
    alone = [i for g in groups for i in g if with_phase and g not in with_phase]
    notes = (f"{_shown(i.path.name for i in alone)}: magnitude without phase is left out",) if alone else ()
    found = []
    for images in with_phase or groups:
        combined = tuple(i for i in images if i.channel is None)
        both = combined and len(combined) < len(images)
        said = (*notes, "single channels are left out: the combined images are there") if both else notes
        found.append((combined if both else images, said))
    return found


def _other_runs(scan: SessionFiles, scans: Sequence[SessionFiles]) -> tuple[Image, ...]:
    """Return an image of each scan of the session that differs from this one in its run alone, or its echo's label."""
    first = scan.images[0]
    others = [s.images[0] for s in scans if s.session == scan.session and s.images[0].suffix == first.suffix]

    def without(name: str, image: Image) -> object:
        return [pair for pair in scan_key(image.entities) if pair[0] != name]

    runs = [
        image
        for image in others
        if without("run", image) == without("run", first)
        and not same_value("run", image.entities.get("run"), first.entities.get("run"))
    ]
    acq = first.entities.get("acq", "")
    label = echo_label(acq)
    if runs or label is None:
        return tuple(runs)
    return tuple(
        image
        for image in others
        if without("acq", image) == without("acq", first)
        and image.entities.get("acq", "") != acq
        and (other := echo_label(image.entities.get("acq", ""))) is not None
        and other[0] == label[0]
    )
