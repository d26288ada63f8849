"""Several volumes in one file where one is expected: what they look like, and into which files they belong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume
from qsmcmb.io.phase_values import is_phase
from qsmcmb.typing import AnyArray

__all__ = ("refuse_list_of_echo_times", "refuse_series", "volume_content")

ORDER = (
    "sub",
    "ses",
    "task",
    "acq",
    "ce",
    "rec",
    "run",
    "coil",
    "echo",
    "flip",
    "inv",
    "mt",
    "part",
    "chunk",
)
"""Order of entities in a name; coil, which BIDS does not know, before the echo."""
MIN_CORRELATION = 0.9
"""Least correlation of repeats and of echoes with the first volume; receive channels see other parts of the head."""
MAX_OF_FIRST = 0.97
"""Largest ratio of one echo's signal to that of the echo before it: repeats differ by less."""


def volume_content(data: AnyArray) -> str:
    """Return what the volumes of a file look like.

    Parameters
    ----------
    data : ndarray of shape (x, y, z, n)
        The volumes, in any unit.

    Returns
    -------
    str
        ``"magnitude and phase"``, ``"receive channels"``, ``"echoes"`` or ``"repeats"``; of phase alone always
        ``"repeats"``, since it does not tell them from echoes.

    Examples
    --------
    >>> ball = np.linspace(0, 1, 512).reshape(8, 8, 8) ** 8
    >>> [volume_content(np.stack([ball, factor * ball], axis=-1)) for factor in (1.0, 0.7)]
    ['repeats', 'echoes']
    """
    volumes = [np.nan_to_num(np.asarray(data[..., i], np.float64)) for i in range(data.shape[3])]
    wrapped = [is_phase(v) for v in volumes]
    if any(wrapped):
        return "repeats" if all(wrapped) else "magnitude and phase"
    # Every other voxel tells as much.
    first, *others = [v[::2, ::2, ::2].ravel() for v in volumes]
    if min(_correlation(first, v) for v in others) < MIN_CORRELATION:
        return "receive channels"
    bright = first > np.percentile(first, 70)
    means = [float(v[bright].mean()) if bright.any() else 1.0 for v in (first, *others)]
    ratios = [after / before if before else 1.0 for before, after in itertools.pairwise(means)]
    return "echoes" if max(ratios) < MAX_OF_FIRST else "repeats"


def _correlation(one: AnyArray, two: AnyArray) -> float:
    """Return the correlation of two volumes; 1 where one of them is constant."""
    return float(np.corrcoef(one, two)[0, 1]) if one.std() > 0 and two.std() > 0 else 1.0


def refuse_series(volume: Volume, entities: Mapping[str, str], suffix: str) -> InvalidInputError:
    """Return the error of a 4D image in a data set: what its volumes look like, and the names that they need.

    Parameters
    ----------
    volume : Volume
        The image; of a scan's images the magnitude tells most.
    entities : mapping
        Entity to value, of its name.
    suffix : str
        Suffix of its name.

    Returns
    -------
    InvalidInputError
        DIM.

    Examples
    --------
    >>> file = {"path": Path("sub-01_echo-1_MEGRE.nii"), "sha256": "", "affine": np.eye(4), "oriented": True}
    >>> repeats = np.stack([np.linspace(0, 1, 512).reshape(8, 8, 8) ** 8] * 3, axis=-1)
    >>> error = refuse_series(
    ...     Volume(data=repeats, slope=1.0, inter=0.0, warnings=(), **file), {"sub": "01", "echo": "1"}, "MEGRE"
    ... )
    >>> error.found
    '(8, 8, 8, 3), which looks like 3 repeats in one file'
    """
    n, content = volume.data.shape[3], volume_content(volume.data)
    ending = ".nii.gz" if volume.path.name.endswith(".gz") else ".nii"

    def name(**more: str) -> str:
        return _name({**entities, **more}, suffix) + ending

    if content == "magnitude and phase":
        phase = [is_phase(np.nan_to_num(np.asarray(volume.data[..., i], np.float64))) for i in range(n)]
        pairs = [
            f"volume {i} as {name(part='phase' if wrapped else 'mag')}" for i, wrapped in enumerate(phase)
        ]
        fix = f"save {', '.join(pairs[:8])}" if n == 2 else (
            f"save the magnitudes (volumes {_those(phase, False)}) and the phases (volumes {_those(phase, True)}) as "
            f"images of their own, {name(echo='1', part='mag')}, {name(echo='1', part='phase')}, then echo-2 and so on"
        )  # fmt: skip
        return _refuse(volume, f"magnitude and phase in {n} volumes of one file", f"{fix}, counted from 0")
    entity = {"receive channels": "coil", "echoes": "echo"}.get(content, "")
    if content == "echoes" and "echo" in entities:
        entity = ""
    if not entity:
        entity = next((e for e in ("run", "rec", "acq") if e not in entities), "chunk")
    fix = (
        f"save volume 1 of every image of the scan as an image of its own, {name(**{entity: '1'})} and so on, volume 2 "
        f"with {entity}-2, up to {entity}-{n}, each with its JSON file"
    )
    if entity == "echo":
        fix += " and its own EchoTime"
    return _refuse(volume, f"{n} {content} in one file", fix)


def _those(phase: list[bool], wanted: bool) -> str:
    """Return the numbers of the volumes that are phase, or those that are not."""
    return ", ".join(str(i) for i, wrapped in enumerate(phase) if wrapped == wanted)


def _name(entities: Mapping[str, str], suffix: str) -> str:
    """Return a name without its ending."""
    return "_".join([*(f"{e}-{entities[e]}" for e in ORDER if e in entities), suffix])


def _refuse(volume: Volume, looks: str, fix: str) -> InvalidInputError:
    """Return the error."""
    return InvalidInputError(
        "DIM", volume.path, field="dim", found=f"{volume.data.shape}, which looks like {looks}",
        expected="a 3D volume for each echo and part", fix=f"{fix}; remove the 4D images",
    )  # fmt: skip


def refuse_list_of_echo_times(meta: Mapping[str, Any], where: Path) -> None:
    """Raise where a sidecar states several echo times: all echoes in one file, which BIDS does not know.

    Parameters
    ----------
    meta : mapping
        Metadata of an image.
    where : Path
        The image.

    Raises
    ------
    InvalidInputError
        TE-TYPE.

    Examples
    --------
    >>> refuse_list_of_echo_times({"EchoTime": 0.02}, Path("sub-01_T2starw.nii"))
    """
    te = meta.get("EchoTime")
    if isinstance(te, list) and len(te) > 1:
        raise InvalidInputError(
            "TE-TYPE", where, field="EchoTime", found=f"{len(te)} numbers", expected="one number, in seconds",
            fix="save each echo of every image as an image of its own (echo-1, echo-2, ... in the name), with a JSON "
            "file that holds its own EchoTime; remove the 4D images",
        )  # fmt: skip
