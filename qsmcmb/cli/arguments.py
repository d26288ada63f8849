"""Arguments that several commands share, and lists that follow one option (`--mag a b c`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from qsmcmb.cli.files import Reads, Writes, mask_of_reference

__all__ = ("expand_lists",)

LIST_OPTIONS = (
    "--phase",
    "--mag",
    "--participant-label",
    "--session-label",
    "--set",
    "--derivatives",
    "--force",
    "--adjust",
)

Files = list[Path]
Triple = tuple[float, float, float]
FILE, FILES, FOLDER, TABLE, TIMES, TESLA, LABELS = (
    "FILE",
    "FILE...",
    "FOLDER",
    "TSV",
    "TIMES",
    "TESLA",
    "LABEL...",
)
"""Stand for a value in help and usage."""
Phase = Annotated[
    Files,
    typer.Option("--phase", metavar=FILES, help="Phase: one 3D file per echo, or one 4D file."),
    Reads("image"),
]
Magnitude = Annotated[
    Files,
    typer.Option("--mag", metavar=FILES, help="Magnitude: one 3D file per echo, or one 4D file."),
    Reads("image"),
]
MaybeMagnitude = Annotated[
    Optional[Files],  # noqa: UP045
    typer.Option("--mag", metavar=FILES, help="Magnitude: one 3D file per echo, or one 4D file."),
    Reads("image"),
]
EchoTimes = Annotated[
    str, typer.Option("--te", metavar=TIMES, help="Echo times with their unit: 4,8,12ms or 0.004,0.008s.")
]
B0_HELP = (
    'Field strength in tesla: ImagingFrequency in MHz / 42.5775. A "3 T" Siemens has 123.2 MHz, so 2.894.'
)
"""Help of --b0: the number on the magnet is rounded."""
FieldStrength = Annotated[float, typer.Option("--b0", metavar=TESLA, help=B0_HELP)]
MaybeFieldStrength = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--b0", metavar=TESLA, help=B0_HELP),
]
Mask = Annotated[
    Path, typer.Option("--mask", metavar=FILE, help="Brain mask on the same grid."), Reads("image")
]
MaybeMask = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--mask", metavar=FILE, help="Brain mask; made from the scan by default."),
    Reads("image"),
]
Direction = Annotated[
    Optional[Triple],  # noqa: UP045
    typer.Option(
        "--b0-dir", metavar="X Y Z", help="B0 as a unit vector in voxel axes; from the affine by default."
    ),
]
Points = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--points",
        metavar=TABLE,
        help="Table with x_mm, y_mm, z_mm (scanner RAS+), or 3D Slicer's list: quantify these lesions.",
    ),
    Reads("file"),
]
Labels = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--labels",
        metavar=FILE,
        help="Label image in place of points: a number for each lesion, or 1 for all.",
    ),
    Reads("image"),
]
MaybeNoise = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--noise", metavar=FILE, help="SD of the field, same unit."),
    Reads("image"),
]
MaybeSegmentation = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--segmentation",
        metavar=FILE,
        help="FreeSurfer, FastSurfer or SynthSeg labels, registered to the scan: territory and regions.",
    ),
    Reads("image"),
]
PhaseRange = Annotated[
    Optional[tuple[float, float]],  # noqa: UP045
    typer.Option(
        "--phase-range",
        metavar="LOW HIGH",
        help="Values that stand for -pi and pi, where the file does not say.",
    ),
]
PhaseSign = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--phase-sign",
        metavar="N",
        help="-1 for phase that falls with a paramagnetic field.",
        min=-1,
        max=1,
    ),
]
PhaseUnits = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--phase-units",
        metavar="UNIT",
        help="Unit of the phase, rad or arbitrary, where the files lack or misstate it.",
    ),
]
ConfigFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--config-file",
        metavar="TOML",
        help="A table for each stage; `run --dry-run` prints the defaults.",
    ),
    Reads("file"),
]
Reference = Annotated[
    str,
    typer.Option(
        "--reference",
        metavar="REGION",
        help="Region whose mean is 0 on the map: brain, csf (found in the scan), or the file of a mask.",
    ),
    Reads("image", paths=mask_of_reference),
]
ReportDetail = Annotated[
    str,
    typer.Option(
        "--report",
        metavar="WORD",
        help="full: pages with the live viewer (under 15 MB). light: pictures alone (under 2 MB).",
    ),
]
Method = Annotated[
    str, typer.Option("--method", metavar="NAME", help="Name of the method; `qsmcmb methods` lists them.")
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Option of the method; an unknown name lists the options."
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", metavar=FILE, help="Where the image goes."), Writes("image")
]
TableOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar=TABLE, help="Where the table goes."), Writes("table")
]
AdoptOutput = Annotated[
    bool,
    typer.Option(
        "--adopt-output", help="Write into a folder that other programs or commands have written into."
    ),
]
Sessions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--session-label", metavar=LABELS, help="Only these sessions (without ses-)."),
]
BidsFilter = Annotated[
    Path | None,
    typer.Option(
        "--bids-filter-file", metavar="JSON", help='Entities that must match exactly, e.g. {"run": "1"}.'
    ),
    Reads("file"),
]
Participants = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--participant-label", metavar=LABELS, help="Only these participants (without sub-)."),
]
Repeatability = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--repeatability",
        metavar="FILE",
        help="The study's own errors of change, by `qsmcmb repeatability`; stated defaults without.",
    ),
    Reads("file"),
]
Detect = Annotated[
    bool, typer.Option("--detect", help="With --points or --labels: the detector's candidates, too.")
]
VERBOSE = ("-v", "--verbose")
"""Any command takes them, anywhere; the context's `obj` says whether they were there."""


def expand_lists(arguments: Sequence[str]) -> list[str]:
    """Repeat an option before each of its values: `--mag a b` becomes `--mag a --mag b`.

    Parameters
    ----------
    arguments : sequence of str
        Arguments as the user gave them.

    Returns
    -------
    list of str
        Arguments as the parser takes them.

    Examples
    --------
    >>> expand_lists(["--mag", "a", "b", "-o", "out"])
    ['--mag', 'a', '--mag', 'b', '-o', 'out']
    """
    out: list[str] = []
    current = ""
    for argument in arguments:
        if argument in LIST_OPTIONS:
            current = argument
        elif argument.startswith("-") and argument != "-":
            current = ""
            out.append(argument)
        elif current:
            out += [current, argument]
        else:
            out.append(argument)
    return out
