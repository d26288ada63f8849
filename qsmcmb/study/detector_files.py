"""The detector's own tables of a scan whose results hold verdicts of readers: with them each verdict can be undone.

``OUT/.qsmcmb/detector/<prefix>/`` holds the files as the run has written them; the manifest their checksums.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.lesion_table import Cell, read_lesions
from qsmcmb.io.reading import open_regular
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.study.manifest import FOLDER, Manifest, checksum, manifest_path, read_manifest
from qsmcmb.study.review_events import ReviewEvent
from qsmcmb.study.source import digest_of
from qsmcmb.typing import Triple

__all__ = ["Candidate", "DetectorFiles", "detector_lesions", "distance_mm", "rebased"]

ENDINGS = (
    "desc-cmb_lesions.tsv", "desc-cmb_lesions.json", "desc-cmb_burden.json", "desc-cmb_evidence.tsv",
    "desc-cmb_explain.json", "desc-cmb_dseg.nii.gz", "desc-mars_form.tsv", "desc-mars_form.json", "desc-bombs_form.tsv",
    "desc-bombs_form.json", "desc-cmb_pictures.npz", "desc-quality.json", "desc-regions_stats.tsv",
)  # fmt: skip
"""Results that hold verdicts once they are applied."""
SAME_LESION_MM = 2.0
"""Largest distance, mm, of the points of one lesion in the tables of two runs: as of duplicates."""


@dataclass(frozen=True)
class Candidate:
    """A candidate of the detector's own table.

    Parameters
    ----------
    id : str
        What stands for it in requests and logs: it says nothing of the file that it comes from.
    label : int
        Its label.
    position_mm : tuple of float
        Its point, scanner RAS+ mm.
    row : mapping
        Cells of its row by column, as texts; None where unknown.

    Examples
    --------
    >>> Candidate("0a", 1, (0.0, 0.0, 0.0), {"kind": "vein"}).row["kind"]
    'vein'
    """

    id: str
    label: int
    position_mm: Triple
    row: Mapping[str, Cell]


class DetectorFiles:
    """Hold the results of a scan as the run has written them.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.

    Attributes
    ----------
    manifest : Manifest
        Manifest of the scan.

    Raises
    ------
    InvalidInputError
        RESULT: the scan has no manifest, it has failed, or a file is not as the run has written it.

    Examples
    --------
    >>> DetectorFiles(Path("derivatives/qsmcmb"), scan)  # doctest: +SKIP
    """

    def __init__(self, out: Path, scan: SessionResults) -> None:
        self._out, self._scan = out, scan
        known = read_manifest(manifest_path(out, scan.place.prefix))
        if known is None or known.error:
            raise self._damaged(
                out / FOLDER / "manifest", known.error if known else "no manifest of the scan"
            )
        self.manifest = known

    @property
    def folder(self) -> Path:
        """Folder of the files that were put aside."""
        return self._out / FOLDER / "detector" / self._scan.place.prefix

    @property
    def is_reviewed(self) -> bool:
        """Whether the results hold verdicts."""
        return bool(self.manifest.detector)

    @property
    def holds_verdicts(self) -> bool:
        """Whether a result is another one than the detector's: False where a run was killed before the first was."""
        return any(self.manifest.results.get(name) != sha for name, sha in self.manifest.detector.items())

    def names(self) -> dict[str, str]:
        """Return the results that hold verdicts, or would, by the end of their names.

        Returns
        -------
        dict of str to str
            Name relative to OUT, as in the manifest.

        Examples
        --------
        >>> files.names()["desc-cmb_burden.json"]  # doctest: +SKIP
        'sub-01/anat/sub-01_desc-cmb_burden.json'
        """
        paths = {ending: self._scan.place.path(ending) for ending in ENDINGS}
        named = {ending: path.relative_to(self._out).as_posix() for ending, path in paths.items()}
        there = self.manifest.detector if self.is_reviewed else self.manifest.results
        return {ending: name for ending, name in named.items() if name in there}

    def path(self, ending: str) -> Path:
        """Return the detector's own file, its checksum proven.

        Parameters
        ----------
        ending : str
            End of the name, e.g. ``"desc-cmb_lesions.tsv"``.

        Returns
        -------
        Path
            The file that was put aside, or the result itself where no verdict was applied.

        Raises
        ------
        InvalidInputError
            RESULT: it is not as the run has written it.

        Examples
        --------
        >>> files.path("desc-cmb_lesions.tsv")  # doctest: +SKIP
        """
        name = self.names().get(ending)
        path = self.folder / Path(name or ending).name if self.is_reviewed else self._scan.place.path(ending)
        expected = (self.manifest.detector if self.is_reviewed else self.manifest.results).get(name or "")
        if expected is None or checksum(path) != expected:
            raise self._damaged(path, "changed since the run, or gone")
        return path

    def candidates(self) -> list[Candidate]:
        """Return the candidates of the detector's own table.

        Returns
        -------
        list of Candidate
            In the table's order.

        Raises
        ------
        InvalidInputError
            RESULT, TSV: the table is damaged.

        Examples
        --------
        >>> files.candidates()  # doctest: +SKIP
        """
        found = []
        for row in read_tsv(self.path("desc-cmb_lesions.tsv")):
            x, y, z, label = (float(str(row[name])) for name in ("x_mm", "y_mm", "z_mm", "label"))
            named = f"{self._scan.place.prefix}|{row['label']}|{row['x_mm']}|{row['y_mm']}|{row['z_mm']}"
            found.append(Candidate(digest_of(named.encode()), int(label), (x, y, z), row))
        return found

    def put_aside(self) -> None:
        """Copy the detector's files aside and write their checksums down, before any of them is replaced.

        Examples
        --------
        >>> files.put_aside()  # doctest: +SKIP
        """
        if self.is_reviewed:
            return
        make_folder(self.folder)
        for ending in self.names():
            path = self.path(ending)
            atomic_write(self.folder / path.name, _content(path))
        held = {name: self.manifest.results[name] for name in self.names().values()}
        self._write(replace(self.manifest, detector=held))

    def put_back(self) -> None:
        """Make the detector's files the results again.

        Examples
        --------
        >>> files.put_back()  # doctest: +SKIP
        """
        if not self.is_reviewed:
            return
        for ending in self.names():
            atomic_write(self._scan.place.path(ending), _content(self.path(ending)))
        results = {**self.manifest.results, **self.manifest.detector}
        self._write(replace(self.manifest, results=results, detector={}))
        shutil.rmtree(self.folder, ignore_errors=True)

    def restore(self, ending: str) -> None:
        """Make the detector's own file the result again: no verdict changes it now, and an earlier one may have.

        Parameters
        ----------
        ending : str
            End of the name.

        Examples
        --------
        >>> files.restore("desc-cmb_dseg.nii.gz")  # doctest: +SKIP
        """
        atomic_write(self._scan.place.path(ending), _content(self.path(ending)))

    def record(self, endings: Iterable[str]) -> None:
        """Write down the checksums of results that were replaced.

        Parameters
        ----------
        endings : iterable of str
            Ends of their names.

        Examples
        --------
        >>> files.record(["desc-cmb_lesions.tsv"])  # doctest: +SKIP
        """
        names = {self.names()[ending]: self._scan.place.path(ending) for ending in endings}
        now = {name: checksum(path) for name, path in names.items()}
        self._write(replace(self.manifest, results={**self.manifest.results, **now}))

    def _write(self, manifest: Manifest) -> None:
        manifest.write(self._out, manifest_path(self._out, self._scan.place.prefix))
        self.manifest = manifest

    def _damaged(self, path: Path, found: str) -> InvalidInputError:
        return InvalidInputError(
            "RESULT", path, field="detector's results", found=found, expected="as the run has written them",
            fix=f"run `qsmcmb run` again on {self._scan.heading}; verdicts stay",
        )  # fmt: skip


def detector_lesions(out: Path, scan: SessionResults) -> list[Microbleed]:
    """Return the rows of the detector's own table, whatever readers have said of them.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    scan : SessionResults
        Results of the scan.

    Returns
    -------
    list of Microbleed
        Rows; those of the results where no verdict was applied.

    Raises
    ------
    InvalidInputError
        RESULT, TSV: the table is damaged.

    Examples
    --------
    >>> detector_lesions(Path("derivatives/qsmcmb"), scan)  # doctest: +SKIP
    """
    known = read_manifest(manifest_path(out, scan.place.prefix))
    if known is None or not known.detector:
        return scan.lesions()
    return read_lesions(DetectorFiles(out, scan).path("desc-cmb_lesions.tsv"))


def _content(path: Path) -> bytes:
    """Return the bytes of a result, of whatever size."""
    with open_regular(path) as stream:
        return stream.read()


def distance_mm(one: Triple, other: Triple) -> float:
    """Return the distance of two points.

    Parameters
    ----------
    one, other : tuple of float
        Points, mm.

    Returns
    -------
    float
        Distance, mm.

    Examples
    --------
    >>> distance_mm((0.0, 0.0, 0.0), (3.0, 0.0, 4.0))
    5.0
    """
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


def rebased(events: Iterable[ReviewEvent], candidates: Iterable[Candidate]) -> list[ReviewEvent]:
    """Return events with the candidates of another run of the scan: the same ones, or those at the same points.

    Parameters
    ----------
    events : iterable of ReviewEvent
        Events, perhaps on the candidates of an earlier run.
    candidates : iterable of Candidate
        Candidates that there are now.

    Returns
    -------
    list of ReviewEvent
        Events on a candidate that is gone, within 2 mm of one that is there, become events on that one. An accepted
        candidate that is gone becomes a lesion that the reader has added.

    Examples
    --------
    >>> event = ReviewEvent(1, "verdict", "0a", (0.0, 0.0, 1.0), label=4)
    >>> rebased([event], [Candidate("0b", 2, (0.0, 0.0, 0.0), {})])[0].label
    2
    """
    now = {c.id: c for c in candidates}
    found = []
    for event in events:
        if event.candidate not in now and event.label is not None:
            near = min(
                now.values(), key=lambda c: distance_mm(c.position_mm, event.position_mm), default=None
            )
            if near and distance_mm(near.position_mm, event.position_mm) <= SAME_LESION_MM:
                event = event._replace(candidate=near.id, label=near.label, position_mm=near.position_mm)
            else:
                event = event._replace(label=None)
        found.append(event)
    return found
