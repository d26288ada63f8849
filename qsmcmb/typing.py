"""Array types and short tuples used in signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = (
    "AnyArray",
    "BoolArray",
    "ComplexArray",
    "FloatArray",
    "IntArray",
    "Report",
    "Triple",
)

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""Array of any real floating-point type; float32 where a volume is stored, float64 where sums are accumulated."""
ComplexArray: TypeAlias = NDArray[np.complexfloating[Any, Any]]
"""Array of any complex type; complex64 where a volume is stored."""
BoolArray: TypeAlias = NDArray[np.bool_]
"""Array of bool: a mask."""
IntArray: TypeAlias = NDArray[np.integer[Any]]
"""Array of any integer type; int32 where labels are stored."""
AnyArray: TypeAlias = NDArray[Any]
"""Array of any type."""
Triple: TypeAlias = tuple[float, float, float]
"""Three numbers, one for each axis or coordinate."""
Report: TypeAlias = Callable[[str, str, float], None]
"""Function that hears of progress: called with scan, stage and seconds; 0 seconds when the stage starts."""
