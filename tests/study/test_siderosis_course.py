"""Areas of siderosis that no earlier session shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from qsmcmb.change.tracks import Place as Seen
from qsmcmb.change.tracks import SessionView
from qsmcmb.io.place import Place
from qsmcmb.io.tables import write_tsv
from qsmcmb.microbleeds.siderosis.areas import SiderosisArea
from qsmcmb.microbleeds.siderosis.table import SIDEROSIS_COLUMNS, siderosis_rows
from qsmcmb.study.siderosis_course import new_areas


def area(x: float, length: float) -> SiderosisArea:
    return SiderosisArea((x, 0.0, 0.0), length, 8.0, 3.0, 300.0, 0.5, 0.3, 90.0, 6.0, np.zeros((0, 3), int))


def session(folder: Path, name: str, areas: list[SiderosisArea] | None) -> Any:
    place = Place(folder / name)
    place.folder.mkdir()
    if areas is not None:
        write_tsv(place.path("desc-siderosis_areas.tsv"), siderosis_rows(areas), list(SIDEROSIS_COLUMNS))
    return SimpleNamespace(name=name, place=place)


def view(shift_mm: float, *, error_mm: float = 0.3) -> SessionView:
    shift = np.array([shift_mm, 0.0, 0.0])
    return SessionView("", [], lambda p: p + shift, lambda p: p - shift, error_mm, lambda _: Seen(None, None))


def test_areas_are_new_where_no_earlier_session_shows_them(tmp_path: Path) -> None:
    sessions = [
        session(tmp_path, "ses-1", [area(0, 20)]),
        # Turned by 30 mm: the first area again, moved along its sulcus, and one that is new.
        session(tmp_path, "ses-2", [area(42, 20), area(80, 20)]),
        session(tmp_path, "ses-3", []),
        session(tmp_path, "ses-4", [area(0, 20), area(50, 20)]),
    ]
    found = new_areas(sessions, [view(0), view(-30), view(0), view(0)], has_order=True)
    assert [(r["followup_session"], r["n_areas"], r["n_new_areas"]) for r in found] == [
        ("ses-2", 2, 1), ("ses-3", 0, 0), ("ses-4", 2, 0),
    ]  # fmt: skip
    assert {r["status"] for r in found} == {"possible"}


def test_without_an_order_no_area_is_new(tmp_path: Path) -> None:
    sessions = [session(tmp_path, "ses-1", []), session(tmp_path, "ses-2", [area(42, 20)])]
    (found,) = new_areas(sessions, [view(0), view(0)], has_order=False)
    assert (found["n_areas"], found["n_new_areas"], found["status"]) == (None, None, "not_evaluable")


def test_sessions_that_could_show_none_are_not_evaluable(tmp_path: Path) -> None:
    sessions = [
        session(tmp_path, "ses-1", None),
        session(tmp_path, "ses-2", [area(0, 20)]),
        session(tmp_path, "ses-3", [area(0, 20)]),
        session(tmp_path, "ses-4", [area(0, 20)]),
    ]
    found = new_areas(sessions, [view(0), view(0), view(0, error_mm=float("nan")), view(0)], has_order=True)
    assert [r["status"] for r in found] == ["not_evaluable", "not_evaluable", "possible"]
    assert [r["n_new_areas"] for r in found] == [None, None, 0]
