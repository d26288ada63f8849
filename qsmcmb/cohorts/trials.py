"""Incident microbleeds of published trials: crude odds ratios from the printed counts, beside what was printed."""

from __future__ import annotations

from typing import NamedTuple

from qsmcmb.cohorts.data_folder import data_folder
from qsmcmb.cohorts.two_by_two import TwoArms, wald_odds_ratio
from qsmcmb.io.tables import read_tsv

__all__ = ("Recomputed", "recompute_trials")

TOLERANCE = 0.01
"""Difference of two numbers of two decimals that rounding of either explains."""
LEVEL = 0.05
"""Level below which a p value is called significant."""


class Recomputed(NamedTuple):
    """A trial's odds ratio, recomputed and printed.

    Parameters
    ----------
    trial : str
        Name and dose.
    arms : TwoArms
        Subjects with new microbleeds.
    odds_ratio, low, high : float
        Crude odds ratio with Wald's 95 % interval.
    p_value : float
        Wald's p value.
    printed : str
        What the publication prints.
    disagreement : str
        Why the two do not agree; empty where they do, or where nothing was printed.

    Examples
    --------
    >>> recompute_trials()[0].trial
    'CASISP'
    """

    trial: str
    arms: TwoArms
    odds_ratio: float
    low: float
    high: float
    p_value: float
    printed: str
    disagreement: str


def recompute_trials() -> list[Recomputed]:
    """Return the odds ratios of all trials of the shipped table, held against the printed ones.

    A printed number agrees within 0.01 once both have two decimals.

    Returns
    -------
    list of Recomputed
        One for each trial and dose.

    Examples
    --------
    >>> [t.trial for t in recompute_trials() if t.disagreement]
    ['PERFORM', 'AVERROES', 'COMPASS 5 mg']
    """
    return [_recompute(row) for row in read_tsv(data_folder() / "trials.tsv")]


def _recompute(row: dict[str, str | None]) -> Recomputed:
    """Return one trial."""
    names = ("experimental_events", "experimental_n", "control_events", "control_n")
    arms = TwoArms(*(int(str(row[name])) for name in names))
    found = wald_odds_ratio(arms)
    printed = [
        None if row[k] is None else float(str(row[k])) for k in ("printed", "printed_low", "printed_high")
    ]
    printed_as = row["printed_as"] or "nothing"
    numbers = [f"{value:.2f}" for value in printed if value is not None]
    shown = f"{printed_as} {numbers[0]}" if numbers else printed_as
    shown += f" ({numbers[1]}-{numbers[2]})" if len(numbers) == 3 else ""
    off = [
        f"{ours:.2f}, printed {theirs:.2f}"
        for ours, theirs in zip(found, printed, strict=False)
        if theirs is not None and abs(round(ours, 2) - theirs) > TOLERANCE + 1e-9
    ]
    said = "; ".join(off[:1])
    if said and printed_as != "odds ratio":
        said += f", which is a {printed_as}"
    if printed_as.startswith("no significant") and found[3] < LEVEL:
        said = f"printed as {printed_as}, the crude test gives p = {found[3]:.3f}"
    return Recomputed(str(row["trial"]), arms, *found, shown, said)
