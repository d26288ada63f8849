"""Files of one scan: maps, lesion table, burden; the JSON of each after its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np

from qsmcmb.anatomy.rating_forms import bombs_form, form_columns, mars_form
from qsmcmb.anatomy.region_table import REGION_COLUMNS, measure_regions, without_lesions
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.derivatives import write_image, write_table
from qsmcmb.io.lesion_table import column_sidecar
from qsmcmb.io.place import Place
from qsmcmb.io.quality_records import QualityFile
from qsmcmb.io.records import QUALITY, B0Record, ProvenanceRecord
from qsmcmb.io.result_records import b0_record, provenance_record
from qsmcmb.io.tables import write_json
from qsmcmb.lesion import Column
from qsmcmb.microbleeds.detection.examined import EXAMINED_COLUMNS, EXAMINED_TABLE
from qsmcmb.microbleeds.detection.limit_map import LIMIT_SD
from qsmcmb.microbleeds.results.burden import BurdenRecord, rated_microbleeds
from qsmcmb.microbleeds.results.evidence_table import EVIDENCE_TABLE_COLUMNS
from qsmcmb.microbleeds.results.lesion_pictures import PICTURES, write_pictures
from qsmcmb.microbleeds.siderosis.table import NOTICE, SIDEROSIS_COLUMNS, SIDEROSIS_TABLE, siderosis_rows
from qsmcmb.pipeline.quality import quality_of
from qsmcmb.pipeline.scan_result import ScanResult
from qsmcmb.typing import AnyArray, FloatArray

__all__ = ["MIN_R2STAR_HZ", "write_scan"]

MIN_R2STAR_HZ = 1.0
"""Below this T2* is longer than anything in the head: written as 0, unknown."""


class _Acquisition(TypedDict, total=False):
    """Acquisition in the burden record, in BIDS' words; its time only where it is known."""

    EchoTime: list[float]
    AcquisitionTime: str
    VoxelSize: list[float]
    Scanner: dict[str, Any]


class _ScanBurdenRecord(BurdenRecord, _Acquisition, B0Record, ProvenanceRecord):
    """Burden of a scan with acquisition, warnings and provenance: the burden JSON."""

    Warnings: list[str]


class _Image(NamedTuple):
    """Volume and what its JSON says of it, provenance aside."""

    data: AnyArray
    record: Mapping[str, Any]


def write_scan(
    place: Place,
    result: ScanResult,
    *,
    acquired: datetime | None = None,
    scanner: Mapping[str, Any] | None = None,
) -> tuple[Path, ...]:
    """Write all results of a scan; the burden record comes last and says that the scan is whole.

    Parameters
    ----------
    place : Place
        Folder and prefix of the names.
    result : ScanResult
        Result of `run_scan`.
    acquired : datetime, optional
        Time of the acquisition.
    scanner : mapping, optional
        What the sidecar says of scanner, software and protocol.

    Returns
    -------
    tuple of Path
        The files.

    Raises
    ------
    OSError
        A file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.model import GreScan
    >>> from qsmcmb.pipeline.config import make_config
    >>> from qsmcmb.pipeline.subject import run_scan
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> config = make_config({"invert": {"method": "tkd"}})
    >>> result = run_scan(scan, config, mask=ones > 0, points_mm=np.zeros((0, 3)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Place(Path(folder))
    ...     _ = write_scan(place, result)
    ...     place.path("desc-cmb_burden.json").exists()
    True
    """
    make_folder(place.folder)
    burden = place.path("desc-cmb_burden.json")
    burden.unlink(missing_ok=True)
    images, table = _images(result), result.table
    tables = []
    for ending, image in images.items():
        outside = image.data[~result.masks.brain]
        stripped = {} if ending.endswith("mask") else {"SkullStripped": not np.any(outside)}
        write_image(
            place, ending, image.data, result.scan.grid, record={**image.record, **stripped},
            provenance=result.table.provenance,
        )  # fmt: skip
    tables.append(
        write_table(
            place, "desc-cmb_lesions", table.rows(), columns=column_sidecar(), provenance=table.provenance
        )
    )
    evidence = write_table(
        place, "desc-cmb_evidence", table.evidence_rows(), columns=column_sidecar(EVIDENCE_TABLE_COLUMNS),
        provenance=table.provenance,
    )  # fmt: skip
    tables.append(evidence)
    rated = rated_microbleeds(result.lesions)
    for scale, form in (("mars", mars_form(rated)), ("bombs", bombs_form(rated))):
        written = write_table(
            place, f"desc-{scale}_form", form.rows, columns=form_columns(scale), provenance=table.provenance,
            warnings=form.notes,
        )  # fmt: skip
        tables.append(written)
    tables += _write_examined(place, result)
    tables += _write_regions(place, result)
    tables += _write_siderosis(place, result)
    explained = place.path("desc-cmb_explain.json")
    write_json(explained, {"Lesions": list(result.explanations)})
    pictures = write_pictures(place.path(f"{PICTURES}.npz"), result.pictures)
    quality = place.path(f"{QUALITY}.json")
    write_json(quality, _quality_file(result))
    write_json(burden, _burden_record(result, acquired, scanner))
    of_images = [place.path(f"{stem}{extension}") for stem in images for extension in (".nii.gz", ".json")]
    return (
        *of_images,
        *tables,
        *(t.with_suffix(".json") for t in tables),
        explained,
        pictures,
        quality,
        burden,
    )


def _write_examined(place: Place, result: ScanResult) -> list[Path]:
    """Write the points that the detector looked at, where it ran."""
    rows = None if result.examined is None else [point.row() for point in result.examined]
    return _write_or_remove(place, EXAMINED_TABLE, rows, result, EXAMINED_COLUMNS)


def _write_regions(place: Place, result: ScanResult) -> list[Path]:
    """Write the region table, where the scan fits the template."""
    rows = None
    if result.regions is not None:
        tissue = without_lesions(result.masks.chi, result.table.labels, result.lesions)
        rows = measure_regions(result.regions, result.maps.chi_ppm, result.maps.r2star_hz, tissue)
    return _write_or_remove(place, "desc-regions_stats", rows, result, REGION_COLUMNS)


def _write_siderosis(place: Place, result: ScanResult) -> list[Path]:
    """Write the areas of siderosis, where the scan can show them."""
    rows = None if result.siderosis is None else siderosis_rows(result.siderosis)
    return _write_or_remove(place, SIDEROSIS_TABLE, rows, result, SIDEROSIS_COLUMNS, warnings=(NOTICE,))


def _write_or_remove(
    place: Place, name: str, rows: Sequence[Mapping[str, Any]] | None, result: ScanResult,
    columns: Mapping[str, Column], *, warnings: tuple[str, ...] = (),
) -> list[Path]:  # fmt: skip
    """Write a table and return it; without rows none of an earlier run stays, and nothing is returned."""
    if rows is None:
        for extension in ("json", "tsv"):
            place.path(f"{name}.{extension}").unlink(missing_ok=True)
        return []
    return [
        write_table(
            place, name, rows, columns=column_sidecar(columns), provenance=result.table.provenance, warnings=warnings
        )
    ]  # fmt: skip


def _burden_record(
    result: ScanResult, acquired: datetime | None, scanner: Mapping[str, Any] | None
) -> _ScanBurdenRecord:
    """Return the burden of a scan with acquisition, warnings and provenance."""
    scan = result.scan
    acquisition: _Acquisition = {"EchoTime": list(scan.te_s)}
    if acquired:
        acquisition["AcquisitionTime"] = acquired.isoformat()
    if scanner:
        acquisition["Scanner"] = dict(scanner)
    acquisition["VoxelSize"] = list(scan.grid.voxel_size_mm)
    return {
        **result.burden,
        **acquisition,
        **b0_record(scan.grid, scan.b0_dir_source),
        "Warnings": list(result.warnings),
        **provenance_record(result.table.provenance),
    }


def _quality_file(result: ScanResult) -> QualityFile:
    """Return the quality of a scan with warnings and provenance."""
    return {
        **quality_of(result),
        "Warnings": list(result.warnings),
        **provenance_record(result.table.provenance),
    }


def _images(result: ScanResult) -> dict[str, _Image]:
    """Return the images by the end of their name."""
    steps = dict(result.table.provenance.steps)
    # The echoes that the weighted image is made of.
    swi_te_s = list(result.scan.te_s) if steps["swi"].get("echoes") == "all" else result.scan.te_s[-1]
    images = {
        "desc-brain_mask": _Image(result.masks.brain, {"Type": "Brain"}),
        "desc-reliable_mask": _Image(
            result.masks.reliable,
            {"Type": "Brain", "Description": "Brain voxels whose field SD is below 5 Hz"},
        ),
        "desc-total_fieldmap": _Image(result.fields.total_hz, {"Units": "Hz", **steps["fieldmap"]}),
        "desc-local_fieldmap": _Image(result.fields.local_hz, {"Units": "Hz", **steps["background"]}),
        "desc-fieldsd_fieldmap": _Image(_finite(result.fields.sd_hz), {"Units": "Hz"}),
        "Chimap": _Image(
            result.maps.chi_ppm,
            {
                "Units": "ppm",
                **result.maps.reference.record(),
                **b0_record(result.scan.grid, result.scan.b0_dir_source),
                **steps["invert"],
            },
        ),
        "desc-swi_T2starw": _Image(result.maps.swi, {"Units": "arbitrary", "EchoTime": swi_te_s}),
        "desc-minIP_T2starw": _Image(result.maps.mip_min, {"Units": "arbitrary", "EchoTime": swi_te_s}),
        "desc-detectionlimit_map": _Image(
            _finite(result.maps.detection_limit_ppm_mm3),
            {
                "Units": "ppm mm3",
                "Description": "Smallest total susceptibility that stands out of noise and clutter here; 0 outside "
                "the mask, NaN where too little of the surroundings is usable to show any",
                "StandardDeviations": LIMIT_SD,
            },
        ),
    }
    if result.table.labels is not None:
        described = {"Description": "label column of desc-cmb_lesions.tsv"}
        images["desc-cmb_dseg"] = _Image(result.table.labels, described)
    if result.maps.r2star_hz is not None:
        r2star = result.maps.r2star_hz
        t2star = np.divide(1.0, r2star, out=np.zeros_like(r2star), where=r2star > MIN_R2STAR_HZ)
        images["R2starmap"] = _Image(r2star, {"Units": "1/s", **steps["r2star"]})
        images["T2starmap"] = _Image(t2star, {"Units": "s", **steps["r2star"]})
    return images


def _finite(values: FloatArray) -> FloatArray:
    """Return values with NaN where they are not finite: NIfTI readers choke on infinities."""
    return np.where(np.isfinite(values), values, np.float32(np.nan))
