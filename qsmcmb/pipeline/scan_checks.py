"""Numbers that the stages find out about their own work: fringe lines, residual of the echoes, sign of the map."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.field_mapping.phase_sign import (
    MIN_DIFFERENCE_PPM,
    MIN_SIGN_SD,
    MIN_WEIGHTING_T_S,
    contrast_of_iron,
    contrast_of_the_dark,
)
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping.singularities import find_singularities

__all__ = ["PhaseChecks", "ScanChecks", "SignContrast", "check_phase", "check_sign"]

MIN_SIGNAL_FRACTION = 0.3
"""Fraction of the brain's median magnitude below which phase is noise."""
MIN_ECHOES = 3
"""Echoes from which on a line through them leaves a residual: field and receive phase take two."""


class PhaseChecks(NamedTuple):
    """Hold what unwrapping and echo fit leave.

    Parameters
    ----------
    n_fringe_lines : int
        Fringe lines with open ends in the first echo.
    longest_line_mm : float
        Extent of the longest, mm; 0 without any.
    echo_residual_rad : tuple of float
        SD of the wrapped difference between phase and fit at each echo, from its median absolute value, rad; empty
        for fewer than three echoes.

    Examples
    --------
    >>> PhaseChecks(n_fringe_lines=0, longest_line_mm=0.0, echo_residual_rad=()).n_fringe_lines
    0
    """

    n_fringe_lines: int = 0
    longest_line_mm: float = 0.0
    echo_residual_rad: tuple[float, ...] = ()


class SignContrast(NamedTuple):
    """Contrasts of the map where there is iron: negative where the sign of the phase is inverted.

    Parameters
    ----------
    dark_sd : float or None, optional
        Where the last magnitude is dark and narrow, SDs of the contrast; None where the scan says nothing of it. It
        decides where it is beyond 3 SDs.
    iron_ppm : float or None, optional
        Where R2* is highest, ppm; None where that is not known. It decides where the dark does not, beyond 0.02 ppm.

    Examples
    --------
    >>> SignContrast(12.0, -0.03).verdict, SignContrast(1.5, -0.03).verdict, SignContrast(1.5, -0.012).verdict
    ('right', 'inverted', 'undecided')
    """

    dark_sd: float | None = None
    iron_ppm: float | None = None

    @property
    def deciding(self) -> dict[str, float]:
        """The contrasts that the verdict rests on, by their names: one that decides, or all that do not."""
        known = {name: value for name, value in self._asdict().items() if value is not None}
        clear = [name for name, value in known.items() if abs(value) > MIN_CONTRAST[name]]
        return {clear[0]: known[clear[0]]} if clear else known

    @property
    def verdict(self) -> Literal["right", "inverted", "undecided"]:
        """Whether iron is paramagnetic on the map."""
        for name, value in self.deciding.items():
            if abs(value) > MIN_CONTRAST[name]:
                return "right" if value > 0 else "inverted"
        return "undecided"


MIN_CONTRAST = {"dark_sd": MIN_SIGN_SD, "iron_ppm": MIN_DIFFERENCE_PPM}
"""Size beyond which a contrast says something of the sign."""


class ScanChecks(NamedTuple):
    """Hold all of them.

    Parameters
    ----------
    phase : PhaseChecks
        What unwrapping and echo fit leave.
    sign : SignContrast
        Contrasts of the map where there is iron.

    Examples
    --------
    >>> ScanChecks(PhaseChecks(), SignContrast()).sign.verdict
    'undecided'
    """

    phase: PhaseChecks
    sign: SignContrast


def check_phase(
    scan: GreScan, clean_phase_rad: FloatArray, total_field_hz: FloatArray, brain: BoolArray
) -> PhaseChecks:
    """Return what unwrapping and echo fit leave.

    Parameters
    ----------
    scan : GreScan
        Gives magnitude, echo times and geometry.
    clean_phase_rad : ndarray of shape (echo, x, y, z)
        Wrapped phase without the receive phase, rad.
    total_field_hz : ndarray of shape (x, y, z)
        Total field, Hz.
    brain : ndarray of shape (x, y, z), bool
        Brain mask.

    Returns
    -------
    PhaseChecks
        Where the signal is above a third of the brain's; nothing where there is no such voxel.

    Notes
    -----
    The residual of echo e is wrap(phase_e - 2 pi f TE_e), its SD the median absolute value over 0.6745.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010, 0.015)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t, np.float32) for t in te])
    >>> scan = GreScan(phase, np.ones_like(phase), te_s=te, b0_tesla=3.0, grid=grid)
    >>> found = check_phase(scan, phase + np.float32([0, 0, 0.1])[:, None, None, None], 0 * phase[0] + 10, phase[0] < 9)
    >>> [round(sd, 3) for sd in found.echo_residual_rad]
    [0.0, 0.0, 0.148]
    """
    magnitude = scan.magnitude[0]
    bright = brain & (magnitude > MIN_SIGNAL_FRACTION * np.median(magnitude[brain])) if brain.any() else brain
    if not bright.any():
        return PhaseChecks()
    found = find_singularities(clean_phase_rad[0], bright, scan.grid)
    residuals = []
    for phase, te_s in zip(clean_phase_rad, scan.te_s, strict=True) if scan.n_echoes >= MIN_ECHOES else ():
        left = phase[bright] - np.float32(2 * np.pi * te_s) * total_field_hz[bright]
        turns = np.round(left / np.float32(2 * np.pi))
        residuals.append(float(np.median(np.abs(left - np.float32(2 * np.pi) * turns))) / MAD_OF_NORMAL)
    longest_mm = found.longest_mm if found.n_lines else 0.0
    return PhaseChecks(found.n_lines, longest_mm, tuple(residuals))


def check_sign(
    scan: GreScan, chi_ppm: FloatArray, r2star_hz: FloatArray | None, mask: BoolArray
) -> SignContrast:
    """Return the contrasts of the map where there is iron: what is dark and narrow in the last echo, and high R2*.

    Parameters
    ----------
    scan : GreScan
        The scan.
    chi_ppm : ndarray of shape scan.grid.shape
        Susceptibility, ppm.
    r2star_hz : ndarray of shape scan.grid.shape or None
        R2*, 1/s, where it is known.
    mask : ndarray of shape scan.grid.shape, bool
        Where the map is defined.

    Returns
    -------
    SignContrast
        The contrasts; none where no echo is late enough for iron to be dark.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> rate = np.random.default_rng(0).uniform(10, 50, grid.shape).astype(np.float32)
    >>> echoes = np.ones((2, *grid.shape), np.float32)
    >>> scan = GreScan(0 * echoes, echoes, te_s=(0.01, 0.02), b0_tesla=3.0, grid=grid)
    >>> check_sign(scan, -0.01 * rate, rate, rate > 0).verdict
    'inverted'
    """
    last = int(np.argmax(scan.te_s))
    if scan.b0_tesla * scan.te_s[last] < MIN_WEIGHTING_T_S:
        return SignContrast()
    dark = contrast_of_the_dark(chi_ppm, scan.magnitude[last], mask, scan.grid)
    iron = None if r2star_hz is None else contrast_of_iron(chi_ppm, r2star_hz, mask, scan.grid)
    return SignContrast(dark.in_sd if dark else None, iron)
