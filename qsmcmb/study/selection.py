"""Participants and scans of a derivatives folder, selected by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmcmb.errors import NothingMatchedError
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults, list_participants, list_results

__all__ = ("participants_of", "sessions_of")


def participants_of(out: Path, wanted: Sequence[str] | None) -> list[str]:
    """Return the participants with finished sessions.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    wanted : sequence of str, optional
        Labels, with or without `sub-`; all, by default.

    Returns
    -------
    list of str
        Labels without `sub-`, sorted.

    Raises
    ------
    NothingMatchedError
        NO-MATCH, with the labels there are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     anat = Path(folder) / "sub-01" / "anat"
    ...     anat.mkdir(parents=True)
    ...     (anat / "sub-01_desc-cmb_burden.json").touch()
    ...     participants_of(Path(folder), ["sub-01"])
    ['01']
    """
    there = [p for p in list_participants(out) if list_results(out, p)]
    labels = [w.removeprefix("sub-") for w in wanted or there]
    chosen = [p for p in there if p in labels]
    if not chosen or set(labels) - set(there):
        raise NothingMatchedError(
            "NO-MATCH", out, field="participants", found=", ".join(labels) or "none",
            expected=f"finished participants: {', '.join(there) or 'there are none'}",
            fix="correct the labels, or run `qsmcmb run` first",
        )  # fmt: skip
    return chosen


def sessions_of(
    out: Path, participants: Sequence[str] | None, sessions: Sequence[str] | None
) -> list[SessionResults]:
    """Return the finished scans of a folder of `run`, or the one of `recon`.

    Parameters
    ----------
    out : Path
        Folder of results.
    participants : sequence of str or None
        Labels, with or without `sub-`; all by default.
    sessions : sequence of str or None
        Labels, with or without `ses-`; all by default.

    Returns
    -------
    list of SessionResults
        At least one.

    Raises
    ------
    NothingMatchedError
        NO-MATCH, with the labels there are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "desc-cmb_burden.json").touch()
    ...     sessions_of(Path(folder), None, None)[0].name
    'scan'
    """
    single = SessionResults(Place(out), "", "")
    if single.place.path("desc-cmb_burden.json").exists() and not (participants or sessions):
        return [single]
    found = [s for p in participants_of(out, participants) for s in list_results(out, p)]
    wanted = [s.removeprefix("ses-") for s in sessions or ()]
    chosen = [s for s in found if not wanted or s.session in wanted]
    if not chosen or set(wanted) - {s.session for s in chosen}:
        there = sorted({s.session for s in found if s.session})
        raise NothingMatchedError(
            "NO-MATCH", out, field="sessions", found=", ".join(wanted),
            expected=f"finished sessions: {', '.join(there) or 'there are none with a label'}",
            fix="correct the labels, or run `qsmcmb run` first",
        )  # fmt: skip
    return chosen
