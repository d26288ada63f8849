"""A scan's results as one row: its names, and its burden with plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsmcmb.io.results import SessionResults

__all__ = ("ENTITIES", "SCAN_COLUMNS", "flatten_burden", "named_scan")

SCAN_COLUMNS = {
    "participant_id": "Participant, with its prefix",
    "session_id": "Session, with its prefix",
    "acquisition": "Label of the entity acq",
    "reconstruction": "Label of the entity rec",
    "run": "Index of the entity run",
}
"""First columns of each table: which scan a row belongs to; n/a where its names lack the entity."""
ENTITIES = {"acquisition": "acq", "reconstruction": "rec", "run": "run"}
"""Column to the entity of BIDS whose value it holds."""
TERRITORIES = ("lobar", "deep", "infratentorial")
OF_TERRITORY = ("n", "burden_ppm_mm3", "burden_sd_ppm_mm3")
"""Numbers of each territory that the table of burdens holds."""
PLAIN = (str, int, float, type(None))


def named_scan(scan: SessionResults) -> dict[str, Any]:
    """Return the first columns of a scan's rows.

    Parameters
    ----------
    scan : SessionResults
        Results of the scan.

    Returns
    -------
    dict
        Value of each column of `SCAN_COLUMNS`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from qsmcmb.io.place import Place
    >>> named_scan(SessionResults(Place(Path("out")), "01", "2", {"run": "1"}))["session_id"]
    'ses-2'
    """
    return {
        "participant_id": f"sub-{scan.participant}",
        "session_id": f"ses-{scan.session}" if scan.session else None,
        **{column: scan.entities.get(entity) for column, entity in ENTITIES.items()},
    }


def flatten_burden(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the burden of a scan as one row: plain values, the territories, field strength and echoes.

    Parameters
    ----------
    record : mapping
        Burden record of the scan.

    Returns
    -------
    dict
        Column to value.

    Examples
    --------
    >>> flatten_burden({"n_definite": 1, "by_territory": {"deep": {"n": 1}}, "EchoTime": [0.02]})["deep_n"]
    1
    """
    row = {key: value for key, value in record.items() if key[0].islower() and isinstance(value, PLAIN)}
    by_territory = record.get("by_territory", {})
    for territory in TERRITORIES:
        found = by_territory.get(territory, {"n": 0, "burden_ppm_mm3": 0.0, "burden_sd_ppm_mm3": 0.0})
        row |= {f"{territory}_{name}": found.get(name) for name in OF_TERRITORY}
    row["b0_tesla"] = record.get("MagneticFieldStrength")
    row["n_echoes"] = len(record.get("EchoTime", []))
    row["n_warnings"] = len(record.get("Warnings", []))
    return row
