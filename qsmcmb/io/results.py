"""Results read back from a derivatives folder: what report and longitudinal analysis need, nothing recomputed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.entities import natural_key, scan_name
from qsmcmb.io.lesion_table import read_lesions
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.nifti import read_volume, read_volume_header
from qsmcmb.io.place import Place
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, FloatArray

__all__ = (
    "SessionResults",
    "canonical_axes",
    "list_participants",
    "list_results",
)


@dataclass(frozen=True)
class SessionResults:
    """The results of one scan on disk.

    Parameters
    ----------
    place : Place
        Folder and prefix of the files.
    participant : str
        Label without `sub-`; empty for `recon`.
    session : str
        Label without `ses-`; empty without sessions.
    entities : dict, optional
        Entities that tell the scan from others of its session, e.g. ``{"acq": "qsm", "run": "1"}``.

    Examples
    --------
    >>> SessionResults(Place(Path("out")), "01", "").name
    'sub-01'
    """

    place: Place
    participant: str
    session: str
    entities: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in tables: `ses-1`, `sub-01` without sessions, or `scan` without a participant."""
        return (
            f"ses-{self.session}"
            if self.session
            else f"sub-{self.participant}"
            if self.participant
            else "scan"
        )

    @property
    def path_name(self) -> str:
        """Name in messages of a run: `sub-01/ses-1`, with the scan's entities where it has any."""
        return scan_name(self.participant, self.session, self.entities)

    @property
    def heading(self) -> str:
        """Name on pages: that of tables, with the scan's entities: `ses-1, acq-qsm, run-1`."""
        return ", ".join([self.name, *(f"{name}-{value}" for name, value in self.entities.items())])

    def image(self, ending: str) -> tuple[FloatArray, Grid]:
        """Return an image by the end of its name.

        Parameters
        ----------
        ending : str
            End of the name without extension, e.g. ``"Chimap"``.

        Returns
        -------
        image : ndarray of shape (x, y, z), float32
            The image, in the unit that its JSON states.
        grid : Grid
            Its geometry.

        Raises
        ------
        InvalidInputError
            Every gate of `read_volume`.

        Examples
        --------
        >>> import tempfile
        >>> from qsmcmb.io.nifti import save_volume
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_volume(Path(folder) / "Chimap.nii.gz", np.zeros((8, 8, 9)), np.eye(4))
        ...     SessionResults(Place(Path(folder)), "", "").image("Chimap")[1].shape
        (8, 8, 9)
        """
        volume = read_volume(self.place.path(f"{ending}.nii.gz"))
        nx, ny, nz = volume.data.shape
        return volume.values(), Grid.from_affine((nx, ny, nz), volume.affine)

    def canonical(self, ending: str) -> tuple[FloatArray, Grid]:
        """Return an image with its axes as close to RAS+ as flips and swaps bring them: for pictures.

        Parameters
        ----------
        ending : str
            End of the name without extension, e.g. ``"Chimap"``.

        Returns
        -------
        image : ndarray of shape (x, y, z)
            The image, in the unit that its JSON states.
        grid : Grid
            Its geometry.

        Raises
        ------
        InvalidInputError
            Every gate of `read_volume`.

        Examples
        --------
        >>> import tempfile
        >>> from qsmcmb.io.nifti import save_volume
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_volume(Path(folder) / "Chimap.nii.gz", np.zeros((8, 8, 9)), np.eye(4)[[2, 1, 0, 3]])
        ...     SessionResults(Place(Path(folder)), "", "").canonical("Chimap")[0].shape
        (9, 8, 8)
        """
        return canonical_axes(*self.image(ending))

    def grid(self, ending: str) -> Grid:
        """Return the geometry of an image as it is stored, without reading its values.

        Parameters
        ----------
        ending : str
            End of the name without extension, e.g. ``"Chimap"``.

        Returns
        -------
        Grid
            Geometry.

        Raises
        ------
        InvalidInputError
            Every gate of `read_volume_header`.

        Examples
        --------
        >>> SessionResults(Place(Path("out")), "", "").grid("Chimap")  # doctest: +SKIP
        """
        header = read_volume_header(self.place.path(f"{ending}.nii.gz"))
        nx, ny, nz = header.data.shape
        return Grid.from_affine((nx, ny, nz), header.affine)

    def has(self, ending: str) -> bool:
        """Say whether an image is there.

        Parameters
        ----------
        ending : str
            End of the name without extension, e.g. ``"Chimap"``.

        Returns
        -------
        bool
            Whether the file exists.

        Examples
        --------
        >>> SessionResults(Place(Path("nowhere")), "", "").has("Chimap")
        False
        """
        return self.place.path(f"{ending}.nii.gz").exists()

    def record(self, ending: str) -> dict[str, Any]:
        """Return a JSON record by the end of its name.

        Parameters
        ----------
        ending : str
            End of the name without extension, e.g. ``"desc-cmb_burden"``.

        Returns
        -------
        dict
            The record.

        Raises
        ------
        InvalidInputError
            RESULT: the file is missing or no JSON.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "Chimap.json").write_text('{"Units": "ppm"}')
        ...     SessionResults(Place(Path(folder)), "", "").record("Chimap")
        {'Units': 'ppm'}
        """
        path = self.place.path(f"{ending}.json")
        try:
            return read_sidecar(path)
        except (OSError, InvalidInputError) as error:
            raise InvalidInputError(
                "RESULT", path, field="file", found=error, expected="a JSON record of a finished session",
                fix="run the session again",
            ) from error  # fmt: skip

    def lesions(self) -> list[Microbleed]:
        """Return the lesions of the lesion table.

        Returns
        -------
        list of Microbleed
            The lesions, in the table's order.

        Raises
        ------
        InvalidInputError
            TSV: the table is missing or damaged.

        Examples
        --------
        >>> import tempfile
        >>> from qsmcmb.io.tables import write_tsv
        >>> row = {"label": 1, "x_mm": 0.0, "y_mm": 0.0, "z_mm": 0.0, "side": "left"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_tsv(Path(folder) / "desc-cmb_lesions.tsv", [row], list(row))
        ...     SessionResults(Place(Path(folder)), "", "").lesions()[0].side
        'left'
        """
        return read_lesions(self.place.path("desc-cmb_lesions.tsv"))


def canonical_axes(data: AnyArray, grid: Grid) -> tuple[AnyArray, Grid]:
    """Turn a volume so that its axes are as close to RAS+ as flips and swaps bring them.

    Parameters
    ----------
    data : ndarray of shape grid.shape
        Volume.
    grid : Grid
        Its geometry.

    Returns
    -------
    data : ndarray of shape (x, y, z)
        The same values.
    grid : Grid
        Their geometry.

    Examples
    --------
    >>> grid = Grid.from_affine((2, 3, 4), np.eye(4)[[2, 1, 0, 3]])
    >>> canonical_axes(np.zeros(grid.shape), grid)[1].shape
    (4, 3, 2)
    """
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(data, grid.affine))
    nx, ny, nz = image.shape
    return np.asarray(image.dataobj), Grid.from_affine((nx, ny, nz), np.asarray(image.affine))


def list_participants(out: Path) -> list[str]:
    """Return the participants that have results.

    Parameters
    ----------
    out : Path
        The derivatives folder.

    Returns
    -------
    list of str
        Labels without `sub-`, in natural order.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "sub-01").mkdir()
    ...     list_participants(Path(folder))
    ['01']
    """
    labels = (p.name.removeprefix("sub-") for p in out.glob("sub-*") if p.is_dir())
    return sorted(labels, key=natural_key)


def list_results(out: Path, participant: str) -> list[SessionResults]:
    """Return the finished scans of a participant: those whose burden record, written last, is there.

    Parameters
    ----------
    out : Path
        The derivatives folder.
    participant : str
        Label without `sub-`.

    Returns
    -------
    list of SessionResults
        Finished scans, by session and name, in natural order.

    Examples
    --------
    >>> list_results(Path("nowhere"), "01")
    []
    """
    subject = out / f"sub-{participant}"
    sessions = sorted(subject.glob("ses-*/anat"), key=lambda p: natural_key(p.parent.name))
    found = []
    for anat in (subject / "anat", *sessions):
        session = anat.parent.name.removeprefix("ses-") if anat.parent != subject else ""
        whole = Place.of_session(out, participant, session or None)
        # One pattern for all scans: a pattern of each scan's own would be compiled anew.
        burdens = (p for p in anat.glob("*desc-cmb_burden.json") if p.name.startswith(f"{whole.prefix}_"))
        for path in sorted(burdens, key=lambda p: natural_key(p.name)):
            prefix = path.name.removesuffix("_desc-cmb_burden.json")
            pairs = [token.partition("-") for token in prefix.split("_")]
            entities = {name: value for name, _, value in pairs if name not in ("sub", "ses")}
            found.append(SessionResults(Place(anat, prefix), participant, session, entities))
    return found
