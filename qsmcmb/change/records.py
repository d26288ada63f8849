"""Rows of the longitudinal table: its columns, and the change of one lesion between two sessions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, TypedDict, get_type_hints

from scipy.special import erfc

from qsmcmb.change.flags import NOT_AT_BASELINE, ORDER_UNKNOWN, REJECTED_AT_BASELINE, REJECTED_AT_FOLLOWUP
from qsmcmb.io.records import ColumnDescription
from qsmcmb.model import Estimate
from qsmcmb.units import PPM_MM3

__all__ = (
    "COLUMNS", "NORMAL_QUANTILE", "Change", "ChangeRow", "without_order",
)  # fmt: skip

NORMAL_QUANTILE = 1.96
"""Quantile of the normal distribution that leaves 2.5 % above it: limits of change hold in 95 % of stable lesions."""
STATUSES = {
    "stable": "change within its detection limit",
    "incident": "new: not in the baseline, which could have shown it and has nothing at its place",
    "resolved": "gone: not in the follow-up, which could have shown it and has nothing at its place; may be chemistry",
    "increased": "change above its detection limit",
    "decreased": "change below the negative of its detection limit; iron or its chemistry, as the magnet cannot tell",
    "not_evaluable": "one session does not show the position or could not have shown the lesion, shows another head, "
    "a reader has rejected the lesion in one session alone, or nobody knows which session came first",
}
"""Statuses of a lesion, with what each means."""

LABELS = "separated by +, rejected or not; n/a where it has none"


def _column(description: str, unit: str = "", levels: dict[str, str] | None = None) -> ColumnDescription:
    """Return the description of a column as BIDS wants it."""
    column: ColumnDescription = {"Description": description}
    if unit:
        column["Units"] = unit
    if levels:
        column["Levels"] = levels
    return column


class ChangeRow(TypedDict, total=False):
    """Row of the longitudinal table; what is unknown is missing.

    Its keys are the columns of the table (`*_desc-cmb_longitudinal.tsv`) in their order. There is no other
    list of them.

    Examples
    --------
    >>> ChangeRow(lesion=1, status="stable")["status"]
    'stable'
    """

    lesion: Annotated[int, _column("Number of the lesion, the same in all sessions of the subject")]
    status: Annotated[str, _column("What the change means", levels=STATUSES)]
    baseline_session: Annotated[str, _column("Earlier session")]
    followup_session: Annotated[str, _column("Later session")]
    interval_years: Annotated[float | None, _column("Time between the sessions", "year")]
    x_mm: Annotated[float, _column("Centre, scanner RAS+ of the baseline session", "mm")]
    y_mm: Annotated[float, _column("Centre, scanner RAS+ of the baseline session", "mm")]
    z_mm: Annotated[float, _column("Centre, scanner RAS+ of the baseline session", "mm")]
    baseline_ppm_mm3: Annotated[float, _column("Total susceptibility at baseline", PPM_MM3)]
    baseline_sd_ppm_mm3: Annotated[float, _column("Its standard deviation", PPM_MM3)]
    followup_ppm_mm3: Annotated[float, _column("Total susceptibility at follow-up", PPM_MM3)]
    followup_sd_ppm_mm3: Annotated[float, _column("Its standard deviation", PPM_MM3)]
    change_ppm_mm3: Annotated[float, _column("Follow-up minus baseline", PPM_MM3)]
    change_sd_ppm_mm3: Annotated[
        float,
        _column(
            "Its standard deviation without a change: both fits, and what each scan's lesions share", PPM_MM3
        ),
    ]
    change_percent: Annotated[float, _column("Change over the baseline", "%")]
    mdc_ppm_mm3: Annotated[float, _column("Minimum detectable change, 1.96 SD of the change", PPM_MM3)]
    p_value: Annotated[float | None, _column("Two-sided p value of no change")]
    flags: Annotated[str | None, _column("What to know before using the row, separated by semicolons")]
    baseline_labels: Annotated[
        str | None, _column(f"Rows of the lesion table of the baseline session, {LABELS}")
    ]
    followup_labels: Annotated[
        str | None, _column(f"Rows of the lesion table of the follow-up session, {LABELS}")
    ]
    status_probability: Annotated[
        float | None, _column("Probability that the status is right, 0 to 1; n/a where it is not evaluable")
    ]


COLUMNS: dict[str, ColumnDescription] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(ChangeRow, include_extras=True).items()
}
"""Columns of the longitudinal table (`*_desc-cmb_longitudinal.tsv`), in order, with their descriptions."""


@dataclass(frozen=True)
class Change:
    """One lesion over two sessions.

    Parameters
    ----------
    lesion : int
        Number of the lesion, the same in all sessions of the subject.
    status : str
        ``stable``, ``incident``, ``resolved``, ``increased``, ``decreased`` or ``not_evaluable``.
    position_mm : tuple of float
        Centre, scanner RAS+ of the baseline session, mm.
    baseline : Estimate or None
        Total susceptibility at baseline, ppm mm3; None where it says nothing.
    followup : Estimate or None
        Total susceptibility at follow-up, ppm mm3; None where it says nothing.
    change_sd_ppm_mm3 : float, optional
        SD of the change of an unchanged lesion, ppm mm3.
    probability : float, optional
        Probability that the status is right, 0 to 1.
    new_probability : float, optional
        Probability that the baseline did not hold the lesion, 0 to 1; None where it is not evaluable.
    flags : tuple of str, optional
        What to know before the row is used.

    Examples
    --------
    >>> before, after = Estimate(4.0, 0.3, "ppm mm3"), Estimate(5.0, 0.4, "ppm mm3")
    >>> Change(1, "stable", (0.0, 0.0, 0.0), before, after, change_sd_ppm_mm3=0.5).row()["change_ppm_mm3"]
    1.0
    """

    lesion: int
    status: str
    position_mm: tuple[float, float, float]
    baseline: Estimate | None
    followup: Estimate | None
    change_sd_ppm_mm3: float | None = None
    probability: float | None = None
    new_probability: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def has_unlike_verdicts(self) -> bool:
        """Whether a reader has rejected the lesion in one session, and both show it: then it has no status."""
        rejected = {REJECTED_AT_BASELINE, REJECTED_AT_FOLLOWUP} & set(self.flags)
        return bool(rejected) and self.status == "not_evaluable"

    def row(self) -> ChangeRow:
        """Return the row of the longitudinal table, without the sessions.

        The minimum detectable change is 1.96 SD of the change.

        Returns
        -------
        ChangeRow
            Column to value; what is unknown is missing.

        Examples
        --------
        >>> before, after = Estimate(4.0, 0.3, "ppm mm3"), Estimate(5.0, 0.4, "ppm mm3")
        >>> change = Change(1, "stable", (0.0, 0.0, 0.0), before, after, change_sd_ppm_mm3=0.5)
        >>> round(change.row()["mdc_ppm_mm3"], 2)
        0.98
        """
        x, y, z = self.position_mm
        row: ChangeRow = {
            "lesion": self.lesion, "status": self.status, "x_mm": x, "y_mm": y, "z_mm": z,
            "flags": ";".join(self.flags) or None, "status_probability": self.probability,
        }  # fmt: skip
        if self.baseline is not None:
            row["baseline_ppm_mm3"] = self.baseline.value
            if not math.isnan(self.baseline.sd):
                row["baseline_sd_ppm_mm3"] = self.baseline.sd
        if self.followup is not None:
            row["followup_ppm_mm3"] = self.followup.value
            if not math.isnan(self.followup.sd):
                row["followup_sd_ppm_mm3"] = self.followup.sd
        if self.baseline is None or self.followup is None or self.change_sd_ppm_mm3 is None:
            return row
        change, sd = self.followup.value - self.baseline.value, self.change_sd_ppm_mm3
        row["change_ppm_mm3"], row["change_sd_ppm_mm3"] = change, sd
        row["mdc_ppm_mm3"] = NORMAL_QUANTILE * sd
        row["p_value"] = float(erfc(abs(change) / sd / math.sqrt(2))) if sd > 0 else None
        if NOT_AT_BASELINE not in self.flags and self.baseline.value != 0:
            row["change_percent"] = 100 * change / abs(self.baseline.value)
        return row


def without_order(change: Change) -> Change:
    """Return a change between sessions of unknown order: whether a lesion came or went, grew or shrank is not known.

    Parameters
    ----------
    change : Change
        Change in the order that was assumed.

    Returns
    -------
    Change
        Flag `session-order-unknown`; every status but `stable` becomes `not_evaluable`.

    Examples
    --------
    >>> new = Change(1, "incident", (0.0, 0.0, 0.0), None, None, probability=0.9)
    >>> without_order(new).status, without_order(new).probability, without_order(new).flags
    ('not_evaluable', None, ('session-order-unknown',))
    """
    flags = (*change.flags, ORDER_UNKNOWN)
    if change.status == "stable":
        return replace(change, new_probability=None, flags=flags)
    return replace(change, status="not_evaluable", probability=None, new_probability=None, flags=flags)
