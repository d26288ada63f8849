"""The one interface of all inversion methods."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np

from qsmcmb.core import _box_loops as loops
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.fft import fast_shape
from qsmcmb.core.memory import sparse_zeros, zeros
from qsmcmb.core.methods import call_method, resolve
from qsmcmb.core.validate import check_mask, check_volume, refuse_not_finite
from qsmcmb.dipole_inversion import DEFAULT, METHODS, SHORT, STARTS_FROM
from qsmcmb.dipole_inversion._head_loops import combine_echoes
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = (
    "invert",
    "is_nonlinear",
    "starting_point",
)

PAD_MM = 20.0
"""Width of the empty frame around the brain, mm: the periodic copies' fields have fallen off at twice this."""
USUAL_RADIANS_PER_PPM = 2 * np.pi * GAMMA_MHZ_PER_T * 3.0 * 0.020
"""Phase of 1 ppm at 3 T and 20 ms, rad: what nonlinear methods take where field strength and echo times are not
given.
"""


def invert(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    method: str = DEFAULT,
    field_sd_ppm: FloatArray | None = None,
    magnitude: FloatArray | None = None,
    te_s: tuple[float, ...] | None = None,
    b0_tesla: float | None = None,
    weights_field_ppm: FloatArray | None = None,
    options: Mapping[str, object] | None = None,
) -> FloatArray:
    """Invert the local field (or what the method starts from) into susceptibility.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, or (echo, x, y, z) for wrapped phase
        Input of the method, as `starting_point` says: local field, ppm; total field, ppm; or wrapped phase, rad. Values
        outside the mask are not read.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined, at least one.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    method : str, optional
        Key of `qsmcmb.dipole_inversion.METHODS`.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm, for methods that weight by it; may be infinite.
    magnitude : ndarray of shape grid.shape or (echo, x, y, z), optional
        Magnitude, any unit, for methods that use its edges; echoes are combined as root of the sum of squares.
    te_s : tuple of float, optional
        Echo times, s, positive.
    b0_tesla : float, optional
        Field strength, T, positive. With `te_s` it gives nonlinear methods the phase of 1 ppm at the mean echo time;
        without them 3 T and 20 ms are taken. Methods that start from wrapped phase need both.
    weights_field_ppm : ndarray of shape grid.shape, optional
        Local field, ppm, that tells noise and tissue in place of the one inverted (`huber`): the map of a part of a
        scan is then made as that of the whole.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the mask, ppm; 0 outside.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Notes
    -----
    The mask's box is copied into an empty frame 20 mm wide, so that periodic transforms do not see the other side of
    the volume, and sizes are fast for the transform.

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> chi = invert(forward_field(body, grid), np.ones(grid.shape, bool), grid, method="tkd")
    >>> bool(chi[8, 8, 8] > 0.8)
    True
    """
    # Checked once here; methods trust what they are given.
    check_mask(mask, grid)
    echoes = local_field_ppm.shape[0] if local_field_ppm.ndim == 4 else None
    check_volume("local_field_ppm", local_field_ppm, grid, echoes=echoes)
    if field_sd_ppm is not None:
        check_volume("field_sd_ppm", field_sd_ppm, grid)
    if weights_field_ppm is not None:
        check_volume("weights_field_ppm", weights_field_ppm, grid)
    if magnitude is not None:
        check_volume("magnitude", magnitude, grid, echoes=magnitude.shape[0] if magnitude.ndim == 4 else None)
    frame = _Frame(mask, grid, whole=method in SHORT)
    field = frame.padded_finite(local_field_ppm, "local_field_ppm")
    # What a method does not ask for is not brought into the frame: a copy costs as much as a transform.
    wanted = inspect.signature(resolve(METHODS, method)).parameters
    sd = field_sd_ppm if "field_sd_ppm" in wanted else None
    edges = magnitude if "magnitude" in wanted else None
    by_echo = magnitude if "echo_magnitude" in wanted else None
    weights_field = weights_field_ppm if "weights_field_ppm" in wanted else None
    context = {
        # 0 outside: not positive is as unusable as infinite.
        "field_sd_ppm": frame.padded_or_none(sd),
        "weights_field_ppm": None
        if weights_field is None
        else frame.padded_finite(weights_field, "weights_field_ppm"),
        "magnitude": None if edges is None else frame.combined(edges),
        "echo_magnitude": frame.padded_or_none(by_echo),
        "radians_per_ppm": _radians_per_ppm(te_s, b0_tesla),
        "te_s": te_s,
        "b0_tesla": b0_tesla,
    }
    padded = call_method(METHODS, method, options, field, frame.mask, frame.grid, context=context)
    return frame.unpadded(padded, grid)


class _Frame:
    """Hold the brain's bounding box in an empty frame of fast sizes: every method works on it.

    `whole` frames have all of their memory at once; of others the part beside the box takes none.
    """

    def __init__(self, mask: BoolArray, grid: Grid, *, whole: bool) -> None:
        self.box, self.whole = bounding_box(mask), whole
        extent = [s.stop - s.start for s in self.box]
        # Twice the frame lies between the brain and its periodic copy.
        margin = [2 * int(np.ceil(PAD_MM / v)) for v in grid.voxel_size_mm]
        shape = fast_shape((extent[0], extent[1], extent[2]), (margin[0], margin[1], margin[2]))
        self.place = tuple((n - e) // 2 for n, e in zip(shape, extent, strict=True))
        self.inner = tuple(slice(p, p + e) for p, e in zip(self.place, extent, strict=True))
        self.start = tuple(s.start for s in self.box)
        # May be negative: the frame reaches beyond the image, and its affine goes on.
        first = [s - p for s, p in zip(self.start, self.place, strict=True)]
        self.grid = grid.cropped((first[0], first[1], first[2]), shape)
        self.inside: BoolArray = np.ascontiguousarray(mask[self.box])
        self.mask: BoolArray = zeros(shape, bool)
        self.mask[self.inner] = self.inside
        self.count = int(np.count_nonzero(self.inside))

    def padded(self, volume: AnyArray) -> tuple[FloatArray, int]:
        """Return a volume (or echoes) of the whole grid in the frame, float32, 0 outside the mask.

        The second value counts the values in the mask that are not finite.
        """
        # They are held as long as a method runs: but for short ones, whose time it is, without the frame's empty part.
        make = zeros if self.whole and volume.ndim == len(self.grid.shape) else sparse_zeros
        out = make((*volume.shape[:-3], *self.grid.shape))
        broken = 0
        for echo in np.ndindex(volume.shape[:-3]):
            copied = volume[echo], self.start, self.inside, np.float32(0), self.place, out[echo]
            broken += int(loops.copy_inside(*copied).sum())
        return out, broken

    def padded_finite(self, volume: AnyArray, name: str) -> FloatArray:
        """Return a volume in the frame; raise where it is not finite in the mask."""
        out, broken = self.padded(volume)
        refuse_not_finite(name, broken)
        return out

    def padded_or_none(self, volume: AnyArray | None) -> FloatArray | None:
        """Return a volume in the frame; none of none."""
        return None if volume is None else self.padded(volume)[0]

    def combined(self, magnitude: FloatArray) -> FloatArray:
        """Return the root of the sum of squares of the echoes in the frame, 0 outside the box."""
        # Read alone, and by methods of many transforms: it need not take memory beside the box.
        out = sparse_zeros(self.grid.shape)
        echoes = magnitude if magnitude.ndim == 4 else magnitude[None]
        combine_echoes(echoes, self.start, self.inside.shape, self.place, out)
        return out

    def unpadded(self, padded: FloatArray, grid: Grid) -> FloatArray:
        """Return a map of the frame on the whole grid, its mean over the mask taken out, 0 outside."""
        # The field says nothing of a constant: all methods get the same reference.
        mean = loops.sum_inside(padded, self.inside, self.place).sum() / self.count
        out = sparse_zeros(grid.shape)
        loops.copy_inside(padded, self.place, self.inside, np.float32(mean), self.start, out)
        return out


def _radians_per_ppm(te_s: tuple[float, ...] | None, b0_tesla: float | None) -> float:
    """Return the phase of 1 ppm at the mean echo time, rad; raise where echo times or field strength are not
    positive.
    """
    if te_s is None or b0_tesla is None:
        return float(USUAL_RADIANS_PER_PPM)
    for name, value in (("te_s", min(te_s)), ("b0_tesla", b0_tesla)):
        if not value > 0:
            raise InvalidInputError(
                "ARGUMENT", "argument", field=name, found=value, expected="more than 0", fix=f"correct {name}"
            )
    # MHz/T times T times s: 1 ppm is as many Hz as B0 has MHz.
    return float(2 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * np.mean(te_s))


def starting_point(method: str) -> str:
    """Return the quantity that a method starts from.

    Parameters
    ----------
    method : str
        Key of `qsmcmb.dipole_inversion.METHODS`.

    Returns
    -------
    str
        One of "local field", "total field" and "wrapped phase".

    Raises
    ------
    ConfigError
        Unknown method.

    Examples
    --------
    >>> starting_point("tfi")
    'total field'
    """
    resolve(METHODS, method)
    return STARTS_FROM.get(method, "local field")


def is_nonlinear(method: str) -> bool:
    """Return whether a method's data term is nonlinear in the phase, so that the phase of 1 ppm changes the map.

    Parameters
    ----------
    method : str
        Key of `qsmcmb.dipole_inversion.METHODS`.

    Returns
    -------
    bool
        True where echo times and field strength matter.

    Raises
    ------
    ConfigError
        Unknown method.

    Examples
    --------
    >>> is_nonlinear("medi"), is_nonlinear("tkd")
    (True, False)
    """
    return "radians_per_ppm" in inspect.signature(resolve(METHODS, method)).parameters
