"""Sessions of a subject in their mid-space, ready to be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.change.tracks import Place, SessionView
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.registration.midspace import MidSpace, register_sessions
from qsmcmb.registration.rigid import MIN_DICE, Image
from qsmcmb.registration.similarity import MIN_SIMILARITY
from qsmcmb.study.detector_files import detector_lesions
from qsmcmb.study.place_lookup import PlaceLookup
from qsmcmb.typing import FloatArray

__all__ = ("AlignedSessions", "align_sessions", "dipole_sources", "refused_labels")

MAPS = ("R2starmap", "Chimap")
"""Maps that sessions are registered by, the first that all have: quantities of the tissue, which no shading or
weighting of the phase changes. A scan of one echo has no R2*.
"""


class AlignedSessions(NamedTuple):
    """Sessions of a subject in their mid-space.

    Parameters
    ----------
    views : list of SessionView
        Sessions; one that shows another head has no lesion, and shows nothing anywhere.
    mid : MidSpace
        Poses and pairs.
    map : str
        Map that they were registered by.
    errors : tuple of str
        A message for each session that shows another head.

    Examples
    --------
    >>> AlignedSessions([], MidSpace((), (), ()), "Chimap", ()).errors
    ()
    """

    views: list[SessionView]
    mid: MidSpace
    map: str
    errors: tuple[str, ...]


def align_sessions(out: Path, sessions: Sequence[SessionResults]) -> AlignedSessions:
    """Register the sessions of a subject, and make them ready to be compared.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    sessions : sequence of SessionResults
        Sessions, in order.

    Returns
    -------
    AlignedSessions
        Views, poses and messages (REGISTRATION).

    Examples
    --------
    >>> align_sessions(Path("out"), sessions)  # doctest: +SKIP
    """
    shown = next((name for name in MAPS if all(s.has(name) for s in sessions)), MAPS[-1])
    mid = register_sessions([_image(session, shown) for session in sessions])
    errors = tuple(_refusal(session, mid, k) for k, session in enumerate(sessions) if mid.poses[k] is None)
    views = [_view(out, session, mid, k) for k, session in enumerate(sessions)]
    return AlignedSessions(views, mid, shown, errors)


def _image(session: SessionResults, ending: str) -> Image:
    data, grid = session.image(ending)
    mask, _ = session.image("desc-brain_mask")
    return Image(np.nan_to_num(data), mask > 0, grid, str(session.place.path(f"{ending}.nii.gz")))


def _refusal(session: SessionResults, mid: MidSpace, k: int) -> str:
    """Return the message about a session that shows another head."""
    own = [pair for pair in mid.pairs if k in (pair.fixed, pair.moving)]
    best = max(own, key=lambda pair: pair.similarity)
    return str(
        InvalidInputError(
            "REGISTRATION", session.name, field="likeness to the other sessions (correlation; overlap of the brains)",
            found=f"{best.similarity:.2f}; {best.transform.dice:.2f}",
            expected=f"at least {MIN_SIMILARITY}; {MIN_DICE}",
            fix="check that the session is of this subject and shows the whole brain; its lesions are not compared",
        )
    )  # fmt: skip


def _view(out: Path, session: SessionResults, mid: MidSpace, k: int) -> SessionView:
    """Return a session as the comparison sees it."""
    pose = mid.poses[k]
    if pose is None:

        def nowhere(points_mm: FloatArray) -> FloatArray:
            return np.full(np.asarray(points_mm).reshape(-1, 3).shape, np.nan)

        def nothing(_: FloatArray) -> Place:
            return Place(None, None)

        return SessionView(session.name, [], nowhere, nowhere, float("nan"), nothing)
    return SessionView(
        session.name,
        session.lesions(),
        pose.inverse().apply,
        pose.apply,
        mid.error_mm[k],
        PlaceLookup(session, dipole_sources(out, session)),
        refused_labels(session),
    )


def refused_labels(session: SessionResults) -> frozenset[int]:
    """Return the candidates of a session that a reader's verdict has called no microbleed.

    Parameters
    ----------
    session : SessionResults
        Results of the session.

    Returns
    -------
    frozenset of int
        Labels; a reader's point without a verdict is none of them, whatever its kind.

    Examples
    --------
    >>> refused_labels(session)  # doctest: +SKIP
    frozenset({4})
    """
    return frozenset(
        int(float(str(row["label"])))
        for row in read_tsv(session.place.path("desc-cmb_lesions.tsv"))
        if row.get("reader") is not None
        and row.get("source") == "reader"
        and (row.get("kind") != "microbleed" or row.get("certainty") == "rejected")
    )


def dipole_sources(out: Path, session: SessionResults) -> list[Microbleed]:
    """Return what makes dipoles in a session: its lesions, and those that readers have rejected.

    A vein that the fit took for a microbleed has its field whatever it is called: no rejection may change what is
    measured elsewhere.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    session : SessionResults
        Results of the session.

    Returns
    -------
    list of Microbleed
        Rows of the lesion table, and of the detector's own where a reader has rejected one; what the detector has
        turned away stands there as rejected.

    Examples
    --------
    >>> dipole_sources(Path("out"), session)  # doctest: +SKIP
    """
    lesions = session.lesions()
    held = {m.label for m in lesions if m.certainty != "rejected"}
    return [*lesions, *(m for m in detector_lesions(out, session) if m.label not in held)]
