"""Whether a reader's points are scanner RAS+ mm: where they are, lesions are dark spots of the magnitude.

Other programs write LPS, in which x and y have the other sign, or voxel indices. A point is then a place of the head
like any other, and its row a number without a lesion.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import ball_box
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import describe_box, describe_image_box
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("check_point_frame", "lie_in_head")

TE_B0_S_TESLA = 0.06
"""Echo time times field strength at which lesions are best seen, s T: 20 ms at 3 T."""
SPOT_MM, AROUND_MM = 3.0, (4.0, 8.0)
"""Reach of the spot around a point, and of the tissue that it is held against, mm."""
TISSUE_FRACTION = 0.3
"""Fraction of the head's bright magnitude from which a voxel is tissue."""
HEAD_FRACTION, INNER_FRACTION = 0.3, 0.8
"""Fraction of tissue around a point from which it lies in the head, and from which no air can pass for a lesion."""
DARK = 0.5
"""Ratio of the darkest voxel of a spot to the tissue around, below which it is a lesion or a vessel, not noise."""
MIN_MORE_POINTS, MIN_MORE_FRACTION = 2, 0.4
"""Least number and fraction of the points that must lie on dark spots only under another reading."""
MIN_FITTING = 0.6
"""Least fraction of the points that must lie on lesions under another reading."""


class _Reading(NamedTuple):
    """Another meaning that the numbers of a list could have."""

    name: str
    cure: str
    to_scanner: Callable[[FloatArray, Grid], FloatArray]


def _from_first_voxel(points: FloatArray, grid: Grid) -> FloatArray:
    """Return scanner mm of points that are mm along the voxel axes from the first voxel."""
    return grid.to_world(points / np.array(grid.voxel_size_mm))


def _mirrored_voxels(points: FloatArray, grid: Grid) -> FloatArray:
    """Return scanner mm of voxel indices whose first axis is counted from its other end."""
    return grid.to_world(points * [-1, 1, 1] + [grid.shape[0] - 1, 0, 0])


READINGS = (
    _Reading("LPS", "negate x_mm and y_mm", lambda p, _: p * [-1, -1, 1]),
    _Reading("LAS", "negate x_mm", lambda p, _: p * [-1, 1, 1]),
    _Reading("voxel indices", "turn them into mm by the image's affine", lambda p, grid: grid.to_world(p)),
    _Reading(
        "voxel indices from 1",
        "turn them, less 1, into mm by the affine",
        lambda p, grid: grid.to_world(p - 1),
    ),
    _Reading(
        "voxel indices with x from the other side",
        "subtract x from the number of columns less 1, then turn them into mm by the affine",
        _mirrored_voxels,
    ),
    _Reading("mm from the first voxel", "divide by the voxel size and use the affine", _from_first_voxel),
    _Reading("centimetres", "multiply by 10", lambda p, _: 10 * p),
    _Reading("metres", "multiply by 1000", lambda p, _: 1000 * p),
)
"""Meanings that are tried, the commonest first."""


class _Spots(NamedTuple):
    """Whether each point lies in the head, and on a dark spot."""

    in_head: BoolArray
    dark: BoolArray


def lie_in_head(scan: GreScan, points_mm: FloatArray) -> BoolArray:
    """Say which points lie in the head.

    Parameters
    ----------
    scan : GreScan
        The scan.
    points_mm : ndarray of shape (n, 3)
        Points, scanner RAS+ mm; n may be 0.

    Returns
    -------
    ndarray of shape (n,), bool
        Whether there is tissue around each point.

    Examples
    --------
    >>> magnitude = np.ones((1, 20, 20, 20), np.float32)
    >>> grid = Grid.isotropic((20, 20, 20), 1.0)
    >>> scan = GreScan(phase_rad=0 * magnitude, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> lie_in_head(scan, np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]])).tolist()
    [True, False]
    """
    if not len(points_mm):
        return np.zeros(0, bool)
    return _look(_image_of_lesions(scan), scan.grid, points_mm).in_head


def _image_of_lesions(scan: GreScan) -> FloatArray:
    """Return the magnitude of the echo in which lesions are best seen."""
    return np.asarray(scan.magnitude[np.argmin(np.abs(np.array(scan.te_s) - TE_B0_S_TESLA / scan.b0_tesla))])


def check_point_frame(scan: GreScan, points_mm: FloatArray, source: Path | str) -> tuple[str, ...]:
    """Raise where the points lie on lesions only if their numbers mean something else than scanner RAS+ mm.

    Few points can only raise a suspicion, which is returned.

    Parameters
    ----------
    scan : GreScan
        The scan.
    points_mm : ndarray of shape (n, 3)
        Points of a list, taken as scanner RAS+ mm; n may be 0.
    source : path or str
        The list, or what the points are called in messages.

    Returns
    -------
    tuple of str
        What the user must know; empty for most lists.

    Raises
    ------
    InvalidInputError
        POINTS, with the reading that fits and what to do; or with the box of the points and that of the image, where
        none of a list's points lies in the image.

    Examples
    --------
    >>> grid = Grid.isotropic((40, 40, 40), 1.0)
    >>> magnitude = np.ones((1, *grid.shape), np.float32)
    >>> magnitude[0, 30, 28, 20] = magnitude[0, 12, 28, 20] = 0.1
    >>> scan = GreScan(phase_rad=0 * magnitude, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> check_point_frame(scan, np.array([[10.0, 8.0, 0.0], [-8.0, 8.0, 0.0]]), Path("a.tsv"))
    ()
    >>> try:
    ...     check_point_frame(scan, np.array([[-10.0, -8.0, 0.0], [8.0, -8.0, 0.0]]), Path("a.tsv"))
    ... except InvalidInputError as error:
    ...     print(error.fix.partition(";")[0])
    negate x_mm and y_mm: the first point is then 10 8 0 mm
    """
    n = len(points_mm)
    if n == 0:
        return ()
    name, image = Path(source).name, _image_of_lesions(scan)
    given = _look(image, scan.grid, points_mm)
    n_dark = int(given.dark.sum())
    for reading in READINGS:
        moved = reading.to_scanner(points_mm, scan.grid)
        fitting = int(_look(image, scan.grid, moved).dark.sum())
        if fitting < MIN_FITTING * n or fitting <= n_dark:
            continue
        first = " ".join(f"{v:.4g}" for v in moved[0])
        found = f"{n_dark} of {n} points lie on a dark spot; read as {reading.name}, {fitting} would"
        cure = f"{reading.cure}: the first point is then {first} mm"
        if given.in_head.any() and fitting - n_dark < max(MIN_MORE_POINTS, MIN_MORE_FRACTION * n):
            return (f"{name}: {found}; if so, {cure}",)
        raise InvalidInputError(
            "POINTS", source, field="positions", found=found, expected="positions in scanner RAS+ mm",
            fix=f"{cure}; where the list is right, give a label image of the lesions to --labels",
        )  # fmt: skip
    if given.in_head.any():
        return ()
    covered = describe_image_box(scan.grid.affine, scan.grid.shape)
    boxes = f"the points span {describe_box(points_mm)}, the image {covered}"
    # An array may hold points outside, which become rows without a number; a list of them is a list of another scan.
    if isinstance(source, Path) and not _in_image(scan.grid, points_mm).any():
        raise InvalidInputError(
            "POINTS", source, field="positions", found=f"none of {n} in the image: {boxes}",
            expected="positions in scanner RAS+ mm of this scan",
            fix="give the points of this scan, in the coordinates of its image; points of a template or of another "
            "scan have to be brought over first",
        )  # fmt: skip
    return (f"{name}: none of the points lies in the head; {boxes}",)


def _in_image(grid: Grid, points_mm: FloatArray) -> BoolArray:
    """Return which points lie in a voxel of the image."""
    voxels = grid.to_voxel(points_mm)
    return np.asarray(((voxels > -0.5) & (voxels < np.array(grid.shape) - 0.5)).all(axis=1))


def _look(image: FloatArray, grid: Grid, points_mm: FloatArray) -> _Spots:
    """Return what the magnitude shows at points."""
    tissue = TISSUE_FRACTION * float(np.percentile(image, 95))
    looked_at = zip(grid.to_voxel(points_mm), _in_image(grid, points_mm), strict=True)
    seen = np.array(
        [_spot(image, grid, voxel, tissue) if inside else (1.0, 0.0) for voxel, inside in looked_at]
    )
    ratio, fraction = seen[:, 0], seen[:, 1]
    return _Spots(fraction >= HEAD_FRACTION, (fraction >= INNER_FRACTION) & (ratio < DARK))


def _spot(image: FloatArray, grid: Grid, voxel: FloatArray, tissue: float) -> tuple[float, float]:
    """Return the darkest voxel near a point over the tissue around, and the fraction of tissue around."""
    box, distance = ball_box(grid, voxel, AROUND_MM[1])
    values = image[box]
    around = values[(distance > AROUND_MM[0]) & (distance <= AROUND_MM[1])]
    bright = around[around > tissue]
    near = values[distance <= max(SPOT_MM, 0.6 * max(grid.voxel_size_mm))]
    if not bright.size or not near.size:
        return 1.0, 0.0
    return float(near.min() / np.median(bright)), bright.size / around.size
