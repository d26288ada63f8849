"""Phase images in another order than their echo times, as where files are named or numbered wrongly.

The field's part of the phase grows in proportion to the echo time. Second differences along the image's axes hold
that part alone: the receive phase is smooth. Products of two echoes' differences, whose noise is independent, are
proportional to the product of their echo times.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

REACH = 2
"""Distance of the voxels of a second difference: neighbours hold more noise, distant voxels more receive phase."""
MAX_PHASE_RAD = 1.5
"""Largest second difference at the last echo time in the voxels that are used, rad: one of half a turn wraps."""
MIN_CORRELATION = 0.2
"""Least correlation of the differences of two echoes: 0.4 and more on real and simulated heads."""
MAX_SPREAD = 0.35
"""Largest spread of the log echo times that the phase shows around those stated, in the order found: 0.2 or less."""
MIN_SPREAD_GAIN, MIN_SPREAD_RATIO = 0.15, 2.0
"""Least difference and ratio of that spread in the stated order to that in the order found."""
MIN_SLOPE = 1.05
"""Least slope of the first of two phases over the second: in the right order it is at most their echo times' ratio."""
MIN_VALUES = 1000
"""Least number of differences that say something."""
MAX_SLICES = 24
"""Slices that are looked at, evenly spaced."""


def check_echo_order(
    phase: Sequence[Volume],
    magnitude: Sequence[Volume],
    te_s: Sequence[float],
    phase_rad: FloatArray,
    values: FloatArray,
) -> None:
    """Raise where the phases of the echoes do not grow in the order of the echo times.

    Raises
    ------
    InvalidInputError
        PHASE-ORDER, with the order in which they do.
    """
    order = find_echo_order(phase_rad, values, te_s)
    if order is None:
        return
    both = _decays(values[list(order)]) and not _decays(values)
    images = "phase and magnitude" if both else "phase"
    moved = [i for i, o in enumerate(order) if i != o]
    files = [
        volume for group in ([phase, magnitude] if both else [phase]) for volume in (group[i] for i in moved)
    ]
    found = ", ".join(str(i + 1) for i in order)
    exchange = len(moved) == 2
    what = f"exchange the {images} images" if exchange else f"give the {images} images in the order {found}:"
    raise InvalidInputError(
        "PHASE-ORDER", phase[moved[0]].path, field=f"order in which the phase of the {len(te_s)} images grows",
        found=found, expected=f"{', '.join(str(i + 1) for i in range(len(te_s)))}, that of the echo times",
        fix=f"{what} of echoes {' and '.join(str(i + 1) for i in moved)}"
        f" ({', '.join(dict.fromkeys(v.path.name for v in files))}), or correct their echo times",
    )  # fmt: skip


def find_echo_order(
    phase_rad: FloatArray, magnitude: FloatArray, te_s: Sequence[float]
) -> tuple[int, ...] | None:
    """Return the order of the phase images in which they fit the echo times; None where it is theirs, or unknown.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude.
    te_s : sequence of float
        Echo times, s, ascending.

    Returns
    -------
    tuple of int or None
        Index of the image that belongs to each echo time.
    """
    stated = np.log(te_s)
    products = _products(phase_rad, magnitude, te_s[0] / te_s[-1]) if len(te_s) > 1 else None
    if products is None:
        return None
    shown = _log_echo_times(products)
    order = np.argsort(shown, kind="stable")
    if len(te_s) == 2:
        # One product does not tell two times. The slope from the later phase to the earlier is below 1, by noise, too.
        return (1, 0) if products[0, 1] > MIN_SLOPE * products[1, 1] else None
    given, found = np.ptp(shown - stated), np.ptp(shown[order] - stated)
    is_other = found < MAX_SPREAD and given > MIN_SPREAD_RATIO * found + MIN_SPREAD_GAIN
    return tuple(int(i) for i in order) if is_other else None


def _products(phase_rad: FloatArray, magnitude: FloatArray, first_to_last: float) -> FloatArray | None:
    """Return the mean products of the echoes' second differences, (echo, echo); None where they say nothing."""
    step = -(-phase_rad.shape[-1] // MAX_SLICES)
    phase_rad, magnitude = phase_rad[..., step // 2 :: step], magnitude[..., step // 2 :: step]
    size = np.sqrt(np.mean(np.square(magnitude), axis=0))
    bright = (magnitude > 0).all(axis=0) & (size > size.mean())
    parts = []
    for axis in (0, 1):
        ends = [np.moveaxis(bright, axis, 0)[s] for s in _shifts()]
        low, middle, high = (np.moveaxis(phase_rad, 1 + axis, 1)[:, s] for s in _shifts())
        use = ends[0] & ends[1] & ends[2]
        second = low[:, use] + high[:, use] - 2 * middle[:, use]
        parts.append(second - 2 * np.pi * np.rint(second / (2 * np.pi)))
    second = np.concatenate(parts, axis=1).astype(np.float64)
    if second.shape[1] < MIN_VALUES:
        return None
    # In the weakest image small differences are meant, so that those of the strongest do not wrap.
    weakest = second[np.argmin((second**2).mean(axis=1))]
    second = second[:, np.abs(weakest) < MAX_PHASE_RAD * first_to_last]
    products: FloatArray = second @ second.T / max(second.shape[1], 1)
    power = np.sqrt(np.diag(products))
    related = (products > MIN_CORRELATION * np.outer(power, power)).all()
    return products if related and second.shape[1] >= MIN_VALUES and power.all() else None


def _shifts() -> tuple[slice, slice, slice]:
    """Return the slices along an axis of the voxels before, between and behind."""
    return slice(None, -2 * REACH), slice(REACH, -REACH), slice(2 * REACH, None)


def _log_echo_times(products: FloatArray) -> FloatArray:
    """Return the log echo times, up to a constant, whose sums are the logs of the products of different echoes."""
    pairs = list(combinations(range(len(products)), 2))
    sums = np.zeros((len(pairs), len(products)))
    for row, pair in zip(sums, pairs, strict=True):
        row[list(pair)] = 1
    logs = np.log([products[pair] for pair in pairs])
    return np.asarray(np.linalg.lstsq(sums, logs, rcond=None)[0])


def _decays(magnitude: FloatArray) -> bool:
    """Say whether the mean magnitude falls from image to image."""
    return bool((np.diff(magnitude.mean(axis=(1, 2, 3), dtype=np.float64)) < 0).all())
