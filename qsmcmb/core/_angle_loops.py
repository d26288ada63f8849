"""Sine, cosine and whole turns of float32 angles, inlined so that the loops around them run in vector registers."""

from typing import Any

import numpy as np

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TURN = np.float32(2 * np.pi)
"""One turn, rad, in float32 as all angles are."""
PER_TURN = np.float32(1 / (2 * np.pi))
"""Turns in one rad, in float32: a product is faster than a division."""
ROUND = np.float32(1.5 * 2**23)
"""Number that rounds to a whole one when it is added and taken away again: of float32 numbers near it the step is 1."""
SINC = tuple(
    np.float32(c)
    for c in (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800, 1 / 6227020800, -1 / 1307674368000)
)
"""Coefficients of sin(a)/a in powers of a^2, by Taylor: eight reach float32's precision at half a turn."""
COSINE = tuple(
    np.float32(c)
    for c in (1.0, -1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600, -1 / 87178291200)
)
"""Coefficients of cos(a) in powers of a^2, by Taylor: eight reach float32's precision at a quarter of a turn."""


@compiled(fused=True, inline=True)
def wrap(a: Any) -> Any:
    """Take whole turns away, up to half a turn on either side."""
    return a - TURN * ((a * PER_TURN + ROUND) - ROUND)


@compiled(fused=True, inline=True)
def _series(c: Any, s: Any) -> Any:
    """Evaluate a polynomial of eight terms, in pairs: fewer steps wait for each other than in Horner's order."""
    s2 = s * s
    low = (c[0] + c[1] * s) + s2 * (c[2] + c[3] * s)
    high = (c[4] + c[5] * s) + s2 * (c[6] + c[7] * s)
    return low + s2 * s2 * high


@compiled(fused=True, inline=True)
def sinc(a: Any) -> Any:
    """Return sine over its argument up to half a turn, by Taylor's series to the 14th power: 3e-7 off at most."""
    return _series(SINC, a * a)


@compiled(fused=True, inline=True)
def cosine(a: Any) -> Any:
    """Return the cosine by Taylor's series to the 14th power: 1e-8 off up to a quarter of a turn, 5e-6 up to half."""
    return _series(COSINE, a * a)
