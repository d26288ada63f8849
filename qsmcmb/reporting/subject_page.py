"""One self-contained page per subject, from the derivatives alone: it can be made years later."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core.packaged import read_packaged
from qsmcmb.errors import InvalidInputError, QsmcmbError
from qsmcmb.io.atomic import write_failure
from qsmcmb.io.entities import natural_key
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_results
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.reporting.budget import Budget, Detail
from qsmcmb.reporting.change_chart import change_chart
from qsmcmb.reporting.course import Course, number_lesions, read_courses
from qsmcmb.reporting.course_text import describe_course
from qsmcmb.reporting.figures import Panel
from qsmcmb.reporting.forms_page import form_tables, write_forms_page
from qsmcmb.reporting.lesion_pictures import draw_course
from qsmcmb.reporting.methods_text import describe_comparison
from qsmcmb.reporting.niivue import niivue_source
from qsmcmb.reporting.page import show, write_page
from qsmcmb.reporting.subject_session import Scan, read_scan, session_words
from qsmcmb.reporting.summary_text import CourseLine, course_line, summary_lines, verdict_lines
from qsmcmb.reporting.viewer_data import ViewerSession, choose_volumes, viewer_session, viewer_words

__all__ = ["write_scan_page", "write_subject_page"]

TEXT_BYTES = 150_000
"""Size of the page's text apart from the lesions', about."""
CHART_BYTES = 80_000
"""Size of the figure of totals over the sessions, at most."""
LESION_TEXT_BYTES = 9_000
"""Size of the text of one lesion's card and explanation, about."""
CHANGE_COLUMNS = (
    "lesion", "status", "baseline_session", "followup_session", "interval_years", "baseline_ppm_mm3",
    "followup_ppm_mm3", "change_ppm_mm3", "change_sd_ppm_mm3", "change_percent", "mdc_ppm_mm3", "p_value", "flags",
    "status_probability",
)  # fmt: skip


class _Shown(NamedTuple):
    """All that goes into a page besides its title."""

    sessions: list[dict[str, Any]]
    viewer: list[ViewerSession]
    lesions: dict[str, list[Microbleed]]
    maps: dict[str, Panel]


def write_subject_page(
    out: Path,
    participant: str,
    *,
    notes: Sequence[str] = (),
    failures: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    say: Callable[[str], None] | None = None,
    detail: Detail = "full",
) -> Path:
    """Write OUT/sub-<label>.html.

    Parameters
    ----------
    out : path
        Derivatives folder.
    participant : str
        Label without `sub-`.
    notes : sequence of str, optional
        Messages of the run.
    failures : mapping of str to str, optional
        Error by the name of each session that has failed.
    without : collection of str, optional
        Scans that are left out, by the prefix of their names.
    say : callable, optional
        Hears of each session whose results cannot be shown: the page says so, and shows the others.
    detail : {"full", "light"}, optional
        With the live viewer, under 15 MB; or pictures alone, under 2 MB.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OSError
        The page cannot be written.

    Examples
    --------
    >>> write_subject_page(Path("derivatives/qsmcmb"), "01")  # doctest: +SKIP
    """
    tables = list((out / f"sub-{participant}").glob(f"sub-{participant}*_desc-cmb_longitudinal.tsv"))
    results = [s for s in list_results(out, participant) if s.place.prefix not in without]
    page, title = f"sub-{participant}.html", f"sub-{participant}"
    failed = dict(failures or {})
    printable = None
    with _or_failure(failed, "forms", say):
        printable = write_forms_page(out / f"sub-{participant}_forms.html", results, title=title, back=page)
    budget = _budget(detail)
    # The answer has its room before the pictures.
    budget.left -= CHART_BYTES * len(tables)
    shown = _read_sessions(results, budget, failed, say)
    comparisons, courses, changes = [], [], []
    for table in sorted(tables, key=lambda p: natural_key(p.name)):
        with _or_failure(failed, table.name, say):
            rows = read_tsv(table)
            comparison = _comparison(table, participant, rows)
            comparison["chart"] = change_chart(table, rows)
            found = read_courses(table, comparison["name"], shown.lesions)
            # What has changed comes first.
            found = sorted(found, key=lambda course: not course.has_changed)
            comparison["courses"] = [_course_words(course, shown.maps, budget) for course in found]
            changes.append(course_line(shown.sessions, rows, comparison["name"]))
            comparisons.append(comparison)
            courses += found
    return _write(
        out / page, shown, budget, title=title, notes=notes, failures=failed, forms=printable and printable.name,
        comparisons=comparisons, courses=courses,
        changes=[line for line in changes if line],
    )  # fmt: skip


def write_scan_page(out: Path, *, detail: Detail = "full") -> Path:
    """Write OUT/report.html of a single scan.

    Parameters
    ----------
    out : path
        Folder that `qsmcmb recon` wrote.
    detail : {"full", "light"}, optional
        With the live viewer, under 15 MB; or pictures alone, under 2 MB.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InvalidInputError
        A record of the scan is missing.

    Examples
    --------
    >>> write_scan_page(Path("out"))  # doctest: +SKIP
    """
    session = SessionResults(Place(out), "", "")
    title = out.resolve().name
    forms = write_forms_page(out / "forms.html", [session], title=title, back="report.html")
    budget = _budget(detail)
    shown = _Shown([], [], {}, {})
    _read_session(session, budget, shown)
    return _write(
        out / "report.html", shown, budget, title=title, notes=(), failures={}, forms=forms and forms.name,
        comparisons=[], courses=[], changes=[],
    )  # fmt: skip


def _budget(detail: Detail) -> Budget:
    """Return the size of a page without its scripts and text."""
    script = 0 if detail == "light" else len(niivue_source())
    return Budget(detail, reserved=TEXT_BYTES + script)


def _read_sessions(
    results: Sequence[SessionResults],
    budget: Budget,
    failed: dict[str, str],
    say: Callable[[str], None] | None,
) -> _Shown:
    """Return what the page shows of all sessions; one that cannot be shown becomes a failure."""
    shown = _Shown([], [], {}, {})
    for session in results:
        with _or_failure(failed, session.heading, say):
            _read_session(session, budget, shown)
    return shown


def _read_session(session: SessionResults, budget: Budget, shown: _Shown) -> None:
    """Add what the page shows of one session."""
    scan: Scan = read_scan(session)
    budget.left -= LESION_TEXT_BYTES * len(scan.lesions)
    words = session_words(scan, budget)
    words["forms"] = form_tables([session])
    images = None if budget.is_light else viewer_session(session, scan.panels, scan.lesions)
    shown.sessions.append(words)
    if images:
        shown.viewer.append(images)
    shown.lesions[session.heading] = scan.lesions
    shown.maps[session.heading] = scan.panels["Chimap"]


def _write(
    path: Path,
    shown: _Shown,
    budget: Budget,
    *,
    courses: Sequence[Course],
    changes: Sequence[CourseLine],
    **values: Any,
) -> Path:
    """Write the page with the images that it has room for."""
    viewer = choose_volumes(shown.viewer, budget.left)
    points = [
        {"number": c.number, "mm": {name: [float(v) for v in at] for name, at in c.points_mm.items()}}
        for c in courses
    ]
    record = viewer_words(viewer, number_lesions(courses, shown.lesions), points)
    has_viewer = any(s.volumes for s in viewer)
    own = read_packaged("qsmcmb.reporting", "templates", "subject.js").decode()
    # Within a script element no less-than sign may open a tag; JSON can write it otherwise.
    data = json.dumps(record).replace("<", "\\u003c")
    return write_page(
        path, "subject.html", scripts=[niivue_source(), own] if has_viewer else [], sessions=shown.sessions,
        viewer=viewer if has_viewer else [], viewer_data=data, is_light=budget.is_light,
        summary=summary_lines(shown.sessions, changes),
        change_header=[c.replace("_", " ").replace("ppm mm3", "(ppm mm³)") for c in CHANGE_COLUMNS], **values,
    )  # fmt: skip


@contextlib.contextmanager
def _or_failure(failed: dict[str, str], name: str, say: Callable[[str], None] | None) -> Iterator[None]:
    """Make an error of the block a failure that the page shows: one damaged result hides no other."""
    try:
        yield
    except Exception as error:
        failed[name] = str(_coded(error, name))
        if say:
            say(f"{failed[name]} ({name} is not shown)")


def _coded(error: Exception, name: str) -> QsmcmbError:
    """Return an error with a code: of a session's results, of the system, or of qsmcmb itself."""
    if isinstance(error, QsmcmbError):
        return error
    if isinstance(error, OSError):
        return write_failure(error, Path(error.filename or name))
    return InvalidInputError(
        "BUG", name, field="exception", found=f"{type(error).__name__}: {error}", expected="none",
        fix="report it; other sessions are not concerned",
    )  # fmt: skip


def _comparison(table: Path, participant: str, rows: Sequence[Mapping[str, str | None]]) -> dict[str, Any]:
    """Return the changes of one longitudinal table, and which scans it compares."""
    entities = table.name.removeprefix(f"sub-{participant}_").removesuffix("desc-cmb_longitudinal.tsv")
    beside = table.with_suffix(".json")
    return {
        "name": entities.rstrip("_").replace("_", ", "),
        "course": describe_course(table),
        "verdicts": verdict_lines(rows),
        "rows": [[_change_cell(row.get(c)) for c in CHANGE_COLUMNS] for row in rows],
        "methods": describe_comparison(read_sidecar(beside) if beside.exists() else {}),
    }


def _course_words(course: Course, maps: Mapping[str, Panel], budget: Budget) -> dict[str, Any]:
    """Return one lesion over the sessions with its pictures side by side."""
    names = [name for name in course.points_mm if name in maps]
    labels = [f"{name}\n{course.totals.get(name, 'n/a')}" for name in names]
    points = [np.asarray(course.points_mm[name]) for name in names]
    picture = budget.draw(lambda: draw_course([maps[n] for n in names], points, labels)) if names else None
    # The viewer opens where there is something to see.
    holding = [name for name in names if course.labels.get(name, "").startswith("label")]
    first = next(iter(holding or names), None)
    return {
        "number": course.number, "picture": picture, "changes": course.changes, "session": first,
        "labels": ", ".join(f"{label} in {name}" for name, label in course.labels.items()),
    }  # fmt: skip


def _change_cell(value: str | None) -> str:
    try:
        return show(float(value)) if value is not None else "n/a"
    except ValueError:
        return str(value)
