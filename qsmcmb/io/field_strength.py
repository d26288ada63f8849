"""Field strength of a scan, in tesla, from the proton's frequency or the label in its sidecars.

Magnets are labelled in round numbers: a "3 T" magnet of Siemens runs at 2.894 T. The frequency at which the scanner
measured is exact, so it decides where it is stated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError, MissingMetadataError
from qsmcmb.io.metadata import read_sidecar, sidecar_path
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = ("FieldStrength", "check_given", "check_tesla", "find_field_strength")

FREQUENCY = "ImagingFrequency"
"""Key of a sidecar: frequency of the nucleus, MHz."""
LABEL = "MagneticFieldStrength"
"""Key of a sidecar: field strength that the scanner's label says, T."""
NUCLEI = ("ImagedNucleus", "ResonantNucleus")
"""Keys of a sidecar: nucleus that was measured."""
PROTON_NAMES = ("1h", "h1", "h", "proton", "hydrogen")
"""Names of the proton, in small letters without signs."""
TESLA_RANGE = (0.01, 25.0)
"""Least and largest field strength that is believed, T: all magnets that image heads, and more."""
MAX_LABEL_ERROR = 0.1
"""Largest fraction by which a label and the frequency may differ: labels are rounded by less than 4 %."""
SAID_FROM = 0.001
"""Fraction of a difference between label and frequency from which it is said."""


class FieldStrength(NamedTuple):
    """Field strength of a scan.

    Parameters
    ----------
    tesla : float
        Field strength, T.
    source : str
        What states it: ImagingFrequency, MagneticFieldStrength or --b0.
    notes : tuple of str, optional
        What the user must know of it.

    Examples
    --------
    >>> FieldStrength(3.0, "--b0").notes
    ()
    """

    tesla: float
    source: str
    notes: tuple[str, ...] = ()


def find_field_strength(metas: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> FieldStrength:
    """Return the field strength that the sidecars of a scan state.

    The frequency decides where it is stated, within 10 % of the label or where there is no label. What one sidecar
    lacks another may state; that all agree is `check_scan_agreement`'s part.

    Parameters
    ----------
    metas : sequence of mapping
        Metadata of each image.
    paths : sequence of Path
        The images, for messages.

    Returns
    -------
    FieldStrength
        Field strength in T, 0.01 to 25.

    Raises
    ------
    InvalidInputError
        B0: nothing is stated, a value is no number or in another unit, or label and frequency contradict each other.
        NUCLEUS: another nucleus than the proton was measured.

    Examples
    --------
    >>> meta = {"MagneticFieldStrength": 3, "ImagingFrequency": 123.2}
    >>> found = find_field_strength([meta], [Path("sub-01_part-phase_MEGRE.nii.gz")])
    >>> round(found.tesla, 3), found.source
    (2.894, 'ImagingFrequency')
    """
    for meta, path in zip(metas, paths, strict=True):
        _check_nucleus(meta, path)
    stated = {key: _first_number(key, metas, paths) for key in (LABEL, FREQUENCY)}
    label, frequency = stated[LABEL], stated[FREQUENCY]
    if frequency is None and label is None:
        raise MissingMetadataError(
            "B0", paths[0], field=LABEL, found="nothing", expected="the field strength in tesla",
            fix=f"write {LABEL} in tesla, or better {FREQUENCY} in MHz, in the sidecar",
        )  # fmt: skip
    if frequency is None:
        assert label is not None
        return FieldStrength(_label_tesla(*label, implied=None), LABEL)
    tesla = _frequency_tesla(*frequency)
    if label is None:
        return FieldStrength(tesla, FREQUENCY)
    nominal = _label_tesla(*label, implied=tesla)
    if abs(nominal - tesla) <= SAID_FROM * tesla:
        return FieldStrength(tesla, FREQUENCY)
    note = (
        f"field strength {tesla:.4g} T from {FREQUENCY} {frequency[0]:g} MHz; {LABEL} says {nominal:g} T, which is the "
        "magnet's name"
    )
    return FieldStrength(tesla, FREQUENCY, (note,))


def check_given(tesla: float, images: Sequence[Path]) -> FieldStrength:
    """Return the field strength that the user gives, held against the JSON files beside the images.

    Parameters
    ----------
    tesla : float
        Field strength, T.
    images : sequence of Path
        Images of the scan; a JSON of the same name beside one is its sidecar, as converters write it.

    Returns
    -------
    FieldStrength
        The user's, with a note where a sidecar states a frequency that differs.

    Raises
    ------
    InvalidInputError
        B0: outside 0.01 to 25 T, or more than 10 % from what a sidecar states. NUCLEUS: another one than the proton.

    Examples
    --------
    >>> check_given(3.0, [Path("phase.nii.gz")])
    FieldStrength(tesla=3.0, source='--b0', notes=())
    """
    check_tesla(tesla, "--b0", field="b0")
    for image in images:
        path = sidecar_path(image)
        meta = _readable(path)
        _check_nucleus(meta, path)
        try:
            stated = find_field_strength([meta], [path])
        except InvalidInputError:
            continue
        difference = abs(tesla - stated.tesla) / stated.tesla
        if difference > MAX_LABEL_ERROR:
            raise InvalidInputError(
                "B0", path, field=stated.source, found=f"{stated.tesla:.4g} T", expected=f"about {tesla:g} T as --b0",
                fix=f"pass --b0 {stated.tesla:.5g}; or, if the JSON is of another scan, move it away",
            )  # fmt: skip
        if difference > SAID_FROM and stated.source == FREQUENCY:
            note = f"--b0 {tesla:g} T is used; {FREQUENCY} in {path.name} says {stated.tesla:.5g} T"
            return FieldStrength(tesla, "--b0", (note,))
    return FieldStrength(tesla, "--b0")


def _readable(path: Path) -> dict[str, Any]:
    """Return a sidecar, empty where it is missing or can't be read: nothing else is taken from it."""
    try:
        return read_sidecar(path) if path.is_file() else {}
    except InvalidInputError:
        return {}


def check_tesla(tesla: float, where: object, *, field: str) -> float:
    """Return a field strength that is plausible in tesla.

    Parameters
    ----------
    tesla : float
        Field strength, T.
    where : object
        File or argument, for messages.
    field : str
        Field of the file, for messages.

    Returns
    -------
    float
        The same.

    Raises
    ------
    InvalidInputError
        B0: outside 0.01 to 25 T; the message says what it is in another unit.

    Examples
    --------
    >>> check_tesla(2.8936, "--b0", field="b0")
    2.8936
    """
    if TESLA_RANGE[0] <= tesla <= TESLA_RANGE[1]:
        return tesla
    raise InvalidInputError(
        "B0", where, field=field, found=f"{tesla:g}", expected="the field strength in tesla, 0.01 to 25",
        fix=f"write tesla{_other_unit(tesla)}",
    )  # fmt: skip


def _other_unit(value: float) -> str:
    """Return what a number would be in tesla, were it in another unit; empty where no unit fits."""
    if not math.isfinite(value):
        return ""
    units = (("MHz", 1 / GAMMA_MHZ_PER_T), ("mT", 1e-3), ("gauss", 1e-4), ("Hz", 1e-6 / GAMMA_MHZ_PER_T))
    fitting = [f"{value * f:.4g} if it is in {unit}" for unit, f in units if 0.2 <= value * f <= 15]
    return f": {' or '.join(fitting)}" if fitting else ""


def _check_nucleus(meta: Mapping[str, Any], where: Path) -> None:
    """Raise NUCLEUS where another nucleus than the proton is stated."""
    for key in NUCLEI:
        named = meta.get(key)
        first = named[0] if isinstance(named, list) and len(named) == 1 else named
        if first is None or (isinstance(first, str) and _letters(first) in ("", "na", *PROTON_NAMES)):
            continue
        raise InvalidInputError(
            "NUCLEUS", where, field=key, found=repr(named), expected="1H: phase of other nuclei isn't read",
            fix=f'leave this scan out; if it is a proton scan, write "{key}": "1H" in the sidecar',
        )  # fmt: skip


def _letters(name: str) -> str:
    """Return letters and digits of a name, small."""
    return "".join(c for c in name.lower() if c.isalnum())


def _first_number(
    key: str, metas: Sequence[Mapping[str, Any]], paths: Sequence[Path]
) -> tuple[float, Path] | None:
    """Return the first value of a key, with its file; every value must be a positive number."""
    found = None
    for meta, path in zip(metas, paths, strict=True):
        value = meta.get(key)
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise InvalidInputError(
                "B0", path, field=key, found=repr(value), expected=f"a positive number of {_unit(key)}",
                fix=f"write {key} as a number without quotes or brackets, or take it out of the sidecar",
            )  # fmt: skip
        found = found or (float(value), path)
    return found


def _unit(key: str) -> str:
    return "MHz" if key == FREQUENCY else "tesla"


def _frequency_tesla(mhz: float, where: Path) -> float:
    """Return the field strength at which the proton has a frequency; raise where it can't be in MHz."""
    tesla = mhz / GAMMA_MHZ_PER_T
    if TESLA_RANGE[0] <= tesla <= TESLA_RANGE[1]:
        return tesla
    guesses = (("Hz", mhz * 1e-6), ("kHz", mhz * 1e-3), ("GHz", mhz * 1e3))
    fitting = [f"{v:g} if it is in {unit}" for unit, v in guesses if 8 <= v <= 640]
    raise InvalidInputError(
        "B0", where, field=FREQUENCY, found=f"{mhz:g} MHz, which means {tesla:.4g} T",
        expected="the proton's frequency in MHz", fix=f"write {' or '.join(fitting) or 'MHz'}, or take the key out",
    )  # fmt: skip


def _label_tesla(tesla: float, where: Path, *, implied: float | None) -> float:
    """Return the label, T, held against the field strength that the frequency implies."""
    if implied is None:
        return check_tesla(tesla, where, field=LABEL)
    if abs(tesla - implied) <= MAX_LABEL_ERROR * implied:
        return tesla
    raise InvalidInputError(
        "B0", where, field=LABEL, found=f"{tesla:g} T beside {FREQUENCY} {implied * GAMMA_MHZ_PER_T:.6g} MHz",
        expected=f"about {implied:.4g} T, which that frequency means",
        fix=f"write {LABEL} {implied:.4g}; or, if the frequency is wrong, take {FREQUENCY} out of the sidecar",
    )  # fmt: skip
