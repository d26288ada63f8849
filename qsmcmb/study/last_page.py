"""A subject's page as its last run has made it: what a page that is written again must not lose."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qsmcmb.reporting.budget import Detail, read_detail
from qsmcmb.study.manifest import Manifest, manifest_path, read_manifest

__all__ = ["LastPage", "last_page", "page_of"]


class LastPage(NamedTuple):
    """How the page of a subject was made.

    Parameters
    ----------
    failures : dict of str to str
        Error by the name of each session that has failed.
    detail : {"full", "light"}
        Page with the live viewer, or of pictures alone.
    repeatability : Path or None
        File of the study's own errors of change.
    notes : tuple of str
        Errors and warnings of the comparison.

    Examples
    --------
    >>> LastPage({}, "full", None, ()).detail
    'full'
    """

    failures: dict[str, str]
    detail: Detail
    repeatability: Path | None
    notes: tuple[str, ...]


def last_page(out: Path, participant: str) -> LastPage:
    """Return how the page of a subject was made last.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    participant : str
        Label without `sub-`.

    Returns
    -------
    LastPage
        A full page without failures where there was none.

    Examples
    --------
    >>> last_page(Path("nowhere"), "01")
    LastPage(failures={}, detail='full', repeatability=None, notes=())
    """
    return page_of(read_manifest(manifest_path(out, f"sub-{participant}", subject=True)))


def page_of(known: Manifest | None) -> LastPage:
    """Return how the page of a manifest was made.

    Parameters
    ----------
    known : Manifest or None
        Manifest of the subject.

    Returns
    -------
    LastPage
        A full page without failures where there was none.

    Examples
    --------
    >>> page_of(None).failures
    {}
    """
    if known is None:
        return LastPage({}, "full", None, ())
    steps = {name: step.parameters for name, step in known.steps.items()}
    page, errors = steps.get("report", {}), steps.get("longitudinal", {}).get("repeatability")
    return LastPage(
        dict(page.get("failures", {})), read_detail(page.get("detail", "full")), Path(errors) if errors else None,
        (*known.error.splitlines(), *known.warnings),
    )  # fmt: skip
