"""Records that the JSON of every result holds: provenance, versions, and the direction of B0."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qsmcmb.core.software import software_versions
from qsmcmb.io.records import B0Record, ProvenanceRecord, SoftwareRecord
from qsmcmb.io.tables import generated_by
from qsmcmb.model import Grid, Provenance

__all__ = ("b0_record", "provenance_record")


def provenance_record(provenance: Provenance) -> ProvenanceRecord:
    """Return the provenance as it stands in every JSON.

    Parameters
    ----------
    provenance : Provenance
        Sources, steps and software.

    Returns
    -------
    ProvenanceRecord
        The same by BIDS keys.

    Examples
    --------
    >>> provenance_record(Provenance(sources=(("a.nii", "6b86"),)))["SourceChecksums"]
    {'a.nii': 'sha256:6b86'}
    """
    record: ProvenanceRecord = {
        **software_record(provenance.software or software_versions()),
        "Sources": [name for name, _ in provenance.sources],
        "SourceChecksums": {name: f"sha256:{digest}" for name, digest in provenance.sources},
        "Input": dict(provenance.read_as),
        "Steps": {step: dict(options) for step, options in provenance.steps},
    }
    if provenance.field_strength:
        record["MagneticFieldStrength"], record["MagneticFieldStrengthSource"] = provenance.field_strength
    return record


def software_record(software: Mapping[str, str]) -> SoftwareRecord:
    """Return the versions as they stand in every JSON: BIDS names the pipeline, `Software` what it ran on.

    Parameters
    ----------
    software : mapping of str to str
        (name: version), qsmcmb among them.

    Returns
    -------
    SoftwareRecord
        The same by BIDS keys.

    Examples
    --------
    >>> software_record({"qsmcmb": "0.2.0", "numpy": "2.4.6"})["Software"]
    {'numpy': '2.4.6'}
    """
    return SoftwareRecord(
        GeneratedBy=generated_by(software["qsmcmb"]),
        Software={name: v for name, v in software.items() if name != "qsmcmb"},
    )


def b0_record(grid: Grid, source: str) -> B0Record:
    """Return the direction of B0 as written into sidecars.

    Parameters
    ----------
    grid : Grid
        Geometry.
    source : str
        What states it.

    Returns
    -------
    B0Record
        Unit vector, rounded to seven digits, the axes that it is given in, and what states it.

    Examples
    --------
    >>> b0_record(Grid.isotropic((8, 8, 8), 1.0), "--b0-dir")["B0Direction"]
    [0.0, 0.0, 1.0]
    """
    return {
        "B0Direction": [float(np.round(b, 7)) for b in grid.b0_dir],
        "B0DirectionFrame": "voxel axes",
        "B0DirectionSource": source,
    }
