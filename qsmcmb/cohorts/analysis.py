"""All statistics of one study: prevalence, incidence, two arms, adjusted models, variances, agreement, protocols."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qsmcmb.change.course import count_interval
from qsmcmb.cohorts.agreement import describe_differences, intraclass_correlation, weighted_kappa
from qsmcmb.cohorts.harmonisation import compare_protocols
from qsmcmb.cohorts.mixed_model import fit_mixed_model
from qsmcmb.cohorts.proportions import describe_proportion
from qsmcmb.cohorts.rates import compare_rates, describe_rate
from qsmcmb.cohorts.regression import regress_counts, regress_outcome
from qsmcmb.cohorts.statistic import Statistic
from qsmcmb.cohorts.study_tables import Study
from qsmcmb.cohorts.two_by_two import TwoArms, compare_arms
from qsmcmb.core.packages import require
from qsmcmb.io.entities import natural_key
from qsmcmb.typing import FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ("analyse_study", "choose_reference")

REFERENCES = ("control", "placebo", "reference", "0", "no")
"""Names of an arm that the others are compared with; the first in natural order where none is there."""
COUNT_CLASSES = (1, 2, 5, 11)
"""Lowest counts of the classes above none: 1, 2 to 4, 5 to 10, more than 10."""
PAIR_YEARS = 0.25
"""Longest time between two scans of a subject that are compared for agreement, years."""
NEW = "new microbleeds"

Row = Mapping[str, Any]


def choose_reference(levels: Sequence[str]) -> str:
    """Return the arm that the others are compared with.

    Parameters
    ----------
    levels : sequence of str
        Names of the arms, at least one.

    Returns
    -------
    str
        Control, placebo, reference, 0 or no where one is so named; else the first in natural order.

    Examples
    --------
    >>> choose_reference(["aspirin", "Placebo"]), choose_reference(["b", "a"])
    ('Placebo', 'a')
    """
    ordered = sorted(levels, key=natural_key)
    return next((level for name in REFERENCES for level in ordered if level.lower() == name), ordered[0])


def analyse_study(
    study: Study,
    participants: Mapping[str, Mapping[str, str | None]] | None = None,
    *,
    arm: str = "",
    adjust: Sequence[str] = (),
) -> list[Statistic]:
    """Return all statistics of a study.

    Parameters
    ----------
    study : Study
        Rows of its results.
    participants : mapping, optional
        Participant to the row of the participants' table.
    arm : str, optional
        Column with the arm; no comparison of arms without it.
    adjust : sequence of str, optional
        Columns that regressions are adjusted for.

    Returns
    -------
    list of Statistic
        One row each. What the data cannot say has no estimate, and says why.

    Raises
    ------
    MissingPackageError
        PACKAGE: statsmodels is not installed.

    Examples
    --------
    >>> [row.warnings for row in analyse_study(Study([], [], [], [], [], []))][0]
    ('no subject',)
    """
    require("statsmodels", extra="cohort")
    known = participants or {}
    subjects = [{**known.get(str(s["participant_id"]), {}), **s} for s in study.subjects]
    followed = [s for s in subjects if s["followed"]]
    rows = _of_group(subjects, followed, "all")
    fields = sorted({s["field_strengths"] for s in subjects})
    if len(fields) > 1:
        for field in fields:
            own = [s for s in subjects if s["field_strengths"] == field]
            rows += _of_group(own, [s for s in own if s["followed"]], f"{field} T")
    if arm:
        rows += _of_arms([s for s in subjects if s.get(arm) is not None], arm, adjust)
    elif adjust:
        rows += _regressions(subjects, followed, list(adjust), "")
    arms = {str(s["participant_id"]): str(s[arm]) for s in subjects if arm and s.get(arm) is not None}
    rows += _variances(study, arms, choose_reference(list(arms.values())) if arms else "")
    rows += _agreement(study.scans)
    rows += _protocols(study.scans)
    return rows


def _of_group(subjects: Sequence[Row], followed: Sequence[Row], group: str) -> list[Statistic]:
    """Return prevalence and incidence of one group."""
    with_any = sum(s["n_baseline"] > 0 for s in subjects)
    rows = describe_proportion(with_any, len(subjects), quantity="prevalence of microbleeds", group=group)
    with_new = sum(s["n_incident"] > 0 for s in followed)
    rows += describe_proportion(with_new, len(followed), quantity=f"proportion with {NEW}", group=group)
    rows += _expected_new(followed, group)
    events, years = sum(s["n_incident"] for s in followed), sum(s["years"] for s in followed)
    return [*rows, describe_rate(events, years, group=group, n=len(followed))]


def _expected_new(followed: Sequence[Row], group: str) -> list[Statistic]:
    """Return the proportion with new microbleeds by the lesions' probabilities of being new."""
    chances = [float(s["p_any_new"]) for s in followed if s.get("p_any_new") is not None]
    if not chances:
        return []
    n, found = len(chances), count_interval(chances)
    said = ["the interval holds what is uncertain of the lesions, not of the sample"]
    if n < len(followed):
        said.append(f"{len(followed) - n} subjects without such probabilities are left out")
    return [
        Statistic(
            f"expected proportion with {NEW} since the first session", group, found.expected / n, found.low / n,
            found.high / n, n=n, events=found.expected, model="Poisson-binomial", warnings=tuple(said),
        )
    ]  # fmt: skip


def _of_arms(subjects: Sequence[Row], arm: str, adjust: Sequence[str]) -> list[Statistic]:
    """Return each arm's proportions, and the comparison of each with the reference."""
    levels = sorted({str(s[arm]) for s in subjects}, key=natural_key)
    if len(levels) < 2:
        found = f"{arm} is {levels[0]} for all" if levels else f"no subject has a value of {arm}"
        said = (f"{found}: no arms to compare",)
        return [Statistic(f"comparison of {arm}", "all", n=len(subjects), warnings=said)]
    followed = [s for s in subjects if s["followed"]]
    rows: list[Statistic] = []
    by_arm = {level: [s for s in subjects if str(s[arm]) == level] for level in levels}
    seen = {level: [s for s in own if s["followed"]] for level, own in by_arm.items()}
    for level in levels:
        rows += _of_group(by_arm[level], seen[level], f"{arm} {level}")
    first = choose_reference(levels)
    for level in (x for x in levels if x != first):
        group = f"{arm}: {level} vs {first}"
        outcomes = ((NEW, "n_incident", seen),) if followed else ()
        for quantity, key, chosen in (*outcomes, ("microbleeds at baseline", "n_baseline", by_arm)):
            counts = [n for x in (level, first) for n in (sum(s[key] > 0 for s in chosen[x]), len(chosen[x]))]
            rows += compare_arms(TwoArms(*counts), quantity=quantity, group=group)
        pair = [seen[first], seen[level]]
        events, years = ([sum(s[key] for s in own) for own in pair] for key in ("n_incident", "years"))
        n = len(pair[0]) + len(pair[1])
        rows.append(compare_rates((events[0], events[1]), (years[0], years[1]), group=group, n=n))
    return rows + _regressions(subjects, followed, [arm, *adjust], first)


def _regressions(
    subjects: Sequence[Row], followed: Sequence[Row], terms: list[str], first: str
) -> list[Statistic]:
    """Return adjusted ratios: of new microbleeds where sessions follow, else of those at baseline."""
    if followed:
        outcome = [int(s["n_incident"] > 0) for s in followed]
        counts, years = [s["n_incident"] for s in followed], [s["years"] for s in followed]
        return [
            *regress_outcome(followed, outcome, terms, first=first),
            *regress_counts(followed, counts, terms, years=years, first=first),
        ]
    return regress_counts(subjects, [s["n_baseline"] for s in subjects], terms, first=first)


def _variances(study: Study, arms: Mapping[str, str], first: str) -> list[Statistic]:
    """Return the mixed model of the logarithm of the total susceptibility: with time, arm and field strength."""
    time = {(str(row["participant_id"]), str(row["session_id"])): row for row in study.scans}
    found = _log_totals(study)
    scans = [time.get((subject, session), {}) for subject, _, session in found]
    owners = [subject for subject, _, _ in found]
    columns: dict[str, FloatArray] = {}
    for name, key in (("1 year", "years"), ("1 T", "b0_tesla")):
        if found and all(scan.get(key) is not None for scan in scans):
            columns[name] = np.array([float(scan[key]) for scan in scans])
    if "1 year" in columns:
        for level in sorted(set(arms.values()) - {first}, key=natural_key):
            is_level = np.array([arms.get(owner) == level for owner in owners])
            columns[f"1 year, {level} against {first}"] = columns["1 year"] * is_level
    return fit_mixed_model(
        np.array(list(found.values())), columns, subjects=np.array(owners),
        lesions=np.array([f"{owner} {number}" for owner, number, _ in found]), quantity="log total susceptibility",
    )  # fmt: skip


def _log_totals(study: Study) -> dict[tuple[str, str, str], float]:
    """Return the logarithm of total susceptibilities, by subject, lesion and session."""
    found: dict[tuple[str, str, str], float] = {}
    for row in study.changes:
        for which in ("baseline", "followup"):
            value, sd = row.get(f"{which}_ppm_mm3"), row.get(f"{which}_sd_ppm_mm3")
            # Three SDs: a number below says that nothing is there, not how large something is.
            if value and sd and float(value) > 3 * float(sd):
                key = (str(row["participant_id"]), str(row["lesion"]), str(row[f"{which}_session"]))
                found[key] = math.log(float(value))
    compared = {subject for subject, _, _ in found}
    for number, lesion in enumerate(study.lesions):
        owner, total = str(lesion["participant_id"]), lesion.get("total_chi_ppm_mm3")
        is_counted = lesion.get("kind") == "microbleed" and lesion.get("certainty") != "rejected"
        if owner not in compared and is_counted and total and float(total) > 0:
            found[owner, f"row {number}", str(lesion["session_id"])] = math.log(float(total))
    return found


def _pairs(scans: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield the first two scans of each subject that are of one session, or closer than three months."""
    by_subject: dict[str, list[Row]] = {}
    for scan in scans:
        by_subject.setdefault(scan["participant_id"], []).append(scan)
    for own in by_subject.values():
        near = [(a, b) for n, a in enumerate(own) for b in own[n + 1 :] if _is_near(a, b)]
        yield from near[:1]


def _is_near(a: Row, b: Row) -> bool:
    """Say whether two scans are of one session, or known to be close in time."""
    if a["session_id"] == b["session_id"]:
        return True
    return None not in (a["years"], b["years"]) and abs(a["years"] - b["years"]) <= PAIR_YEARS


def _agreement(scans: Sequence[Row]) -> list[Statistic]:
    """Return the agreement of pairs of scans of one subject."""
    pairs, group = list(_pairs(scans)), "scans of a subject within 3 months"
    if not pairs:
        said = ("no subject has two scans of one session, or within 3 months",)
        return [Statistic("agreement", group, model="pairs of scans", warnings=said)]
    first, second = ([pair[k] for pair in pairs] for k in (0, 1))
    classes = [
        [sum(scan["n_microbleeds"] >= low for low in COUNT_CLASSES) for scan in side]
        for side in (first, second)
    ]
    rows = [
        weighted_kappa(
            *([int(c > 0) for c in side] for side in classes), quantity="any microbleed", group=group
        ),
        weighted_kappa(*classes, quantity="count class", group=group, weights="linear"),
    ]
    for quantity, key, unit in (("count", "n_microbleeds", ""), ("burden", "burden_ppm_mm3", PPM_MM3)):
        values = np.array([[float(a[key]), float(b[key])] for a, b in pairs])
        rows.append(intraclass_correlation(values, quantity=quantity, group=group))
        rows += describe_differences(values[:, 0], values[:, 1], quantity=quantity, group=group, unit=unit)
    return rows


def _protocols(scans: Sequence[Row]) -> list[Statistic]:
    """Return what field strength, echo time, voxels and scanner do to count, volume and burden."""
    whole = [s for s in scans if None not in (s["b0_tesla"], s["longest_te_s"], s["voxel_mm3"])]
    if not whole:
        return []
    factors = {
        name: np.log2([float(s[key]) for s in whole])
        for name, key in (
            ("doubled field strength", "b0_tesla"), ("doubled echo time", "longest_te_s"),
            ("doubled voxel volume", "voxel_mm3"),
        )
    }  # fmt: skip
    scanners = sorted({s["scanner"] for s in whole if s["scanner"]}, key=natural_key)
    if all(s["scanner"] for s in whole):
        for name in scanners[1:]:
            factors[f"scanner {name} for {scanners[0]}"] = np.array(
                [float(s["scanner"] == name) for s in whole]
            )
    if all(s["years"] is not None for s in whole):
        factors["1 year"] = np.array([float(s["years"]) for s in whole])
    factors = {name: column for name, column in factors.items() if np.ptp(np.round(column, 2)) > 0}
    if not factors:
        said = ("all scans have one protocol",)
        return [Statistic("ratio by protocol", "all", n=len(whole), warnings=said)]
    numbers = {
        name: np.array([max(float(s.get(key) or 0), 0.0) for s in whole])
        for name, key in (
            ("count", "n_microbleeds"),
            ("visible volume", "volume_mm3"),
            ("burden", "burden_ppm_mm3"),
        )
    }
    subjects = np.array([s["participant_id"] for s in whole])
    return compare_protocols(numbers, factors, subjects=subjects)
