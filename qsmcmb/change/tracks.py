"""Every lesion over all sessions of a subject: its parts in each, or what is at its place.

A candidate that a reader has rejected is no part of a lesion. Where it lies at the place of a lesion of another
session, its fit is what is measured there, unless it measures nothing. The verdict alone makes that lesion neither new
nor gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from qsmcmb.change.errors import ChangeErrors
from qsmcmb.change.flags import (
    NOT_AT_BASELINE,
    NOT_AT_FOLLOWUP,
    REJECTED_AT_BASELINE,
    REJECTED_AT_FOLLOWUP,
    SPLIT,
)
from qsmcmb.change.judgement import Judgement, Sight, judge_change
from qsmcmb.change.linking import LocatedLesion, attach_lesions, link_lesions, position_sd_mm
from qsmcmb.change.parts import Body, join_parts
from qsmcmb.change.records import NORMAL_QUANTILE, Change
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.measurement import CLEAR_SIGNIFICANCE
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("Place", "SessionView", "Track", "find_tracks", "judge_track", "link_candidates", "measure_track")

KINDS = ("microbleed", "calcification")
"""Kinds that are matched; a calcification may be the part of a microbleed that a fit has split."""
Points = Callable[[FloatArray], FloatArray]
"""Function from points (n, 3), mm, to points (n, 3), mm."""


class Place(NamedTuple):
    """Total susceptibility of a session at a position without a lesion.

    Parameters
    ----------
    total : Estimate or None
        Total susceptibility measured there, ppm mm3; None where the session does not show the place.
    limit_ppm_mm3 : float or None
        Detection limit there, ppm mm3; None where unknown.

    Examples
    --------
    >>> Place(None, None).total is None
    True
    """

    total: Estimate | None
    limit_ppm_mm3: float | None


class SessionView(NamedTuple):
    """A session as the comparison sees it.

    Parameters
    ----------
    name : str
        Name of the session.
    lesions : sequence of Microbleed
        Lesions in the session's scanner mm.
    to_mid, from_mid : callable
        Map points (n, 3) between the session's scanner mm and the mid-space.
    registration_mm : float
        Error of the registration at the brain, mm (rms).
    look : callable
        Return the `Place` of a position in the session's scanner mm.
    refused : set of int, optional
        Labels of candidates that a reader has called no microbleed: mimics and calcifications.

    Examples
    --------
    >>> view = SessionView("ses-1", [], lambda p: p, lambda p: p, 0.2, lambda p: Place(None, None))
    >>> view.lesions
    []
    """

    name: str
    lesions: Sequence[Microbleed]
    to_mid: Points
    from_mid: Points
    registration_mm: float
    look: Callable[[FloatArray], Place]
    refused: frozenset[int] = frozenset()


class Track(NamedTuple):
    """One lesion over all sessions.

    Parameters
    ----------
    number : int
        Number of the lesion, from 1.
    position_mm : ndarray of shape (3,)
        Mean position in mid-space, mm.
    parts : dict of int to tuple of Microbleed
        Rows of the lesion table by number of the session; more than one where the session shows parts.
    rejected : dict of int to tuple of Microbleed, optional
        Rows at its place that a reader has rejected, by number of a session without parts.

    Examples
    --------
    >>> Track(1, np.zeros(3), {}).parts
    {}
    """

    number: int
    position_mm: FloatArray
    parts: Mapping[int, tuple[Microbleed, ...]]
    rejected: Mapping[int, tuple[Microbleed, ...]] = MappingProxyType({})

    def labels(self, session: int) -> str | None:
        """Return which rows of a session's lesion table are the lesion, rejected or not.

        Parameters
        ----------
        session : int
            Number of the session.

        Returns
        -------
        str or None
            Labels, separated by +; None where the session has none.

        Examples
        --------
        >>> parts = {1: (Microbleed(4, (0.0, 0.0, 0.0)), Microbleed(7, (0.0, 0.0, 1.0)))}
        >>> Track(1, np.zeros(3), parts).labels(1)
        '4+7'
        """
        rows = self.parts.get(session, ()) or self.rejected.get(session, ())
        return "+".join(str(m.label) for m in rows) or None


def find_tracks(views: Sequence[SessionView]) -> list[Track]:
    """Find which lesions of a subject's sessions are one.

    Parameters
    ----------
    views : sequence of SessionView
        Sessions, in order.

    Returns
    -------
    list of Track
        Microbleeds that are definite, or a reader's, in one session at least, and possible ones that a reader has
        rejected in another; by the first session that holds them.

    Examples
    --------
    >>> lesion = Microbleed(1, (0.0, 0.0, 0.0), certainty="definite", total_chi_ppm_mm3=Estimate(4.0, 0.2, "ppm mm3"))
    >>> views = [SessionView(n, [lesion], lambda p: p, lambda p: p, 0.2, lambda p: Place(None, None)) for n in "12"]
    >>> [sorted(track.parts) for track in find_tracks(views)]
    [[0, 1]]
    """
    rows = _rows(views, _is_matched)
    bodies = [_body(views[k], k, m) for k, m in rows]
    groups = join_parts(bodies, link_lesions([body.located for body in bodies]))
    refused = _rows(views, lambda view, m: m.label in view.refused and _is_measured(m))
    of_group = attach_lesions(
        [[bodies[i].located for i in group] for group in groups],
        [_body(views[k], k, m).located for k, m in refused],
    )
    tracks: list[Track] = []
    for g, group in enumerate(groups):
        is_certain = any(_is_certain(rows[i][1]) for i in group)
        # A possible one that a reader has rejected at another visit is no stable lesion, and not nothing.
        is_unlike = g in of_group.values() and any(rows[i][1].kind == "microbleed" for i in group)
        if not (is_certain or is_unlike):
            continue
        parts = _by_session(rows[i] for i in group)
        centres = [_centre([bodies[i] for i in group if rows[i][0] == k]) for k in parts]
        rejected = _by_session(refused[j] for j, of in of_group.items() if of == g)
        tracks.append(Track(0, np.mean(centres, axis=0), parts, rejected))
    # A verdict changes no lesion's place among the others.
    tracks.sort(key=lambda track: _first_row(track, views))
    return [track._replace(number=n) for n, track in enumerate(tracks, start=1)]


def link_candidates(views: Sequence[SessionView]) -> list[list[tuple[int, Microbleed]]]:
    """Find which candidates of a subject's sessions are one, whatever they are called.

    Parameters
    ----------
    views : sequence of SessionView
        Sessions, as for `find_tracks`.

    Returns
    -------
    list of list of (int, Microbleed)
        Groups of candidates, each with the number of its session. Lesions are matched as for `find_tracks`; rejected
        candidates and mimics then join a lesion that lacks their session, or one another.

    Examples
    --------
    >>> def at(x, certainty):
    ...     total = Estimate(4.0, 0.2, "ppm mm3")
    ...     return Microbleed(1, (x, 0.0, 0.0), certainty=certainty, total_chi_ppm_mm3=total)
    >>> lesions = [[at(0.0, "definite")], [at(0.1, "rejected")]]
    >>> views = [SessionView("1", own, lambda p: p, lambda p: p, 0.2, lambda p: Place(None, None)) for own in lesions]
    >>> [[session for session, _ in group] for group in link_candidates(views)]
    [[0, 1]]
    """
    rows = _rows(views, _is_matched)
    bodies = [_body(views[k], k, m) for k, m in rows]
    groups = join_parts(bodies, link_lesions([body.located for body in bodies]))
    others = _rows(views, lambda view, m: m.total_chi_ppm_mm3 is not None and not _is_matched(view, m))
    located = [_body(views[k], k, m).located for k, m in others]
    of_group = attach_lesions([[bodies[i].located for i in group] for group in groups], located)
    found = [[rows[i] for i in group] for group in groups]
    for j, g in of_group.items():
        found[g].append(others[j])
    alone = [j for j in range(len(others)) if j not in of_group]
    return found + [[others[alone[i]] for i in group] for group in link_lesions([located[j] for j in alone])]


def measure_track(track: Track, views: Sequence[SessionView]) -> list[Sight]:
    """Measure a lesion in every session: by its rows where it has some, else by a rejected row or at its place.

    Parameters
    ----------
    track : Track
        The lesion.
    views : sequence of SessionView
        Sessions, as for `find_tracks`.

    Returns
    -------
    list of Sight
        The lesion in each session.

    Examples
    --------
    >>> view = SessionView("1", [], lambda p: p, lambda p: p, 0.2, lambda p: Place(Estimate(0.1, 0.4, "ppm mm3"), 1.5))
    >>> measure_track(Track(1, np.zeros(3), {}), [view])[0].limit_ppm_mm3
    1.5
    """
    sights = []
    for k, view in enumerate(views):
        parts = track.parts.get(k, ())
        if parts:
            limits = [m.detection_limit_ppm_mm3 for m in parts if m.detection_limit_ppm_mm3 is not None]
            sights.append(Sight(_sum(parts), True, max(limits) if limits else None, _noise_sd(parts)))
        elif k in track.rejected:
            rejected = track.rejected[k]
            limit = rejected[0].detection_limit_ppm_mm3
            sights.append(Sight(_sum(rejected), False, limit))
        else:
            place = view.look(view.from_mid(track.position_mm)[0])
            sights.append(Sight(place.total, False, place.limit_ppm_mm3))
    return sights


def judge_track(
    track: Track,
    views: Sequence[SessionView],
    sights: Sequence[Sight],
    pair: tuple[int, int],
    *,
    errors: ChangeErrors,
    same_protocol: bool,
) -> Change | None:
    """Judge a lesion between two sessions.

    Parameters
    ----------
    track : Track
        The lesion.
    views : sequence of SessionView
        Sessions, as for `find_tracks`.
    sights : sequence of Sight
        The lesion in each session.
    pair : tuple of int
        Numbers of the earlier and of the later session.
    errors : ChangeErrors
        Errors of change.
    same_protocol : bool
        Whether the two scans agree in protocol, scanner and software.

    Returns
    -------
    Change or None
        The change; None where neither session holds the lesion.

    Examples
    --------
    >>> from qsmcmb.change.errors import DEFAULT_ERRORS
    >>> lesion = Microbleed(1, (0.0, 0.0, 0.0), certainty="definite", total_chi_ppm_mm3=Estimate(4.0, 0.2, "ppm mm3"))
    >>> views = [SessionView(n, [lesion], lambda p: p, lambda p: p, 0.2, lambda p: Place(None, None)) for n in "12"]
    >>> track, = find_tracks(views)
    >>> sights = measure_track(track, views)
    >>> judge_track(track, views, sights, (0, 1), errors=DEFAULT_ERRORS, same_protocol=True).status
    'stable'
    """
    parts = [track.parts.get(k, ()) for k in pair]
    if not any(parts):
        return None
    before, after = (sights[k] for k in pair)
    judged = judge_change(before, after, errors, same_protocol=same_protocol)
    flags = [flag for m in (*parts[0], *parts[1]) for flag in m.flags]
    rejected = [not own and k in track.rejected for own, k in zip(parts, pair, strict=True)]
    is_certain = any(_is_certain(m) for own in track.parts.values() for m in own)
    if any(rejected) and not (is_certain and judged.status in ("incident", "resolved")):
        # Something is measured in both, and only the verdicts differ; or the verdict alone has brought the lesion here.
        judged = Judgement("not_evaluable", None, judged.change_sd_ppm_mm3, "", None)
    if not parts[0]:
        flags.append(REJECTED_AT_BASELINE if rejected[0] else NOT_AT_BASELINE)
    if not parts[1]:
        flags.append(REJECTED_AT_FOLLOWUP if rejected[1] else NOT_AT_FOLLOWUP)
    flags += [SPLIT] if max(map(len, parts)) > 1 else []
    flags += [judged.reason] if judged.reason else []
    if parts[0] or rejected[0]:
        x, y, z = max(parts[0] or track.rejected[pair[0]], key=_size).position_mm
    else:
        x, y, z = (float(v) for v in views[pair[0]].from_mid(track.position_mm)[0])
    new = judged.absent_before
    if new is not None and after.is_found:
        # What is no microbleed is no new one.
        new *= max(map(_microbleed_probability, parts[1]))
    return Change(
        track.number, judged.status, (x, y, z), before.total, after.total, judged.change_sd_ppm_mm3,
        judged.probability, new, tuple(dict.fromkeys(flags)),
    )  # fmt: skip


def _rows(
    views: Sequence[SessionView], chosen: Callable[[SessionView, Microbleed], bool]
) -> list[tuple[int, Microbleed]]:
    """Return chosen rows of all sessions, each with the number of its session."""
    return [(k, m) for k, view in enumerate(views) for m in view.lesions if chosen(view, m)]


def _by_session(rows: Iterable[tuple[int, Microbleed]]) -> dict[int, tuple[Microbleed, ...]]:
    """Return rows by the number of their session."""
    found: dict[int, tuple[Microbleed, ...]] = {}
    for k, lesion in rows:
        found[k] = (*found.get(k, ()), lesion)
    return found


def _first_row(track: Track, views: Sequence[SessionView]) -> tuple[int, int]:
    """Return session and row where a lesion comes first, rejected or not."""
    k = min([*track.parts, *track.rejected])
    own = track.parts.get(k) or track.rejected[k]
    return k, min(n for n, m in enumerate(views[k].lesions) if m in own)


def _is_matched(view: SessionView, lesion: Microbleed) -> bool:
    """Say whether a lesion was measured and not rejected."""
    is_lesion = lesion.kind in KINDS and lesion.certainty != "rejected" and lesion.label not in view.refused
    return is_lesion and lesion.total_chi_ppm_mm3 is not None


def _is_measured(lesion: Microbleed) -> bool:
    """Say whether a row's number differs from 0: else its place is measured, as without the row."""
    total = lesion.total_chi_ppm_mm3
    return total is not None and abs(total.value) > NORMAL_QUANTILE * total.sd


def _is_certain(lesion: Microbleed) -> bool:
    """Say whether a lesion is a definite microbleed or a reader's."""
    return lesion.kind == "microbleed" and (lesion.certainty == "definite" or lesion.source == "reader")


def _microbleed_probability(lesion: Microbleed) -> float:
    """Return the probability of being a microbleed: a reader who is sure decides, else the score."""
    if lesion.source == "reader" and lesion.certainty == "definite":
        return 1.0 if lesion.kind == "microbleed" else 0.0
    return lesion.score if lesion.score is not None else 1.0


def _size(lesion: Microbleed) -> float:
    """Return the size of a lesion's total, ppm mm3."""
    assert lesion.total_chi_ppm_mm3 is not None
    return abs(lesion.total_chi_ppm_mm3.value)


def _body(view: SessionView, session: int, lesion: Microbleed) -> Body:
    """Return a lesion in mid-space."""
    total = lesion.total_chi_ppm_mm3
    assert total is not None
    sd = total.sd if np.isfinite(total.sd) else abs(total.value)
    diameter = lesion.diameter_mm or 0.0
    error = position_sd_mm(total.value, sd, diameter_mm=diameter, registration_mm=view.registration_mm)
    place = view.to_mid(np.array(lesion.position_mm))[0]
    return Body(LocatedLesion(session, place, total.value, error), sd, diameter)


def _centre(bodies: Sequence[Body]) -> FloatArray:
    """Return the common centre of parts, weighted by their totals."""
    weight = np.array([body.located.total_ppm_mm3 for body in bodies])
    centres = np.array([body.located.position_mm for body in bodies])
    return np.asarray(weight @ centres / weight.sum() if weight.sum() != 0 else centres.mean(axis=0))


def _noise_sd(parts: Sequence[Microbleed]) -> float | None:
    """Return the SD of a sum of parts by noise and clutter alone, ppm mm3; None where a part's is unknown."""
    limits = [m.fit_noise_limit_ppm_mm3 for m in parts]
    return float(np.hypot.reduce([x / CLEAR_SIGNIFICANCE for x in limits if x])) if all(limits) else None


def _sum(parts: Sequence[Microbleed]) -> Estimate:
    """Return the sum of parts, their errors taken as independent."""
    totals = [m.total_chi_ppm_mm3 for m in parts if m.total_chi_ppm_mm3 is not None]
    if len(totals) == 1:
        return totals[0]
    return Estimate(
        sum(t.value for t in totals), float(np.hypot.reduce([t.sd for t in totals])), totals[0].unit
    )
