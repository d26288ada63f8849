"""Folder and name prefix of a scan's results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Place",)


@dataclass(frozen=True)
class Place:
    """Folder and name prefix of one session's results; `recon` has no prefix.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    prefix : str, optional
        Beginning of their names, e.g. ``sub-01_ses-1``.

    Examples
    --------
    >>> Place(Path("out/sub-01/anat"), "sub-01").path("Chimap.nii.gz").name
    'sub-01_Chimap.nii.gz'
    """

    folder: Path
    prefix: str = ""

    def path(self, ending: str) -> Path:
        """Return the path of the file with an ending.

        Parameters
        ----------
        ending : str
            End of the name, e.g. ``"Chimap.nii.gz"``.

        Returns
        -------
        Path
            Folder, prefix and ending.

        Examples
        --------
        >>> Place(Path("out")).path("Chimap.nii.gz").as_posix()
        'out/Chimap.nii.gz'
        """
        return self.folder / (f"{self.prefix}_{ending}" if self.prefix else ending)

    @classmethod
    def of_session(
        cls, out: Path, participant: str, session: str | None, entities: Mapping[str, str] | None = None
    ) -> Place:
        """Return the folder and prefix of a scan in a derivatives folder.

        Parameters
        ----------
        out : Path
            The derivatives folder.
        participant : str
            Label without `sub-`.
        session : str or None
            Label without `ses-`; None without sessions.
        entities : mapping, optional
            Entities that tell the scan from others of its session, in BIDS' order.

        Returns
        -------
        Place
            OUT/sub-*/[ses-*/]anat and its prefix.

        Examples
        --------
        >>> Place.of_session(Path("out"), "01", None, {"acq": "qsm"}).path("Chimap.nii.gz").as_posix()
        'out/sub-01/anat/sub-01_acq-qsm_Chimap.nii.gz'
        """
        parts = [f"sub-{participant}"] + ([f"ses-{session}"] if session else [])
        of_scan = [f"{name}-{value}" for name, value in (entities or {}).items()]
        return cls(out.joinpath(*parts, "anat"), "_".join([*parts, *of_scan]))
