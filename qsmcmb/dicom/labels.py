"""Labels of participants, sessions and acquisitions that tell nobody's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qsmcmb.dicom.scans import DicomScan
from qsmcmb.errors import ConfigError, InvalidInputError

__all__: tuple[str, ...] = ()

PERSONAL = ("PatientName", "PatientID", "PatientBirthDate")
"""Attributes whose words appear nowhere in what is written."""
BLANK = re.compile(r"(?i)|anon.*|unknown|none|n/?a|removed|x+|0+|-+")
"""Patients' numbers that anonymisers write: they are the same for all."""
MIN_PERSONAL_LETTERS = 3
"""Length from which a word of a name is looked for: shorter ones are in too many others."""
MAX_LABEL = 24
"""Longest label made from a protocol's name."""


def check_label(label: str, option: str) -> str:
    """Return a label without its key; raise for one that BIDS does not allow."""
    plain = re.sub(r"^(sub|ses)-", "", label)
    if not re.fullmatch(r"[A-Za-z0-9]+", plain):
        raise ConfigError(f"{option} {label!r}; expected letters and digits alone, e.g. 01")
    return plain


def is_personal(text: str, values: Mapping[str, Any]) -> bool:
    """Say whether a text holds a word of the patient's name, number or date of birth."""
    words = [w for n in PERSONAL for w in re.split(r"[^0-9A-Za-z]+", str(values.get(n, "")).lower())]
    return any(len(w) >= MIN_PERSONAL_LETTERS and w in text.lower() for w in words)


def patient_of(scan: DicomScan) -> tuple[str, str]:
    """Return what tells one patient from another; it is never written."""
    return str(scan.values.get("PatientID", "")), str(scan.values.get("PatientBirthDate", ""))


def _refuse_blank_patients(scans: list[DicomScan], root: Path) -> None:
    """Raise where several studies have a patient whose number was blanked: they may be of several people."""
    for patient in {patient_of(s) for s in scans if BLANK.fullmatch(patient_of(s)[0].strip())}:
        studies = {s.values.get("StudyInstanceUID") for s in scans if patient_of(s) == patient}
        if len(studies) > 1:
            raise InvalidInputError(
                "PATIENTS", root, field="PatientID", found=f"{patient[0]!r} in {len(studies)} studies",
                expected="a number that tells patients apart",
                fix="import each study's folder by itself, with --participant-label and --session-label",
            )  # fmt: skip


def participant_labels(scans: list[DicomScan], root: Path, given: str | None) -> dict[tuple[str, str], str]:
    """Return patient -> label: the given one, or the next numbers that the data set does not have.

    Raises
    ------
    InvalidInputError
        PATIENTS: one label was given for several patients, or their numbers were blanked.
    """
    patients = sorted({patient_of(s) for s in scans})
    _refuse_blank_patients(scans, root)
    if given is not None and len(patients) > 1:
        raise InvalidInputError(
            "PATIENTS", root, field="--participant-label", found=f"one label for {len(patients)} patients",
            expected="DICOM files of one patient",
            fix="leave the option out, or import each patient's folder by itself",
        )  # fmt: skip
    if given is not None:
        return dict.fromkeys(patients, check_label(given, "--participant-label"))
    taken = {p.name.removeprefix("sub-") for p in root.glob("sub-*")}
    free = (f"{n:02d}" for n in range(1, 10**6) if f"{n:02d}" not in taken)
    return {patient: next(free) for patient in patients}


def session_labels(scans: list[DicomScan], given: str | None) -> dict[str, str]:
    """Return study -> label: the given one, or 1, 2 ... by date for each patient.

    Raises
    ------
    InvalidInputError
        PATIENTS: one label was given for several studies of a patient.
    """
    labels: dict[str, str] = {}
    for patient in {patient_of(s) for s in scans}:
        dated = {(str(s.values.get("StudyDate", "")), str(s.values.get("StudyTime", "")),
                  str(s.values.get("StudyInstanceUID"))) for s in scans if patient_of(s) == patient}  # fmt: skip
        if given is not None and len(dated) > 1:
            raise InvalidInputError(
                "PATIENTS", "DICOM", field="--session-label", found=f"one label for {len(dated)} studies",
                expected="DICOM files of one study",
                fix="leave the option out, or import each study's folder by itself",
            )  # fmt: skip
        for number, (_, _, study) in enumerate(sorted(dated), start=1):
            labels[study] = check_label(given, "--session-label") if given else str(number)
    return labels


def acquisition_labels(scans: list[DicomScan]) -> list[str]:
    """Return the entities that tell the scans of one session and folder apart, e.g. `_acq-qsm_run-2`."""
    names = [_protocol_label(s) for s in scans]
    several = len(set(names)) > 1
    labels = []
    for i, name in enumerate(names):
        run = names[: i + 1].count(name)
        acq = f"_acq-{name}" if several else ""
        labels.append(acq + (f"_run-{run}" if names.count(name) > 1 else ""))
    return labels


def _protocol_label(scan: DicomScan) -> str:
    """Return the protocol's name as a label; the series' number where it is missing or personal."""
    name = str(scan.values.get("ProtocolName") or scan.values.get("SeriesDescription") or "")
    plain = re.sub(r"[^A-Za-z0-9]", "", name)[:MAX_LABEL]
    if not plain or is_personal(name, scan.values):
        return f"series{scan.values.get('SeriesNumber', 0)}"
    return plain
