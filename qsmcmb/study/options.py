"""Options that apply to every session of a run, and what becomes of each session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qsmcmb.core.packages import require
from qsmcmb.errors import EXIT_OK, EXIT_SOME_FAILED
from qsmcmb.masking import PACKAGES
from qsmcmb.pipeline.config import Config

__all__ = ["Finished", "Outcome", "StudyOptions", "check_packages", "exit_code"]


@dataclass(frozen=True)
class StudyOptions:
    """Selection and options that apply to every session of a run.

    Parameters
    ----------
    config : Config
        Methods and options of the stages.
    participants, sessions : tuple of str, optional
        Labels; all by default.
    filters : dict, optional
        BIDS entities that must match exactly.
    points : path, optional
        TSV of a reader's points.
    labels : path, optional
        A reader's label image, where the run has one scan; or a derivatives folder whose `*_dseg` files are the
        label images of the scans.
    detect : bool, optional
        Whether the detector runs.
    mask_root : path, optional
        Derivatives folder whose `*_desc-brain_mask` or `*_mask` files are the masks.
    segmentation_root : path, optional
        Derivatives folder whose `*_dseg` files are the segmentations of the heads.
    reference : str or path, optional
        Region whose mean is 0 on the maps: "brain", "csf", a mask where the run has one scan, or a derivatives folder
        whose `*_desc-reference_mask` files are the masks of the scans.
    repeatability : path, optional
        The study's own errors of change.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> StudyOptions(config=make_config(), participants=("01",)).detect
    False
    """

    config: Config
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    filters: dict[str, str] = field(default_factory=dict)
    points: Path | None = None
    labels: Path | None = None
    detect: bool = False
    mask_root: Path | None = None
    segmentation_root: Path | None = None
    reference: str | Path = "brain"
    repeatability: Path | None = None

    @property
    def mask_method(self) -> str | None:
        """Method that makes the masks; None where the user gives them."""
        return None if self.mask_root else self.config["mask"].method


def check_packages(options: StudyOptions) -> None:
    """Raise where a method of the run needs a package that is not installed.

    Parameters
    ----------
    options : StudyOptions
        Methods, and whether the user gives the masks.

    Raises
    ------
    MissingPackageError
        PACKAGE: the message says how to install it.

    Examples
    --------
    >>> from qsmcmb.pipeline.config import make_config
    >>> check_packages(StudyOptions(config=make_config()))
    """
    package = PACKAGES.get(options.mask_method or "")
    if package:
        require(package, extra=package)


@dataclass(frozen=True)
class Outcome:
    """Result of one session: done, or why not.

    Parameters
    ----------
    name, participant : str
        Name of the session in messages; label of its participant.
    exit_code : int, optional
        0 when it is done.
    error : str, optional
        Message; empty when it is done.
    warnings : tuple of str, optional
        Messages to the user.
    seconds : dict, optional
        Duration by stage, s.
    unchanged : bool, optional
        Whether the results of an earlier run were current, so that nothing was done.
    recalled : tuple of str, optional
        Steps that an interrupted run had done.
    peak_bytes : int, optional
        Most memory that the process held so far; 0 where it is not known.
    details : str, optional
        Traceback of an error that nobody foresaw.

    Examples
    --------
    >>> Outcome(name="sub-01/ses-1", participant="01").exit_code
    0
    """

    name: str
    participant: str
    exit_code: int = EXIT_OK
    error: str = ""
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    unchanged: bool = False
    recalled: tuple[str, ...] = ()
    peak_bytes: int = 0
    details: str = ""


Finished = Callable[[Outcome], None]
"""Called with each outcome as it comes."""


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of a run.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all sessions.

    Returns
    -------
    int
        0 when all are done, 1 when some are, else the code of the first failure.

    Examples
    --------
    >>> exit_code([Outcome("a", "01"), Outcome("b", "02", exit_code=65)])
    1
    """
    failed = [o.exit_code for o in outcomes if o.exit_code != EXIT_OK]
    if not failed:
        return EXIT_OK
    return EXIT_SOME_FAILED if len(failed) < len(outcomes) else failed[0]
