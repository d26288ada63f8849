"""Sources of fits as explanations of lesions have recorded them: what conventional imaging would show, years later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsmcmb.microbleeds.conventional.images import SourceModel
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.source_shapes import (
    BALL,
    BALL_PAIR,
    ROW_CENTRE,
    ROW_RADIUS,
    SPHEROID,
    SourceShape,
)

__all__ = ("recorded_sources",)

SHAPES = {shape.name: shape for shape in (BALL, BALL_PAIR, SPHEROID)}
"""Shapes by their name in the records; a free source is made for its signs."""


def recorded_sources(
    explanations: Sequence[Mapping[str, Any]], burden: Mapping[str, Any]
) -> dict[int, SourceModel] | None:
    """Return the fitted sources of a scan from its records.

    Parameters
    ----------
    explanations : sequence of mapping
        Records of its lesions, as in `*_desc-cmb_explain.json`.
    burden : mapping
        Record of its burden, for field strength and direction of B0.

    Returns
    -------
    dict of int to SourceModel or None
        Source by the lesion's label, where it was fitted; None of a version that has not recorded the decay.

    Examples
    --------
    >>> fit = {"shape": "ball", "sources_ppm_mm3_mm": [[2.0, 1.0, 0.0, 0.0, 0.7]], "decay_hz": 90.0}
    >>> burden = {"MagneticFieldStrength": 3.0, "B0Direction": [0.0, 0.0, 1.0]}
    >>> recorded_sources([{"label": 4, "fit": fit}], burden)[4].decay_hz_per_tesla
    30.0
    """
    fits = {int(record["label"]): record["fit"] for record in explanations if "fit" in record}
    if any("decay_hz" not in fit for fit in fits.values()):
        return None
    bx, by, bz = burden["B0Direction"]
    found = {}
    for label, fit in fits.items():
        rows = np.array(fit["sources_ppm_mm3_mm"], dtype=float)
        volumes = rows[:, ROW_RADIUS] ** 3
        rows[:, ROW_CENTRE] -= volumes @ rows[:, ROW_CENTRE] / volumes.sum()
        found[label] = SourceModel(
            rows=rows,
            shape=_shape(str(fit["shape"]), rows),
            total_chi_ppm_mm3=float(rows[:, 0].sum()),
            decay_hz_per_tesla=float(fit["decay_hz"]) / float(burden["MagneticFieldStrength"]),
            b0_dir=(bx, by, bz),
        )
    return found


def _shape(name: str, rows: np.ndarray) -> SourceShape:
    """Return a shape by its name."""
    if name in SHAPES:
        return SHAPES[name]
    return FreeSource(tuple(1 if value else -1 for value in rows[:, 0] * rows[0, 0] > 0))
