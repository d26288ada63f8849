"""The line at the top of a subject's page: every status is counted, and nothing unknown is made up."""

from __future__ import annotations

from typing import Any

from qsmcmb.reporting.summary_text import course_line, summary_lines


def session(name: str, burden: str) -> dict[str, Any]:
    return {"name": name, "burden": burden, "n_definite": 2, "n_possible": 1}


def rows(before: str, after: str, *statuses: str, years: str | None = "2") -> list[dict[str, str | None]]:
    return [
        {"status": s, "baseline_session": before, "followup_session": after, "interval_years": years}
        for s in statuses
    ]


def test_every_status_is_counted() -> None:
    statuses = (
        "stable",
        "resolved",
        "decreased",
        "not_evaluable",
        "stable",
        "increased",
        "incident",
        "strange",
    )
    line = course_line([session("ses-1", "1 (0 to 2)")], rows("ses-1", "ses-2", *statuses, years=None))
    assert line is not None
    assert line.text == (
        "2 visits, time between them unknown: 1 new, 1 grown, 1 shrunk, 1 gone, 2 stable, 1 not evaluable, 1 strange; "
        "burden 1 (0 to 2) to n/a ppm mm³ (95 %)"
    )


def test_the_last_of_three_visits_is_compared_with_the_first_and_the_one_before() -> None:
    # Names are no times: "pre" comes before "month".
    table = [
        *rows("pre", "month", "stable", years="0.1"),
        *rows("pre", "year", "increased", years="1"),
        *rows("month", "year", "stable", years="0.9"),
    ]
    sessions = [session(f"{n}, acq-qsm", b) for n, b in (("month", "2"), ("pre", "1"), ("year", "3"))]
    line = course_line(sessions, table, "acq-qsm")
    assert line is not None
    assert line.text == (
        "acq-qsm, 3 visits, 1 year: pre to year: 1 grown; month to year: 1 stable; burden 1 to 3 ppm mm³ (95 %)"
    )
    other = session("pre, acq-swi", "9")
    assert summary_lines([*sessions, other], [line]) == [
        line.text,
        "pre, acq-swi: 2 definite and 1 possible microbleeds; burden 9 ppm mm³ (95 %)",
    ]


def test_a_table_without_rows_has_no_line() -> None:
    assert course_line([session("ses-1", "1")], []) is None
