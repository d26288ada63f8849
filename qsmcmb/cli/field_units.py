"""Unit of a field that a command is given: stated by an option or the sidecar, and held against the values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qsmcmb.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qsmcmb.model import Grid

__all__ = (
    "LocalFieldGiven",
    "check_local_or_total",
    "check_total_field",
    "ppm_per_unit",
    "read_local_field",
    "units_beside",
)

UNITS = ("ppm", "Hz", "rad")
"""Units that a field may have."""
MAX_TOTAL_HZ = 2000.0
"""Scatter of a total field from which on it has no known unit, Hz: 7 ppm at 7 T."""


def units_beside(image: Path) -> str:
    """Return the unit that the JSON file of an image's name states; empty for none.

    Parameters
    ----------
    image : Path
        NIfTI file.

    Returns
    -------
    str
        Value of `Units`.

    Raises
    ------
    InvalidInputError
        JSON: the file cannot be read.

    Examples
    --------
    >>> units_beside(Path("nowhere/field.nii.gz"))
    ''
    """
    from qsmcmb.io.metadata import read_sidecar, sidecar_path

    path = sidecar_path(image)
    return str(read_sidecar(path).get("Units", "")) if path.is_file() else ""


def ppm_per_unit(units: str | None, te_s: Sequence[float] | None, b0_tesla: float | None) -> float:
    """Return what a field of a stated unit is multiplied by for ppm.

    Parameters
    ----------
    units : {"ppm", "Hz", "rad"} or None
        Value of `--field-units`; None counts as ppm.
    te_s : sequence of float or None
        Echo times, s; their mean is that of a phase in rad.
    b0_tesla : float or None
        Field strength, T.

    Returns
    -------
    float
        Factor.

    Raises
    ------
    ConfigError
        Another word, or field strength or echo time not given.

    Examples
    --------
    >>> round(127.7325 * ppm_per_unit("Hz", None, 3.0), 6)
    1.0
    """
    import math

    from qsmcmb.errors import ConfigError
    from qsmcmb.units import GAMMA_MHZ_PER_T, hz_to_ppm

    if units is None or units == "ppm":
        return 1.0
    if units not in UNITS:
        raise ConfigError(f"--field-units {units}; expected one of {', '.join(UNITS)}")
    if b0_tesla is None:
        raise ConfigError(f"--field-units {units}; expected --b0 besides")
    if units == "Hz":
        return hz_to_ppm(1.0, b0_tesla)
    if not te_s:
        raise ConfigError("--field-units rad; expected --te besides")
    return len(te_s) / (2 * math.pi * GAMMA_MHZ_PER_T * b0_tesla * sum(te_s))


def check_local_or_total(
    field_ppm: FloatArray, mask: BoolArray, image: Path, *, start: str, units: str | None
) -> None:
    """Raise where a field is not in ppm; say so where it is unlikely.

    Parameters
    ----------
    field_ppm : ndarray of shape (x, y, z)
        Field, said to be in ppm, or converted.
    mask : ndarray of shape (x, y, z), bool
        Brain.
    image : Path
        Its file, beside which a JSON file may state the unit.
    start : {"local field", "total field"}
        What it is.
    units : {"ppm", "Hz", "rad"} or None
        Value of `--field-units`; ppm is believed.

    Raises
    ------
    InvalidInputError
        FIELD-UNITS: the sidecar states Hz or rad and the option nothing, or the values cannot be in ppm.

    Examples
    --------
    >>> import numpy as np
    >>> field_ppm = 0.01 * np.random.default_rng(0).standard_normal((8, 8, 8))
    >>> check_local_or_total(field_ppm, field_ppm < 1, Path("a.nii"), start="local field", units=None)
    """
    import numpy as np

    from qsmcmb.cli.console import say
    from qsmcmb.dipole_inversion.field_units import USUAL_LOCAL_SD_PPM, check_field_is_ppm, robust_sd
    from qsmcmb.errors import InvalidInputError

    beside = {"hz": "Hz", "rad": "rad"}.get(units_beside(image).lower())
    if units is None and beside:
        raise InvalidInputError(
            "FIELD-UNITS", image, field="Units", found=f"{beside} (in the JSON file beside it)", expected="ppm",
            fix=f"give --field-units {beside} --b0 TESLA" + (" --te TIME" if beside == "rad" else ""),
        )  # fmt: skip
    # Holes are refused by the inversion, with their number.
    if units == "ppm" or not np.isfinite(field_ppm[mask]).all():
        return
    check_field_is_ppm(field_ppm, mask, start=start, name=str(image))
    scatter = robust_sd(field_ppm, mask)
    if start == "local field" and scatter > USUAL_LOCAL_SD_PPM:
        say(
            f"WARNING {image.name}: the local field scatters by {scatter:.2g} ppm, a brain's by 0.005 to 0.02; "
            "if it is in Hz or rad, say --field-units"
        )


def check_total_field(field: FloatArray, mask: BoolArray, image: Path) -> str:
    """Return the unit of a total field, whose values must be possible in it.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Total field.
    mask : ndarray of shape (x, y, z), bool
        Brain.
    image : Path
        Its file, beside which a JSON file may state the unit.

    Returns
    -------
    str
        Value of `Units`; empty where nothing states it.

    Raises
    ------
    InvalidInputError
        FIELD-UNITS: the scatter is too large for ppm, where that is stated, or for any unit.

    Examples
    --------
    >>> import numpy as np
    >>> field_hz = 40 * np.random.default_rng(0).standard_normal((8, 8, 8))
    >>> check_total_field(field_hz, field_hz < 1000, Path("nowhere/field.nii.gz"))
    ''
    """
    import numpy as np

    from qsmcmb.dipole_inversion.field_units import check_field_is_ppm, robust_sd
    from qsmcmb.errors import InvalidInputError

    units = units_beside(image)
    # Holes are refused by the method, with their number.
    if not np.isfinite(field[mask]).all():
        return units
    if units == "ppm":
        check_field_is_ppm(field, mask, start="total field", name=str(image))
    scatter = robust_sd(field, mask)
    if scatter >= MAX_TOTAL_HZ:
        raise InvalidInputError(
            "FIELD-UNITS", image, field="total field", found=f"a scatter of {scatter:.3g} over the mask",
            expected=f"Hz, ppm or rad: below {MAX_TOTAL_HZ:g}",
            fix="apply the image's scale: the values are those of a file or of a scanner. `qsmcmb fieldmap` makes "
            "the field from the phase",
        )  # fmt: skip
    return units


class LocalFieldGiven(NamedTuple):
    """A local field that a command was given, with its SD.

    Parameters
    ----------
    field_ppm, sd_ppm : ndarray of shape (x, y, z)
        Local field and its SD, ppm.

    Examples
    --------
    >>> import numpy as np
    >>> LocalFieldGiven(np.zeros((4, 4, 4)), np.ones((4, 4, 4))).field_ppm.shape
    (4, 4, 4)
    """

    field_ppm: FloatArray
    sd_ppm: FloatArray


def read_local_field(
    path: Path,
    mask: BoolArray,
    grid: Grid,
    *,
    noise: Path | None,
    magnitude: FloatArray,
    units: str | None,
    b0_tesla: float | None,
) -> LocalFieldGiven:
    """Read a local field with its SD, both in ppm.

    Parameters
    ----------
    path : Path
        Image of the field.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined.
    grid : Grid
        The scan's geometry.
    noise : Path or None
        Image of its SD, same unit; without it the SD is that of the field's roughness, by the magnitude.
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude.
    units : {"ppm", "Hz"} or None
        Value of `--field-units`; None counts as ppm.
    b0_tesla : float or None
        Field strength, T.

    Returns
    -------
    LocalFieldGiven
        Field and SD; 0 and infinite where the field is not finite.

    Raises
    ------
    InvalidInputError
        FIELD-UNITS for a field in another unit; every gate of `load_on_grid`.

    Examples
    --------
    >>> read_local_field(Path("local.nii"), mask, grid, noise=None, magnitude=mag, units=None, b0_tesla=None)
    ... # doctest: +SKIP
    """
    import numpy as np

    from qsmcmb.cli.stage import relative_sd
    from qsmcmb.dipole_inversion.noise import noise_level
    from qsmcmb.io.masks import load_on_grid, load_sd

    scale = ppm_per_unit(units, None, b0_tesla)
    field_ppm = load_on_grid(path, grid) * np.float32(scale)
    check_local_or_total(field_ppm, mask, path, start="local field", units=units)
    known = np.isfinite(field_ppm)
    field_ppm = np.where(known, field_ppm, np.float32(0))
    if noise is not None:
        sd_ppm = load_sd(noise, grid) * np.float32(scale)
    else:
        sd = relative_sd(magnitude)
        typical = float(np.median(sd[mask & np.isfinite(sd)]))
        sd_ppm = sd * np.float32(noise_level(field_ppm, mask) / typical)
    return LocalFieldGiven(field_ppm, np.where(known, sd_ppm, np.float32(np.inf)))
