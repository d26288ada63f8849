"""Areas of superficial siderosis that no earlier session of a subject shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.change.tracks import SessionView
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv
from qsmcmb.microbleeds.siderosis.table import SIDEROSIS_TABLE
from qsmcmb.typing import FloatArray

__all__ = ["new_areas"]

SLACK_MM = 5.0
"""Distance of two areas' middles beyond half of the longer one's length, mm, up to which they are one: ends of areas
differ from scan to scan.
"""


class _Areas(NamedTuple):
    """Middles in mid-space (n, 3) and lengths (n,), mm."""

    middles: FloatArray
    lengths: FloatArray


def new_areas(
    sessions: Sequence[SessionResults], views: Sequence[SessionView], *, has_order: bool
) -> list[dict[str, Any]]:
    """Return for each session since the first how many areas no earlier session shows.

    Parameters
    ----------
    sessions : sequence of SessionResults
        Sessions, in order.
    views : sequence of SessionView
        The same in their mid-space.
    has_order : bool
        Whether their times say which came first.

    Returns
    -------
    list of dict
        Session, `n_areas` and `n_new_areas`; both None, with the status not_evaluable, where this session or no
        earlier one could show areas, or where nobody knows which is earlier.

    Examples
    --------
    >>> new_areas([], [], has_order=True)
    []
    """
    shown = [_areas(session, view) for session, view in zip(sessions, views, strict=True)]
    records = []
    for number in range(1, len(sessions)):
        record: dict[str, Any] = {
            "followup_session": sessions[number].name, "n_areas": None, "n_new_areas": None,
            "status": "not_evaluable",
        }  # fmt: skip
        now, before = shown[number], [areas for areas in shown[:number] if areas is not None]
        if has_order and now is not None and before:
            n_new = sum(not any(_is_in(areas, now, i) for areas in before) for i in range(len(now.lengths)))
            record |= {"n_areas": len(now.lengths), "n_new_areas": n_new, "status": "possible"}
        records.append(record)
    return records


def _areas(session: SessionResults, view: SessionView) -> _Areas | None:
    """Return the areas of a session; None where it could show none, or is another head."""
    path = session.place.path(f"{SIDEROSIS_TABLE}.tsv")
    if not path.exists() or np.isnan(view.registration_mm):
        return None
    rows = read_tsv(path)
    cells = [[float(row[name] or "nan") for name in ("x_mm", "y_mm", "z_mm", "length_mm")] for row in rows]
    values = np.array(cells).reshape(-1, 4)
    return _Areas(view.to_mid(values[:, :3]), values[:, 3])


def _is_in(areas: _Areas, others: _Areas, number: int) -> bool:
    """Return whether one of some areas is the same as one of others."""
    apart = np.linalg.norm(areas.middles - others.middles[number], axis=1)
    return bool((apart < np.maximum(areas.lengths, others.lengths[number]) / 2 + SLACK_MM).any())
