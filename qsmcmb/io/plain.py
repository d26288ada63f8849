"""Scans given as plain NIfTI files: one 3D file per echo, or one 4D file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.assemble import assemble, paths_of, split_echoes
from qsmcmb.io.nifti import read_volume
from qsmcmb.model import GreScan


def load_files(
    phase: Sequence[str | Path],
    magnitude: Sequence[str | Path],
    te_s: Sequence[float],
    b0_tesla: float,
    *,
    phase_range: tuple[float, float] | None = None,
    phase_sign: int = 1,
    b0_dir: tuple[float, float, float] | None = None,
    name: str = "scan",
) -> GreScan:
    """Load phase and magnitude files as one scan.

    Parameters
    ----------
    phase, magnitude : sequence of path
        One 3D file per echo, or one 4D file; magnitude may be one echo fewer only if it is 4D too.
    te_s : sequence of float
        Echo times, s, ascending.
    b0_tesla : float
        Field strength, T.
    phase_range : tuple of float, optional
        Values that stand for -pi and pi, where the file does not say.
    phase_sign : {1, -1}, optional
        -1 for phase that falls with a paramagnetic field.
    b0_dir : tuple of float, optional
        B0 in voxel axes, in place of the affine's.
    name : str, optional
        Name in messages.

    Returns
    -------
    GreScan

    Raises
    ------
    InvalidInputError
        TE-MISMATCH when the files hold another number of echoes than `te_s`; every gate of `read_volume`.
    """
    phases = split_echoes([read_volume(p) for p in paths_of(phase)])
    magnitudes = split_echoes([read_volume(p) for p in paths_of(magnitude)])
    for kind, volumes in (("phase", phases), ("magnitude", magnitudes)):
        if len(volumes) != len(te_s):
            raise InvalidInputError(
                "TE-MISMATCH", volumes[0].path if volumes else kind, field=f"{kind} volumes", found=len(volumes),
                expected=f"{len(te_s)}, one for each echo time", fix="give as many volumes as echo times",
            )  # fmt: skip
    return assemble(
        phases, magnitudes, te_s, b0_tesla, name=name, units=None, strict_units=False,
        phase_range=phase_range, phase_sign=phase_sign, b0_dir=b0_dir,
    )  # fmt: skip
