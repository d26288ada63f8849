"""Records that flow between stages: frozen, in seconds, tesla, mm, Hz, ppm and rad."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "Estimate",
    "GreScan",
    "Grid",
    "Provenance",
)


@dataclass(frozen=True)
class Grid:
    """The voxels of an image: their number, size, position in the scanner, and B0 seen from them.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along the three axes, each >= 1.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    b0_dir : tuple of float, optional
        Unit vector of B0 in voxel axes; its norm may be off by 0.001 and is then made 1.
    affine : ndarray of shape (4, 4), optional
        Voxel indices to scanner RAS+ mm; read-only once it is here. Two grids that differ in it alone are equal.

    Raises
    ------
    InvalidInputError
        GRID: a shape, size or direction out of these ranges.

    Examples
    --------
    >>> Grid.isotropic((32, 32, 32), 1.0).voxel_volume_mm3
    1.0
    """

    shape: tuple[int, int, int]
    voxel_size_mm: tuple[float, float, float]
    b0_dir: tuple[float, float, float] = (0.0, 0.0, 1.0)
    affine: FloatArray = field(default_factory=lambda: np.eye(4), compare=False)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or any(int(n) < 1 for n in self.shape):
            raise _bad("shape", self.shape, "three positive integers")
        if len(self.voxel_size_mm) != 3 or not all(np.isfinite(v) and v > 0 for v in self.voxel_size_mm):
            raise _bad("voxel_size_mm", self.voxel_size_mm, "three positive lengths in mm")
        norm = float(np.linalg.norm(self.b0_dir))
        if len(self.b0_dir) != 3 or not abs(norm - 1.0) < 1e-3:
            raise _bad("b0_dir", self.b0_dir, f"a unit vector (its norm is {norm:.4g})")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "voxel_size_mm", tuple(float(v) for v in self.voxel_size_mm))
        object.__setattr__(self, "b0_dir", tuple(float(b) / norm for b in self.b0_dir))
        affine = np.array(self.affine, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def isotropic(
        cls,
        shape: tuple[int, int, int],
        voxel_mm: float,
        *,
        b0_dir: tuple[float, float, float] = (0.0, 0.0, 1.0),
    ) -> Grid:
        """Return a grid of cubic voxels whose world origin is its centre voxel.

        Parameters
        ----------
        shape : tuple of int
            Number of voxels along the three axes.
        voxel_mm : float
            Edge length, mm, > 0.
        b0_dir : tuple of float, optional
            Unit vector of B0 in voxel axes.

        Returns
        -------
        Grid
            Grid with axes along the scanner's.

        Examples
        --------
        >>> Grid.isotropic((4, 4, 4), 2.0).to_world([2, 2, 2]).tolist()
        [0.0, 0.0, 0.0]
        """
        affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
        affine[:3, 3] = -voxel_mm * (np.array(shape) // 2)
        return cls(shape, (voxel_mm, voxel_mm, voxel_mm), b0_dir, affine)

    @classmethod
    def from_affine(cls, shape: tuple[int, int, int], affine: FloatArray) -> Grid:
        """Return the grid of an image; B0 is the scanner's z axis seen from the voxel axes.

        Parameters
        ----------
        shape : tuple of int
            Number of voxels along the three axes.
        affine : ndarray of shape (4, 4)
            Voxel indices to scanner RAS+ mm.

        Returns
        -------
        Grid
            Grid with the sizes and the B0 direction that the affine says.

        Examples
        --------
        >>> Grid.from_affine((4, 4, 4), np.diag([1.0, 1.0, 3.0, 1.0])).voxel_size_mm
        (1.0, 1.0, 3.0)
        """
        columns = np.asarray(affine, dtype=np.float64)[:3, :3]
        size = np.linalg.norm(columns, axis=0)
        # World z in voxel axes: the rotation's third row, once the columns are unit vectors.
        direction = (columns / size)[2]
        direction = direction / np.linalg.norm(direction)
        sx, sy, sz = (float(v) for v in size)
        bx, by, bz = (float(v) for v in direction)
        return cls(shape, (sx, sy, sz), (bx, by, bz), affine)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        return float(np.prod(self.voxel_size_mm))

    def to_world(self, voxel: FloatArray) -> FloatArray:
        """Map voxel indices to scanner coordinates.

        Parameters
        ----------
        voxel : ndarray of shape (..., 3)
            Voxel indices; fractions are allowed.

        Returns
        -------
        ndarray of shape (..., 3)
            Scanner RAS+, mm.

        Examples
        --------
        >>> Grid.isotropic((4, 4, 4), 2.0).to_world([3, 2, 2]).tolist()
        [2.0, 0.0, 0.0]
        """
        return np.asarray(voxel) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, points_mm: FloatArray) -> FloatArray:
        """Map scanner coordinates to voxel indices.

        Parameters
        ----------
        points_mm : ndarray of shape (..., 3)
            Scanner RAS+, mm.

        Returns
        -------
        ndarray of shape (..., 3)
            Fractional voxel indices; they may lie outside the grid.

        Examples
        --------
        >>> Grid.isotropic((4, 4, 4), 2.0).to_voxel([1.0, 0.0, 0.0]).tolist()
        [2.5, 2.0, 2.0]
        """
        return (np.asarray(points_mm) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def cropped(self, start: tuple[int, int, int], shape: tuple[int, int, int]) -> Grid:
        """Return the grid of a box of voxels.

        Parameters
        ----------
        start : tuple of int
            First voxel of the box.
        shape : tuple of int
            Number of voxels of the box along the three axes.

        Returns
        -------
        Grid
            The same voxels at the same scanner coordinates.

        Examples
        --------
        >>> Grid.isotropic((8, 8, 8), 1.0).cropped((4, 4, 4), (2, 2, 2)).to_world([0, 0, 0]).tolist()
        [0.0, 0.0, 0.0]
        """
        affine = np.array(self.affine)
        affine[:3, 3] = self.to_world(np.asarray(start, dtype=np.float64))
        return dataclasses.replace(self, shape=shape, affine=affine)


def _bad(name: str, found: object, expected: str) -> InvalidInputError:
    """Return the error for an argument of a grid."""
    return InvalidInputError(
        "GRID", "grid", field=name, found=found, expected=expected, fix=f"pass a valid {name}"
    )


@dataclass(frozen=True)
class Estimate:
    """A number with its standard deviation, unit and, where it is not symmetric, 95 % interval.

    Parameters
    ----------
    value : float
        The number, in `unit`.
    sd : float
        Standard deviation, in `unit`, >= 0.
    unit : str
        Unit of all of them, e.g. ``"ppm mm3"``.
    interval : tuple of float, optional
        Lower and upper end of the 95 % interval; value -+ 1.96 SD without it.

    Examples
    --------
    >>> str(Estimate(4.03, 0.21, "ppm mm3"))
    '4.03 +- 0.21 ppm mm3'
    """

    value: float
    sd: float
    unit: str
    interval: tuple[float, float] | None = None

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval, in `unit`."""
        return self.interval[0] if self.interval else self.value - 1.96 * self.sd

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval, in `unit`."""
        return self.interval[1] if self.interval else self.value + 1.96 * self.sd

    def __str__(self) -> str:
        return f"{self.value:.3g} +- {self.sd:.2g} {self.unit}"


@dataclass(frozen=True)
class Provenance:
    """The origin of a number: input files with their checksums, and every call with its options.

    Parameters
    ----------
    sources : tuple of (str, str), optional
        File as in the data set, and its sha256, for every input.
    steps : tuple of (str, dict), optional
        Step, and its method with all options, defaults written out.
    software : dict, optional
        Name and version of the software that computed.
    field_strength : (float, str), optional
        Field strength as used, T, and what states it.
    read_as : dict, optional
        How the input files were read: what they state, what was assumed, what the user stated.

    Examples
    --------
    >>> Provenance(sources=(("sub-01_phase.nii.gz", "6b86b2"),)).steps
    ()
    """

    sources: tuple[tuple[str, str], ...] = ()
    steps: tuple[tuple[str, dict[str, Any]], ...] = ()
    software: dict[str, str] = field(default_factory=dict)
    """(name: version) of qsmcmb, Python and every library that computes."""
    field_strength: tuple[float, str] | None = None
    read_as: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GreScan:
    """One gradient-echo acquisition, ready to compute on.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad, [-pi, pi), growing with +2 pi gamma dB TE.
    magnitude : ndarray of shape (echo, x, y, z), float32
        Magnitude, arbitrary unit, >= 0.
    te_s : tuple of float
        Echo times, s, > 0, ascending.
    b0_tesla : float
        Field strength, T, 0.01 to 25.
    grid : Grid
        Geometry, B0 direction included.
    name : str, optional
        What the scan is called in messages, e.g. ``"sub-01/ses-1"``.
    sources : tuple of (str, str), optional
        Input files and their sha256.
    warnings : tuple of str, optional
        What the reader noticed.
    b0_source : str, optional
        What states the field strength: ImagingFrequency, MagneticFieldStrength, --b0, or this argument.
    read_as : dict, optional
        How the files were read: what they state, what was assumed, what the user stated.
    b0_dir_source : str, optional
        What states the direction of B0: the form of the header with its code, --b0-dir, or the grid.
    phase_filtered : bool, optional
        Whether the scanner has high-pass filtered the phase: no number has an interval then.
    difference_te_s : tuple of float, optional
        Echo times, s, of two echoes whose phases were subtracted: `te_s` is their difference then, and the magnitude
        that of one of them.
    magnitude_is_shared : bool, optional
        Whether one magnitude serves several echoes: lesions are fitted to the phase alone then.
    decay_known : bool, optional
        Whether the magnitudes of the echoes show how the signal decays.
    is_prepared : bool, optional
        Whether its echoes have been looked at, and corrected where that was asked for.
    not_finite : tuple of (str, ndarray of bool), optional
        Files with voxels that are not finite, and these voxels; phase and magnitude are 0 there.

    Raises
    ------
    InvalidInputError
        SHAPE, TE-ORDER or B0: an array, echo time or field strength out of these ranges.

    Examples
    --------
    >>> zeros = np.zeros((1, 4, 4, 4), np.float32)
    >>> grid = Grid.isotropic((4, 4, 4), 1.0)
    >>> scan = GreScan(phase_rad=zeros, magnitude=zeros, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> scan.n_echoes
    1
    """

    phase_rad: FloatArray
    magnitude: FloatArray
    te_s: tuple[float, ...]
    b0_tesla: float
    grid: Grid
    name: str = "scan"
    sources: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    b0_source: str = "b0_tesla"
    read_as: dict[str, Any] = field(default_factory=dict)
    b0_dir_source: str = "grid"
    phase_filtered: bool = False
    difference_te_s: tuple[float, float] | None = None
    magnitude_is_shared: bool = False
    decay_known: bool = True
    is_prepared: bool = False
    not_finite: tuple[tuple[str, BoolArray], ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.te_s), *self.grid.shape)
        for field_name in ("phase_rad", "magnitude"):
            found = getattr(self, field_name).shape
            if found != expected:
                raise InvalidInputError(
                    "SHAPE", self.name, field=f"{field_name}.shape", found=found,
                    expected=f"{expected} (echoes, then grid.shape)",
                    fix="give one volume per echo time, all on one grid",
                )  # fmt: skip
        if any(b <= a for a, b in zip(self.te_s, self.te_s[1:], strict=False)) or min(self.te_s) <= 0:
            raise InvalidInputError(
                "TE-ORDER", self.name, field="te_s", found=self.te_s,
                expected="positive, ascending echo times in seconds", fix="sort echoes by echo time",
            )  # fmt: skip
        if not 0.01 <= self.b0_tesla <= 25:
            raise InvalidInputError(
                "B0", self.name, field="b0_tesla", found=self.b0_tesla,
                expected="field strength in tesla, 0.01 to 25", fix="give the field strength in tesla",
            )  # fmt: skip

    @property
    def phase_difference(self) -> bool:
        """Whether the phase is the difference of two echoes."""
        return self.difference_te_s is not None

    @property
    def n_echoes(self) -> int:
        """Number of echoes, >= 1."""
        return len(self.te_s)
