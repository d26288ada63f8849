"""Limits of the quality record: between which values a number is good, and from which on it is bad.

The reason for each limit stands in the page "How good is this scan" (docs/how-to/quality.md), whose table a test holds
equal to this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qsmcmb.io.records import ColumnDescription

__all__ = ["LIMITS", "Limit", "flat_quality", "quality_columns"]


class Limit(NamedTuple):
    """Hold the limits of a number, and what it is.

    Parameters
    ----------
    stage : str
        Stage that it belongs to.
    description : str
        What it is, in words.
    unit : str
        Its unit; empty for a ratio or a count.
    good : tuple of float or None
        Least and largest value that are good; None for no limit on this side.
    usable : tuple of float or None, optional
        Least and largest value that are not bad.

    Examples
    --------
    >>> LIMITS["snr_first_echo"].verdict(60.0), LIMITS["snr_first_echo"].verdict(2.0)
    ('good', 'bad')
    """

    stage: str
    description: str
    unit: str
    good: tuple[float | None, float | None]
    usable: tuple[float | None, float | None] = (None, None)

    def verdict(self, value: float | None) -> str:
        """Return what a value is.

        Parameters
        ----------
        value : float or None
            The number; None where the scan has none.

        Returns
        -------
        {"good", "look", "bad", "n/a"}
            The verdict.

        Examples
        --------
        >>> LIMITS["field_sd_ppb"].verdict(None)
        'n/a'
        """
        if value is None or value != value:
            return "n/a"
        if not _within(value, self.usable):
            return "bad"
        return "good" if _within(value, self.good) else "look"


def _within(value: float, limits: tuple[float | None, float | None]) -> bool:
    """Say whether a value lies between two limits, both included."""
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


LIMITS = {
    "n_echoes": Limit("load", "Number of echoes", "", (3, None)),
    "echoes_missing": Limit("load", "Echoes that the numbering has and the data set lacks", "", (None, 0)),
    "snr_first_echo": Limit(
        "load", "SNR of the magnitude, first echo, median over the brain", "", (15, None), (5, None)
    ),
    "snr_last_echo": Limit("load", "SNR of the magnitude, last echo, median over the brain", "", (3, None)),
    "mask_ml": Limit("mask", "Volume of the brain mask", "ml", (150, 2100), (1, 3000)),
    "dark_fraction": Limit("mask", "Fraction of the mask as dark as air", "", (None, 0.05), (None, 0.2)),
    "longest_fringe_line_mm": Limit(
        "unwrap", "Longest fringe line with open ends; 0 without one above 20 mm", "mm", (None, 0), (None, 60)
    ),
    "unreliable_fraction": Limit(
        "fieldmap", "Fraction of the mask that the reliable mask leaves out", "", (None, 0.05), (None, 0.25)
    ),
    "field_sd_ppb": Limit("fieldmap", "SD of the field, median over the brain", "ppb", (None, 4), (None, 8)),
    "echo_residual_rad": Limit(
        "fieldmap", "Residual of the echo fit beyond noise, worst echo", "rad", (None, 0.3), (None, 0.8)
    ),
    "rim_field_ppb": Limit(
        "background",
        "Local field in the outer 4 mm of the mask, median of its size",
        "ppb",
        (None, 30),
        (None, 100),
    ),
    "map_spread_ppm": Limit(
        "invert",
        "Spread of the map over the brain, from the median absolute deviation",
        "ppm",
        (0.008, 0.06),
        (None, 0.12),
    ),
    "dark_contrast_sd": Limit(
        "invert", "Contrast of the map where the last echo is dark and narrow", "SD", (3, None), (-3, None)
    ),
    "iron_contrast_ppm": Limit(
        "invert", "Map where R2* is highest, less the brain's median", "ppm", (0.02, None), (-0.02, None)
    ),
    "reference_ml": Limit("invert", "Volume of the region whose mean is 0", "ml", (1, None)),
    "r2star_median_hz": Limit("r2star", "Median R2* of the brain", "1/s", (5, 80)),
    "detection_limit_ppm_mm3": Limit(
        "quantify", "Detection limit, median over the brain", "ppm mm3", (None, 3), (None, 5)
    ),
    "poor_fit_fraction": Limit(
        "quantify", "Fraction of the lesions whose fit is poor or did not converge", "", (None, 0.3)
    ),
    "registration_dice": Limit(
        "anatomy", "Overlap of brain and template after registration (Dice)", "", (0.94, None), (0.90, None)
    ),
    "registration_correlation": Limit(
        "anatomy", "Correlation of scan and template after registration", "", (0.27, None), (0.25, None)
    ),
}
"""Limits by the name of the number, in the order in which the stages run."""


def flat_quality(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the quality of a scan as one row of a table.

    Parameters
    ----------
    record : mapping
        Quality JSON; empty where an earlier version left none.

    Returns
    -------
    dict
        Verdict of the scan, verdict by stage, then every number; None where there is none.

    Examples
    --------
    >>> flat_quality({"Verdict": "good", "Stages": {}})["verdict"], flat_quality({})["mask_ml"]
    ('good', None)
    """
    stages = record.get("Stages", {})
    numbers = {m["Name"]: m["Value"] for stage in stages.values() for m in stage["Measures"]}
    verdicts = {f"verdict_{name}": stages.get(name, {}).get("Verdict") for name in _stages()}
    return {"verdict": record.get("Verdict"), **verdicts, **{name: numbers.get(name) for name in LIMITS}}


def quality_columns() -> dict[str, ColumnDescription]:
    """Return the description of each column of the table of quality.

    Returns
    -------
    dict of str to ColumnDescription
        Description by column, in their order.

    Examples
    --------
    >>> quality_columns()["mask_ml"]["Units"]
    'ml'
    """
    levels = {
        "good": "Nothing stands out", "look": "Look at the maps of this stage before you use the numbers",
        "bad": "Do not use what rests on this stage",
    }  # fmt: skip
    columns: dict[str, ColumnDescription] = {
        "verdict": {"Description": "Worst verdict of the stages", "Levels": levels}
    }
    for name in _stages():
        columns[f"verdict_{name}"] = {"Description": f"Verdict of the stage {name}", "Levels": levels}
    for name, limit in LIMITS.items():
        columns[name] = {"Description": limit.description, **({"Units": limit.unit} if limit.unit else {})}
    return columns


def _stages() -> list[str]:
    """Return the stages that have limits, in their order."""
    return list(dict.fromkeys(limit.stage for limit in LIMITS.values()))
