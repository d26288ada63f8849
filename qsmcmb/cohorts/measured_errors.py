"""Errors of the measurement, drawn from those that validation has measured: by size, protocol and shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.cohorts.data_folder import data_folder
from qsmcmb.errors import ConfigError
from qsmcmb.io.tables import read_tsv
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("COLUMNS", "Measured", "MeasuredErrors", "read_measured_errors")

REGULAR, IRREGULAR = "regular", "irregular"
COLUMNS = (
    "protocol", "shape", "truth_ppm_mm3", "estimate_ppm_mm3", "sd_ppm_mm3", "limit_ppm_mm3", "seen_t2s", "detected",
)  # fmt: skip
"""Columns of the shipped table, in order."""
NEIGHBOURS = 8
"""Measurements nearest in size of which one is drawn."""


class Measured(NamedTuple):
    """Measurements of lesions.

    Parameters
    ----------
    total_ppm_mm3 : ndarray of shape (n,)
        Estimated total susceptibilities.
    seen : ndarray of shape (n,), bool
        Whether a reader counts the lesion on the T2*-weighted image.

    Examples
    --------
    >>> Measured(np.array([2.1]), np.array([True])).seen
    array([ True])
    """

    total_ppm_mm3: FloatArray
    seen: BoolArray


class MeasuredErrors:
    """The table of measured errors, by protocol and shape.

    Parameters
    ----------
    rows : sequence of mapping
        Rows with the columns `COLUMNS`, as text.

    Examples
    --------
    >>> errors = read_measured_errors()
    >>> "3 T" in errors.protocols
    True
    """

    def __init__(self, rows: list[dict[str, str | None]]) -> None:
        self.protocols = tuple(sorted({str(row["protocol"]) for row in rows}))
        self._groups: dict[tuple[str, bool], dict[str, FloatArray]] = {}
        for protocol in self.protocols:
            own = [row for row in rows if row["protocol"] == protocol]
            for is_irregular, name in ((False, REGULAR), (True, IRREGULAR)):
                # A protocol without a shape's measurements takes those of the other.
                group = [row for row in own if row["shape"] == name] or own
                group.sort(key=lambda row: float(str(row["truth_ppm_mm3"])))
                self._groups[protocol, is_irregular] = {
                    column: np.array(
                        [np.nan if row[column] is None else float(str(row[column])) for row in group]
                    )
                    for column in COLUMNS[2:]
                }

    def measure(
        self, total_ppm_mm3: FloatArray, protocol: str, is_irregular: BoolArray, *, rng: np.random.Generator
    ) -> Measured:
        """Measure lesions: each as one of the measurements nearest in size has turned out.

        Above the size of the drawn measurement its relative error holds, below it the absolute one. A lesion smaller
        than any that was measured is seen only above the detection limit.

        Parameters
        ----------
        total_ppm_mm3 : ndarray of shape (n,)
            True total susceptibilities, above 0.
        protocol : str
            One of `protocols`.
        is_irregular : ndarray of shape (n,), bool
            Whether the shape is irregular.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        Measured
            Estimates, and which are seen.

        Raises
        ------
        ConfigError
            There is no such protocol.

        Examples
        --------
        >>> errors = read_measured_errors()
        >>> total = np.full(500, 5.0)
        >>> found = errors.measure(total, "3 T", total < 0, rng=np.random.default_rng(1))
        >>> bool(abs(np.median(found.total_ppm_mm3) - 5) < 0.25)
        True
        """
        if protocol not in self.protocols:
            raise ConfigError(f"protocol {protocol!r}; expected one of: {', '.join(self.protocols)}")
        estimate, seen = np.empty(len(total_ppm_mm3)), np.zeros(len(total_ppm_mm3), bool)
        for shape in (False, True):
            mine = is_irregular == shape
            group, truth = self._groups[protocol, shape], total_ppm_mm3[mine]
            drawn = _draw(group["truth_ppm_mm3"], truth, rng)
            error = group["estimate_ppm_mm3"][drawn] - group["truth_ppm_mm3"][drawn]
            estimate[mine] = truth + error * np.maximum(1.0, truth / group["truth_ppm_mm3"][drawn])
            known = np.flatnonzero(np.isfinite(group["seen_t2s"]))
            read = known[_draw(group["truth_ppm_mm3"][known], truth, rng)]
            smallest = group["truth_ppm_mm3"][known].min()
            shows = truth >= np.where(truth < smallest, group["limit_ppm_mm3"][read], 0.0)
            seen[mine] = (group["seen_t2s"][read] > 0) & shows
        return Measured(estimate, seen)


def _draw(sorted_truth: FloatArray, truth: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return for each value the index of one of those nearest in order."""
    last = len(sorted_truth) - 1
    start = np.clip(np.searchsorted(sorted_truth, truth) - NEIGHBOURS // 2, 0, max(last + 1 - NEIGHBOURS, 0))
    return np.minimum(start + rng.integers(0, NEIGHBOURS, len(truth)), last)


def read_measured_errors() -> MeasuredErrors:
    """Return the shipped table of measured errors.

    Returns
    -------
    MeasuredErrors
        The table.

    Examples
    --------
    >>> len(read_measured_errors().protocols)
    4
    """
    return MeasuredErrors(read_tsv(data_folder() / "measured_errors.tsv"))
