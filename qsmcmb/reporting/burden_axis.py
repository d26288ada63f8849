"""The axis of burdens that all figures of a group share, and how each field strength is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from matplotlib.ticker import MaxNLocator

__all__ = ["BurdenAxis", "FieldStyle", "field_name", "field_style"]

NOMINAL_TESLA = (1.5, 3.0, 7.0)
"""Field strengths that scanners are sold as: a 3 T scanner of 2.89 T counts as one of 3 T."""
NOMINAL_WITHIN = 0.1
"""Relative difference up to which a field strength has a nominal one's name."""
UNKNOWN_FIELD = "unknown field"
SPAN = 10.0
"""Largest burden over the smallest above 0 from which on the axis is logarithmic."""
TICKS_PPM_MM3 = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Burdens that a logarithmic axis names; it is linear below 1."""
MAX_END = 5.0
"""Largest end of an interval over the largest burden that the axis holds: longer ones run out of the picture."""


class FieldStyle(NamedTuple):
    """How scans of one field strength are drawn: no two of the usual ones share shape or colour.

    Parameters
    ----------
    shape : str
        Name of the marker in a table.
    marker : str
        The same for matplotlib.
    colour : str
        Colour of a set that the colour-blind tell apart (Okabe and Ito).

    Examples
    --------
    >>> FieldStyle("square", "s", "#d55e00").marker
    's'
    """

    shape: str
    marker: str
    colour: str


STYLES = {
    "1.5 T": FieldStyle("circle", "o", "#0072b2"),
    "3 T": FieldStyle("square", "s", "#d55e00"),
    "7 T": FieldStyle("diamond", "D", "#007a5a"),
    UNKNOWN_FIELD: FieldStyle("cross", "X", "#555555"),
}
OTHER_STYLE = FieldStyle("triangle", "^", "#a8327d")


def field_name(b0_tesla: float | None) -> str:
    """Return the name of a field strength: the nominal one where it is within 10 % of it.

    Parameters
    ----------
    b0_tesla : float or None
        Field strength, T.

    Returns
    -------
    str
        Name with its unit.

    Examples
    --------
    >>> field_name(2.894), field_name(0.55), field_name(None)
    ('3 T', '0.55 T', 'unknown field')
    """
    if not b0_tesla:
        return UNKNOWN_FIELD
    near = [t for t in NOMINAL_TESLA if abs(b0_tesla - t) <= NOMINAL_WITHIN * t]
    return f"{near[0] if near else b0_tesla:.3g} T"


def field_style(name: str) -> FieldStyle:
    """Return how scans of a field strength are drawn.

    Parameters
    ----------
    name : str
        Name of the field strength.

    Returns
    -------
    FieldStyle
        Marker and colour.

    Examples
    --------
    >>> field_style("3 T").shape, field_style("0.55 T").shape
    ('square', 'triangle')
    """
    return STYLES.get(name, OTHER_STYLE)


class BurdenAxis(NamedTuple):
    """Axis of burdens from 0: logarithmic above 1 ppm mm3 where they span a factor of ten, else linear.

    Parameters
    ----------
    is_log : bool
        Whether it is logarithmic above 1 ppm mm3; below it is linear.
    top : float
        Its end, ppm mm3.
    ticks : tuple of float
        Burdens that it names.

    Examples
    --------
    >>> BurdenAxis.of([3.0, 4.0]).is_log, BurdenAxis.of([0.0, 3.0, 40.0]).is_log
    (False, True)
    """

    is_log: bool
    top: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, burdens: Iterable[float], ends: Iterable[float] = ()) -> BurdenAxis:
        """Return the axis for some burdens.

        Parameters
        ----------
        burdens : iterable of float
            Burdens, ppm mm3.
        ends : iterable of float, optional
            Upper ends of their intervals.

        Returns
        -------
        BurdenAxis
            The axis.

        Examples
        --------
        >>> BurdenAxis.of([]).top
        1.0
        """
        above = [value for value in burdens if value > 0]
        largest = max(above, default=0.0)
        reach = max((min(end, MAX_END * largest) for end in ends), default=0.0)
        is_log = largest > 1 and largest >= SPAN * min(above)
        if is_log:
            top = 1.2 * max(largest, reach)
            return cls(True, top, tuple(tick for tick in TICKS_PPM_MM3 if tick <= top))
        ticks = MaxNLocator(5).tick_values(0.0, 1.05 * max(largest, reach) or 1.0)
        return cls(False, float(ticks[-1]), tuple(float(tick) for tick in ticks))

    def position(self, burden: float) -> float:
        """Return where a burden lies on the axis.

        Parameters
        ----------
        burden : float
            Burden, ppm mm3.

        Returns
        -------
        float
            0 at its start, 1 at its end; what lies beyond is drawn at the end.

        Examples
        --------
        >>> BurdenAxis(True, 10.0, ()).position(1.0), BurdenAxis(False, 10.0, ()).position(-1.0)
        (0.5, 0.0)
        """
        inside = min(max(burden, 0.0), self.top)
        return self._stretched(inside) / self._stretched(self.top)

    def apply(self, axes: Any) -> None:
        """Give the vertical axis of a figure this scale.

        Parameters
        ----------
        axes : matplotlib Axes
            The axes.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> BurdenAxis.of([2.0, 50.0]).apply(axes)
        >>> axes.get_yscale()
        'symlog'
        """
        if self.is_log:
            # The decade below 1 is as long as each one above it, as in `position`.
            axes.set_yscale("symlog", linthresh=1.0, linscale=0.9)
        axes.set_yticks(self.ticks)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.set_ylim(0.0, self.top)
        axes.set_ylabel("burden (ppm mm$^3$)")

    def _stretched(self, burden: float) -> float:
        return 1.0 + math.log10(burden) if self.is_log and burden > 1 else burden
