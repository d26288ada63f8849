"""Sessions are put in order by their times, with and without zones, and by their labels where the times do not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.study.session_order import order_sessions


def sessions(out: Path, times: dict[str, str | None]) -> list[SessionResults]:
    """Return sessions whose records state times."""
    found = []
    for session, time in times.items():
        place = Place.of_session(out, "01", session)
        place.folder.mkdir(parents=True)
        place.path("desc-cmb_burden.json").write_text(json.dumps({"AcquisitionTime": time}))
        found.append(SessionResults(place, "01", session))
    return found


@pytest.mark.parametrize(
    ("times", "order", "years", "said"),
    [
        (("2022-01-01T10:00:00", "2021-01-01T10:00:00"), "21", (0, 0.9993), ""),
        (("2021-01-01T01:00:00+05:00", "2020-12-31T22:00:00Z"), "12", (0, 0.00023), ""),
        (("2021-01-01T10:00:00", "2022-01-01T10:00:00Z"), "12", (0, 0.9993), "states a time zone in some sessions"),
        (("2021-01-01T10:00:00", "2021-01-02T11:00:00Z"), "12", None, "in the order of their labels"),
        (("2021-01-01T10:00:00", "2021-01-01T10:00:00"), "12", None, "in the order of their labels"),
        (("2021-01-01T10:00:00", None), "12", None, "in the order of their labels"),
    ],
)  # fmt: skip
def test_order(
    times: tuple[str | None, ...], order: str, years: tuple[float, ...] | None, said: str, tmp_path: Path
) -> None:
    found = order_sessions(sessions(tmp_path, dict(zip("12", times, strict=True))))
    assert [s.session for s in found.sessions] == list(order)
    assert found.years == (None if years is None else pytest.approx(years, abs=1e-4))
    assert said in " ".join(found.warnings)
    assert bool(found.warnings) == bool(said)


def test_between_a_shifted_and_a_true_date_lies_no_interval(tmp_path: Path) -> None:
    found = order_sessions(sessions(tmp_path, {"1": "1905-03-01T10:00:00", "2": "2021-03-01T10:00:00"}))
    assert found.years is None
    assert "is shifted (up to 1925) in some sessions and true in others" in found.warnings[0]


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="AcquisitionTime = 'yesterday'"):
        order_sessions(sessions(tmp_path, {"1": "yesterday"}))
