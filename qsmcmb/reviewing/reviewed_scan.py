"""Candidates of one scan with the logs of its readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmcmb.io.results import SessionResults
from qsmcmb.study.detector_files import Candidate, DetectorFiles, rebased
from qsmcmb.study.reader_log import ReaderLog, images_id, readers_of
from qsmcmb.study.review_events import ReviewEvent

__all__ = ["Item", "ReviewedScan", "read_scan"]


@dataclass
class ReviewedScan:
    """One scan with its candidates and the logs of its readers.

    Parameters
    ----------
    scan : SessionResults
        Results of the scan.
    images : str
        What stands for its images.
    candidates : list of Candidate
        Candidates of the detector's own table.
    logs : dict of str to ReaderLog
        Log by reader.

    Examples
    --------
    >>> ReviewedScan(scan, "1f40", [], {})  # doctest: +SKIP
    """

    scan: SessionResults
    images: str
    candidates: list[Candidate]
    logs: dict[str, ReaderLog]

    def events(self) -> dict[str, list[ReviewEvent]]:
        """Return the events of each reader, on the candidates that there are now.

        Returns
        -------
        dict of str to list of ReviewEvent
            Events by reader.

        Examples
        --------
        >>> ReviewedScan(scan, "1f40", [], {}).events()  # doctest: +SKIP
        {}
        """
        return {reader: rebased(log.events, self.candidates) for reader, log in self.logs.items()}

    def notes(self) -> list[str]:
        """Return what was noticed on reading the logs.

        Returns
        -------
        list of str
            Messages to the user.

        Examples
        --------
        >>> ReviewedScan(scan, "1f40", [], {}).notes()  # doctest: +SKIP
        []
        """
        return [note for log in self.logs.values() for note in log.notes]


def read_scan(out: Path, scan: SessionResults, readers: Sequence[str] = ()) -> ReviewedScan:
    """Read the candidates of a scan and the logs of its readers.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.
    readers : sequence of str, optional
        Readers who get a log even where they have none yet.

    Returns
    -------
    ReviewedScan
        Candidates and logs.

    Raises
    ------
    InvalidInputError
        RESULT, TSV, REVIEW, JSON: a table or a log is damaged, or of other images.

    Examples
    --------
    >>> read_scan(Path("derivatives/qsmcmb"), scan)  # doctest: +SKIP
    """
    images = images_id(scan)
    names = dict.fromkeys([*readers_of(scan.place), *readers])
    logs = {name: ReaderLog(scan.place, name, images) for name in names}
    return ReviewedScan(scan, images, DetectorFiles(out, scan).candidates(), logs)


@dataclass
class Item:
    """One candidate, or one lesion that a reader has added, on the page.

    Parameters
    ----------
    candidate : Candidate
        Id, label and point; label 0 of a lesion that was added.
    reviewed : ReviewedScan
        Its scan.

    Examples
    --------
    >>> Item(Candidate("0a", 0, (0.0, 0.0, 0.0), {}), reviewed).is_added  # doctest: +SKIP
    True
    """

    candidate: Candidate
    reviewed: ReviewedScan

    @property
    def is_added(self) -> bool:
        """Whether a reader has added it."""
        return self.candidate.label == 0
