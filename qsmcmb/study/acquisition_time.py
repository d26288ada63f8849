"""The time of a scan: entered anew into its results where a table states another one since, without computing them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.reading import read_regular
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import write_json
from qsmcmb.study.detector_files import DetectorFiles
from qsmcmb.study.manifest import checksum, manifest_path, read_manifest
from qsmcmb.study.scan_plan import ScanJob, place_of_scan
from qsmcmb.study.steps import StepKey, libraries

__all__ = ["enter_time"]

STEP, PARAMETER = "anatomy", "acquired"
"""The step whose results hold the time, and the name of the time among its parameters."""


def enter_time(job: ScanJob) -> bool:
    """Enter the time that a table states into results that differ in nothing else from those of a run now.

    A run that is killed in between leaves a result that is not as its manifest says: the next one computes it.

    Parameters
    ----------
    job : ScanJob
        The session.

    Returns
    -------
    bool
        False where the results differ in more, or are not as a run has written them; they stay as they are.

    Examples
    --------
    >>> enter_time(job)  # doctest: +SKIP
    True
    """
    session, place = job.session, place_of_scan(job.out, job.session)
    manifest = read_manifest(manifest_path(job.out, place.prefix))
    if (
        manifest is None
        or manifest.error
        or not _differs_in_time_alone(manifest.steps.get(STEP), job.keys[STEP])
    ):
        return False
    if manifest.software != libraries():
        return False
    burden = place.path("desc-cmb_burden.json")
    name = burden.relative_to(job.out).as_posix()
    scan = SessionResults(place, session.participant, session.session or "", session.entities)
    # With readers' verdicts in the results, the detector's own were put aside.
    lists = [
        (burden, dict(manifest.results)),
        (DetectorFiles(job.out, scan).folder / burden.name, dict(manifest.detector)),
    ]
    held = [(path, sums) for path, sums in lists if name in sums]
    if any(checksum(path) != sums[name] for path, sums in held):
        return False
    acquired = acquisition_times(session.root, session.participant).get(session.session or "")
    for path, sums in held:
        write_json(path, _dated(path, acquired))
        sums[name] = checksum(path)
    now = replace(
        manifest, steps={**manifest.steps, STEP: job.keys[STEP]}, results=lists[0][1], detector=lists[1][1]
    )
    now.write(job.out, manifest_path(job.out, place.prefix))
    return True


def _differs_in_time_alone(before: StepKey | None, now: StepKey) -> bool:
    """Return whether two keys are of the same work on a scan whose time is another one."""
    if before is None or before.parameters.get(PARAMETER) == now.parameters.get(PARAMETER):
        return False
    as_before = {**now.parameters, PARAMETER: before.parameters.get(PARAMETER)}
    return replace(now, parameters=as_before, key=before.key) == before


def _dated(path: Path, acquired: datetime | None) -> dict[str, Any]:
    """Return a record of the burden with a time, in the order in which a run writes it."""
    record: dict[str, Any] = {}
    for key, value in json.loads(read_regular(path)).items():
        if key != "AcquisitionTime":
            record[key] = value
        if key == "EchoTime" and acquired:
            record["AcquisitionTime"] = acquired.isoformat()
    return record
