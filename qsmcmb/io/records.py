"""Records of the derivatives' JSON files, with their keys and the types of their values."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

__all__ = ("QUALITY", "B0Record", "ColumnDescription", "ProvenanceRecord", "Software", "SoftwareRecord")

QUALITY = "desc-quality"
"""End of the name of a scan's quality record, and of the group's table of quality."""


class Software(TypedDict):
    """Name and version of a program, as in the key GeneratedBy of BIDS.

    Attributes
    ----------
    Name : str
        Name of the program.
    Version : str
        Its version.

    Examples
    --------
    >>> Software(Name="qsmcmb", Version="0.2.0")["Name"]
    'qsmcmb'
    """

    Name: str
    Version: str


class SoftwareRecord(TypedDict):
    """The versions as they stand in every JSON: BIDS names the pipeline, `Software` what it ran on.

    Attributes
    ----------
    GeneratedBy : list of Software
        The pipeline and its version, as BIDS wants it.
    Software : dict
        Name to version of Python and every library that computes.

    Examples
    --------
    >>> SoftwareRecord(GeneratedBy=[], Software={"numpy": "2.4.6"})["Software"]
    {'numpy': '2.4.6'}
    """

    GeneratedBy: list[Software]
    Software: dict[str, str]


class ProvenanceRecord(SoftwareRecord):
    """The provenance as it stands in every JSON.

    Attributes
    ----------
    GeneratedBy : list of Software
        The pipeline and its version, as BIDS wants it.
    Software : dict
        Name to version of Python and every library that computes.
    Sources : list of str
        Input files.
    SourceChecksums : dict
        Input file to its checksum, ``sha256:`` and 64 hexadecimal digits.
    Input : dict
        How the files were read: what they state, what was assumed, what the user stated.
    Steps : dict
        Step to its method and all options, defaults written out.
    MagneticFieldStrength : float
        Field strength as used, T; left out where the result rests on none.
    MagneticFieldStrengthSource : str
        ImagingFrequency or MagneticFieldStrength of the sidecars, --b0, or b0_tesla of a call.

    Examples
    --------
    >>> ProvenanceRecord(GeneratedBy=[], Software={}, Sources=[], SourceChecksums={}, Input={}, Steps={})["Sources"]
    []
    """

    Sources: list[str]
    SourceChecksums: dict[str, str]
    Input: dict[str, Any]
    Steps: dict[str, dict[str, Any]]
    MagneticFieldStrength: NotRequired[float]
    MagneticFieldStrengthSource: NotRequired[str]


class ColumnDescription(TypedDict, total=False):
    """The description of one column of a table, as BIDS wants it in the table's JSON.

    Attributes
    ----------
    Description : str
        Noun phrase.
    Units : str
        Unit; left out where the column has none.
    Levels : dict
        Each value that the column may have, and its meaning; left out for numbers.

    Examples
    --------
    >>> ColumnDescription(Description="Centre, scanner RAS+", Units="mm")["Units"]
    'mm'
    """

    Description: str
    Units: str
    Levels: dict[str, str]


class B0Record(TypedDict):
    """The direction of B0 as written into sidecars.

    Attributes
    ----------
    B0Direction : list of float
        Unit vector.
    B0DirectionFrame : str
        Axes that the vector is given in.
    B0DirectionSource : str
        Form of the image's header with its code, --b0-dir, or the grid of a call.

    Examples
    --------
    >>> record = B0Record(B0Direction=[0, 0, 1], B0DirectionFrame="voxel axes", B0DirectionSource="--b0-dir")
    >>> record["B0Direction"]
    [0, 0, 1]
    """

    B0Direction: list[float]
    B0DirectionFrame: str
    B0DirectionSource: str
