"""Checks of arguments at the public edge. A message gives the name, what was got and what is needed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray

__all__ = (
    "check_choice",
    "check_erosion",
    "check_finite",
    "check_finite_inside",
    "check_inside",
    "check_mask",
    "check_radius",
    "check_range",
    "check_volume",
    "refuse_not_finite",
)


def _invalid(name: str, found: object, expected: str, fix: str, code: str = "ARGUMENT") -> InvalidInputError:
    """Return the error for an argument."""
    return InvalidInputError(code, "argument", field=name, found=found, expected=expected, fix=fix)


def check_volume(name: str, array: AnyArray, grid: Grid, *, echoes: int | None = None) -> None:
    """Raise unless an array has the grid's shape.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    array : ndarray
        The argument.
    grid : Grid
        Geometry.
    echoes : int, optional
        Length of the first axis, before the grid's three; no such axis without it.

    Raises
    ------
    InvalidInputError
        SHAPE: another shape.

    Examples
    --------
    >>> check_volume("field_hz", np.zeros((4, 4, 4)), Grid.isotropic((4, 4, 4), 1.0))
    """
    needed = grid.shape if echoes is None else (echoes, *grid.shape)
    if array.shape != needed:
        raise _invalid(
            f"{name}.shape", array.shape, f"grid.shape={needed}", "give arrays on one grid", "SHAPE"
        )


def check_mask(mask: AnyArray, grid: Grid) -> None:
    """Raise unless a mask is boolean, on the grid and not empty.

    Parameters
    ----------
    mask : ndarray
        The mask.
    grid : Grid
        Geometry.

    Raises
    ------
    InvalidInputError
        ARGUMENT: another type; SHAPE: another shape; MASK-EMPTY: no voxel.

    Examples
    --------
    >>> check_mask(np.ones((4, 4, 4), bool), Grid.isotropic((4, 4, 4), 1.0))
    """
    if mask.dtype != np.bool_:
        raise _invalid("mask.dtype", mask.dtype, "bool", "use mask.astype(bool)")
    check_volume("mask", mask, grid)
    if not mask.any():
        raise _invalid(
            "mask.sum()", 0, "at least one voxel", "give a mask that covers the brain", "MASK-EMPTY"
        )


def check_finite_inside(name: str, array: AnyArray, mask: AnyArray) -> None:
    """Raise if any value inside the mask is NaN or infinite.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    array : ndarray of shape (..., x, y, z)
        The argument.
    mask : ndarray of shape (x, y, z), bool
        Where it must be finite.

    Raises
    ------
    InvalidInputError
        NOT-FINITE: the message says how many values are not.

    Examples
    --------
    >>> field = np.array([[[1.0, np.nan]]])
    >>> check_finite_inside("field_hz", field, np.array([[[True, False]]]))
    """
    finite = np.isfinite(array)
    if not finite.all():
        refuse_not_finite(name, int(np.count_nonzero(~finite[..., mask])))


def refuse_not_finite(name: str, bad: int) -> None:
    """Raise if any value inside the mask, counted while it was copied, is NaN or infinite.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    bad : int
        Number of values that are not finite, >= 0.

    Raises
    ------
    InvalidInputError
        NOT-FINITE: the number is not 0.

    Examples
    --------
    >>> refuse_not_finite("field_hz", 0)
    """
    if bad:
        raise _invalid(
            name, f"{bad} values that are not finite", "finite values inside the mask",
            "take these voxels out of the mask", "NOT-FINITE",
        )  # fmt: skip


def check_finite(name: str, array: AnyArray) -> None:
    """Raise if any value is NaN or infinite.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    array : ndarray
        The argument.

    Raises
    ------
    InvalidInputError
        NOT-FINITE: the message says how many values are not.

    Examples
    --------
    >>> check_finite("magnitude", np.zeros((4, 4, 4)))
    """
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
    """Raise unless a number lies in a range.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : float
        The argument.
    low : float
        Least value that is allowed.
    high : float
        Largest value that is allowed.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a number out of the range, or none.

    Examples
    --------
    >>> check_range("weight", 0.5, 0.0, 1.0)
    """
    if not (np.isfinite(value) and low <= value <= high):
        raise _invalid(name, value, f"a number from {low:g} to {high:g}", f"set {name} in this range")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise unless a word is one of the choices.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : str
        The argument.
    choices : iterable of str
        Words that are allowed; the message lists them.

    Raises
    ------
    InvalidInputError
        ARGUMENT: another word.

    Examples
    --------
    >>> check_choice("kernel", "image", ("k-space", "image"))
    """
    known = list(choices)
    if value not in known:
        raise _invalid(name, repr(value), f"one of {', '.join(known)}", f"set {name} to one of these")


def check_radius(name: str, radius_mm: float, voxel_size_mm: tuple[float, float, float]) -> None:
    """Raise unless a radius is at least the largest voxel edge.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    radius_mm : float
        The argument, mm.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Raises
    ------
    InvalidInputError
        ARGUMENT: a smaller radius.

    Examples
    --------
    >>> check_radius("radius_mm", 5.0, (1.0, 1.0, 3.0))
    """
    if not radius_mm >= max(voxel_size_mm):
        raise _invalid(
            name, radius_mm, f"at least the largest voxel edge, {max(voxel_size_mm):g} mm", f"raise {name}"
        )


def check_erosion(name: str, radius_mm: float, left: AnyArray) -> None:
    """Raise if erosion left nothing of a mask.

    Parameters
    ----------
    name : str
        Name of the radius, for the message.
    radius_mm : float
        Radius that the mask was eroded by, mm.
    left : ndarray of bool
        The eroded mask.

    Raises
    ------
    InvalidInputError
        ARGUMENT: the eroded mask is empty.

    Examples
    --------
    >>> check_erosion("radius_mm", 5.0, np.ones((4, 4, 4), bool))
    """
    if not left.any():
        raise _invalid(
            name, radius_mm, "a ball that fits into the mask somewhere", f"lower {name} or give a larger mask"
        )


def check_inside(name: str, inside: AnyArray) -> None:
    """Raise if nothing is left of a mask without its outermost layer.

    Parameters
    ----------
    name : str
        Name of the mask, for the message.
    inside : ndarray of bool
        The mask without its outermost layer.

    Raises
    ------
    InvalidInputError
        ARGUMENT: it is empty.

    Examples
    --------
    >>> check_inside("mask", np.ones((4, 4, 4), bool))
    """
    if not inside.any():
        raise _invalid(
            name,
            "no voxel with all six neighbours",
            "a mask with an inside",
            "give a mask that covers the brain",
        )
