"""Results as DICOM: the susceptibility map in ppm, and the lesions drawn into an image."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.dicom.images import DicomImage
from qsmcmb.dicom.overlay import Mark, draw_marks, to_grey
from qsmcmb.dicom.packages import require
from qsmcmb.dicom.series import Filing, Series, round_step, write_series
from qsmcmb.dicom.slices import SliceOrder, slice_order
from qsmcmb.dicom.source import Source, Visit, read_source_images, source_of
from qsmcmb.errors import ConfigError, OutputError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.nifti import sha256_of
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Grid

__all__ = ("Exported", "export_scans")

WINDOW_PPM = 0.4
"""Width of the map's window about 0, ppm: veins and nuclei keep their contrast, microbleeds are white."""
FIRST_NUMBER = 9001
"""Number of the first exported series: scanners count from 1."""
UNITS = {"ppm": 1.0, "ppb": 1000.0}
"""Units of the map, and what 1 ppm is in them."""


class Exported(NamedTuple):
    """The series that were written for one scan.

    Parameters
    ----------
    folder : Path
        Folder that holds the series `map` and `lesions`.
    n_slices : int
        Slices of each.
    n_lesions : int
        Lesions drawn.

    Examples
    --------
    >>> Exported(Path("dicom/sub-01"), 53, 4).n_lesions
    4
    """

    folder: Path
    n_slices: int
    n_lesions: int


def export_scans(
    scans: list[SessionResults], target: Path, *, source: Path | None = None, unit: str = "ppm"
) -> list[Exported]:
    """Write map and lesions of scans as DICOM series.

    Parameters
    ----------
    scans : list of SessionResults
        Finished scans.
    target : Path
        Folder of the DICOM files; each scan gets a folder in it.
    source : Path, optional
        DICOM files that the scans were made from: patient, study and frame of reference are theirs.
    unit : {"ppm", "ppb"}, optional
        Unit of the map's rescaled values.

    Returns
    -------
    list of Exported
        One for each scan.

    Raises
    ------
    MissingPackageError
        PACKAGE: pydicom is not installed.
    OutputError
        OUT: the folder cannot be written, or a scan's folder is there already.
    InvalidInputError
        SOURCE: no study of the source has a scan's voxels and time, or several have.
    ConfigError
        The files would lie among those of the source.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_scans([], Path(folder) / "dicom")
    []
    """
    require("pydicom")
    if source and source.resolve() in (target.resolve(), *target.resolve().parents):
        raise ConfigError(f"DICOM_DIR {str(target)!r}; expected a folder outside --source {str(source)!r}")
    images = read_source_images(source) if source else []
    made = []
    for index, scan in enumerate(scans):
        folder = target / (scan.place.prefix or "scan")
        if folder.exists():
            raise OutputError(
                "OUT", folder, field="folder", found="there already", expected="a name that is free",
                fix="choose another folder, or remove this one",
            )  # fmt: skip
        chi_ppm, grid = scan.image("Chimap")
        of_study = _source_of(scan, scans, images, grid, source) if source else None
        staged = Path(tempfile.mkdtemp(dir=make_folder(target), prefix=".qsmcmb-export-"))
        try:
            done = _write_scan(
                scan, staged, chi_ppm, grid, source=of_study, number=FIRST_NUMBER + 2 * index, unit=unit
            )
            os.chmod(staged, 0o755)
            os.rename(staged, folder)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        made.append(done._replace(folder=folder))
    return made


def _source_of(
    scan: SessionResults, scans: list[SessionResults], images: list[DicomImage], grid: Grid, where: Path
) -> Source:
    """Return the series that a scan was made from."""
    folder = scan.place.folder.parents[1] if scan.session else scan.place.folder
    all_visits = list_results(folder.parent, scan.participant) if scan.session else [scan]
    others = tuple({s.session: _acquired(s) for s in all_visits if s.session != scan.session}.values())
    chosen = {s.session for s in scans if s.participant == scan.participant}
    return source_of(images, grid, where, Visit(_acquired(scan), others, is_chosen=len(chosen) == 1))


def _acquired(scan: SessionResults) -> str:
    """Return when a scan was acquired; empty where its record does not say."""
    return str(scan.record("desc-cmb_burden").get("AcquisitionTime") or "")


def _write_scan(
    scan: SessionResults, folder: Path, chi_ppm: np.ndarray, grid: Grid, *, source: Source | None, number: int,
    unit: str,
) -> Exported:  # fmt: skip
    """Write both series of a scan."""
    order = slice_order(grid.shape, np.asarray(grid.affine), like=source.orientation if source else None)
    study = Filing(scan.place.prefix or "scan", sha256_of(scan.place.path("Chimap.nii.gz")), source)
    write_series(_map_series(chi_ppm, order, number=number, unit=unit), folder / "map", study)
    lesions, n_lesions = _lesion_series(scan, chi_ppm, grid, order, number=number + 1)
    write_series(lesions, folder / "lesions", study)
    return Exported(folder, len(lesions.stored), n_lesions)


def _map_series(chi_ppm: np.ndarray, order: SliceOrder, *, number: int, unit: str) -> Series:
    """Return the map: signed integers, one step and one window for all slices."""
    from pydicom.dataset import Dataset

    factor = UNITS[unit]
    values = order.arrange(np.nan_to_num(chi_ppm)) * factor
    step = round_step(float(np.abs(values).max()))
    ucum = Dataset()
    ucum.CodeValue, ucum.CodingSchemeDesignator = f"[{unit}]", "UCUM"
    ucum.CodeMeaning = "parts per million" if unit == "ppm" else "parts per billion"
    mapping = Dataset()
    mapping.add_new(0x00409216, "SS", -(2**15))
    mapping.add_new(0x00409211, "SS", 2**15 - 1)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, step
    mapping.LUTExplanation, mapping.LUTLabel = "Magnetic susceptibility", "CHI"
    mapping.MeasurementUnitsCodeSequence = [ucum]
    shared: dict[str, Any] = {
        "RescaleSlope": f"{step:.9g}", "RescaleIntercept": "0", "RescaleType": unit, "WindowCenter": "0",
        "WindowWidth": f"{WINDOW_PPM * factor:g}", "VOILUTFunction": "LINEAR_EXACT",
        "WindowCenterWidthExplanation": f"+-{WINDOW_PPM / 2 * factor:g} {unit}",
        "DerivationDescription": f"Magnetic susceptibility in {unit}, from gradient-echo phase",
        "RealWorldValueMappingSequence": [mapping],
    }  # fmt: skip
    return Series(
        stored=np.rint(values / step).astype(np.int16), order=order, description=f"QSM susceptibility map [{unit}]",
        number=number, types=("OTHER", "QSM"), shared=shared,
    )  # fmt: skip


def _lesion_series(
    scan: SessionResults, chi_ppm: np.ndarray, grid: Grid, order: SliceOrder, *, number: int
) -> tuple[Series, int]:
    """Return the microbleeds drawn into the weighted image, or into the map where there is none, and their number."""
    if scan.has("desc-swi_T2starw"):
        image, base = scan.image("desc-swi_T2starw")[0], "susceptibility-weighted image"
        low, high = 0.0, float(np.percentile(image[np.isfinite(image)], 99.5))
    else:
        image, base, low, high = chi_ppm, "susceptibility map", -WINDOW_PPM / 2, WINDOW_PPM / 2
    shown = [m for m in scan.lesions() if m.kind == "microbleed" and m.certainty != "rejected"]
    labels = scan.image("desc-cmb_dseg")[0] if scan.has("desc-cmb_dseg") else np.zeros(grid.shape)
    marks = [_mark(lesion, labels, grid, order) for lesion in shown]
    comments = ["" for _ in range(grid.shape[order.axes[0]])]
    for lesion, mark in zip(shown, marks, strict=True):
        for k in np.flatnonzero(mark.voxels.any(axis=(1, 2))):
            comments[k] += ("; " if comments[k] else "") + _sentence(lesion)
    shared = {
        "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "US",
        "WindowCenter": "2048", "WindowWidth": "4096", "WindowCenterWidthExplanation": "whole range",
        "DerivationDescription": f"Microbleeds drawn into the {base}: rings with the label of the lesion table; "
        "closed: definite, broken: possible",
    }  # fmt: skip
    series = Series(
        stored=draw_marks(to_grey(order.arrange(image), low=low, high=high), marks), order=order,
        description="QSM microbleeds (rings)", number=number, types=("OTHER", "QSM_LESIONS"), shared=shared,
        comments=comments,
    )  # fmt: skip
    return series, len(marks)


def _mark(lesion: Microbleed, labels: np.ndarray, grid: Grid, order: SliceOrder) -> Mark:
    """Return the mark of a lesion: its voxels, or the one at its centre where it has none."""
    voxels = np.rint(labels) == lesion.label
    if not voxels.any():
        centre = np.linalg.inv(grid.affine) @ [*lesion.position_mm, 1.0]
        index = np.clip(np.rint(centre[:3]).astype(int), 0, np.array(grid.shape) - 1)
        voxels[tuple(index)] = True
    return Mark(lesion.label, order.arrange(voxels), lesion.certainty != "definite")


def _sentence(lesion: Microbleed) -> str:
    """Return a lesion in words."""
    total, size = lesion.total_chi_ppm_mm3, ""
    if total is not None:
        size = f", {total.value:.3g} ppm mm3" + ("" if math.isnan(total.sd) else f" (SD {total.sd:.2g})")
    return f"{lesion.label}: {lesion.certainty}{size}"
