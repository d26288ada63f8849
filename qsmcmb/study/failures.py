"""A session that has failed: its message, what becomes of its earlier results, and its crash file."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qsmcmb.core.software import software_versions
from qsmcmb.errors import EXIT_BUG, EXIT_MEMORY, InvalidInputError, QsmcmbError
from qsmcmb.io.bids_index import SessionFiles
from qsmcmb.study.manifest import Manifest, manifest_path, read_manifest
from qsmcmb.study.options import Outcome
from qsmcmb.study.scan_plan import ScanJob, place_of_scan
from qsmcmb.study.superseded import move_aside, result_files
from qsmcmb.study.workers import Died

__all__ = ["describe_bug", "died", "record_failure", "write_crash_file"]

REPORT = "report it with the crash file; other sessions are not concerned"
"""Fix of an error that nobody foresaw."""


def describe_bug(error: Exception, name: str) -> str:
    """Return the message of an error that nobody foresaw.

    Parameters
    ----------
    error : Exception
        The error.
    name : str
        Scan or subject.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> describe_bug(ZeroDivisionError("division by zero"), "sub-01")[:52]
    'ERROR BUG sub-01: exception = ZeroDivisionError: div'
    """
    found = f"{type(error).__name__}: {error}"
    return str(InvalidInputError("BUG", name, field="exception", found=found, expected="none", fix=REPORT))


def died(session: SessionFiles, death: Died) -> Outcome:
    """Return the outcome of a session whose process has died.

    Parameters
    ----------
    session : SessionFiles
        The session.
    death : Died
        How.

    Returns
    -------
    Outcome
        Exit code 71 where it was killed, as systems do that run out of memory; else 70.

    Examples
    --------
    >>> died(SessionFiles(Path("bids"), "01", None, ()), Died(-9)).exit_code
    71
    """
    found, expected = f"ended by {death.cause}", "to finish"
    if death.exit_code == -signal.SIGKILL:
        fix = "fewer processes (--nprocs) or more memory, unless somebody has killed it; then the same command again"
        error = InvalidInputError(
            "MEM", session.name, field="process", found=found, expected=expected, fix=fix
        )
        return Outcome(session.name, session.participant, EXIT_MEMORY, str(error), details=f"{death}\n")
    error = InvalidInputError(
        "BUG", session.name, field="process", found=found, expected=expected, fix=REPORT
    )
    return Outcome(session.name, session.participant, EXIT_BUG, str(error), details=f"{death}\n")


def record_failure(job: ScanJob, outcome: Outcome) -> Outcome:
    """Move a failed session's earlier results aside, and write down why it has failed.

    Parameters
    ----------
    job : ScanJob
        The session.
    outcome : Outcome
        Its failure.

    Returns
    -------
    Outcome
        The same, with what has become of earlier results among the warnings, and the crash file in the error.

    Examples
    --------
    >>> record_failure(job, outcome)  # doctest: +SKIP
    """
    place = place_of_scan(job.out, job.session)
    warnings, error = outcome.warnings, outcome.error
    # A full disk must not hide why the session has failed.
    with contextlib.suppress(OSError):
        known = read_manifest(manifest_path(job.out, place.prefix))
        listed = [job.out / name for name in known.results] if known else []
        aside = move_aside(job.out, {*result_files(place), *listed}, place.prefix)
        if aside:
            warnings = (*warnings, f"results of an earlier run are in {aside}")
    if outcome.details:
        crash = write_crash_file(job.out, place.prefix, outcome, options=job.options, inputs=_inputs(job))
        error = f"{error} (details: {crash})" if crash else f"{error}\n{outcome.details}"
    failed = Manifest(outcome.name, job.keys, {}, error=error, exit_code=outcome.exit_code, warnings=warnings)
    with contextlib.suppress(OSError, QsmcmbError):
        failed.write(job.out, manifest_path(job.out, place.prefix))
    return replace(outcome, error=error, warnings=warnings)


def _inputs(job: ScanJob) -> dict[str, str]:
    """Return the checksums of a session's inputs."""
    return {name: digest for key in job.keys.values() for name, digest in key.inputs.items()}


def write_crash_file(
    out: Path, name: str, outcome: Outcome, *, options: Any = None, inputs: Mapping[str, str] | None = None
) -> Path | None:
    """Write OUT/logs/crash-*.json: what a report of a fault needs.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    name : str
        Scan or subject, for the file's name.
    outcome : Outcome
        Error and traceback.
    options : StudyOptions, optional
        Options of the run.
    inputs : mapping of str to str, optional
        Checksum by input.

    Returns
    -------
    Path or None
        The file; None where it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_crash_file(Path(folder), "sub-01", Outcome("sub-01", "01", 70, "ERROR BUG"))
    ...     json.loads(path.read_text())["error"]
    'ERROR BUG'
    """
    time = datetime.now(UTC)
    record = {
        "time": time.isoformat(),
        "name": outcome.name,
        "exit_code": outcome.exit_code,
        "error": outcome.error,
        "traceback": outcome.details.splitlines(),
        "inputs": dict(inputs or {}),
        "options": asdict(options) if options else {},
        "software": software_versions(),
    }
    path = out / "logs" / f"crash-{name}-{time:%Y%m%dT%H%M%S%f}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
        )
    except OSError:
        return None
    return path
