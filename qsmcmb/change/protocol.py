"""Differences of two scans of a subject besides the subject: protocol, scanner, software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ("ProtocolDifference", "protocol_differences")

FIELDS = {
    "MagneticFieldStrength": "field-strength-differs",
    "EchoTime": "echo-times-differ",
    "VoxelSize": "voxel-size-differs",
    "Manufacturer": "scanner-differs",
    "ManufacturersModelName": "scanner-differs",
    "DeviceSerialNumber": "scanner-differs",
    "SoftwareVersions": "scanner-software-differs",
    "ProtocolName": "protocol-differs",
    "RepetitionTime": "protocol-differs",
    "FlipAngle": "protocol-differs",
    "ReceiveCoilName": "protocol-differs",
    "Version": "qsmcmb-version-differs",
    "PhaseFiltered": "phase-filter-differs",
    "Methods": "methods-differ",
}
"""Fields of the scans' records, and the flag of a change between scans that differ in each."""
DRIFT = 1e-3
"""Fraction by which a number of two scans may differ: a magnet's frequency drifts by less."""


class ProtocolDifference(NamedTuple):
    """A field in which two scans differ.

    Parameters
    ----------
    field : str
        Name in the records.
    before, after : object
        Its values; None where a record lacks it.
    flag : str
        Flag of the changes between the scans.

    Examples
    --------
    >>> ProtocolDifference("EchoTime", [0.02], [0.03], "echo-times-differ").field
    'EchoTime'
    """

    field: str
    before: Any
    after: Any
    flag: str


def protocol_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ProtocolDifference]:
    """Return the fields in which two scans differ.

    Parameters
    ----------
    before, after : mapping
        Records of the burden of the two scans.

    Returns
    -------
    list of ProtocolDifference
        Differences; a field that one record lacks is none, as older results have fewer.

    Examples
    --------
    >>> [d.field for d in protocol_differences({"Scanner": {"Manufacturer": "A"}}, {"Scanner": {"Manufacturer": "B"}})]
    ['Manufacturer']
    """
    one, two = _fields(before), _fields(after)
    return [
        ProtocolDifference(field, *_unlike(one[field], two[field]), flag)
        for field, flag in FIELDS.items()
        if one.get(field) is not None and two.get(field) is not None and _differ(one[field], two[field])
    ]


def _unlike(one: Any, two: Any) -> tuple[Any, Any]:
    """Return two values; of tables only the entries that differ.

    Examples
    --------
    >>> _unlike({"mask": "combined", "r2star": "weighted"}, {"mask": "combined"})
    ({'r2star': 'weighted'}, {'r2star': None})
    """
    if not (isinstance(one, Mapping) and isinstance(two, Mapping)):
        return one, two
    names = [name for name in {**one, **two} if one.get(name) != two.get(name)]
    return {name: one.get(name) for name in names}, {name: two.get(name) for name in names}


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a scan's record that are compared."""
    made_by: Mapping[str, Any] = next(
        (g for g in record.get("GeneratedBy", ()) if g.get("Name") == "qsmcmb"), {}
    )
    steps = record.get("Steps") or {}
    return {
        **record,
        **(record.get("Scanner") or {}),
        "Version": made_by.get("Version"),
        "PhaseFiltered": (record.get("Input") or {}).get("PhaseFiltered"),
        "Methods": {name: step.get("method") for name, step in steps.items() if "method" in step} or None,
    }


def _differ(one: Any, two: Any) -> bool:
    """Say whether two values differ; numbers by more than the drift of a magnet.

    Examples
    --------
    >>> _differ(2.89355, 2.89362), _differ(2.89355, 3.0), _differ([1.0, 1.0], [1.0, 1.5])
    (False, True, True)
    """
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return any(_differ(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, float | int) and isinstance(two, float | int):
        return abs(one - two) > DRIFT * max(abs(one), abs(two))
    return bool(one != two)
