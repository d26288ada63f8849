"""Scans given as plain NIfTI files: one 3D file per echo, or one 4D file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.assemble import assemble, common_grid, paths_of, split_echoes
from qsmcmb.io.field_strength import check_given
from qsmcmb.io.input_options import InputOptions
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.io.volume_series import volume_content
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import FloatArray

__all__ = (
    "load_files",
    "load_stack",
)


def load_files(
    phase: Sequence[str | Path],
    magnitude: Sequence[str | Path],
    te_s: Sequence[float],
    b0_tesla: float,
    *,
    phase_units: str | None = None,
    phase_range: tuple[float, float] | None = None,
    phase_sign: int | None = None,
    phase_filtered: bool | None = None,
    b0_dir: tuple[float, float, float] | None = None,
    name: str = "scan",
) -> GreScan:
    """Load phase and magnitude files as one scan.

    Parameters
    ----------
    phase : sequence of path
        One 3D file per echo, or one 4D file.
    magnitude : sequence of path
        One 3D file per echo, or one 4D file.
    te_s : sequence of float
        Echo times, s, ascending.
    b0_tesla : float
        Field strength, T: the proton's frequency over 42.5775 MHz/T; magnets are named in round numbers.
    phase_units : {"rad", "arbitrary"}, optional
        Unit of the stored phase; by header and range without it.
    phase_range : tuple of float, optional
        Stored values that stand for -pi and pi, where the file does not say.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field; 1 by default.
    phase_filtered : bool, optional
        Whether the scanner has high-pass filtered the phase; by default the phase itself says so.
    b0_dir : tuple of float, optional
        Unit vector of B0 in voxel axes; the affine says it by default.
    name : str, optional
        Name in messages.

    Returns
    -------
    GreScan
        Phase in rad; sources are the files with their sha256.

    Raises
    ------
    InvalidInputError
        TE-MISMATCH when the files hold another number of echoes than `te_s`; B0 when the field strength is no tesla
        or a JSON beside a file contradicts it; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> phase_rad = np.linspace(-np.pi, np.pi, 512).reshape(8, 8, 8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     phase, magnitude = (Path(folder) / name for name in ("phase.nii", "mag.nii"))
    ...     save_volume(phase, phase_rad, np.eye(4))
    ...     save_volume(magnitude, np.ones((8, 8, 8)), np.eye(4))
    ...     load_files([phase], [magnitude], te_s=[0.02], b0_tesla=3.0).n_echoes
    1
    """
    b0 = check_given(b0_tesla, paths_of([*phase, *magnitude]))
    phases = split_echoes([read_volume(p) for p in paths_of(phase)])
    magnitudes = split_echoes([read_volume(p) for p in paths_of(magnitude)])
    # Some scanners combine the echoes' magnitudes and keep their phases.
    if len(magnitudes) == 1 < len(te_s) == len(phases):
        magnitudes = magnitudes * len(te_s)
    for kind, volumes in (("phase", phases), ("magnitude", magnitudes)):
        if len(volumes) != len(te_s):
            found, fix = _surplus(volumes, len(te_s))
            raise InvalidInputError(
                "TE-MISMATCH", volumes[0].path if volumes else kind, field=f"{kind} volumes", found=found,
                expected=f"{len(te_s)}, one for each echo time", fix=fix,
            )  # fmt: skip
    return assemble(
        phases, magnitudes, te_s, b0, name=name, units=None, strict_units=False,
        options=InputOptions(phase_units, phase_range, phase_sign, phase_filtered), b0_dir=b0_dir,
    )  # fmt: skip


def _surplus(volumes: Sequence[Volume], n_echoes: int) -> tuple[str, str]:
    """Return what too many volumes look like, and what to do."""
    n = len(volumes)
    same = n > 1 and all(v.data.shape == volumes[0].data.shape for v in volumes)
    content = volume_content(np.stack([v.data for v in volumes], axis=-1)) if same else ""
    if content == "magnitude and phase":
        found = f"{n}, which look like magnitude and phase in one file"
        return (
            found,
            "save the magnitudes as one file and the phases as another, and give them to --mag and --phase",
        )
    if n > n_echoes and n % n_echoes == 0:
        repeats = n // n_echoes
        found = f"{n}, which look like {repeats} {content if content == 'receive channels' else 'repeats'}"
        return (
            found,
            f"save {n_echoes} of the volumes, those of one repeat, as a file of their own, and give that",
        )
    return str(n), "give as many volumes as echo times"


def load_stack(
    paths: Sequence[str | Path],
    *,
    radians: bool = False,
    b0_dir: tuple[float, float, float] | None = None,
) -> tuple[FloatArray, Grid]:
    """Load volumes that lie on one grid.

    Parameters
    ----------
    paths : sequence of path
        3D files, or one 4D file.
    radians : bool, optional
        Refuse integers without a scale: they are no radians.
    b0_dir : tuple of float, optional
        Unit vector of B0 in voxel axes; the affine says it by default.

    Returns
    -------
    stack : ndarray of shape (volume, x, y, z), float32
        The volumes, in the files' unit; what is not finite stays.
    grid : Grid
        Their geometry.

    Raises
    ------
    InvalidInputError
        SHAPE, AFFINE, ORIENT, PHASUNITS; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "a.nii", np.ones((8, 8, 8)), np.eye(4))
    ...     load_stack([Path(folder) / "a.nii"])[0].shape
    (1, 8, 8, 8)
    """
    volumes = split_echoes([read_volume(p) for p in paths_of(paths)])
    grid, _ = common_grid(volumes, b0_dir)
    for volume in volumes:
        if radians and volume.data.dtype.kind in "iu" and volume.slope == 1.0:
            raise InvalidInputError(
                "PHASUNITS", volume.path, field="values", found=f"integers ({volume.data.dtype}) without a scale",
                expected="phase in radians", fix="use `qsmcmb recon`, which reads scanner units, or convert to radians",
            )  # fmt: skip
    return np.stack([v.values() for v in volumes]), grid
