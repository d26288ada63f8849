"""Faults of a scan that its own results show: reported to the user, nothing is corrected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.model import GreScan
from qsmcmb.pipeline.scan_checks import PhaseChecks, SignContrast
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = [
    "check_finite",
    "check_given_mask",
    "dark_fraction",
    "find_field_faults",
    "find_lesion_faults",
    "find_map_faults",
    "find_noise_faults",
]

MAX_BRAIN_LITRES = 2.1
"""Volume, L, of the largest brains: a larger mask has scalp or neck in it."""
BETTER_MASK = (
    'Give a mask of the brain (--mask, in a study --mask-from), or let a trained network find it: method = "deepbet" '
    "in the table [mask] of --config-file"
)
"""Fix for a mask that holds more than the brain."""
AIR_FRACTION = 0.1
"""Fraction of the bright tissue's magnitude below which a voxel is dark as air."""
MAX_DARK_FRACTION = 0.2
"""Fraction of a mask up to which it may be dark: bleeds and vessels are far less."""
MIN_BRIGHTNESS = 0.5
"""Least ratio of the median magnitude inside a mask to that outside: a brain is the brighter one."""
MAX_NOT_FINITE = 0.01
"""Largest fraction of a mask that may be not finite in a file: a few voxels are left out, holes are a fault."""
MIN_READER_LESIONS = 2
"""Lesions of known kind from which on their signs say something of the phase: one may be named wrongly."""
TISSUE_FIELD_PPB = 8.0
"""Scatter of the local field of a brain's tissue, ppb: a field whose SD is larger shows noise."""
ECHO_WARNINGS = {
    1: ("one echo: R2* is n/a, of the receive phase a smooth polynomial alone is removed",),
    2: ("two echoes: R2* and field SD have no residual to check them",),
}
"""Warnings by the number of echoes."""


def find_field_faults(scan: GreScan, found: PhaseChecks, brain: BoolArray) -> tuple[str, ...]:
    """Return warnings about the echoes, the mask and the phase.

    Parameters
    ----------
    scan : GreScan
        The scan.
    found : PhaseChecks
        What unwrapping and echo fit leave.
    brain : ndarray of bool
        Brain mask.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> volume = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> find_field_faults(scan, PhaseChecks(), np.ones(grid.shape, bool))
    ('one echo: R2* is n/a, of the receive phase a smooth polynomial alone is removed',)
    """
    return ECHO_WARNINGS.get(scan.n_echoes, ()) + _mask_warnings(brain, scan) + _singularity_warnings(found)


def find_noise_faults(scan: GreScan, field_sd_hz: FloatArray, brain: BoolArray) -> tuple[str, ...]:
    """Return a warning where the echoes are too short, or too noisy, for a field that shows tissue.

    Parameters
    ----------
    scan : GreScan
        The scan.
    field_sd_hz : ndarray of shape scan.grid.shape
        SD of the field, Hz.
    brain : ndarray of bool
        Brain mask, not empty.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.001,), b0_tesla=3.0, grid=grid)
    >>> find_noise_faults(scan, 0.1 * ones, ones > 0), len(find_noise_faults(scan, 5 * ones, ones > 0))
    ((), 1)
    """
    sd_ppb = 1e3 * hz_to_ppm(float(np.median(field_sd_hz[brain])), scan.b0_tesla)
    if sd_ppb < TISSUE_FIELD_PPB:
        return ()
    echoes = "one echo at" if scan.n_echoes == 1 else f"{scan.n_echoes} echoes up to"
    return (
        f"{echoes} {1e3 * max(scan.te_s):.3g} ms: the field's SD is {sd_ppb:.3g} ppb in the median voxel, tissue's own "
        f"field is about {TISSUE_FIELD_PPB:g} ppb. A map of it shows noise rather than tissue; use later echoes, or "
        "read nothing but strong lesions from it",
    )


def find_map_faults(scan: GreScan, found: SignContrast, mask: BoolArray) -> tuple[str, ...]:
    """Return warnings about the susceptibility map.

    Parameters
    ----------
    scan : GreScan
        The scan.
    found : SignContrast
        Contrast of the map where there is iron.
    mask : ndarray of bool
        Where the map is defined.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> len(find_map_faults(scan, SignContrast(), ones > 0))
    1
    """
    more = _litres(mask, scan) > MAX_BRAIN_LITRES
    if found.verdict == "right":
        if not more:
            return ()
        return (
            "the mask holds more than a brain, and skull shows iron's contrast with the other sign: nothing shows "
            "whether the phase sign is right. Give a mask of the brain",
        )
    if found.verdict == "undecided":
        magnitude = "the magnitude" if scan.n_echoes == 1 else "magnitude and R2*"
        return (f"nothing in {magnitude} shows whether the phase sign is right; look at veins on the map",)
    (name,) = found.deciding
    where = "R2* is highest" if name == "iron_ppm" else "the last echo is dark and narrow (veins, bleeds)"
    advice = _other_sign(scan)
    if more:
        advice = f"skull in the mask looks so, too. Give a mask of the brain; if it stays, {advice}"
    return (f"where {where} the tissue is diamagnetic: {advice}",)


def find_lesion_faults(lesions: Sequence[Microbleed], scan: GreScan) -> tuple[str, ...]:
    """Return warnings about the place and the sign of the lesions that a reader has named.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Rows of the lesion table.
    scan : GreScan
        The scan.

    Returns
    -------
    tuple of str
        Messages to the user.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones((1, *grid.shape), np.float32)
    >>> find_lesion_faults((), GreScan(0 * ones, ones, te_s=(0.02,), b0_tesla=3.0, grid=grid))
    ()
    """
    reasons = [set(m.flags) for m in lesions if m.source == "reader"]
    outside = {Flag.OUTSIDE_VOLUME.value, Flag.OUTSIDE_MASK.value}
    if reasons and all(reason & outside for reason in reasons):
        return ("all points lie outside image or mask; positions are mm in the frame of the image's affine",)
    expected = {"microbleed": 1, "calcification": -1}
    agree = [
        expected[m.kind] * m.total_chi_ppm_mm3.value > 0
        for m in lesions
        if m.source == "reader" and m.kind in expected and m.total_chi_ppm_mm3 and m.certainty == "definite"
    ]
    if len(agree) < MIN_READER_LESIONS or 2 * sum(agree) >= len(agree):
        return ()
    n_wrong = len(agree) - sum(agree)
    return (f"{n_wrong} of {len(agree)} lesions have the sign opposite to their kind: {_other_sign(scan)}",)


def _litres(mask: BoolArray, scan: GreScan) -> float:
    """Return the volume of a mask, L."""
    return float(mask.sum()) * scan.grid.voxel_volume_mm3 / 1e6


def _other_sign(scan: GreScan) -> str:
    sign = -int(scan.read_as.get("PhaseSign", 1))
    return f"the phase sign may be inverted (--phase-sign {sign})"


def check_given_mask(brain: BoolArray, scan: GreScan) -> None:
    """Raise where a user's mask holds what is dark and leaves out what is bright.

    Parameters
    ----------
    brain : ndarray of shape scan.grid.shape, bool
        The user's mask.
    scan : GreScan
        The scan.

    Raises
    ------
    InvalidInputError
        MASK-INVERTED.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> volume = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> check_given_mask(np.ones(grid.shape, bool), scan)
    """
    magnitude = scan.magnitude[0]
    if brain.all() or not brain.any():
        return
    inside, outside = float(np.median(magnitude[brain])), float(np.median(magnitude[~brain]))
    if inside < MIN_BRIGHTNESS * outside:
        raise InvalidInputError(
            "MASK-INVERTED", scan.name, field="mask",
            found=f"median magnitude {inside:.3g} inside, {outside:.3g} outside",
            expected="a mask of the brain, which is brighter than air", fix="exchange inside and outside of the mask",
        )  # fmt: skip


def check_finite(brain: BoolArray, scan: GreScan) -> None:
    """Raise where more than a hundredth of the mask is not finite in one of the scan's files.

    Parameters
    ----------
    brain : ndarray of shape scan.grid.shape, bool
        Brain mask.
    scan : GreScan
        The scan.

    Raises
    ------
    InvalidInputError
        NOT-FINITE, with the file.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> volume = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> check_finite(np.ones(grid.shape, bool), scan)
    """
    for name, missing in scan.not_finite:
        share = float(missing[brain].mean()) if brain.any() else 0.0
        if share > MAX_NOT_FINITE:
            raise InvalidInputError(
                "NOT-FINITE", name, field="voxels", found=f"{100 * share:.1f} % of the mask are not finite",
                expected=f"at most {100 * MAX_NOT_FINITE:g} %",
                fix="export the image again; or give a mask without these voxels",
            )  # fmt: skip


def dark_fraction(brain: BoolArray, scan: GreScan) -> float:
    """Return the fraction of a mask that is as dark as air at the first echo.

    Parameters
    ----------
    brain : ndarray of shape scan.grid.shape, bool
        Brain mask.
    scan : GreScan
        The scan.

    Returns
    -------
    float
        0 to 1; 0 for an empty mask.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> volume = np.ones((1, *grid.shape), np.float32)
    >>> scan = GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> dark_fraction(np.ones(grid.shape, bool), scan)
    0.0
    """
    inside = scan.magnitude[0][brain]
    return float((inside < AIR_FRACTION * np.percentile(inside, 90)).mean()) if inside.size else 0.0


def _mask_warnings(brain: BoolArray, scan: GreScan) -> tuple[str, ...]:
    litres, dark = _litres(brain, scan), dark_fraction(brain, scan)
    warnings = []
    if litres > MAX_BRAIN_LITRES:
        warnings.append(
            f"the mask holds {litres:.1f} L, more than a brain: scalp or neck is in it. {BETTER_MASK}"
        )
    if dark > MAX_DARK_FRACTION:
        warnings.append(f"{100 * dark:.0f} % of the mask are dark: air is in it. {BETTER_MASK}")
    return tuple(warnings)


def _singularity_warnings(found: PhaseChecks) -> tuple[str, ...]:
    if not found.n_fringe_lines:
        return ()
    return (
        f"phase has {found.n_fringe_lines} fringe lines with open ends, up to {found.longest_line_mm:.0f} mm long: no "
        "unwrapping is right there; combine the channels anew (MCPC-3D-S) or take the voxels around the lines out of "
        "the mask",
    )
