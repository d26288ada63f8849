"""Loops of packed rows, which the nonlinear data terms share.

A row of a box is short and half outside the mask: what is left of it beyond whole registers, and what lies outside,
costs more than the rest. So the parts of a plane's rows that lie in the mask are put one behind the other first.
"""

from typing import Any

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def row_spans(weights: Any, ends: Any) -> Any:
    """Find first and last + 1 positive weight of each row; return how many voxels lie between."""
    total = 0
    for y in range(weights.shape[0]):
        row = weights[y]
        low, high = 0, row.size
        # Voxels without weight in between stay: a gap would end the stream.
        while low < high and row[low] <= 0:
            low += 1
        while high > low and row[high - 1] <= 0:
            high -= 1
        ends[y, 0], ends[y, 1] = low, high
        total += high - low
    return total


@compiled
def pack(rows: Any, ends: Any, out: Any) -> None:
    """Put the parts of the rows one behind the other."""
    at = 0
    for y in range(rows.shape[0]):
        part = rows[y, ends[y, 0] : ends[y, 1]]
        # Slices that begin at 0 let the compiler take eight voxels at a time.
        to = out[at : at + part.size]
        for z in range(part.size):
            to[z] = part[z]
        at += part.size


@compiled
def unpack(packed: Any, ends: Any, rows: Any) -> None:
    """Put them back."""
    at = 0
    for y in range(rows.shape[0]):
        part = rows[y, ends[y, 0] : ends[y, 1]]
        of = packed[at : at + part.size]
        for z in range(part.size):
            part[z] = of[z]
        at += part.size
