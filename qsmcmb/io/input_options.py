"""Statements of the user on the stored phase, where files and sidecars lack or misstate it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from qsmcmb.errors import ConfigError

__all__: tuple[str, ...] = ()

LEGAL_UNITS = ("rad", "arbitrary")
"""Values of the key Units that BIDS allows for phase."""


@dataclass(frozen=True)
class InputOptions:
    """Statements of the user on the stored phase; None leaves a statement to the files.

    Parameters
    ----------
    phase_units : {"rad", "arbitrary"}, optional
        Unit of the stored phase, in place of the sidecars' `Units`.
    phase_range : tuple of float, optional
        Stored values that stand for -pi and pi.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field; 1 without a statement.
    phase_filtered : bool, optional
        Whether the scanner has high-pass filtered the phase, in place of what the phase itself shows.

    Examples
    --------
    >>> InputOptions(phase_units="rad").record()
    {'phase_units': 'rad'}
    """

    phase_units: str | None = None
    phase_range: tuple[float, float] | None = None
    phase_sign: int | None = None
    phase_filtered: bool | None = None

    @property
    def sign(self) -> int:
        """Factor that makes paramagnetic fields positive: 1 or -1."""
        return 1 if self.phase_sign is None else self.phase_sign

    def record(self) -> dict[str, Any]:
        """Return what is stated, by option.

        Returns
        -------
        dict
            Value by name; what is not stated is left out.
        """
        stated = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in stated.items() if v is not None}

    def updated(self, other: InputOptions) -> InputOptions:
        """Return these options with those that another record states in their place.

        Parameters
        ----------
        other : InputOptions
            The options that win, such as those of the command line over those of a file.

        Returns
        -------
        InputOptions
            Both together.
        """
        return replace(
            self, **{f.name: v for f in fields(other) if (v := getattr(other, f.name)) is not None}
        )


def make_input_options(table: Mapping[str, Any]) -> InputOptions:
    """Return the options that a table states.

    Parameters
    ----------
    table : mapping
        Value by option, as in the configuration's table `[input]`.

    Returns
    -------
    InputOptions
        The same, checked.

    Raises
    ------
    ConfigError
        An unknown option, or a value that is none of its legal ones.

    Examples
    --------
    >>> make_input_options({"phase_range": [0, 4096]}).phase_range
    (0.0, 4096.0)
    """
    names = [f.name for f in fields(InputOptions)]
    for name in table:
        if name not in names:
            raise ConfigError(f"[input] has no option {name!r}; its options are: {', '.join(names)}")
    units, sign, span = (table.get(n) for n in ("phase_units", "phase_sign", "phase_range"))
    if units is not None and units not in LEGAL_UNITS:
        raise ConfigError(f"[input] phase_units = {units!r}; expected one of {', '.join(LEGAL_UNITS)}")
    if sign is not None and (isinstance(sign, bool) or sign not in (1, -1)):
        raise ConfigError(f"[input] phase_sign = {sign!r}; expected 1 or -1")
    filtered = table.get("phase_filtered")
    if filtered is not None and not isinstance(filtered, bool):
        raise ConfigError(f"[input] phase_filtered = {filtered!r}; expected true or false")
    return InputOptions(phase_units=units, phase_range=_pair(span), phase_sign=sign, phase_filtered=filtered)


def _pair(span: Any) -> tuple[float, float] | None:
    """Return two ascending numbers, or None where nothing is stated."""
    if span is None:
        return None
    try:
        low, high = (float(v) for v in span)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ConfigError(f"[input] phase_range = {span!r}; expected two numbers, the lower first")
    return low, high
