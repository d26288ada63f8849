"""Checks of arguments at the public edge: name, got, needed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray


def _invalid(name: str, found: object, expected: str, fix: str, code: str = "ARGUMENT") -> InvalidInputError:
    return InvalidInputError(code, "argument", field=name, found=found, expected=expected, fix=fix)


def check_volume(name: str, array: AnyArray, grid: Grid, *, echoes: int | None = None) -> None:
    """Raise unless `array` has the grid's shape, after `echoes` if given."""
    needed = grid.shape if echoes is None else (echoes, *grid.shape)
    if array.shape != needed:
        raise _invalid(
            f"{name}.shape", array.shape, f"grid.shape={needed}", "give arrays on one grid", "SHAPE"
        )


def check_mask(mask: AnyArray, grid: Grid) -> None:
    """Raise unless `mask` is boolean, on the grid and not empty."""
    if mask.dtype != np.bool_:
        raise _invalid("mask.dtype", mask.dtype, "bool", "use mask.astype(bool)")
    check_volume("mask", mask, grid)
    if not mask.any():
        raise _invalid(
            "mask.sum()", 0, "at least one voxel", "give a mask that covers the brain", "MASK-EMPTY"
        )


def check_finite_inside(name: str, array: AnyArray, mask: AnyArray) -> None:
    """Raise if any value of `array` inside the mask is NaN or infinite."""
    finite = np.isfinite(array)
    if not finite.all():
        refuse_not_finite(name, int(np.count_nonzero(~finite[..., mask])))


def refuse_not_finite(name: str, bad: int) -> None:
    """Raise if so many values inside the mask, found while it was copied, are NaN or infinite."""
    if bad:
        raise _invalid(
            name, f"{bad} values that are not finite", "finite values inside the mask",
            "take these voxels out of the mask", "NOT-FINITE",
        )  # fmt: skip


def check_finite(name: str, array: AnyArray) -> None:
    """Raise if any value of `array` is NaN or infinite."""
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise _invalid(
            name,
            f"{bad} values that are not finite",
            "finite values",
            "set voxels without signal to 0",
            "NOT-FINITE",
        )


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise unless low <= value <= high."""
    if not (np.isfinite(value) and low <= value <= high):
        raise _invalid(name, value, f"a number from {low:g} to {high:g}", f"set {name} in this range")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of `choices`."""
    known = list(choices)
    if value not in known:
        raise _invalid(name, repr(value), f"one of {', '.join(known)}", f"set {name} to one of these")


def check_radius(name: str, radius_mm: float, voxel_size_mm: tuple[float, float, float]) -> None:
    """Raise unless the radius is at least the largest voxel edge."""
    if not radius_mm >= max(voxel_size_mm):
        raise _invalid(
            name, radius_mm, f"at least the largest voxel edge, {max(voxel_size_mm):g} mm", f"raise {name}"
        )


def check_erosion(name: str, radius_mm: float, left: AnyArray) -> None:
    """Raise if the mask eroded by `radius_mm` is empty."""
    if not left.any():
        raise _invalid(
            name, radius_mm, "a ball that fits into the mask somewhere", f"lower {name} or give a larger mask"
        )


def check_inside(name: str, inside: AnyArray) -> None:
    """Raise if nothing is left of a mask without its outermost layer."""
    if not inside.any():
        raise _invalid(
            name,
            "no voxel with all six neighbours",
            "a mask with an inside",
            "give a mask that covers the brain",
        )
