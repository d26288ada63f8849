"""Inversion of a scan from the data that its method starts from, and the same inversion of any other field."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.background_removal.head import LocalField, remove_background
from qsmcmb.background_removal.smooth_remainder import remove_smooth_remainder
from qsmcmb.core.dipole import forward_field
from qsmcmb.dipole_inversion.head import invert, starting_point
from qsmcmb.model import GreScan
from qsmcmb.pipeline.config import Config
from qsmcmb.pipeline.scan_checks import PhaseChecks
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T, hz_to_ppm, ppm_to_hz

__all__ = ["Inversion", "PhaseToField", "local_field_of"]


class PhaseToField(NamedTuple):
    """Total field of a scan and its mask.

    Parameters
    ----------
    mask : ndarray of bool
        Brain.
    offset_rad : ndarray
        Receive phase at TE = 0, rad.
    total_field_hz, field_sd_hz : ndarray
        Total field and its SD, Hz.
    warnings : tuple of str, optional
        Messages to the user.
    has_receive_phase : bool, optional
        Whether the total field holds the receive phase, as from one echo.
    checks : PhaseChecks, optional
        What unwrapping and echo fit leave.

    Examples
    --------
    >>> nothing = np.zeros((2, 2, 2), np.float32)
    >>> PhaseToField(mask=nothing > 0, offset_rad=nothing, total_field_hz=nothing, field_sd_hz=nothing).warnings
    ()
    """

    mask: BoolArray
    offset_rad: FloatArray
    total_field_hz: FloatArray
    field_sd_hz: FloatArray
    warnings: tuple[str, ...] = ()
    has_receive_phase: bool = False
    checks: PhaseChecks = PhaseChecks()


def local_field_of(phase: PhaseToField, scan: GreScan, config: Config) -> LocalField:
    """Remove the background as configured, and the smooth remainder that the receive phase of one echo leaves.

    Parameters
    ----------
    phase : PhaseToField
        Total field, its SD and mask.
    scan : GreScan
        Gives the geometry.
    config : Config
        Method and options.

    Returns
    -------
    LocalField
        Local field, Hz, and the mask where it is defined.

    Raises
    ------
    InvalidInputError
        The total field is not finite inside the mask.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
    >>> local_field_of(phase, scan, make_config()).local_field_hz.shape
    (8, 8, 8)
    """
    chosen = config["background"]
    local = remove_background(
        phase.total_field_hz, phase.mask, scan.grid, method=chosen.method, field_sd_hz=phase.field_sd_hz,
        options=chosen.options,
    )  # fmt: skip
    if not phase.has_receive_phase:
        return local
    level = remove_smooth_remainder(
        local.local_field_hz, local.mask, scan.grid, field_sd_hz=phase.field_sd_hz
    )
    return local._replace(local_field_hz=level.local_field_hz)


class Inversion:
    """Inversion of one scan, ready for its own field and for any other.

    Parameters
    ----------
    scan : GreScan
        Gives the wrapped phase, magnitude, echo times and field strength.
    config : Config
        Method and options.
    phase : PhaseToField
        Total field, its SD and the phase offset.
    local : LocalField or None
        Local field; None for a method that starts before it.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
    >>> inversion = Inversion(scan, make_config({"invert": {"method": "tkd"}}), phase, None)
    >>> bool(inversion.mask.all())
    True
    """

    def __init__(self, scan: GreScan, config: Config, phase: PhaseToField, local: LocalField | None) -> None:
        self._scan, self._phase, self._local = scan, phase, local
        self._config, self._chosen = config, config["invert"]
        self._start = starting_point(self._chosen.method)
        self._sd_ppm = hz_to_ppm(phase.field_sd_hz, scan.b0_tesla)
        self.mask = phase.mask if local is None else local.mask

    def of_scan(self) -> FloatArray:
        """Return the map of the scan, ppm.

        Returns
        -------
        ndarray of shape scan.grid.shape
            Susceptibility, ppm, against the mean over the mask.

        Examples
        --------
        >>> from qsmcmb.pipeline.config import make_config
        >>> from qsmcmb.model import Grid
        >>> grid = Grid.isotropic((8, 8, 8), 1.0)
        >>> ones = np.ones(grid.shape, np.float32)
        >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
        >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
        >>> inversion = Inversion(scan, make_config({"invert": {"method": "tkd"}}), phase, None)
        >>> float(abs(inversion.of_scan()).max())
        0.0
        """
        scan, phase = self._scan, self._phase
        if self._start == "wrapped phase":
            # Only what the receiver adds is taken off: it is not the field's.
            return self._invert(_wrapped(scan.phase_rad - phase.offset_rad))
        field_hz = phase.total_field_hz if self._local is None else self._local.local_field_hz
        return self._invert(hz_to_ppm(field_hz, scan.b0_tesla))

    def of_sources(self, field_ppm: FloatArray) -> FloatArray:
        """Return the map of the total field that sources inside the mask make, through the scan's own stages.

        The background is removed as from the scan: near the mask's edge it takes part of a lesion's field with it.

        Parameters
        ----------
        field_ppm : ndarray of shape scan.grid.shape
            Total field, ppm.

        Returns
        -------
        ndarray
            Susceptibility, ppm.

        Examples
        --------
        >>> from qsmcmb.pipeline.config import make_config
        >>> from qsmcmb.model import Grid
        >>> grid = Grid.isotropic((8, 8, 8), 1.0)
        >>> ones = np.ones(grid.shape, np.float32)
        >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
        >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
        >>> inversion = Inversion(scan, make_config({"invert": {"method": "tkd"}}), phase, None)
        >>> inversion.of_sources(0.1 * ones).shape
        (8, 8, 8)
        """
        if self._local is None:
            return self.of_field(np.where(self.mask, field_ppm, 0).astype(np.float32))
        scan = self._scan
        total_hz = np.where(self._phase.mask, ppm_to_hz(field_ppm, scan.b0_tesla), 0).astype(np.float32)
        local = local_field_of(self._phase._replace(total_field_hz=total_hz), scan, self._config)
        return self.of_field(hz_to_ppm(local.local_field_hz, scan.b0_tesla))

    def of_field(self, field_ppm: FloatArray) -> FloatArray:
        """Return the map of a local field through the same inversion.

        Parameters
        ----------
        field_ppm : ndarray of shape scan.grid.shape
            Local field, ppm.

        Returns
        -------
        ndarray
            Susceptibility, ppm.

        Examples
        --------
        >>> from qsmcmb.pipeline.config import make_config
        >>> from qsmcmb.model import Grid
        >>> grid = Grid.isotropic((8, 8, 8), 1.0)
        >>> ones = np.ones(grid.shape, np.float32)
        >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
        >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
        >>> inversion = Inversion(scan, make_config({"invert": {"method": "tkd"}}), phase, None)
        >>> inversion.of_field(0.1 * ones).dtype
        dtype('float32')
        """
        if self._start == "wrapped phase":
            turns = [2 * np.pi * GAMMA_MHZ_PER_T * self._scan.b0_tesla * te for te in self._scan.te_s]
            return self._invert(np.stack([_wrapped(np.float32(t) * field_ppm) for t in turns]))
        # The scan's own local field tells noise and tissue, for this map as for the scan's.
        own = None if self._local is None else hz_to_ppm(self._local.local_field_hz, self._scan.b0_tesla)
        return self._invert(field_ppm, own)

    def _invert(self, start: FloatArray, weights_field_ppm: FloatArray | None = None) -> FloatArray:
        return invert(
            start, self.mask, self._scan.grid, method=self._chosen.method, field_sd_ppm=self._sd_ppm,
            magnitude=self._scan.magnitude, te_s=self._scan.te_s, b0_tesla=self._scan.b0_tesla,
            weights_field_ppm=weights_field_ppm, options=self._chosen.options,
        )  # fmt: skip

    def local_field_hz(self, chi_ppm: FloatArray) -> FloatArray:
        """Return the local field: the one inverted, or the map's own where no stage has made one.

        Parameters
        ----------
        chi_ppm : ndarray of shape scan.grid.shape
            Susceptibility, ppm.

        Returns
        -------
        ndarray
            Local field, Hz.

        Examples
        --------
        >>> from qsmcmb.pipeline.config import make_config
        >>> from qsmcmb.model import Grid
        >>> grid = Grid.isotropic((8, 8, 8), 1.0)
        >>> ones = np.ones(grid.shape, np.float32)
        >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
        >>> phase = PhaseToField(mask=ones > 0, offset_rad=0 * ones, total_field_hz=0 * ones, field_sd_hz=ones)
        >>> inversion = Inversion(scan, make_config({"invert": {"method": "tkd"}}), phase, None)
        >>> float(abs(inversion.local_field_hz(inversion.of_scan())).max())
        0.0
        """
        if self._local is not None:
            return self._local.local_field_hz
        field_hz = forward_field(chi_ppm, self._scan.grid) * np.float32(GAMMA_MHZ_PER_T * self._scan.b0_tesla)
        return np.where(self.mask, field_hz, 0).astype(np.float32)


def _wrapped(phase_rad: FloatArray) -> FloatArray:
    turn = np.float32(2 * np.pi)
    return np.asarray(phase_rad - turn * np.round(phase_rad / turn), np.float32)
