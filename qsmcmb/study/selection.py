"""Participants of a derivatives folder, selected by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmcmb.errors import NothingMatchedError
from qsmcmb.io.results import list_participants, list_results

__all__ = ("participants_of",)


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
