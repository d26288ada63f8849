"""Data of a page's live viewer: volumes cut to the brain, their windows, and where the lesions lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.io.embedded import embed_volume
from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import Microbleed
from qsmcmb.reporting.figures import Panel
from qsmcmb.typing import BoolArray

__all__ = ["ViewerSession", "Volume", "choose_volumes", "viewer_session", "viewer_words"]

MAP_STEP_PPM = 0.001
"""Distance of neighbouring values of the map, ppm: they are in error by 0.5 ppb at most."""
LEVELS = 500
"""Number of values of any other image within its window."""
MARGIN = 2
"""Voxels around the map that are cut out with it."""


class Volume(NamedTuple):
    """One image inside a page.

    Parameters
    ----------
    title, unit : str
        Name and unit.
    window : tuple of float
        Values that are black and white.
    text : str
        The image, base64.

    Examples
    --------
    >>> Volume(title="susceptibility", unit="ppm", window=(-0.15, 0.15), text="H4sI").unit
    'ppm'
    """

    title: str
    unit: str
    window: tuple[float, float]
    text: str


class ViewerSession(NamedTuple):
    """Images and lesions of one session.

    Parameters
    ----------
    name : str
        Name of the session.
    volumes : tuple of Volume
        Images, the most important first.
    overlay : str
        Accepted lesions (2) and rejected candidates (1), base64; empty for none.
    lesions : tuple of dict
        Label and position of each lesion.

    Examples
    --------
    >>> ViewerSession(name="ses-1", volumes=(), overlay="", lesions=()).name
    'ses-1'
    """

    name: str
    volumes: tuple[Volume, ...]
    overlay: str
    lesions: tuple[dict[str, Any], ...]


def viewer_session(
    session: SessionResults, panels: Mapping[str, Panel], lesions: Sequence[Microbleed]
) -> ViewerSession:
    """Return the images of a session for the viewer.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.
    panels : mapping of str to Panel
        Its images by the end of their names, axes near RAS+; the map is among them.
    lesions : sequence of Microbleed
        Rows of its lesion table.

    Returns
    -------
    ViewerSession
        Map, SWI and local field within the brain, and the label image.

    Examples
    --------
    >>> viewer_session(session, panels, lesions)  # doctest: +SKIP
    """
    chi = panels["Chimap"]
    brain = _brain(session, chi)
    box = bounding_box(brain, MARGIN)
    steps = {"Chimap": MAP_STEP_PPM}
    volumes = []
    for ending, unit in (("Chimap", "ppm"), ("desc-swi_T2starw", "a.u."), ("desc-local_fieldmap", "Hz")):
        panel = panels[ending]
        step = steps.get(ending, (panel.window[1] - panel.window[0]) / LEVELS)
        inside = np.where(brain, panel.data, 0)
        text = embed_volume(inside, panel.grid, box, step=step)
        volumes.append(Volume(panel.title, unit, panel.window, text))
    overlay = ""
    if session.has("desc-cmb_dseg"):
        labels, grid = session.canonical("desc-cmb_dseg")
        accepted = [m.label for m in lesions if m.certainty != "rejected"]
        overlay = embed_volume(np.where(np.isin(labels, accepted), 2.0, labels > 0), grid, box, step=1.0)
    found = tuple({"label": m.label, "mm": [round(float(v), 3) for v in m.position_mm]} for m in lesions)
    return ViewerSession(session.heading, tuple(volumes), overlay, found)


def choose_volumes(sessions: Sequence[ViewerSession], max_bytes: int) -> list[ViewerSession]:
    """Leave out what a page of limited size cannot hold: maps go first, then the others, later sessions first.

    Parameters
    ----------
    sessions : sequence of ViewerSession
        Sessions with all their images.
    max_bytes : int
        Size of all images together.

    Returns
    -------
    list of ViewerSession
        The same sessions with the images that fit.

    Examples
    --------
    >>> volume = Volume(title="SWI", unit="a.u.", window=(0.0, 1.0), text="A" * 80)
    >>> sessions = [ViewerSession(name=n, volumes=(volume,), overlay="", lesions=()) for n in ("ses-1", "ses-2")]
    >>> [len(s.volumes) for s in choose_volumes(sessions, 100)]
    [0, 1]
    """
    left = max_bytes - sum(len(s.overlay) for s in sessions)
    held: dict[int, list[Volume]] = {number: [] for number in range(len(sessions))}
    for image in range(max((len(s.volumes) for s in sessions), default=0)):
        for number in reversed(range(len(sessions))):
            volumes = sessions[number].volumes
            if image < len(volumes) and len(volumes[image].text) <= left:
                left -= len(volumes[image].text)
                held[number].append(volumes[image])
    return [
        s._replace(volumes=tuple(held[n]), overlay=s.overlay if held[n] else "")
        for n, s in enumerate(sessions)
    ]


def viewer_words(
    sessions: Sequence[ViewerSession],
    numbers: Mapping[tuple[str, int], str],
    points: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the page's script reads: sessions, windows, lesions, and the same lesion over sessions.

    Parameters
    ----------
    sessions : sequence of ViewerSession
        Sessions with their images.
    numbers : mapping of (str, int) to int
        Number of a lesion in the longitudinal table, by session and label.
    points : sequence of mapping
        Lesions of the longitudinal table: `number`, and `mm` by session.

    Returns
    -------
    dict
        Record for JSON.

    Examples
    --------
    >>> viewer_words([], {}, [])
    {'sessions': [], 'courses': []}
    """
    return {
        "sessions": [
            {
                "name": session.name,
                "volumes": [
                    {"title": v.title, "unit": v.unit, "window": list(v.window), "id": f"volume-{n}-{i}"}
                    for i, v in enumerate(session.volumes)
                ],
                "overlay": f"overlay-{n}" if session.overlay else None,
                "lesions": [
                    {**lesion, "number": numbers.get((session.name, lesion["label"]))}
                    for lesion in session.lesions
                ],
            }
            for n, session in enumerate(sessions)
        ],
        "courses": [dict(point) for point in points],
    }


def _brain(session: SessionResults, chi: Panel) -> BoolArray:
    """Return the voxels that the viewer shows: brain mask, or where the map is defined without one."""
    covered = np.asarray(chi.data != 0)
    if session.has("desc-brain_mask"):
        mask, _ = session.canonical("desc-brain_mask")
        covered |= mask > 0
    return covered if covered.any() else np.ones(covered.shape, bool)
