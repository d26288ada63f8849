"""The segmentation of a scan's head in a derivatives folder, as fMRIPrep, FastSurfer or a user has named it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.entities import agreement
from qsmcmb.io.place import Place

__all__ = ["find_segmentation"]

PREFERRED = ("aparcaseg", "aparcDKTatlasaseg", "synthseg", "aseg")
"""Descriptions of segmentations of the whole brain, the better first: of several files the first of them counts."""
OTHERS = ("_desc-cmb_", "_space-MNI")
"""Parts of the names of images that are no segmentation of the head: lesions, and those in a template's space."""


def find_segmentation(root: Path, participant: str, session: str | None, entities: Mapping[str, str]) -> Path:
    """Return the one segmentation of a scan's head in a derivatives folder.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    participant : str
        Label without `sub-`.
    session : str or None
        Label without `ses-`.
    entities : mapping
        Entities that tell the scan from others of its session.

    Returns
    -------
    Path
        An image `*_dseg.nii.gz` of the session, else of the participant: one whose `acq`, `rec` and `run` are the
        scan's where there is one, for the segmentation is most often that of another image.

    Raises
    ------
    InvalidInputError
        SEGMENTATION where there is none, or more than one and none of a description that says the whole brain.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     anat = Path(folder) / "sub-01" / "anat"
    ...     anat.mkdir(parents=True)
    ...     for name in ("sub-01_dseg.nii.gz", "sub-01_desc-aseg_dseg.nii.gz"):
    ...         (anat / name).touch()
    ...     find_segmentation(Path(folder), "01", "1", {}).name
    'sub-01_desc-aseg_dseg.nii.gz'
    """
    of_session = Place.of_session(root, participant, session)
    found: list[Path] = []
    for place in (of_session, Place.of_session(root, participant, None)):
        there = sorted(place.folder.glob(f"{place.prefix}_*dseg.nii*"))
        found = [p for p in there if not any(part in p.name for part in OTHERS)]
        if found:
            break
    fitting = {p: agreement(p.name, entities) for p in found}
    best = max((n for n in fitting.values() if n is not None), default=None)
    of_scan = [p for p in found if fitting[p] == best]
    for description in PREFERRED:
        chosen = [p for p in of_scan if f"_desc-{description}_" in p.name]
        if len(chosen) == 1:
            return chosen[0]
    if len(of_scan) == 1:
        return of_scan[0]
    raise InvalidInputError(
        "SEGMENTATION", of_session.folder, field="files *_dseg.nii.gz",
        found=", ".join(p.name for p in of_scan) or "none",
        expected=f"one {of_session.prefix}_dseg.nii.gz, or one with desc-{' or desc-'.join(PREFERRED)}",
        fix="remove the others, or give them a folder of their own" if of_scan
        else f"name the image {of_session.prefix}_desc-aparcaseg_dseg.nii.gz",
    )  # fmt: skip
