"""Helpers of the commands of single stages: options bound to signatures, and the record beside each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray

if TYPE_CHECKING:
    from qsmcmb.io.input_options import InputOptions

__all__ = (
    "Stage",
    "bind_stage",
    "given_mask",
    "load_magnitude",
    "load_signal",
    "mask_or_made",
    "relative_sd",
    "stated_input",
    "stated_reference",
    "write_stage",
)


class Stage(NamedTuple):
    """Method of a stage with the options that the user set.

    Parameters
    ----------
    name, method : str
        Name of the stage and key of the method.
    options : dict
        Options that the user set.
    record : dict
        Method and all options, defaults written out.

    Examples
    --------
    >>> bind_stage("invert", "tkd", ["threshold=0.2"]).options
    {'threshold': 0.2}
    """

    name: str
    method: str
    options: dict[str, Any]
    record: dict[str, Any]


def stated_input(
    phase_units: str | None, phase_range: tuple[float, float] | None, phase_sign: int | None
) -> InputOptions:
    """Return what the command line states about the phase.

    Parameters
    ----------
    phase_units : str or None
        Value of `--phase-units`; None where the option is not given.
    phase_range : tuple of float or None
        Values of `--phase-range`.
    phase_sign : int or None
        Value of `--phase-sign`.

    Returns
    -------
    InputOptions
        The same, checked.

    Raises
    ------
    ConfigError
        A value that is none of its legal ones.

    Examples
    --------
    >>> stated_input("rad", None, None).record()
    {'phase_units': 'rad'}
    """
    from qsmcmb.io.input_options import make_input_options

    return make_input_options(
        {"phase_units": phase_units, "phase_range": phase_range, "phase_sign": phase_sign}
    )


def stated_reference(value: str) -> str | Path:
    """Return the region of `--reference`: a word, or the path of a mask or of a folder of masks.

    Parameters
    ----------
    value : str
        Value of the option.

    Returns
    -------
    str or Path
        The word in small letters, or the path.

    Raises
    ------
    ConfigError
        Neither a known word nor an existing path.

    Examples
    --------
    >>> stated_reference("CSF")
    'csf'
    """
    from qsmcmb.errors import ConfigError
    from qsmcmb.pipeline.reference import REFERENCES

    if value.lower() in REFERENCES:
        return value.lower()
    if not Path(value).exists():
        raise ConfigError(f"--reference {value!r}; expected {', '.join(REFERENCES)}, or the path of a mask")
    return Path(value)


def bind_stage(name: str, method: str, settings: Sequence[str] | None) -> Stage:
    """Check method and options before any file is read; the record holds all options, defaults written out.

    Parameters
    ----------
    name, method : str
        Name of the stage and key of the method.
    settings : sequence of str or None
        NAME=VALUE for each option.

    Returns
    -------
    Stage
        Method with its options.

    Raises
    ------
    ConfigError
        Unknown method or option.

    Examples
    --------
    >>> bind_stage("r2star", "arlo", None).record
    {'method': 'arlo'}
    """
    from qsmcmb.pipeline.config import make_config, parse_set

    options = parse_set(list(settings or []))
    config = make_config({name: {"method": method, **options}})
    return Stage(name, method, options, config.bound(name))


def write_stage(path: Path, data: AnyArray, grid: Grid, *, units: str, stage: Stage | None = None) -> None:
    """Write an image with its record.

    Parameters
    ----------
    path : Path
        Image to write.
    data : ndarray of shape grid.shape
        Values.
    grid : Grid
        Geometry.
    units : str
        Unit of the values; empty for none.
    stage : Stage, optional
        The stage that made it.

    Raises
    ------
    OutputError
        The image cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> grid = Grid.isotropic((4, 4, 4), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_stage(Path(folder) / "chi.nii.gz", np.zeros(grid.shape, np.float32), grid, units="ppm")
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['chi.json', 'chi.nii.gz']
    """
    from qsmcmb.core.software import software_versions
    from qsmcmb.io.derivatives import write_single
    from qsmcmb.io.result_records import software_record

    record: dict[str, Any] = {"Units": units} if units else {}
    if stage:
        record["Steps"] = {stage.name: stage.record}
    write_single(path, data, grid, {**record, **software_record(software_versions())})


def given_mask(path: Path, grid: Grid) -> BoolArray:
    """Return the user's mask; how its voxels were found is said.

    Parameters
    ----------
    path : Path
        File of the mask.
    grid : Grid
        Geometry.

    Returns
    -------
    ndarray of bool
        The mask.

    Raises
    ------
    InvalidInputError
        The mask cannot be read, is on another grid, or is none.

    Examples
    --------
    >>> given_mask(Path("mask.nii.gz"), grid).any()  # doctest: +SKIP
    True
    """
    from qsmcmb.cli.console import say
    from qsmcmb.io.masks import read_mask

    found = read_mask(path, grid)
    for note in found.notes:
        say(f"WARNING {note}")
    return found.inside


def load_signal(
    paths: Sequence[Path], *, radians: bool = False, b0_dir: tuple[float, float, float] | None = None
) -> tuple[FloatArray, Grid]:
    """Load phase or magnitude, whose voxels that are not finite are without signal: 0, and that is said.

    Parameters
    ----------
    paths : sequence of Path
        3D files, or one 4D file.
    radians : bool, optional
        Refuse integers without a scale: they are no radians.
    b0_dir : tuple of float, optional
        Unit vector of B0 in voxel axes; the affine says it by default.

    Returns
    -------
    stack : ndarray of shape (volume, x, y, z), float32
        The volumes, in the files' unit, finite.
    grid : Grid
        Their geometry.

    Raises
    ------
    InvalidInputError
        Every gate of `load_stack`.

    Examples
    --------
    >>> load_signal([Path("mag.nii.gz")])[0].ndim  # doctest: +SKIP
    4
    """
    import numpy as np

    from qsmcmb.cli.console import say
    from qsmcmb.io.plain import load_stack

    stack, grid = load_stack(paths, radians=radians, b0_dir=b0_dir)
    missing = ~np.isfinite(stack)
    if not missing.any():
        return stack, grid
    names = ", ".join(path.name for path in paths)
    say(f"WARNING {names}: {int(missing.sum())} voxels are not finite; taken as without signal")
    return np.where(missing, np.float32(0), stack), grid


def load_magnitude(paths: Sequence[Path]) -> tuple[FloatArray, Grid]:
    """Load magnitude, through the gates of a scan's: what is 0 everywhere or negative is none.

    Parameters
    ----------
    paths : sequence of Path
        3D files, or one 4D file.

    Returns
    -------
    stack : ndarray of shape (volume, x, y, z), float32
        The volumes, finite, 0 and more.
    grid : Grid
        Their geometry.

    Raises
    ------
    InvalidInputError
        MAG-EMPTY, MAG-NEGATIVE; every gate of `load_stack`.

    Examples
    --------
    >>> load_magnitude([Path("mag.nii.gz")])[0].ndim  # doctest: +SKIP
    4
    """
    import numpy as np

    from qsmcmb.cli.console import say
    from qsmcmb.io.magnitude_values import magnitude_notes

    stack, grid = load_signal(paths)
    for index, volume in enumerate(stack):
        for note in magnitude_notes(volume, paths[index] if len(paths) == len(stack) else paths[0]):
            say(f"WARNING {note}")
    return np.maximum(stack, 0), grid


def mask_or_made(mask: Path | None, magnitude: FloatArray, phase_rad: FloatArray, grid: Grid) -> BoolArray:
    """Return the user's mask, or one made from the scan.

    Parameters
    ----------
    mask : Path or None
        The user's mask.
    magnitude, phase_rad : ndarray of shape (echo, x, y, z)
        Magnitude, and wrapped phase in rad.
    grid : Grid
        Geometry.

    Returns
    -------
    ndarray of bool
        Brain mask.

    Raises
    ------
    InvalidInputError
        The mask cannot be read or is on another grid; nothing is left of one that is made.

    Examples
    --------
    >>> mask_or_made(None, magnitude, phase_rad, grid).any()  # doctest: +SKIP
    True
    """
    from qsmcmb.masking.brain import mask_brain

    return given_mask(mask, grid) if mask else mask_brain(magnitude, phase_rad, grid)


def relative_sd(magnitude: FloatArray) -> FloatArray:
    """Return the SD of a field up to a factor: one over the echoes' magnitude, infinite without signal.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude.

    Returns
    -------
    ndarray of shape (x, y, z)
        Inverse of the root of the sum of squares.

    Examples
    --------
    >>> import numpy as np
    >>> float(relative_sd(np.full((4, 1, 1, 1), 2.0))[0, 0, 0])
    0.25
    """
    import numpy as np

    combined = np.sqrt((magnitude.astype(np.float32) ** 2).sum(axis=0))
    return np.divide(1, combined, out=np.full(combined.shape, np.inf, np.float32), where=combined > 0)
