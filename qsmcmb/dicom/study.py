"""Import of a folder of DICOM files: the plan, which says what goes where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmcmb.dicom.convert import Converted, convert_image
from qsmcmb.dicom.dates import date_time_of, shift_dates
from qsmcmb.dicom.headers import read_folder
from qsmcmb.dicom.images import DicomImage, sort_into_images
from qsmcmb.dicom.labels import (
    acquisition_labels,
    participant_labels,
    patient_of,
    session_labels,
)
from qsmcmb.dicom.packages import require
from qsmcmb.dicom.phase_range import contradiction, filled_fraction, scale_to_radians, stated_range
from qsmcmb.dicom.scans import DicomScan, LeftOut, sort_into_scans
from qsmcmb.dicom.sidecars import phase_record, sidecar_of
from qsmcmb.errors import ConfigError, InvalidInputError, NothingMatchedError, OutputError

__all__ = ("ImportPlan", "PlannedFile", "plan_import")


@dataclass(frozen=True)
class PlannedFile:
    """One image that is to be written.

    Parameters
    ----------
    stem : str
        Path below the data set, without extension.
    series : int
        Number of the DICOM series.
    converted : Converted
        The image.
    slope : float
        Factor from stored values to those of the file.
    inter : float
        Offset.
    sidecar : dict
        Its JSON.

    Examples
    --------
    >>> image = {"converted": None, "slope": 1.0, "inter": 0.0, "sidecar": {"EchoTime": 0.004, "Units": "rad"}}
    >>> PlannedFile(stem="sub-01/ses-1/anat/sub-01_ses-1_part-phase_T2starw", series=3, **image).row
    ('3', '4 ms', 'rad', 'sub-01/ses-1', 'anat/*_part-phase_T2starw.nii.gz')
    """

    stem: str
    series: int
    converted: Converted = field(repr=False)
    slope: float
    inter: float
    sidecar: dict[str, Any] = field(repr=False)

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """Series, echo time, unit, session and file, as the plan's table shows them."""
        times = [self.sidecar[k] for k in ("EchoTime", "EchoTime1", "EchoTime2") if k in self.sidecar]
        te = " - ".join(f"{1000 * t:g}" for t in reversed(times))
        unit = str(self.sidecar.get("Units", "arbitrary"))
        if "NotProven" in self.sidecar.get("PhaseScaling", {}):
            unit = "arbitrary, not proven"
        session, _, name = self.stem.partition("/anat/" if "/anat/" in self.stem else "/fmap/")
        folder = self.stem.removeprefix(f"{session}/").removesuffix(f"/{name}")
        short = name.replace(session.replace("/", "_"), "*", 1)
        return str(self.series), f"{te} ms", unit, session, f"{folder}/{short}.nii.gz"


@dataclass(frozen=True)
class ImportPlan:
    """The files that an import writes, and the series that it leaves out.

    Parameters
    ----------
    root : Path
        Folder of the BIDS data set.
    files : tuple of PlannedFile
        Images, each with its sidecar.
    left_out : tuple of str
        One line for each series, or kind of file, that is not imported.
    acquired : dict
        Stem to the time of acquisition as it is to be written; empty where none is.
    notes : tuple of str, optional
        What the user is to know before the files are written.

    Examples
    --------
    >>> ImportPlan(Path("bids"), (), ("series 1: not a plain gradient echo",), {}).left_out
    ('series 1: not a plain gradient echo',)
    """

    root: Path
    files: tuple[PlannedFile, ...]
    left_out: tuple[str, ...]
    acquired: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()


def plan_import(
    folder: Path,
    root: Path,
    work: Path,
    *,
    participant: str | None = None,
    session: str | None = None,
    dates: bool | None = None,
) -> ImportPlan:
    """Read and convert the scans of a DICOM folder; write nothing but in `work`.

    Parameters
    ----------
    folder : Path
        Folder of DICOM files.
    root : Path
        Folder of the BIDS data set, which need not exist.
    work : Path
        Empty folder for the converter.
    participant : str, optional
        Label without `sub-`; the next free number by default.
    session : str, optional
        Label without `ses-`; numbered by date by default.
    dates : bool, optional
        Whether the true time of each scan is written. By default it is shifted by days that are drawn for each new
        participant: order and intervals stay.

    Returns
    -------
    ImportPlan
        What `write_import` writes.

    Raises
    ------
    MissingPackageError
        PACKAGE: pydicom or dcm2niix is not installed.
    InvalidInputError
        DICOM, PATH, PATIENTS.
    NothingMatchedError
        NO-DICOM: nothing in the folder can be imported; the message says why.
    ConfigError
        The data set would lie among the DICOM files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plan_import(Path(folder) / "none", Path(folder) / "bids", Path(folder))
    Traceback (most recent call last):
    qsmcmb.errors.InvalidInputError: ERROR DICOM ...
    """
    require("pydicom", "dcm2niix")
    if folder.resolve() in (root.resolve(), *root.resolve().parents):
        raise ConfigError(f"BIDS {str(root)!r}; expected a folder outside the DICOM files in {str(folder)!r}")
    found = read_folder(folder)
    scans, left_out = sort_into_scans(sort_into_images(found.frames))
    participants, sessions = participant_labels(scans, root, participant), session_labels(scans, session)
    groups: dict[tuple[str, str, str], list[DicomScan]] = defaultdict(list)
    for scan in scans:
        study = str(scan.values.get("StudyInstanceUID"))
        groups[(participants[patient_of(scan)], sessions[study], scan.kind)].append(scan)
    files: list[PlannedFile] = []
    acquired: dict[str, str] = {}
    for (label, visit, _), members in groups.items():
        for i, (scan, entities) in enumerate(zip(members, acquisition_labels(members), strict=True)):
            prefix = f"sub-{label}_ses-{visit}{entities}"
            try:
                planned = _plan_scan(scan, prefix, work / f"{label}-{visit}-{scan.kind}-{i}")
            except InvalidInputError as error:
                left_out += [LeftOut(image, f"{error.field} = {error.found}") for image in scan.images]
                continue
            files += planned
            acquired |= {p.stem: date_time_of(scan.values) for p in planned}
    lines = _lines(left_out) + [f"{n} files: {reason}" for reason, n in found.left_out.items()]
    if not files:
        raise NothingMatchedError(
            "NO-DICOM", folder, field="series", found="; ".join(lines) or "none",
            expected="a gradient echo with phase (or real and imaginary part)",
            fix="export magnitude and phase of the gradient echo from the scanner or archive",
        )  # fmt: skip
    _refuse_existing(root, files)
    there = {p.name for p in root.glob("sub-*")}
    written = acquired if dates else _shifted(acquired, there) if dates is None else {}
    return ImportPlan(root, tuple(files), tuple(lines), written, _notes(files, there, written, acquired))


def _shifted(acquired: Mapping[str, str], there: set[str]) -> dict[str, str]:
    """Return shifted times of the participants that are new: those of the others have a shift that is not known."""
    return shift_dates({stem: when for stem, when in acquired.items() if stem.partition("/")[0] not in there})


def _notes(
    files: Sequence[PlannedFile], there: set[str], dated: Mapping[str, str], acquired: Mapping[str, str]
) -> tuple[str, ...]:
    """Return when each visit was acquired, and what may surprise: a person under two labels, visits without dates."""
    participants = sorted({f.stem.partition("/")[0] for f in files})
    # The first scan of a visit is entered last.
    true = {stem.rsplit("/", 2)[0]: acquired[stem] for stem in reversed(list(acquired))}
    new = [p for p in participants if p not in there]
    notes = [f"{visit}: acquired {when}" for visit, when in sorted(true.items()) if when]
    if there and new:
        notes.append(
            f"the data set holds {len(there)} already; new: {', '.join(new)}. A later visit of one of "
            "them: --participant-label and --session-label"
        )
    for name in participants:
        visits = {f.stem.split("/")[1] for f in files if f.stem.startswith(f"{name}/")}
        without = {
            f.stem.split("/")[1] for f in files if f.stem.startswith(f"{name}/") and not dated.get(f.stem)
        }
        if without and (len(visits) > 1 or name in there):
            notes.append(
                f"{name}: {', '.join(sorted(without))} without a date, so that nothing can be called new or gone. "
                f"Import all visits at once, or write {name}/{name}_sessions.tsv (session_id, acq_time)"
            )
    return tuple(notes)


def _plan_scan(scan: DicomScan, prefix: str, work: Path) -> list[PlannedFile]:
    """Return the files of one scan, converted."""
    subject, visit = prefix.split("_")[:2]
    folder = f"{subject}/{visit}/{'anat' if scan.kind == 'echoes' else 'fmap'}"
    opened: dict[Path, Any] = {}
    done = [(im, convert_image(im, work / str(n), opened)) for n, im in enumerate(scan.images)]
    phases = [c.volume.data for im, c in done if im.part == "phase"]
    ends = (
        (min(float(p.min()) for p in phases), max(float(p.max()) for p in phases)) if phases else (0.0, 0.0)
    )
    files = []
    for image, converted in done:
        echo = scan.te_s.index(image.te_s) + 1
        record = sidecar_of(image, converted.sidecar, echo=echo)
        slope, inter = converted.volume.slope, converted.volume.inter
        if image.part == "phase":
            stated, stored = stated_range(image.values), converted.volume.data
            wrong = contradiction(stated, stored, filled=filled_fraction(stated, *ends))
            record |= phase_record(stated, (float(stored.min()), float(stored.max())), contradiction=wrong)
            if stated is not None and not wrong:
                slope, inter = scale_to_radians(stated, slope, inter)
        else:
            record["Units"] = "arbitrary"
        if scan.kind == "difference" and image.part == "phase":
            del record["EchoTime"], record["EchoNumber"]
            record |= {"EchoTime1": scan.te_s[0], "EchoTime2": scan.te_s[1]}
        stem = f"{folder}/{prefix}{_ending(scan, image, echo)}"
        series = int(image.values.get("SeriesNumber", 0))
        files.append(
            PlannedFile(
                stem=stem, series=series, converted=converted, slope=slope, inter=inter, sidecar=record
            )
        )
    return files


def _ending(scan: DicomScan, image: DicomImage, echo: int) -> str:
    """Return the entities of an image and the suffix."""
    if scan.kind == "difference":
        return "_phasediff" if image.part == "phase" else f"_magnitude{echo}"
    several = len(scan.te_s) > 1
    coils = scan.coils
    coil = f"_coil-{coils.index(image.coil) + 1}" if len(coils) > 1 and image.coil in coils else ""
    suffix = "MEGRE" if several else "T2starw"
    return (f"_echo-{echo}" if several else "") + f"{coil}_part-{image.part}_{suffix}"


def _lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Return one line for each series and reason."""
    reasons: dict[tuple[str, str], int] = defaultdict(int)
    for item in left_out:
        values = item.image.values
        title = "".join(c if c.isprintable() else "?" for c in str(values.get("SeriesDescription", "")))
        name = f"series {values.get('SeriesNumber', '?')} {title}".strip()
        reasons[(name, item.reason)] += 1
    return [
        f"{name}: {reason}" + (f" ({n} images)" if n > 1 else "") for (name, reason), n in reasons.items()
    ]


def _refuse_existing(root: Path, files: Sequence[PlannedFile]) -> None:
    """Raise where a file is there already."""
    for planned in files:
        for ending in (".nii.gz", ".nii", ".json"):
            target = root / f"{planned.stem}{ending}"
            if target.exists():
                raise OutputError(
                    "OUT", target, field="file", found="there already", expected="a name that is free",
                    fix="pass another --session-label or --participant-label, or remove the old files",
                )  # fmt: skip
