"""The check that a field is in ppm: its scatter over a brain is known to a factor of ten."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.core.robust import deviation_inside
from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("USUAL_LOCAL_SD_PPM", "check_field_is_ppm", "robust_sd")

USUAL_LOCAL_SD_PPM = 0.05
"""Scatter of a brain's local field from which on its unit is worth a look, ppm: tissue's is 0.005 to 0.02. The
receive phase of one short echo can add 0.3.
"""
MAX_SD_PPM = {"local field": 0.5, "total field": 5.0}
"""Scatter from which on a field counts as in another unit, ppm: in Hz a local field of 3 T scatters by 0.6 to 2."""
LEAST_FIELD_PPM = 1e-5
"""Largest value of a field below which it counts as in another unit, ppm: a fraction of B0, or T."""


def robust_sd(field: FloatArray, mask: BoolArray) -> float:
    """Return the scatter of a field: the median distance from its median over 0.6745, so that lesions do not count.

    Parameters
    ----------
    field : ndarray of shape (x, y, z)
        Field, any unit.
    mask : ndarray of shape (x, y, z), bool
        Voxels that count.

    Returns
    -------
    float
        Scatter, unit of the field; 0 for an empty mask.

    Examples
    --------
    >>> field = np.zeros((10, 10, 10))
    >>> field[5, 5, 5] = 40.0
    >>> robust_sd(field, field < 100)
    0.0
    """
    return deviation_inside(np.asarray(field, np.float32), mask) / MAD_OF_NORMAL if mask.any() else 0.0


def check_field_is_ppm(
    field_ppm: FloatArray, mask: BoolArray, *, start: str = "local field", name: str = "argument"
) -> None:
    """Raise where a field cannot be in ppm.

    Parameters
    ----------
    field_ppm : ndarray of shape (x, y, z)
        Field, said to be in ppm, finite in the mask.
    mask : ndarray of shape (x, y, z), bool
        Brain.
    start : {"local field", "total field"}, optional
        What it is: a total field scatters more.
    name : str, optional
        File, for the message.

    Raises
    ------
    InvalidInputError
        FIELD-UNITS: the scatter is a hundred times tissue's, as in Hz or rad, or no value reaches 0.00001.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tissue_ppm = 0.01 * rng.standard_normal((16, 16, 16))
    >>> check_field_is_ppm(tissue_ppm, tissue_ppm < 1)
    """
    limit, scatter = MAX_SD_PPM[start], robust_sd(field_ppm, mask)
    largest = float(np.abs(field_ppm[mask]).max(initial=0.0))
    if scatter < limit and not 0 < largest < LEAST_FIELD_PPM:
        return
    found, other = f"a scatter of {scatter:.3g}", "Hz, rad or ppb"
    if scatter < limit:
        found, other = f"values up to {largest:.3g}", "a fraction of B0, or T"
    raise InvalidInputError(
        "FIELD-UNITS", name, field=start, found=f"{found} over the mask, as in {other}",
        expected=f"ppm: a scatter below {limit:g}, and values above {LEAST_FIELD_PPM:g}",
        fix="convert it: ppm is Hz / (42.5775 x B0 in T), and rad / (2 pi x 42.5775 x B0 x TE in s). "
        "`qsmcmb invert` does so with --field-units Hz --b0 TESLA. Where it is in ppm, say --field-units ppm",
    )  # fmt: skip
